//! The pairing of BLS12-381 and its target group for Python.

use std::hash::{DefaultHasher, Hash, Hasher};

use blst::{blst_fp12, blst_p1_affine, blst_p2_affine};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::args::{self, refuse};
use crate::counts::{self, Op};
use crate::g1::G1;
use crate::g2::G2;
use crate::pool;

/// Pairs of one thread below which splitting the product does not pay: they share the squarings.
const GRAIN: usize = 2;
/// Pairs of one product: a policy's attributes or a batch of shares.
const MAX_PAIRS: usize = 1 << 16;

/// An element of the target group (the order-r subgroup of Fp12).
#[pyclass(frozen, module = "salus._native")]
pub struct Gt(blst_fp12);

#[pymethods]
impl Gt {
    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bendian())
    }

    fn is_one(&self) -> bool {
        self.0 == blst_fp12::default()
    }

    fn __mul__(&self, other: &Self) -> Self {
        let mut product = self.0;
        product *= other.0;
        Self(product)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|o| self.0 == o.get().0)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.to_bendian().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> &'static str {
        "Gt(..)"
    }
}

/// The product of the Miller loops, before the final exponentiation; pairs with an identity are left out by the caller.
fn miller_product(p: &[blst_p1_affine], q: &[blst_p2_affine]) -> blst_fp12 {
    let parts = pool::chunks(p.len(), GRAIN, |from, to| blst_fp12::miller_loop_n(&q[from..to], &p[from..to]));
    parts.into_iter().fold(blst_fp12::default(), |mut product, part| {
        product *= part;
        product
    })
}

#[pyfunction]
pub fn pairing(py: Python<'_>, pairs: &Bound<'_, PyAny>) -> PyResult<Gt> {
    let pairs = args::collect(pairs, |item| {
        let (p, q) = item.extract::<(Bound<'_, G1>, Bound<'_, G2>)>()?;
        Ok((p.get().0, q.get().0))
    })?;
    if pairs.is_empty() || pairs.len() > MAX_PAIRS {
        return Err(refuse("a pairing product has 1 to 65536 pairs"));
    }
    counts::add(Op::Pairing, 1);
    counts::add(Op::MillerLoop, pairs.len());
    counts::add(Op::FinalExp, 1);
    Ok(py.detach(|| {
        let (p, q): (Vec<_>, Vec<_>) = pairs
            .iter()
            .filter(|(p, q)| !p.is_identity() && !q.is_identity())
            .map(|(p, q)| (p.affine(), q.affine()))
            .unzip();
        if p.is_empty() {
            return Gt(blst_fp12::default());
        }
        Gt(miller_product(&p, &q).final_exp())
    }))
}
