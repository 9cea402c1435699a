//! Products of pairings of BLS12-381: Miller loops together, one final exponentiation.

use std::sync::Arc;

use blst::*;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::affine::Field;
use crate::args::{self, refuse};
use crate::bls12_381::{CurvePoint, P1, P2};
use crate::bls_batch::{self, Points};
use crate::bls_msm;
use crate::counts::{self, Op};
use crate::fr::{self, Raw};
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
/// Runs of doublings of the loop over the bits of the curve parameter, after the first doubling; an addition before each.
const RUNS: [usize; 5] = [2, 3, 9, 32, 16];
/// Sets of lines that are gone through together: 20 KB each.
const LINES_AT_ONCE: usize = 16;

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

/// The 68 lines of a point.
pub fn lines(q: &blst_p2_affine) -> Vec<blst_fp6> {
    let mut out = vec![blst_fp6::default(); LINES];
    // SAFETY: blst writes exactly 68 lines.
    unsafe { blst_precompute_lines(out.as_mut_ptr(), q) };
    out
}

/// One factor of a product, the second argument perhaps with its lines.
#[derive(Clone)]
struct Pair {
    p: P1,
    q: P2,
    lines: Option<Arc<Vec<blst_fp6>>>,
}

/// The point of G1 as lines are evaluated at it: (-2x, 2y).
fn doubled(p: &blst_p1_affine) -> (blst_fp, blst_fp) {
    let x = p.x.add(&p.x);
    (blst_fp::default().sub(&x), p.y.add(&p.y))
}

/// One line, evaluated.
fn at(line: &blst_fp6, (x, y): &(blst_fp, blst_fp)) -> blst_fp6 {
    let scaled = |a: &blst_fp2, by: &blst_fp| blst_fp2 { fp: [a.fp[0].mul(by), a.fp[1].mul(by)] };
    blst_fp6 { fp2: [line.fp2[0], scaled(&line.fp2[1], x), scaled(&line.fp2[2], y)] }
}

fn multiply_lines(product: &mut blst_fp12, factors: &[(&[blst_fp6], (blst_fp, blst_fp))], number: usize) {
    for (lines, place) in factors {
        let line = at(&lines[number], place);
        let from = *product;
        // SAFETY: three live values; the line stands for six coefficients of which three are zero.
        unsafe { blst_fp12_mul_by_xy00z0(product, &from, &line) };
    }
}

/// The Miller loops of points whose lines are known, with common squarings.
fn miller_lines(factors: &[(&[blst_fp6], (blst_fp, blst_fp))]) -> blst_fp12 {
    let mut product = blst_fp12::default();
    multiply_lines(&mut product, factors, 0);
    let mut number = 1;
    for doublings in RUNS {
        multiply_lines(&mut product, factors, number);
        for step in 1..=doublings {
            let from = product;
            // SAFETY: two live values.
            unsafe { blst_fp12_sqr(&mut product, &from) };
            multiply_lines(&mut product, factors, number + step);
        }
        number += doublings + 1;
    }
    // The curve parameter is negative.
    // SAFETY: one live value, changed in place.
    unsafe { blst_fp12_conjugate(&mut product) };
    product
}

/// The product of the Miller loops, before the final exponentiation.
fn miller_product(pairs: &[Pair]) -> blst_fp12 {
    let affine = P1::all_to_affine(&pairs.iter().map(|pair| pair.p).collect::<Vec<_>>());
    if pairs.iter().all(|pair| pair.lines.is_none()) {
        let q = P2::all_to_affine(&pairs.iter().map(|pair| pair.q).collect::<Vec<_>>());
        return blst_fp12::miller_loop_n(&q, &affine);
    }
    // With lines known for some, those of the others cost less than squarings of their own.
    let mut product = blst_fp12::default();
    for (pairs, affine) in pairs.chunks(LINES_AT_ONCE).zip(affine.chunks(LINES_AT_ONCE)) {
        let fresh: Vec<Vec<blst_fp6>> = pairs
            .iter()
            .map(|pair| pair.lines.as_ref().map_or_else(|| lines(&pair.q.affine()), |_| Vec::new()))
            .collect();
        let factors: Vec<_> = pairs
            .iter()
            .zip(&fresh)
            .zip(affine)
            .map(|((pair, fresh), p)| (pair.lines.as_ref().map_or(&fresh[..], |lines| &lines[..]), doubled(p)))
            .collect();
        product *= miller_lines(&factors);
    }
    product
}

/// A factor whose first argument is yet a sum of public multiples.
struct SumPair {
    scalars: Zeroizing<Vec<Raw>>,
    points: Points<G1>,
    /// Messages whose hashes to the curve are the last of the points.
    messages: Vec<Vec<u8>>,
    q: P2,
    lines: Option<Arc<Vec<blst_fp6>>>,
}

