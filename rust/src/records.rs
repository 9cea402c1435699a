//! Digest of encrypted bodies, suite `records-2`: BLAKE3 over segments and the Merkle tree above them.
//!
//! `leaf = BLAKE3-derive-key("salus records-2 body-segment", segment)`, `node = BLAKE3-derive-key("salus records-2 body-node",
//! left || right)` (BLAKE3 paper, section 2.3: the mode separates the domains). `src/salus/records/trees.py` is the readable twin
//! of the tree.

use std::sync::OnceLock;

use blake3::Hasher;
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::args::refuse;

type Hash = [u8; 32];

const SEGMENT_CONTEXT: &str = "salus records-2 body-segment";
const NODE_CONTEXT: &str = "salus records-2 body-node";
/// Bytes of one call at most: a batch of segments, never a body.
const MAX_BYTES: usize = 64 << 20;
/// Levels of a tree at most; 2^24 segments are the largest body.
const MAX_HEIGHT: u32 = 24;

fn segment_hasher() -> Hasher {
    static START: OnceLock<Hasher> = OnceLock::new();
    START.get_or_init(|| Hasher::new_derive_key(SEGMENT_CONTEXT)).clone()
}

fn node_hasher() -> Hasher {
    static START: OnceLock<Hasher> = OnceLock::new();
    START.get_or_init(|| Hasher::new_derive_key(NODE_CONTEXT)).clone()
}

/// Hash of one sealed segment.
pub fn leaf(segment: &[u8]) -> Hash {
    *segment_hasher().update(segment).finalize().as_bytes()
}

/// Hash of an inner node.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    *node_hasher().update(left).update(right).finalize().as_bytes()
}

/// A Merkle tree in the shape of RFC 6962, section 2.1, over leaves that arrive in order; holds the roots of its largest full subtrees.
#[derive(Default)]
pub struct Tree {
    stack: Vec<(u32, Hash)>,
    count: u64,
}

impl Tree {
    /// Add a leaf; appends the nodes that are complete now to `out`: the leaf, then its ancestors.
    pub fn push(&mut self, leaf: Hash, out: &mut Vec<u8>) {
        let mut hash = leaf;
        let mut height = 0;
        out.extend_from_slice(&hash);
        while let Some((top, left)) = self.stack.last() {
            if *top != height {
                break;
            }
            hash = node(left, &hash);
            self.stack.pop();
            height += 1;
            out.extend_from_slice(&hash);
        }
        self.stack.push((height, hash));
        self.count += 1;
    }

    /// Root over the leaves so far; `None` without any.
    pub fn root(&self) -> Option<Hash> {
        let ((_, last), rest) = self.stack.split_last()?;
        Some(rest.iter().rev().fold(*last, |right, (_, left)| node(left, &right)))
    }
}

/// Leaf hashes of segments that lie side by side, the last of which may be shorter; 32 bytes each.
#[pyfunction]
pub fn body_leaves<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    segment_bytes: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let buffer = PyBuffer::<u8>::get(data)?;
    if !buffer.is_c_contiguous() || segment_bytes == 0 || buffer.len_bytes() > MAX_BYTES {
        return Err(refuse("contiguous bytes, at most 64 MiB, in segments of at least one byte"));
    }
    let leaves: Vec<u8> = if buffer.len_bytes() == 0 {
        Vec::new()
    } else {
        // SAFETY: the buffer is contiguous and `buffer` keeps it alive. Callers leave it alone until this returns, as hashlib's
        // callers do; what another thread wrote meanwhile would be hashed, and nothing else depends on it.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), buffer.len_bytes()) };
        py.detach(|| bytes.chunks(segment_bytes).flat_map(leaf).collect())
    };
    Ok(PyBytes::new(py, &leaves))
}

/// Hash of an inner node of two 32-byte hashes.
#[pyfunction]
pub fn body_node<'py>(py: Python<'py>, left: &[u8], right: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    match (left.try_into(), right.try_into()) {
        (Ok(left), Ok(right)) => Ok(PyBytes::new(py, &node(left, right))),
        _ => Err(refuse("hashes have 32 bytes")),
    }
}

/// The tree over a body's leaves, for Python.
#[pyclass(module = "salus._native")]
#[derive(Default)]
pub struct BodyTree(Tree);

#[pymethods]
impl BodyTree {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Add leaf hashes (32 bytes each, side by side); returns the nodes completed, in the order of completion.
    fn extend<'py>(&mut self, py: Python<'py>, leaves: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let (whole, rest) = leaves.as_chunks::<32>();
        if !rest.is_empty() || self.0.count + whole.len() as u64 > 1 << MAX_HEIGHT {
            return Err(refuse("leaves of 32 bytes, at most 2^24 of a tree"));
        }
        let mut nodes = Vec::with_capacity(2 * leaves.len());
        for leaf in whole {
            self.0.push(*leaf, &mut nodes);
        }
        Ok(PyBytes::new(py, &nodes))
    }

    /// Root over the leaves so far.
    fn root<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let root = self.0.root().ok_or_else(|| refuse("a tree without leaves has no root"))?;
        Ok(PyBytes::new(py, &root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_that_of_the_recursive_definition() {
        fn slow(leaves: &[Hash]) -> Hash {
            if leaves.len() == 1 {
                return leaves[0];
            }
            let split = leaves.len().next_power_of_two() / 2;
            node(&slow(&leaves[..split]), &slow(&leaves[split..]))
        }
        let leaves: Vec<Hash> = (0..70u8).map(|i| leaf(&[i])).collect();
        let mut tree = Tree::default();
        assert_eq!(tree.root(), None);
        let mut nodes = Vec::new();
        for count in 1..=leaves.len() {
            tree.push(leaves[count - 1], &mut nodes);
            assert_eq!(tree.root(), Some(slow(&leaves[..count])));
            assert_eq!(nodes.len(), 32 * (2 * count - count.count_ones() as usize));
        }
    }

    #[test]
    fn domains_are_separate() {
        let (a, b) = (leaf(b"a"), leaf(b"b"));
        assert_ne!(node(&a, &b), leaf(&[a, b].concat()));
        assert_ne!(node(&a, &b), node(&b, &a));
    }
}
