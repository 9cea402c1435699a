//! Products of pairings of BLS12-381: Miller loops together, one final exponentiation.

use std::sync::Arc;

use blst::*;
use pyo3::prelude::*;

use crate::args::{self, refuse};
use crate::bls12_381::{P1, P2};
use crate::counts::{self, Op};
use crate::g1::G1;
use crate::g2::G2;
use crate::gt::{Gt, Target};
use crate::pool;

/// Pairs of one thread below which splitting the product does not pay: they share the squarings.
const GRAIN: usize = 2;
/// Pairs of one product: a policy's attributes or a batch of shares.
const MAX_PAIRS: usize = 1 << 16;
/// Lines of one Miller loop: 63 doublings and 5 additions.
const LINES: usize = 68;

/// A point of G2 with the lines of its Miller loop.
#[pyclass(frozen, module = "salus._native")]
pub struct G2Prepared {
    point: P2,
    lines: Arc<Vec<blst_fp6>>,
}

#[pymethods]
impl G2Prepared {
    #[new]
    fn new(py: Python<'_>, point: &G2) -> Self {
        counts::add(Op::G2Prepare, 1);
        let lines = py.detach(|| Arc::new(lines(&point.0.affine())));
        Self { point: point.0, lines }
    }

    fn point(&self) -> G2 {
        G2(self.point)
    }

    fn __repr__(&self) -> &'static str {
        "G2Prepared(..)"
    }
}

fn lines(q: &blst_p2_affine) -> Vec<blst_fp6> {
    let mut out = vec![blst_fp6::default(); LINES];
    // SAFETY: blst writes exactly 68 lines.
    unsafe { blst_precompute_lines(out.as_mut_ptr(), q) };
    out
}

/// One factor of a product.
enum Pair {
    Plain(P1, P2),
    Prepared(P1, Arc<Vec<blst_fp6>>),
}

/// The product of the Miller loops, before the final exponentiation.
fn miller_product(pairs: &[Pair]) -> blst_fp12 {
    let mut product = blst_fp12::default();
    let (mut ps, mut qs) = (Vec::with_capacity(pairs.len()), Vec::with_capacity(pairs.len()));
    for pair in pairs {
        match pair {
            Pair::Plain(p, q) => {
                ps.push(p.affine());
                qs.push(q.affine());
            }
            Pair::Prepared(p, lines) => {
                let mut factor = blst_fp12::default();
                // SAFETY: there are 68 lines, and two live values.
                unsafe { blst_miller_loop_lines(&mut factor, lines.as_ptr(), &p.affine()) };
                product *= factor;
            }
        }
    }
    if !ps.is_empty() {
        product *= blst_fp12::miller_loop_n(&qs, &ps);
    }
    product
}

/// e(p_1, q_1) * e(p_2, q_2) * ..
fn product(pairs: &[Pair]) -> Target {
    if pairs.is_empty() {
        return Target::default();
    }
    let parts = pool::chunks(pairs.len(), GRAIN, |from, to| miller_product(&pairs[from..to]));
    let mut product = parts[0];
    for part in &parts[1..] {
        product *= *part;
    }
    Target(product.final_exp())
}

fn pair(item: &Bound<'_, PyAny>) -> PyResult<Option<Pair>> {
    let (p, q) = item.extract::<(Bound<'_, G1>, Bound<'_, PyAny>)>()?;
    let p = p.get().0;
    let (pair, neutral) = if let Ok(prepared) = q.cast::<G2Prepared>() {
        (Pair::Prepared(p, Arc::clone(&prepared.get().lines)), prepared.get().point.is_identity())
    } else {
        let q = q.cast::<G2>()?.get().0;
        (Pair::Plain(p, q), q.is_identity())
    };
    // A factor with an identity is one.
    Ok((!neutral && !p.is_identity()).then_some(pair))
}

#[pyfunction]
pub fn multi_pairing(py: Python<'_>, pairs: &Bound<'_, PyAny>) -> PyResult<Gt> {
    let pairs = args::collect(pairs, pair)?;
    if pairs.is_empty() || pairs.len() > MAX_PAIRS {
        return Err(refuse("a pairing product has 1 to 65536 pairs"));
    }
    counts::add(Op::Pairing, 1);
    counts::add(Op::MillerLoop, pairs.len());
    counts::add(Op::FinalExp, 1);
    Ok(Gt(py.detach(|| product(&pairs.into_iter().flatten().collect::<Vec<_>>()))))
}

#[pyfunction]
pub fn pairing(py: Python<'_>, pairs: &Bound<'_, PyAny>) -> PyResult<Gt> {
    multi_pairing(py, pairs)
}
