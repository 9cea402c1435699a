//! Sorted four-byte prefixes of keys: where in its runs a log-structured store may hold a key.
//!
//! Keys are hashes, so a prefix stands close to where its value puts it; a search looks there first and touches one or two
//! cache lines of each run, however long the run is.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::args::refuse;

/// The ascending prefixes of one run.
#[pyclass(frozen, module = "salus._native")]
pub struct KeyPrefixes(Vec<u32>);

impl KeyPrefixes {
    /// Prefixes that ascend.
    pub fn of(ascending: Vec<u32>) -> Self {
        debug_assert!(ascending.is_sorted());
        Self(ascending)
    }

    /// Places of the entries with a prefix: first, and one past the last.
    fn find(&self, prefix: u32) -> Option<(usize, usize)> {
        let all = &self.0;
        let guess = ((prefix as u64 * all.len() as u64) >> 32) as usize;
        let reach = 2 * all.len().isqrt() + 8;
        let (mut low, mut high) = (guess.saturating_sub(reach), all.len().min(guess + reach));
        if low > 0 && all[low - 1] >= prefix {
            low = 0;
        }
        if high < all.len() && all[high] < prefix {
            high = all.len();
        }
        let first = low + all[low..high].partition_point(|&other| other < prefix);
        let count = all[first..].iter().take_while(|&&other| other == prefix).count();
        (count > 0).then_some((first, first + count))
    }
}

#[pymethods]
impl KeyPrefixes {
    #[new]
    fn new(data: &[u8]) -> PyResult<Self> {
        let (chunks, rest) = data.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(refuse("prefixes have four bytes each"));
        }
        let prefixes: Vec<u32> = chunks.iter().map(|chunk| u32::from_be_bytes(*chunk)).collect();
        if !prefixes.is_sorted() {
            return Err(refuse("prefixes must ascend"));
        }
        Ok(Self(prefixes))
    }

    fn encode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, self.0.len() * 4, |out| {
            for (place, prefix) in out.as_chunks_mut::<4>().0.iter_mut().zip(&self.0) {
                *place = prefix.to_be_bytes();
            }
            Ok(())
        })
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}

/// The prefixes of several runs, to be searched one after the other.
#[pyclass(frozen, module = "salus._native")]
pub struct PrefixSearch(Vec<Py<KeyPrefixes>>);

#[pymethods]
impl PrefixSearch {
    #[new]
    fn new(runs: Vec<Py<KeyPrefixes>>) -> Self {
        Self(runs)
    }

    fn find(&self, key: &[u8], start: usize) -> PyResult<Option<(usize, usize, usize)>> {
        let prefix = key.first_chunk::<4>().ok_or_else(|| PyValueError::new_err("a key has at least four bytes"))?;
        let prefix = u32::from_be_bytes(*prefix);
        let found =
            self.0.iter().enumerate().skip(start).find_map(|(number, run)| Some((number, run.get().find(prefix)?)));
        Ok(found.map(|(number, (first, end))| (number, first, end)))
    }
}
