//! Sparse Merkle map over 32-byte keys, with shared structure between its last versions.
//!
//! Leaf = SHA-256(0x00, key, digest), node = SHA-256(0x01, left, right), empty = 32 zero bytes; key bits from the most
//! significant. A subtree that holds one leaf *is* that leaf, also after a deletion, so a root depends on the content
//! alone. `src/salus/ledger/merkle_map.py` is the readable twin.
//!
//! Memory: a leaf takes 64 bytes and an inner node 72; random keys make about 1.44 inner nodes a leaf, so a map costs
//! about 170 bytes a leaf, and a version adds only the paths that it changed. An inner node holds the hashes of its
//! children, so an update touches the changed paths alone and no sibling beside them: in a large map every node touched
//! is a cache miss. Versions follow one another, so each keeps the list of nodes that it replaced, and these are given
//! back when the version before it goes; no references are counted.

use std::collections::VecDeque;

use sha2::{Digest, Sha256};

use crate::arena::Arena;

mod python;

pub use python::MerkleMap;

type Hash = [u8; 32];

/// Most versions that one map keeps: every one of them pins the paths that it changed.
const MAX_VERSIONS: usize = 4096;
const EMPTY: Hash = [0; 32];

/// A reference to nothing, to a leaf (top bit set) or to an inner node.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ref(u32);

const NOTHING: Ref = Ref(u32::MAX);
const LEAF_BIT: u32 = 1 << 31;

impl Ref {
    fn is_leaf(self) -> bool {
        self != NOTHING && self.0 & LEAF_BIT != 0
    }
    fn index(self) -> usize {
        (self.0 & !LEAF_BIT) as usize
    }
}

struct Leaf {
    key: Hash,
    digest: Hash,
}

/// The children of an inner node; their hashes lie elsewhere, so that a path is found in few cache lines.
#[derive(Clone, Copy)]
struct Links {
    left: Ref,
    right: Ref,
}

struct Hashes {
    left: Hash,
    right: Hash,
}

/// A node and its hash.
#[derive(Clone, Copy)]
struct Subtree {
    node: Ref,
    hash: Hash,
}

const NO_SUBTREE: Subtree = Subtree { node: NOTHING, hash: EMPTY };

/// One version of the map; `replaced` were nodes of the version before it that are none of this one's.
struct Version {
    number: u64,
    root: Subtree,
    count: usize,
    replaced: Vec<Ref>,
}

/// What an update has done so far.
#[derive(Default)]
struct Pass {
    replaced: Vec<Ref>,
    inserted: usize,
    deleted: usize,
}

/// One change: a key and its new digest, or none to delete it.
pub type Change = (Hash, Option<Hash>);

/// What a map proof holds: the terminal's leaf if there is one, its depth, the bitmap of non-empty siblings (bit of depth
/// d: byte d / 8, most significant bit first) and these siblings from the root down.
#[derive(Debug, PartialEq, Eq)]
pub struct Proof {
    /// Key and digest of the terminal leaf.
    pub leaf: Option<(Hash, Hash)>,
    /// Inner nodes between the root and the terminal, at most 256.
    pub depth: usize,
    /// One bit for each level, padded with zero bits.
    pub bitmap: Vec<u8>,
    /// The siblings whose bit is set.
    pub siblings: Vec<Hash>,
}

/// The map's versions and the nodes that they share.
pub struct Map {
    leaves: Arena<Leaf>,
    links: Arena<Links>,
    hashes: Arena<Hashes>,
    versions: VecDeque<Version>,
    kept: usize,
}

fn bit(key: &Hash, depth: usize) -> bool {
    key[depth / 8] >> (7 - depth % 8) & 1 == 1
}