/// e(p_1, q_1) * e(p_2, q_2) * .., each thread with its share of the sums and of the other factors.
fn product(sums: &[SumPair], dst: &[u8], pairs: &[Pair]) -> Target {
    let both = pairs.len().max(sums.len()).max(1);
    let parts = pool::chunks(both, GRAIN, |from, to| {
        let share = |len: usize| len * from / both..len * to / both;
        let (sums, pairs) = (&sums[share(sums.len())], &pairs[share(pairs.len())]);
        let points: Vec<Vec<P1>> = sums
            .iter()
            .map(|sum| {
                let hashes: Vec<P1> = sum.messages.iter().map(|message| P1::hash(message, dst)).collect();
                [&sum.points[..], &P1::normalise(&hashes)].concat()
            })
            .collect();
        let terms: Vec<(&[Raw], &[P1])> =
            sums.iter().zip(&points).map(|(sum, points)| (sum.scalars.as_slice(), points.as_slice())).collect();
        let summed = bls_msm::groups(&terms).into_iter().zip(sums);
        let mut mine: Vec<Pair> = summed.map(|(p, sum)| Pair { p, q: sum.q, lines: sum.lines.clone() }).collect();
        // A factor with an identity is one.
        mine.retain(|pair| !pair.p.is_identity() && !pair.q.is_identity());
        mine.extend_from_slice(pairs);
        if mine.is_empty() {
            blst_fp12::default()
        } else {
            miller_product(&mine)
        }
    });
    let mut product = blst_fp12::default();
    for part in parts {
        product *= part;
    }
    Target(product.final_exp())
}

fn second(item: &Bound<'_, PyAny>) -> PyResult<(P2, Option<Arc<Vec<blst_fp6>>>)> {
    match item.cast::<G2Prepared>() {
        Ok(prepared) => Ok((prepared.get().point, Some(Arc::clone(&prepared.get().lines)))),
        Err(_) => Ok((item.cast::<G2>()?.get().0, None)),
    }
}

fn sum_pair(item: &Bound<'_, PyAny>) -> PyResult<SumPair> {
    type Parts<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);
    let (scalars, points, messages, q) = item.extract::<Parts<'_>>()?;
    let (scalars, points) = (fr::collect(&scalars)?, bls_batch::collect::<G1>(&points)?);
    let messages = args::collect(&messages, |item| Ok(item.cast::<PyBytes>()?.as_bytes().to_vec()))?;
    args::same_length(scalars.len(), points.len() + messages.len())?;
    let (q, lines) = second(&q)?;
    Ok(SumPair { scalars, points, messages, q, lines })
}

fn pair(item: &Bound<'_, PyAny>) -> PyResult<Option<Pair>> {
    let (p, q) = item.extract::<(Bound<'_, G1>, Bound<'_, PyAny>)>()?;
    let (p, (q, lines)) = (p.get().0, second(&q)?);
    // A factor with an identity is one.
    Ok((!q.is_identity() && !p.is_identity()).then_some(Pair { p, q, lines }))
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
    Ok(Gt(py.detach(|| product(&[], &[], &pairs.into_iter().flatten().collect::<Vec<_>>()))))
}

#[pyfunction]
pub fn pairing(py: Python<'_>, pairs: &Bound<'_, PyAny>) -> PyResult<Gt> {
    multi_pairing(py, pairs)
}

/// As `multi_pairing`, with further factors whose first arguments are sums `(scalars, points, messages, q)`, in variable time;
/// messages stand for their hashes to G1.
#[pyfunction]
pub fn multi_pairing_of_sums(
    py: Python<'_>,
    sums: &Bound<'_, PyAny>,
    dst: &[u8],
    pairs: &Bound<'_, PyAny>,
) -> PyResult<Gt> {
    if dst.is_empty() {
        return Err(refuse("the domain separation tag is empty"));
    }
    let (sums, pairs) = (args::collect(sums, sum_pair)?, args::collect(pairs, pair)?);
    let factors = sums.len() + pairs.len();
    if factors == 0 || factors > MAX_PAIRS {
        return Err(refuse("a pairing product has 1 to 65536 pairs"));
    }
    let terms: usize = sums.iter().map(|sum| sum.scalars.len()).sum();
    if terms > args::MAX_BATCH {
        return Err(refuse("too many elements in one batch"));
    }
    counts::add(Op::G1MsmTerm, terms);
    counts::add(Op::G1Hash, sums.iter().map(|sum| sum.messages.len()).sum());
    counts::add(Op::Pairing, 1);
    counts::add(Op::MillerLoop, factors);
    counts::add(Op::FinalExp, 1);
    Ok(Gt(py.detach(|| product(&sums, dst, &pairs.into_iter().flatten().collect::<Vec<_>>()))))
}
