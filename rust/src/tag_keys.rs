//! Keys of tags: `T' = KDF(ik, T)` for each scope and word. Derived, sealed, opened and used here; wiped when dropped.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::Aes256Enc;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::args::{self, refuse, same_length};
use crate::codec::Writer;
use crate::pool;
use crate::symmetric;

/// Bytes of a scope and its key, side by side.
pub const ITEM_BYTES: usize = 64;
/// Most keys of one question: every quarter and category of some ten thousand owners.
pub const MAX_KEYS: usize = 1 << 17;
/// The place of a key that belongs to no scope.
pub const EVERY_SCOPE: [u8; 32] = [0; 32];
/// Keys of one thread below which deriving them is not worth splitting.
const KDF_GRAIN: usize = 32;
/// Suite of the labels, as `salus.labels.SUITE_SEARCH`.
const SUITE: &str = "search-1";
/// As `salus.labels.TAG_KEY`.
const TAG_KEY: &str = "tag-key";
/// As `salus.labels.DISCOVERABLE`.
const DISCOVERABLE: &str = "discoverable";

/// Scopes and keys, `scope (32 bytes) || T' (32 bytes)` each.
#[pyclass(frozen, module = "salus._native")]
pub struct TagKeys(Zeroizing<Vec<u8>>);

impl TagKeys {
    fn with_room(count: usize) -> PyResult<Zeroizing<Vec<u8>>> {
        if count == 0 || count > MAX_KEYS {
            return Err(refuse("1 to 131,072 keys of tags"));
        }
        // One allocation: a vector that grows leaves copies of the keys behind.
        Ok(Zeroizing::new(vec![0; count * ITEM_BYTES]))
    }

    /// Scope and key of each item.
    pub fn items(&self) -> impl Iterator<Item = (&[u8; 32], &[u8; 32])> {
        self.0.as_chunks::<ITEM_BYTES>().0.iter().map(|item| {
            let (scope, key) = item.as_chunks::<32>().0.split_at(1);
            (&scope[0], &key[0])
        })
    }
}

/// AES-256 for encryption under one key; the round keys are wiped when dropped.
pub fn cipher(key: &[u8; 32]) -> Aes256Enc {
    Aes256Enc::new(key.into())
}

fn fill(keys: &mut [u8], derived: &[Zeroizing<[u8; 32]>], scope: impl Fn(usize) -> [u8; 32]) {
    for (i, (item, key)) in keys.chunks_exact_mut(ITEM_BYTES).zip(derived).enumerate() {
        item[..32].copy_from_slice(&scope(i));
        item[32..].copy_from_slice(&**key);
    }
}

#[pymethods]
impl TagKeys {
    #[staticmethod]
    fn derive(
        py: Python<'_>,
        network: &[u8],
        scopes: &Bound<'_, PyAny>,
        index_keys: &Bound<'_, PyAny>,
        tokens: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let scopes = args::collect(scopes, |s| args::bytes_array::<32>(s, "a scope has 32 bytes"))?;
        let index_keys = args::collect(index_keys, |k| args::bytes_array::<32>(k, "an index key has 32 bytes"))?;
        let index_keys = Zeroizing::new(index_keys);
        let tokens = Zeroizing::new(args::collect(tokens, |t| args::bytes_array::<64>(t, "a token has 64 bytes"))?);
        same_length(scopes.len(), index_keys.len())?;
        same_length(scopes.len(), tokens.len())?;
        if scopes.contains(&EVERY_SCOPE) {
            return Err(refuse("no scope is all zeros"));
        }
        let mut keys = Self::with_room(scopes.len())?;
        let network = network.to_vec();
        py.detach(|| {
            let indices: Vec<usize> = (0..scopes.len()).collect();
            let derived = pool::map(&indices, KDF_GRAIN, |&i| {
                let mut secret = Zeroizing::new([0; 96]);
                secret[..32].copy_from_slice(&index_keys[i]);
                secret[32..].copy_from_slice(&tokens[i]);
                let mut context = Writer(Vec::with_capacity(128));
                context.tuple(2).bytes(&network).bytes(&scopes[i]);
                symmetric::kdf(TAG_KEY, SUITE, &*secret, &context.0)
            });
            fill(&mut keys, &derived, |i| scopes[i]);
        });
        Ok(Self(keys))
    }

    #[staticmethod]
    fn discoverable(py: Python<'_>, network: &[u8], tokens: &Bound<'_, PyAny>) -> PyResult<Self> {
        let tokens = Zeroizing::new(args::collect(tokens, |t| args::bytes_array::<64>(t, "a token has 64 bytes"))?);
        let mut keys = Self::with_room(tokens.len())?;
        let mut context = Writer(Vec::with_capacity(64));
        context.tuple(1).bytes(network);
        py.detach(|| {
            let derived = pool::map(&tokens, KDF_GRAIN, |token| symmetric::kdf(DISCOVERABLE, SUITE, token, &context.0));
            fill(&mut keys, &derived, |_| EVERY_SCOPE);
        });
        Ok(Self(keys))
    }

    fn tags<'py>(&self, py: Python<'py>, rid: &[u8]) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let rid = args::array::<16>(rid, "a record's id has 16 bytes")?;
        let tags = self.items().map(|(_, key)| {
            let mut block = rid.into();
            cipher(key).encrypt_block(&mut block);
            PyBytes::new(py, &block)
        });
        Ok(tags.collect())
    }

    fn scopes<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.items().map(|(scope, _)| PyBytes::new(py, scope)).collect()
    }

    fn seal<'py>(&self, py: Python<'py>, key: &[u8], aad: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let key = Zeroizing::new(args::array::<32>(key, "a key has 32 bytes")?);
        let sealed = py.detach(|| symmetric::seal(&key, &self.0, aad));
        Ok(PyBytes::new(py, &sealed))
    }

    #[staticmethod]
    fn unseal(py: Python<'_>, key: &[u8], sealed: &[u8], aad: &[u8]) -> PyResult<Self> {
        let key = Zeroizing::new(args::array::<32>(key, "a key has 32 bytes")?);
        let len = sealed.len().saturating_sub(symmetric::TAG_BYTES);
        if !len.is_multiple_of(ITEM_BYTES) {
            return Err(refuse("scopes and keys have 64 bytes each"));
        }
        let mut keys = Self::with_room(len / ITEM_BYTES)?;
        if py.detach(|| symmetric::unseal_into(&key, sealed, aad, &mut keys)) {
            Ok(Self(keys))
        } else {
            Err(refuse("the box does not open"))
        }
    }

    fn __len__(&self) -> usize {
        self.0.len() / ITEM_BYTES
    }

    fn __repr__(&self) -> &'static str {
        "TagKeys(..)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_keys_and_keys_of_tags_are_wiped() {
        fn wipes<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        let key = [7; 32];
        wipes(&cipher(&key));
        let keys = TagKeys(Zeroizing::new(key.repeat(2)));
        wipes(&keys.0);
        assert_eq!(keys.items().count(), 1);
    }

    /// FIPS 197, appendix C.3.
    #[test]
    fn a_tag_is_one_block_of_aes_256() {
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        let mut block: aes::Block = std::array::from_fn::<u8, 16, _>(|i| (i * 0x11) as u8).into();
        cipher(&key).encrypt_block(&mut block);
        let expected = [0x8e, 0xa2, 0xb7, 0xca, 0x51, 0x67, 0x45, 0xbf, 0xea, 0xfc, 0x49, 0x90, 0x4b, 0x49, 0x60, 0x89];
        assert_eq!(block.0, expected);
    }
}
