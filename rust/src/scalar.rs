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

#[cfg(test)]
pub mod tests {
    use std::mem::MaybeUninit;

    use super::*;
    use crate::ristretto255::Point;

    /// The bytes of one part of a value, `(offset, length)`, after the value is dropped where it stands.
    pub fn after_drop<T>(value: T, part: impl Fn(&T) -> (*const u8, usize)) -> Vec<u8> {
        let mut place = MaybeUninit::new(value);
        // SAFETY: the value is initialised, looked at, and dropped once; then only bytes of the part are read, which lies in
        // the place, holds no padding, and was written by the value and by its wiping.
        unsafe {
            let (start, length) = part(place.assume_init_ref());
            let offset = start as usize - place.as_ptr() as usize;
            assert!(offset + length <= size_of::<T>());
            place.assume_init_drop();
            let bytes = place.as_ptr().cast::<u8>().add(offset);
            (0..length).map(|i| bytes.add(i).read_volatile()).collect()
        }
    }

    #[test]
    fn scalars_are_wiped() {
        let secret = Scalar(Raw::from(u128::MAX));
        assert_eq!(after_drop(secret, |s| (s.0.as_bytes().as_ptr(), 32)), [0; 32]);
        let many = Zeroizing::new([Raw::from(7_u64), Raw::from(8_u64)]);
        assert_eq!(after_drop(many, |m| (m[0].as_bytes().as_ptr(), 64)), [0; 64]);
    }

    #[test]
    fn points_are_wiped() {
        let point = || Point::from(curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT);
        assert_eq!(after_drop(point(), |p| (p.bytes().as_ptr(), 32)), [0; 32]);
        let left = after_drop(point(), |p| ((&raw const p.raw).cast(), size_of_val(&p.raw)));
        // Wiping leaves the identity, whose coordinates are small.
        assert!(left.iter().filter(|byte| **byte != 0).count() < 16);
    }
}
