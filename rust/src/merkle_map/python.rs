//! The map as Python sees it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{Map, MAX_VERSIONS};
use crate::args::{self, refuse};

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
