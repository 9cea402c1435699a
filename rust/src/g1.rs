//! G1 of BLS12-381 for Python.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroize;

use crate::args::{self, refuse};
use crate::bls12_381::{multiplier, P1};
use crate::counts::{self, Op};
use crate::fr::Fr;

/// An element of G1, wiped on drop (keys are elements); decoded ones are in the subgroup and not the identity.
#[pyclass(frozen, module = "salus._native")]
pub struct G1(pub P1);

impl Drop for G1 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[pymethods]
impl G1 {
    #[staticmethod]
    fn decode(data: &[u8]) -> PyResult<Self> {
        let bytes = args::array::<{ P1::SIZE }>(data, "a G1 element has 48 bytes")?;
        counts::add(Op::G1Decode, 1);
        P1::decode(&bytes).map(Self).ok_or_else(|| refuse("not a canonical encoding of a G1 element, or the identity"))
    }

    #[staticmethod]
    fn decode_with_identity(data: &[u8]) -> PyResult<Self> {
        let bytes = args::array::<{ P1::SIZE }>(data, "a G1 element has 48 bytes")?;
        counts::add(Op::G1Decode, 1);
        P1::decode_with_identity(&bytes).map(Self).ok_or_else(|| refuse("not a canonical encoding of a G1 element"))
    }

    #[staticmethod]
    fn hash(py: Python<'_>, message: &[u8], dst: &[u8]) -> PyResult<Self> {
        if dst.is_empty() {
            return Err(refuse("the domain separation tag is empty"));
        }
        counts::add(Op::G1Hash, 1);
        Ok(Self(py.detach(|| P1::hash(message, dst))))
    }

    #[staticmethod]
    fn generator() -> Self {
        Self(P1::generator())
    }

    #[staticmethod]
    fn identity() -> Self {
        Self(P1::default())
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.encode())
    }

    fn encode_uncompressed<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.encode_uncompressed())
    }

    fn is_identity(&self) -> bool {
        self.0.is_identity()
    }

    fn mul(&self, py: Python<'_>, scalar: &Bound<'_, PyAny>) -> PyResult<Self> {
        let by = match scalar.cast::<Fr>() {
            Ok(scalar) => scalar.get().0.multiplier(),
            Err(_) => multiplier(scalar.cast::<PyBytes>()?.as_bytes())
                .ok_or_else(|| refuse("a multiplier has 32 bytes and is below the group order"))?,
        };
        counts::add(Op::G1Mul, 1);
        Ok(Self(py.detach(|| self.0.mul(&by))))
    }

    fn __add__(&self, other: &Self) -> Self {
        Self(self.0.add(&other.0))
    }

    fn __sub__(&self, other: &Self) -> Self {
        Self(self.0.add(&other.0.neg()))
    }

    fn __neg__(&self) -> Self {
        Self(self.0.neg())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|o| self.0.equals(&o.get().0))
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.encode().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> &'static str {
        "G1(..)"
    }
}
