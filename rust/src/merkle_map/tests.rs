//! The map against its definition.

use std::collections::BTreeMap;

use super::*;

/// The definition itself, over a sorted list.
fn naive(leaves: &[(Hash, Hash)], depth: usize) -> Hash {
    match leaves {
        [] => EMPTY,
        [(key, digest)] => leaf_hash(key, digest),
        _ => {
            let split = leaves.partition_point(|(key, _)| !bit(key, depth));
            node_hash(&naive(&leaves[..split], depth + 1), &naive(&leaves[split..], depth + 1))
        }
    }
}

fn key(n: u64) -> Hash {
    Sha256::digest(n.to_be_bytes()).into()
}

/// Keys that share long prefixes, where deep paths and collapsing happen.
fn crowded(n: u64) -> Hash {
    let mut key = [0; 32];
    key[31] = (n % 7) as u8;
    key[(n % 3) as usize * 13] |= (n % 5) as u8;
    key
}

fn root_of(proof: &Proof, key: &Hash) -> Hash {
    let mut hash = proof.leaf.map_or(EMPTY, |(k, d)| leaf_hash(&k, &d));
    let mut siblings = proof.siblings.iter().rev();
    for depth in (0..proof.depth).rev() {
        let present = proof.bitmap[depth / 8] >> (7 - depth % 8) & 1 == 1;
        let sibling = if present { *siblings.next().expect("a sibling for every bit") } else { EMPTY };
        hash = if bit(key, depth) { node_hash(&sibling, &hash) } else { node_hash(&hash, &sibling) };
    }
    assert!(siblings.next().is_none());
    hash
}

#[test]
fn agrees_with_the_definition_through_inserts_and_deletions() {
    for make in [key as fn(u64) -> Hash, crowded] {
        let mut map = Map::new(16);
        let mut twin: BTreeMap<Hash, Hash> = BTreeMap::new();
        let mut history = VecDeque::new();
        let mut state = 1_u64;
        for version in 1..=300 {
            let mut changes: BTreeMap<Hash, Option<Hash>> = BTreeMap::new();
            for _ in 0..version % 9 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let n = (state >> 33) % 60;
                changes.insert(make(n), (state >> 62 != 0).then(|| key(state)));
            }
            for (k, change) in &changes {
                match change {
                    Some(digest) => twin.insert(*k, *digest),
                    None => twin.remove(k),
                };
            }
            let root = map.update(version, changes.into_iter().collect()).expect("a greater version");
            let sorted: Vec<(Hash, Hash)> = twin.iter().map(|(k, d)| (*k, *d)).collect();
            assert_eq!(root, naive(&sorted, 0));
            assert_eq!(map.leaves(None, None, usize::MAX), Ok(sorted.clone()));
            assert_eq!(map.at(None).expect("newest").1, twin.len());
            history.push_back((version, root, sorted));
            if history.len() > 16 {
                history.pop_front();
            }
            for (v, r, leaves) in history.iter().step_by(5) {
                assert_eq!(map.root(Some(*v)), Ok(*r));
                let probe = make(version % 60);
                let proof = map.prove(&probe, Some(*v)).expect("kept");
                assert_eq!(root_of(&proof, &probe), *r);
                let held = leaves.iter().find(|(k, _)| *k == probe).map(|(_, d)| *d);
                assert_eq!(map.get(&probe, Some(*v)), Ok(held));
                assert_eq!(proof.leaf.filter(|(k, _)| *k == probe).map(|(_, d)| d), held);
            }
        }
        assert_eq!(map.root(Some(300 - 16)), Err("that version is not kept"));
    }
}

#[test]
fn dropped_versions_give_their_nodes_back() {
    let mut map = Map::new(2);
    map.update(1, (0..500).map(|n| (key(n), Some(key(n + 1)))).collect()).expect("first");
    let (leaves, inners) = map.nodes();
    assert_eq!(leaves, 500);
    for version in 2..50 {
        map.update(version, vec![(key(version), Some(key(version * 1000)))]).expect("next");
    }
    map.update(60, Vec::new()).expect("no change");
    map.update(61, Vec::new()).expect("no change");
    assert_eq!(map.nodes(), (leaves, inners));
    map.update(62, (0..500).map(|n| (key(n), None)).collect()).expect("delete all");
    map.update(63, Vec::new()).expect("no change");
    assert_eq!(map.nodes(), (0, 0));
    assert_eq!(map.root(None), Ok(EMPTY));
}

#[test]
fn pages_of_leaves_cover_the_map_once() {
    let mut map = Map::new(1);
    map.update(1, (0..300).map(|n| (key(n), Some(key(n)))).collect()).expect("first");
    let all = map.leaves(None, None, usize::MAX).expect("newest");
    let mut pages: Vec<(Hash, Hash)> = Vec::new();
    loop {
        let page = map.leaves(None, pages.last().map(|(k, _)| k), 7).expect("newest");
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    assert_eq!(pages, all);
    // A key that is not in the map works as a boundary too.
    let boundary = [0x80; 32];
    let rest = map.leaves(None, Some(&boundary), usize::MAX).expect("newest");
    assert_eq!(rest, all.iter().filter(|(k, _)| *k > boundary).copied().collect::<Vec<_>>());
}

#[test]
fn refuses_repeated_keys_and_old_versions() {
    let mut map = Map::new(3);
    assert_eq!(map.update(5, vec![(key(1), None), (key(1), None)]), Err("a key is repeated"));
    map.update(5, Vec::new()).expect("first");
    assert_eq!(map.update(5, Vec::new()), Err("versions must grow"));
    assert_eq!(map.update(4, Vec::new()), Err("versions must grow"));
}