/// The hash of one leaf.
pub fn leaf_hash(key: &Hash, digest: &Hash) -> Hash {
    Sha256::new().chain_update([0]).chain_update(key).chain_update(digest).finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

impl Map {
    /// An empty map that keeps its last `kept` versions.
    pub fn new(kept: usize) -> Self {
        Self {
            leaves: Arena::default(),
            links: Arena::default(),
            hashes: Arena::default(),
            versions: VecDeque::new(),
            kept,
        }
    }

    /// Give a node's place back.
    fn remove(&mut self, node: Ref) {
        if node.is_leaf() {
            self.leaves.remove(node.index());
        } else {
            self.links.remove(node.index());
            self.hashes.remove(node.index());
        }
    }

    fn new_leaf(&mut self, key: Hash, digest: Hash, pass: &mut Pass) -> Subtree {
        pass.inserted += 1;
        let node = Ref(self.leaves.insert(Leaf { key, digest }) as u32 | LEAF_BIT);
        Subtree { node, hash: leaf_hash(&key, &digest) }
    }

    /// Join two subtrees: a lone leaf moves up, so that no history shows.
    fn combine(&mut self, left: Subtree, right: Subtree) -> Subtree {
        if right.node == NOTHING && (left.node == NOTHING || left.node.is_leaf()) {
            return left;
        }
        if left.node == NOTHING && right.node.is_leaf() {
            return right;
        }
        let hash = node_hash(&left.hash, &right.hash);
        let index = self.links.insert(Links { left: left.node, right: right.node });
        // Both arenas see the same insertions and removals, so their indices agree.
        let same = self.hashes.insert(Hashes { left: left.hash, right: right.hash });
        debug_assert_eq!(index, same);
        Subtree { node: Ref(index as u32), hash }
    }

    /// A new subtree over sorted, distinct keys that agree on their first `depth` bits, and over a leaf with another key.
    fn build(&mut self, changes: &[Change], leaf: Option<(&Hash, Subtree)>, depth: usize, pass: &mut Pass) -> Subtree {
        match (changes, leaf) {
            ([], None) | ([(_, None)], None) => NO_SUBTREE,
            ([], Some((_, subtree))) => subtree,
            ([(key, Some(digest))], None) => self.new_leaf(*key, *digest, pass),
            _ => {
                let split = changes.partition_point(|(key, _)| !bit(key, depth));
                let (to_left, to_right) = match leaf {
                    Some((key, _)) if bit(key, depth) => (None, leaf),
                    _ => (leaf, None),
                };
                let left = self.build(&changes[..split], to_left, depth + 1, pass);
                let right = self.build(&changes[split..], to_right, depth + 1, pass);
                self.combine(left, right)
            }
        }
    }

    /// A subtree that is one leaf, with sorted, distinct changes applied.
    fn apply_to_leaf(&mut self, old: Subtree, changes: &[Change], depth: usize, pass: &mut Pass) -> Subtree {
        let leaf = self.leaves.get(old.node.index());
        let (key, digest) = (leaf.key, leaf.digest);
        match changes.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(at) if changes.len() == 1 && changes[at].1 == Some(digest) => old,
            Ok(_) => {
                pass.replaced.push(old.node);
                pass.deleted += 1;
                self.build(changes, None, depth, pass)
            }
            Err(_) => self.build(changes, Some((&key, old)), depth, pass),
        }
    }

    /// A subtree with sorted, distinct changes applied; the old one's nodes stay, and those not in the new one are noted.
    fn apply(&mut self, old: Subtree, changes: &[Change], depth: usize, pass: &mut Pass) -> Subtree {
        if changes.is_empty() {
            return old;
        }
        if old.node == NOTHING {
            return self.build(changes, None, depth, pass);
        }
        if old.node.is_leaf() {
            return self.apply_to_leaf(old, changes, depth, pass);
        }
        let (links, hashes) = (self.links.get(old.node.index()), self.hashes.get(old.node.index()));
        let old_left = Subtree { node: links.left, hash: hashes.left };
        let old_right = Subtree { node: links.right, hash: hashes.right };
        let split = changes.partition_point(|(key, _)| !bit(key, depth));
        let left = self.apply(old_left, &changes[..split], depth + 1, pass);
        let right = self.apply(old_right, &changes[split..], depth + 1, pass);
        if left.node == old_left.node && right.node == old_right.node {
            return old;
        }
        pass.replaced.push(old.node);
        self.combine(left, right)
    }

    fn latest(&self) -> Option<&Version> {
        self.versions.back()
    }

    /// Apply a block's changes as a new version and give its root; versions over the limit are dropped.
    pub fn update(&mut self, version: u64, mut changes: Vec<Change>) -> Result<Hash, &'static str> {
        let (root, count) = match self.latest() {
            Some(last) if last.number < version => (last.root, last.count),
            Some(_) => return Err("versions must grow"),
            None => (NO_SUBTREE, 0),
        };
        changes.sort_unstable_by_key(|change| change.0);
        if changes.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("a key is repeated");
        }
        let mut pass = Pass::default();
        let root = self.apply(root, &changes, 0, &mut pass);
        let count = count + pass.inserted - pass.deleted;
        self.versions.push_back(Version { number: version, root, count, replaced: pass.replaced });
        while self.versions.len() > self.kept {
            self.versions.pop_front();
            let replaced = self.versions.front_mut().map(|oldest| std::mem::take(&mut oldest.replaced));
            for node in replaced.unwrap_or_default() {
                self.remove(node);
            }
        }
        Ok(root.hash)
    }

    /// Root and number of leaves of a kept version; the newest when none is named.
    fn at(&self, version: Option<u64>) -> Result<(Subtree, usize), &'static str> {
        match version {
            None => Ok(self.latest().map_or((NO_SUBTREE, 0), |v| (v.root, v.count))),
            Some(wanted) => {
                let found = self.versions.iter().rev().find(|v| v.number == wanted);
                found.map(|v| (v.root, v.count)).ok_or("that version is not kept")
            }
        }
    }

    /// The leaf at the end of the key's path, if any: the key's own or another with the same prefix.
    fn terminal(&self, root: Ref, key: &Hash) -> Ref {
        let (mut node, mut depth) = (root, 0);
        while node != NOTHING && !node.is_leaf() {
            let links = self.links.get(node.index());
            node = if bit(key, depth) { links.right } else { links.left };
            depth += 1;
        }
        node
    }

    fn find(&self, root: Ref, key: &Hash) -> Option<Hash> {
        let node = self.terminal(root, key);
        if node == NOTHING {
            return None;
        }
        let leaf = self.leaves.get(node.index());
        (leaf.key == *key).then_some(leaf.digest)
    }

    /// Root hash of a version.
    pub fn root(&self, version: Option<u64>) -> Result<Hash, &'static str> {
        Ok(self.at(version)?.0.hash)
    }

    /// Digest under a key in a version.
    pub fn get(&self, key: &Hash, version: Option<u64>) -> Result<Option<Hash>, &'static str> {
        Ok(self.find(self.at(version)?.0.node, key))
    }

    /// Proof of a key's presence or absence in a version.
    pub fn prove(&self, key: &Hash, version: Option<u64>) -> Result<Proof, &'static str> {
        let mut node = self.at(version)?.0.node;
        let mut proof = Proof { leaf: None, depth: 0, bitmap: Vec::new(), siblings: Vec::new() };
        while node != NOTHING && !node.is_leaf() {
            let (links, hashes) = (self.links.get(node.index()), self.hashes.get(node.index()));
            let (next, sibling, hash) = if bit(key, proof.depth) {
                (links.right, links.left, hashes.left)
            } else {
                (links.left, links.right, hashes.right)
            };
            if proof.depth.is_multiple_of(8) {
                proof.bitmap.push(0);
            }
            if sibling != NOTHING {
                proof.bitmap[proof.depth / 8] |= 0x80 >> (proof.depth % 8);
                proof.siblings.push(hash);
            }
            proof.depth += 1;
            node = next;
        }
        if node != NOTHING {
            let leaf = self.leaves.get(node.index());
            proof.leaf = Some((leaf.key, leaf.digest));
        }
        Ok(proof)
    }

    /// Up to `limit` leaves in the order of their keys, from the first key that is greater than `after`.
    pub fn leaves(
        &self,
        version: Option<u64>,
        after: Option<&Hash>,
        limit: usize,
    ) -> Result<Vec<(Hash, Hash)>, &'static str> {
        let (Subtree { node: root, .. }, count) = self.at(version)?;
        let mut out = Vec::with_capacity(count.min(limit));
        let mut stack = vec![root];
        if let Some(after) = after {
            // Leave out whole subtrees to the left of the path: only right-hand siblings of it can hold greater keys.
            stack.clear();
            let (mut node, mut depth) = (root, 0);
            while node != NOTHING && !node.is_leaf() {
                let links = self.links.get(node.index());
                if bit(after, depth) {
                    node = links.right;
                } else {
                    stack.push(links.right);
                    node = links.left;
                }
                depth += 1;
            }
            if node != NOTHING && self.leaves.get(node.index()).key > *after {
                stack.push(node);
            }
        }
        while let Some(node) = stack.pop() {
            if out.len() >= limit {
                break;
            }
            if node == NOTHING {
            } else if node.is_leaf() {
                let leaf = self.leaves.get(node.index());
                out.push((leaf.key, leaf.digest));
            } else {
                let links = self.links.get(node.index());
                stack.push(links.right);
                stack.push(links.left);
            }
        }
        Ok(out)
    }

    /// Live leaves and inner nodes of all kept versions together.
    pub fn nodes(&self) -> (usize, usize) {
        (self.leaves.live(), self.links.live())
    }
}

#[cfg(test)]
mod tests;
