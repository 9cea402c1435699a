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
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sha2::{Digest, Sha256};

use crate::arena::Arena;
use crate::args::{self, refuse};

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

struct Inner {
    left_hash: Hash,
    right_hash: Hash,
    left: Ref,
    right: Ref,
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
    inners: Arena<Inner>,
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
        Self { leaves: Arena::default(), inners: Arena::default(), versions: VecDeque::new(), kept }
    }

    /// Give a node's place back.
    fn remove(&mut self, node: Ref) {
        if node.is_leaf() {
            self.leaves.remove(node.index());
        } else {
            self.inners.remove(node.index());
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
        let inner = Inner { left_hash: left.hash, right_hash: right.hash, left: left.node, right: right.node };
        Subtree { node: Ref(self.inners.insert(inner) as u32), hash }
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
        let inner = self.inners.get(old.node.index());
        let old_left = Subtree { node: inner.left, hash: inner.left_hash };
        let old_right = Subtree { node: inner.right, hash: inner.right_hash };
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
            let inner = self.inners.get(node.index());
            node = if bit(key, depth) { inner.right } else { inner.left };
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
            let inner = self.inners.get(node.index());
            let (next, sibling, hash) = if bit(key, proof.depth) {
                (inner.right, inner.left, inner.left_hash)
            } else {
                (inner.left, inner.right, inner.right_hash)
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
                let inner = self.inners.get(node.index());
                if bit(after, depth) {
                    node = inner.right;
                } else {
                    stack.push(inner.right);
                    node = inner.left;
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
                let inner = self.inners.get(node.index());
                stack.push(inner.right);
                stack.push(inner.left);
            }
        }
        Ok(out)
    }

    /// Live leaves and inner nodes of all kept versions together.
    pub fn nodes(&self) -> (usize, usize) {
        (self.leaves.live(), self.inners.live())
    }
}

/// The Python class: one map behind a lock, taken only while the interpreter lock is released.
#[pyclass(frozen, module = "salus._native")]
pub struct MerkleMap(Mutex<Map>);

const KEY_SIZE: &str = "a map key has 32 bytes";
const DIGEST_SIZE: &str = "a map digest has 32 bytes";

type PyHash<'py> = Bound<'py, PyBytes>;
type PyProof<'py> = (Option<PyHash<'py>>, Option<PyHash<'py>>, usize, PyHash<'py>, Vec<PyHash<'py>>);

impl MerkleMap {
    fn lock(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<R: Send>(&self, py: Python<'_>, f: impl FnOnce(&Map) -> Result<R, &'static str> + Send) -> PyResult<R> {
        py.detach(|| f(&self.lock())).map_err(refuse)
    }
}

#[pymethods]
impl MerkleMap {
    #[new]
    #[pyo3(signature = (versions_kept = 16))]
    fn new(versions_kept: usize) -> PyResult<Self> {
        if versions_kept == 0 || versions_kept > MAX_VERSIONS {
            return Err(refuse("a map keeps 1 to 4096 versions"));
        }
        Ok(Self(Mutex::new(Map::new(versions_kept))))
    }

    fn update<'py>(&self, py: Python<'py>, version: u64, changes: &Bound<'py, PyAny>) -> PyResult<PyHash<'py>> {
        let changes = args::collect(changes, |item| {
            let (key, digest) = item.extract::<(PyHash<'_>, Option<PyHash<'_>>)>()?;
            let digest = digest.map(|d| args::array::<32>(d.as_bytes(), DIGEST_SIZE)).transpose()?;
            Ok((args::array::<32>(key.as_bytes(), KEY_SIZE)?, digest))
        })?;
        let root = py.detach(|| self.lock().update(version, changes)).map_err(refuse)?;
        Ok(PyBytes::new(py, &root))
    }

    #[pyo3(signature = (version = None))]
    fn root<'py>(&self, py: Python<'py>, version: Option<u64>) -> PyResult<PyHash<'py>> {
        Ok(PyBytes::new(py, &self.read(py, |map| map.root(version))?))
    }

    #[pyo3(signature = (key, version = None))]
    fn prove<'py>(&self, py: Python<'py>, key: &[u8], version: Option<u64>) -> PyResult<PyProof<'py>> {
        let key = args::array::<32>(key, KEY_SIZE)?;
        let proof = self.read(py, |map| map.prove(&key, version))?;
        let (leaf_key, leaf_digest) = proof.leaf.unzip();
        Ok((
            leaf_key.map(|k| PyBytes::new(py, &k)),
            leaf_digest.map(|d| PyBytes::new(py, &d)),
            proof.depth,
            PyBytes::new(py, &proof.bitmap),
            proof.siblings.iter().map(|s| PyBytes::new(py, s)).collect(),
        ))
    }

    #[pyo3(signature = (key, version = None))]
    fn get<'py>(&self, py: Python<'py>, key: &[u8], version: Option<u64>) -> PyResult<Option<PyHash<'py>>> {
        let key = args::array::<32>(key, KEY_SIZE)?;
        Ok(self.read(py, |map| map.get(&key, version))?.map(|digest| PyBytes::new(py, &digest)))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.read(py, |map| Ok(map.at(None)?.1))
    }

    #[pyo3(signature = (version = None, after = None, limit = None))]
    fn leaves<'py>(
        &self,
        py: Python<'py>,
        version: Option<u64>,
        after: Option<&[u8]>,
        limit: Option<usize>,
    ) -> PyResult<Vec<(PyHash<'py>, PyHash<'py>)>> {
        let after = after.map(|key| args::array::<32>(key, KEY_SIZE)).transpose()?;
        let leaves = self.read(py, |map| map.leaves(version, after.as_ref(), limit.unwrap_or(usize::MAX)))?;
        Ok(leaves.iter().map(|(key, digest)| (PyBytes::new(py, key), PyBytes::new(py, digest))).collect())
    }

    fn versions(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        self.read(py, |map| Ok(map.versions.iter().map(|v| v.number).collect()))
    }

    fn node_counts(&self, py: Python<'_>) -> PyResult<(usize, usize)> {
        self.read(py, |map| Ok(map.nodes()))
    }
}

#[cfg(test)]
mod tests;
