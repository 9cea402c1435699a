//! The target group of BLS12-381 for Python: the subgroup of order r in Fp12, written multiplicatively.

use std::hash::{DefaultHasher, Hash, Hasher};

use blst::*;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::{Zeroize, Zeroizing};

use crate::args::{self, refuse};
use crate::bls12_381::wipe;
use crate::bls_batch::MUL_GRAIN;
use crate::counts::{self, Op};
use crate::fr::{self, Fr};
use crate::gt_pow;
use crate::pool;

/// Bytes of an element: twelve coefficients of 48.
pub const SIZE: usize = 576;
const COEFFICIENT: usize = 48;

/// An element of Fp12; in a [`Gt`] always one of the order-r subgroup.
#[derive(Clone, Copy, Default)]
pub struct Target(pub blst_fp12);

impl Zeroize for Target {
    fn zeroize(&mut self) {
        // SAFETY: twelve coefficients of whole limbs, without padding; all zeros is an element of Fp12.
        unsafe { wipe(&mut self.0) }
    }
}

impl Target {
    /// 576 bytes, big-endian coefficients below the field modulus, in the subgroup of order r.
    ///
    /// The order of the coefficients is blst's: of 1, w, .. w^5 over Fp2, each real part first.
    pub fn decode(bytes: &[u8; SIZE]) -> Option<Self> {
        let mut out = Self::default();
        let mut parts = bytes.chunks_exact(COEFFICIENT);
        for i in 0..3 {
            for j in 0..2 {
                for k in 0..2 {
                    let coefficient = &mut out.0.fp6[j].fp2[i].fp[k];
                    // SAFETY: the chunk has 48 bytes; one field element is written.
                    unsafe { blst_fp_from_bendian(coefficient, parts.next()?.as_ptr()) };
                }
            }
        }
        // A coefficient at or above the modulus would have been reduced. blst checks a^(p^4)*a = a^(p^2), which excludes
        // the factor -1, and a^p = a^u.
        (out.0.to_bendian() == *bytes && out.0.in_group()).then_some(out)
    }

    /// The product.
    pub fn mul(&self, other: &Self) -> Self {
        let mut out = Self::default();
        // SAFETY: three live elements.
        unsafe { blst_fp12_mul(&mut out.0, &self.0, &other.0) };
        out
    }

    /// The square of an element of the cyclotomic subgroup, which holds the whole target group.
    pub fn square(&self) -> Self {
        let mut out = Self::default();
        // SAFETY: two live elements.
        unsafe { blst_fp12_cyclotomic_sqr(&mut out.0, &self.0) };
        out
    }

    /// The inverse, by conjugation, of an element of the cyclotomic subgroup.
    pub fn inverse(&self) -> Self {
        let mut out = *self;
        // SAFETY: one live element, changed in place.
        unsafe { blst_fp12_conjugate(&mut out.0) };
        out
    }

    /// The power to p^n, n in 1 to 3.
    pub fn frobenius(&self, n: usize) -> Self {
        let mut out = Self::default();
        // SAFETY: two live elements; blst knows the powers 1 to 3.
        unsafe { blst_fp12_frobenius_map(&mut out.0, &self.0, n) };
        out
    }

    /// In constant time.
    pub fn is_one(&self) -> bool {
        // SAFETY: one live element, read only.
        unsafe { blst_fp12_is_one(&self.0) }
    }
}

/// An element of the target group; a shared secret may be one, so it is wiped on drop.
#[pyclass(frozen, module = "salus._native")]
pub struct Gt(pub Target);

impl Drop for Gt {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The elements of a Python sequence, wiped when dropped.
pub fn collect(seq: &Bound<'_, PyAny>) -> PyResult<Zeroizing<Vec<Target>>> {
    args::collect(seq, |item| Ok(item.cast::<Gt>()?.get().0)).map(Zeroizing::new)
}

fn decode(data: &[u8]) -> PyResult<Target> {
    let bytes = args::array::<SIZE>(data, "an element of the target group has 576 bytes")?;
    counts::add(Op::GtDecode, 1);
    Target::decode(&bytes).ok_or_else(|| refuse("not a canonical encoding of an element of the target group"))
}

#[pymethods]
impl Gt {
    #[staticmethod]
    fn decode(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        let element = py.detach(|| decode(data))?;
        if element.is_one() {
            return Err(refuse("the neutral element of the target group"));
        }
        Ok(Self(element))
    }

    #[staticmethod]
    fn decode_with_one(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        py.detach(|| decode(data)).map(Self)
    }

    #[staticmethod]
    fn one() -> Self {
        Self(Target::default())
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &*Zeroizing::new(self.0 .0.to_bendian()))
    }

    fn is_one(&self) -> bool {
        self.0.is_one()
    }

    fn inverse(&self) -> Self {
        Self(self.0.inverse())
    }

    fn pow(&self, py: Python<'_>, scalar: &Fr) -> Self {
        counts::add(Op::GtPow, 1);
        Self(py.detach(|| gt_pow::multi(&[self.0], &[scalar.0])))
    }

    fn __mul__(&self, other: &Self) -> Self {
        Self(self.0.mul(&other.0))
    }

    fn __truediv__(&self, other: &Self) -> Self {
        Self(self.0.mul(&other.0.inverse()))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|o| self.0 .0 == o.get().0 .0)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0 .0.to_bendian().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> &'static str {
        "Gt(..)"
    }
}

#[pyfunction]
pub fn gt_decode_batch(py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Vec<Gt>> {
    let data =
        args::collect(data, |item| args::bytes_array::<SIZE>(item, "an element of the target group has 576 bytes"))?;
    counts::add(Op::GtDecode, data.len());
    let decoded =
        py.detach(|| pool::map(&data, MUL_GRAIN, |bytes| Target::decode(bytes).filter(|a| !a.is_one()).map(Gt)));
    decoded
        .into_iter()
        .collect::<Option<Vec<Gt>>>()
        .ok_or_else(|| refuse("one of the elements is not canonical, not in the target group, or one"))
}

/// Elements and exponents of one length, not none.
type Powers = (Zeroizing<Vec<Target>>, Zeroizing<Vec<fr::Raw>>);

fn powers(elements: &Bound<'_, PyAny>, exponents: &Bound<'_, PyAny>) -> PyResult<Powers> {
    let (elements, exponents) = (collect(elements)?, fr::collect(exponents)?);
    args::same_length(elements.len(), exponents.len())?;
    counts::add(Op::GtPowTerm, elements.len());
    Ok((elements, exponents))
}

#[pyfunction]
pub fn gt_multi_pow(py: Python<'_>, elements: &Bound<'_, PyAny>, exponents: &Bound<'_, PyAny>) -> PyResult<Gt> {
    let (elements, exponents) = powers(elements, exponents)?;
    Ok(Gt(py.detach(|| gt_pow::multi(&elements, &exponents))))
}

#[pyfunction]
pub fn gt_multi_pow_vartime(py: Python<'_>, elements: &Bound<'_, PyAny>, exponents: &Bound<'_, PyAny>) -> PyResult<Gt> {
    let (elements, exponents) = powers(elements, exponents)?;
    Ok(Gt(py.detach(|| gt_pow::multi_vartime(&elements, &exponents))))
}
