//! Shamir sharing and interpolation over the scalars, G1, G2 and the target group of BLS12-381.

use pyo3::prelude::*;

use crate::args::{refuse, same_length};
use crate::bls_batch;
use crate::bls_msm;
use crate::counts::{self, Op};
use crate::fr::{self, Fr, Raw};
use crate::g1::G1;
use crate::g2::G2;
use crate::gt::{self, Gt};
use crate::gt_pow;
use crate::sharing::{check_indices, MAX_SHARES};

/// f(x) by Horner's rule; `coefficients[0]` is the constant term.
fn evaluate(coefficients: &[Raw], x: Raw) -> Raw {
    coefficients.iter().rev().fold(Raw::ZERO, |sum, a| sum * x + *a)
}

fn index(i: u64) -> Raw {
    Raw::from_u128(u128::from(i))
}

/// The Lagrange coefficients of public, distinct, non-zero indices at a public place, with one inversion.
fn lagrange(indices: &[u64], at: u64) -> PyResult<Vec<Raw>> {
    check_indices(indices)?;
    if indices.is_empty() {
        return Err(refuse("no shares"));
    }
    let x: Vec<Raw> = indices.iter().map(|&i| index(i)).collect();
    let (at, one) = (index(at), index(1));
    let product = |i: usize, from: Raw| {
        let others = x.iter().enumerate().filter(|(j, _)| *j != i);
        others.fold(one, |product, (_, other)| product * (from - *other))
    };
    let bottom: Vec<Raw> = x.iter().enumerate().map(|(i, xi)| product(i, *xi)).collect();
    // All inverses from one: before[i] is the product of those before i.
    let before: Vec<Raw> = bottom.iter().scan(one, |run, b| Some(std::mem::replace(run, *run * *b))).collect();
    counts::add(Op::ScalarInvert, 1);
    let mut rest = bottom.iter().fold(one, |run, b| run * *b).invert();
    let mut out = vec![Raw::ZERO; x.len()];
    for i in (0..x.len()).rev() {
        out[i] = product(i, at) * before[i] * rest;
        rest = rest * bottom[i];
    }
    Ok(out)
}

#[pyfunction]
pub fn fr_shamir_share(coefficients: &Bound<'_, PyAny>, indices: Vec<u64>) -> PyResult<Vec<Fr>> {
    let coefficients = fr::collect(coefficients)?;
    if coefficients.is_empty() || coefficients.len() > MAX_SHARES {
        return Err(refuse("a polynomial has 1 to 4096 coefficients"));
    }
    check_indices(&indices)?;
    Ok(indices.iter().map(|&i| Fr(evaluate(&coefficients, index(i)))).collect())
}

#[pyfunction]
#[pyo3(signature = (indices, at = 0))]
pub fn fr_lagrange_coefficients(indices: Vec<u64>, at: u64) -> PyResult<Vec<Fr>> {
    Ok(lagrange(&indices, at)?.into_iter().map(Fr).collect())
}

#[pyfunction]
#[pyo3(signature = (indices, shares, at = 0))]
pub fn fr_interpolate(indices: Vec<u64>, shares: &Bound<'_, PyAny>, at: u64) -> PyResult<Fr> {
    let shares = fr::collect(shares)?;
    same_length(indices.len(), shares.len())?;
    Ok(Fr(inner_product(&lagrange(&indices, at)?, &shares)))
}

#[pyfunction]
pub fn fr_poly_eval(coefficients: &Bound<'_, PyAny>, at: &Fr) -> PyResult<Fr> {
    Ok(Fr(evaluate(&fr::collect(coefficients)?, at.0)))
}

fn inner_product(a: &[Raw], b: &[Raw]) -> Raw {
    a.iter().zip(b).fold(Raw::ZERO, |sum, (a, b)| sum + *a * *b)
}

#[pyfunction]
pub fn fr_inner_product(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Fr> {
    let (a, b) = (fr::collect(a)?, fr::collect(b)?);
    same_length(a.len(), b.len())?;
    Ok(Fr(inner_product(&a, &b)))
}

/// The coefficients are public, so variable time in them tells nothing.
#[pyfunction]
#[pyo3(signature = (indices, shares, at = 0))]
pub fn g1_interpolate(py: Python<'_>, indices: Vec<u64>, shares: &Bound<'_, PyAny>, at: u64) -> PyResult<G1> {
    let shares = bls_batch::collect::<G1>(shares)?;
    same_length(indices.len(), shares.len())?;
    let coefficients = lagrange(&indices, at)?;
    counts::add(Op::G1MsmTerm, shares.len());
    Ok(G1(py.detach(|| bls_msm::vartime_in_parts(&coefficients, &shares))))
}

/// As in G1.
#[pyfunction]
#[pyo3(signature = (indices, shares, at = 0))]
pub fn g2_interpolate(py: Python<'_>, indices: Vec<u64>, shares: &Bound<'_, PyAny>, at: u64) -> PyResult<G2> {
    let shares = bls_batch::collect::<G2>(shares)?;
    same_length(indices.len(), shares.len())?;
    let coefficients = lagrange(&indices, at)?;
    counts::add(Op::G2MsmTerm, shares.len());
    Ok(G2(py.detach(|| bls_msm::vartime_in_parts(&coefficients, &shares))))
}

/// As in G1, in the exponents.
#[pyfunction]
#[pyo3(signature = (indices, shares, at = 0))]
pub fn gt_interpolate(py: Python<'_>, indices: Vec<u64>, shares: &Bound<'_, PyAny>, at: u64) -> PyResult<Gt> {
    let shares = gt::collect(shares)?;
    same_length(indices.len(), shares.len())?;
    let coefficients = lagrange(&indices, at)?;
    counts::add(Op::GtPowTerm, shares.len());
    Ok(Gt(py.detach(|| gt_pow::multi_vartime(&shares, &coefficients))))
}
