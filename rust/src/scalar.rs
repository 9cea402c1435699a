//! Scalars of ristretto255: integers modulo l, constant time, wiped on drop.

use curve25519_dalek::scalar::Scalar as Raw;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::args::{self, refuse};
use crate::counts::{self, Op};

/// A scalar modulo l = 2^252 + 27742317777372353535851937790883648493.
#[pyclass(frozen, module = "salus._native")]
pub struct Scalar(pub Raw);

impl Drop for Scalar {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The scalars of a Python sequence, wiped when dropped.
pub fn collect(seq: &Bound<'_, PyAny>) -> PyResult<Zeroizing<Vec<Raw>>> {
    args::collect(seq, |item| Ok(item.cast::<Scalar>()?.get().0)).map(Zeroizing::new)
}

/// Canonical 32 bytes, little-endian, below l.
pub fn decode(bytes: [u8; 32]) -> Option<Raw> {
    Raw::from_canonical_bytes(bytes).into()
}

#[pymethods]
impl Scalar {
    #[staticmethod]
    fn decode(data: &[u8]) -> PyResult<Self> {
        let bytes = Zeroizing::new(args::array::<32>(data, "a scalar has 32 bytes")?);
        decode(*bytes).map(Self).ok_or_else(|| refuse("the scalar is not canonical"))
    }

    #[staticmethod]
    fn reduce(data: &[u8]) -> PyResult<Self> {
        let bytes = Zeroizing::new(args::array::<64>(data, "a wide scalar has 64 bytes")?);
        Ok(Self(Raw::from_bytes_mod_order_wide(&bytes)))
    }

    #[staticmethod]
    fn from_int(value: u64) -> Self {
        Self(Raw::from(value))
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.as_bytes())
    }

    fn invert(&self) -> PyResult<Self> {
        if self.is_zero() {
            return Err(refuse("zero has no inverse"));
        }
        counts::add(Op::ScalarInvert, 1);
        Ok(Self(self.0.invert()))
    }

    fn is_zero(&self) -> bool {
        self.0.ct_eq(&Raw::ZERO).into()
    }

    fn __add__(&self, other: &Self) -> Self {
        Self(self.0 + other.0)
    }

    fn __sub__(&self, other: &Self) -> Self {
        Self(self.0 - other.0)
    }

    fn __mul__(&self, other: &Self) -> Self {
        Self(self.0 * other.0)
    }

    fn __neg__(&self) -> Self {
        Self(-self.0)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|o| self.0.ct_eq(&o.get().0).into())
    }

    fn __hash__(&self) -> PyResult<isize> {
        Err(PyTypeError::new_err("a scalar may be secret and is not hashable"))
    }

    fn __repr__(&self) -> &'static str {
        "Scalar(..)"
    }
}
