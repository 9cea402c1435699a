//! Shamir sharing, Lagrange interpolation and polynomials over the scalars of ristretto255.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar as Raw;
use pyo3::prelude::*;
use zeroize::Zeroizing;

use crate::args::{refuse, same_length};
use crate::batch::msm_public;
use crate::counts::{self, Op};
use crate::ristretto255::{self, Point};
use crate::scalar::{self, Scalar};

/// Most shares of one secret, and the highest degree of a polynomial: work is quadratic in it.
pub const MAX_SHARES: usize = 4096;

/// f(x) by Horner's rule; `coefficients[0]` is the constant term.
pub fn evaluate(coefficients: &[Raw], x: &Raw) -> Raw {
    coefficients.iter().rev().fold(Raw::ZERO, |sum, a| sum * x + a)
}

/// Refuse index 0 (it would name the secret itself), repeated indices and too many of them.
pub fn check_indices(indices: &[u64]) -> PyResult<()> {
    if indices.len() > MAX_SHARES {
        return Err(refuse("too many shares"));
    }
    let mut sorted = indices.to_vec();
    sorted.sort_unstable();
    if sorted.first() == Some(&0) {
        return Err(refuse("index 0 is the secret's own"));
    }
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(refuse("an index is repeated"));
    }
    Ok(())
}

/// The Lagrange coefficients of public, distinct, non-zero indices at a public place.
pub fn lagrange(indices: &[u64], at: u64) -> PyResult<Vec<Raw>> {
    check_indices(indices)?;
    if indices.is_empty() {
        return Err(refuse("no shares"));
    }
    let x: Vec<Raw> = indices.iter().map(|&i| Raw::from(i)).collect();
    let at = Raw::from(at);
    let mut top = Vec::with_capacity(x.len());
    let mut bottom = Vec::with_capacity(x.len());
    for (i, xi) in x.iter().enumerate() {
        let others = || x.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, xj)| xj);
        top.push(others().map(|xj| at - xj).product::<Raw>());
        bottom.push(others().map(|xj| xi - xj).product::<Raw>());
    }
    counts::add(Op::ScalarInvert, 1);
    Raw::invert_batch_alloc(&mut bottom);
    Ok(top.iter().zip(&bottom).map(|(t, b)| t * b).collect())
}

#[pyfunction]
pub fn shamir_share(coefficients: &Bound<'_, PyAny>, indices: Vec<u64>) -> PyResult<Vec<Scalar>> {
    let coefficients = scalar::collect(coefficients)?;
    if coefficients.is_empty() || coefficients.len() > MAX_SHARES {
        return Err(refuse("a polynomial has 1 to 4096 coefficients"));
    }
    check_indices(&indices)?;
    Ok(indices.iter().map(|&i| Scalar(evaluate(&coefficients, &Raw::from(i)))).collect())
}

#[pyfunction]
#[pyo3(signature = (indices, at = 0))]
pub fn lagrange_coefficients(indices: Vec<u64>, at: u64) -> PyResult<Vec<Scalar>> {
    Ok(lagrange(&indices, at)?.into_iter().map(Scalar).collect())
}

#[pyfunction]
#[pyo3(signature = (indices, shares, at = 0))]
pub fn interpolate_scalar(indices: Vec<u64>, shares: &Bound<'_, PyAny>, at: u64) -> PyResult<Scalar> {
    let shares = scalar::collect(shares)?;
    same_length(indices.len(), shares.len())?;
    Ok(Scalar(lagrange(&indices, at)?.iter().zip(shares.iter()).map(|(l, y)| l * y).sum()))
}

#[pyfunction]
#[pyo3(signature = (indices, shares, at = 0))]
pub fn interpolate_point(py: Python<'_>, indices: Vec<u64>, shares: &Bound<'_, PyAny>, at: u64) -> PyResult<Point> {
    let shares = ristretto255::collect(shares)?;
    same_length(indices.len(), shares.len())?;
    let coefficients = lagrange(&indices, at)?;
    Ok(py.detach(|| Point::from(interpolate(&coefficients, &shares))))
}

/// The coefficients are public, so variable time in them tells nothing.
fn interpolate(coefficients: &[Raw], shares: &[RistrettoPoint]) -> RistrettoPoint {
    msm_public(coefficients, shares)
}

#[pyfunction]
pub fn poly_from_roots(py: Python<'_>, roots: &Bound<'_, PyAny>, constant: &Scalar) -> PyResult<Vec<Scalar>> {
    let roots = scalar::collect(roots)?;
    if roots.is_empty() || roots.len() > MAX_SHARES {
        return Err(refuse("a polynomial has 1 to 4096 roots"));
    }
    let mut coefficients = py.detach(|| from_roots(&roots));
    coefficients[0] += constant.0;
    Ok(coefficients.iter().map(|a| Scalar(*a)).collect())
}

/// prod(x - root) without its leading 1, in O(n^2).
fn from_roots(roots: &[Raw]) -> Zeroizing<Vec<Raw>> {
    let mut a = Zeroizing::new(vec![Raw::ZERO; roots.len()]);
    for (degree, root) in roots.iter().enumerate() {
        // Multiply the monic polynomial x^degree + a_(degree-1) x^(degree-1) + .. by (x - root).
        let mut carry = Raw::ONE;
        for k in (0..=degree).rev() {
            let lower = if k == 0 { Raw::ZERO } else { a[k - 1] };
            let current = carry;
            carry = lower;
            a[k] = lower - current * root;
        }
    }
    a
}

#[pyfunction]
pub fn poly_eval(coefficients: &Bound<'_, PyAny>, at: &Scalar) -> PyResult<Scalar> {
    Ok(Scalar(evaluate(&scalar::collect(coefficients)?, &at.0)))
}
