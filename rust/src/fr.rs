//! Scalars of BLS12-381: integers modulo the group order r, constant time, wiped on drop.

use std::ops::{Add, Mul, Neg, Sub};

use blst::*;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::{Zeroize, Zeroizing};

use crate::args::{self, refuse};
use crate::bls12_381::Multiplier;
use crate::counts::{self, Op};

/// A scalar modulo r in Montgomery form, always reduced.
#[derive(Clone, Copy, Default)]
pub struct Raw(blst_fr);

impl Zeroize for Raw {
    fn zeroize(&mut self) {
        self.0.l.zeroize();
    }
}

impl Raw {
    /// Zero, the default of the field.
    pub const ZERO: Self = Self(blst_fr { l: [0; 4] });

    /// Four limbs, least significant first, of an integer below 2^256; reduced.
    pub fn from_limbs(limbs: [u64; 4]) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: blst reads four limbs and writes one scalar.
        unsafe { blst_fr_from_uint64(&mut out, limbs.as_ptr()) };
        Self(out)
    }

    /// Four limbs, least significant first, of the integer below r.
    pub fn limbs(&self) -> Zeroizing<[u64; 4]> {
        let mut out = Zeroizing::new([0; 4]);
        // SAFETY: blst reads one scalar and writes four limbs.
        unsafe { blst_uint64_from_fr(out.as_mut_ptr(), &self.0) };
        out
    }

    /// 32 bytes, little-endian, as blst's multiplications want them.
    pub fn multiplier(&self) -> Multiplier {
        let mut out = Zeroizing::new([0; 32]);
        for (bytes, limb) in out.chunks_exact_mut(8).zip(self.limbs().iter()) {
            bytes.copy_from_slice(&limb.to_le_bytes());
        }
        out
    }

    /// 32 bytes, big-endian, below r.
    pub fn decode(bytes: &[u8; 32]) -> Option<Self> {
        let mut limbs = Zeroizing::new([0; 4]);
        for (limb, part) in limbs.iter_mut().zip(bytes.rchunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(part);
            *limb = u64::from_be_bytes(word);
        }
        let scalar = Self::from_limbs(*limbs);
        (*scalar.limbs() == *limbs).then_some(scalar)
    }

    /// 64 bytes, big-endian, reduced.
    pub fn reduce(bytes: &[u8; 64]) -> Self {
        let mut scalar = blst_scalar::default();
        let mut out = blst_fr::default();
        // SAFETY: blst reads the 64 bytes, writes a reduced scalar, and reads that back; blst_scalar wipes itself.
        unsafe {
            blst_scalar_from_be_bytes(&mut scalar, bytes.as_ptr(), bytes.len());
            blst_fr_from_scalar(&mut out, &scalar);
        }
        Self(out)
    }

    /// A public integer.
    pub fn from_u128(value: u128) -> Self {
        Self::from_limbs([value as u64, (value >> 64) as u64, 0, 0])
    }

    /// The inverse, in constant time; zero gives zero.
    pub fn invert(&self) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: two live scalars.
        unsafe { blst_fr_inverse(&mut out, &self.0) };
        Self(out)
    }

    /// In constant time.
    pub fn is_zero(&self) -> bool {
        self.equals(&Self::ZERO)
    }

    /// In constant time; reduced Montgomery forms are equal exactly if the scalars are.
    pub fn equals(&self, other: &Self) -> bool {
        self.0.l.iter().zip(&other.0.l).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

/// One binary operation of blst as a Rust operator.
macro_rules! operator {
    ($trait:ident, $method:ident, $function:ident) => {
        impl $trait for Raw {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                let mut out = blst_fr::default();
                // SAFETY: three live scalars.
                unsafe { $function(&mut out, &self.0, &other.0) };
                Self(out)
            }
        }
    };
}

operator!(Add, add, blst_fr_add);
operator!(Sub, sub, blst_fr_sub);
operator!(Mul, mul, blst_fr_mul);

impl Neg for Raw {
    type Output = Self;

    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

/// A scalar modulo r = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001.
#[pyclass(frozen, module = "salus._native")]
pub struct Fr(pub Raw);

impl Drop for Fr {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The scalars of a Python sequence, wiped when dropped.
pub fn collect(seq: &Bound<'_, PyAny>) -> PyResult<Zeroizing<Vec<Raw>>> {
    args::collect(seq, |item| Ok(item.cast::<Fr>()?.get().0)).map(Zeroizing::new)
}

#[pymethods]
impl Fr {
    #[staticmethod]
    fn decode(data: &[u8]) -> PyResult<Self> {
        let bytes = Zeroizing::new(args::array::<32>(data, "a scalar has 32 bytes")?);
        Raw::decode(&bytes).map(Self).ok_or_else(|| refuse("the scalar is not below the group order"))
    }

    #[staticmethod]
    fn reduce(data: &[u8]) -> PyResult<Self> {
        let bytes = Zeroizing::new(args::array::<64>(data, "a wide scalar has 64 bytes")?);
        Ok(Self(Raw::reduce(&bytes)))
    }

    #[staticmethod]
    fn from_int(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(value) = value.extract::<u128>() {
            return Ok(Self(Raw::from_u128(value)));
        }
        let value = value.extract::<i128>()?;
        Ok(Self(-Raw::from_u128(value.unsigned_abs())))
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut bytes = self.0.multiplier();
        bytes.reverse();
        PyBytes::new(py, &*bytes)
    }

    fn invert(&self) -> PyResult<Self> {
        if self.0.is_zero() {
            return Err(refuse("zero has no inverse"));
        }
        counts::add(Op::ScalarInvert, 1);
        Ok(Self(self.0.invert()))
    }

    fn is_zero(&self) -> bool {
        self.0.is_zero()
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
        other.cast::<Self>().is_ok_and(|o| self.0.equals(&o.get().0))
    }

    fn __hash__(&self) -> PyResult<isize> {
        Err(PyTypeError::new_err("a scalar may be secret and is not hashable"))
    }

    fn __repr__(&self) -> &'static str {
        "Fr(..)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bls12_381::{P1, P2};
    use crate::g1::G1;
    use crate::g2::G2;
    use crate::gt::{Gt, Target};
    use crate::scalar::tests::after_drop;

    #[test]
    fn scalars_are_wiped() {
        let left = after_drop(Fr(Raw::from_u128(u128::MAX)), |s| (s.0 .0.l.as_ptr().cast(), 32));
        assert_eq!(left, [0; 32]);
        let many = Zeroizing::new([Raw::from_u128(7), Raw::from_u128(8)]);
        assert_eq!(after_drop(many, |m| ((&raw const m[0]).cast(), 64)), [0; 64]);
    }

    #[test]
    fn elements_are_wiped() {
        let first = after_drop(G1(P1::generator()), |p| ((&raw const p.0).cast(), size_of::<P1>()));
        let second = after_drop(G2(P2::generator()), |p| ((&raw const p.0).cast(), size_of::<P2>()));
        let third = after_drop(Gt(Target::default()), |a| ((&raw const a.0).cast(), size_of::<Target>()));
        assert!(first.iter().chain(&second).chain(&third).all(|byte| *byte == 0));
        assert!(first.len() == 144 && second.len() == 288 && third.len() == 576);
    }
}
