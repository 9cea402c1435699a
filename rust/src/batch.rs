//! Batch operations over ristretto255: lists in, lists out, all cores, without the interpreter lock.

use curve25519_dalek::ristretto::{RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar as Raw;
use curve25519_dalek::traits::{MultiscalarMul, VartimeMultiscalarMul};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::args::{self, refuse, same_length};
use crate::counts::{self, Op};
use crate::pool;
use crate::ristretto255::{self, Point, CODE_GRAIN, MUL_GRAIN};
use crate::scalar::{self, Scalar};

/// Building a table of one point costs about as much as this many multiplications.
const TABLE_PAYS: usize = 96;
/// Terms of one thread below which a multi-scalar multiplication is not worth splitting.
const MSM_GRAIN: usize = 128;

#[pyfunction]
pub fn base_mul(scalar: &Scalar) -> Point {
    counts::add(Op::BaseMul, 1);
    RistrettoPoint::mul_base(&scalar.0).into()
}

#[pyfunction]
pub fn base_mul_batch(py: Python<'_>, scalars: &Bound<'_, PyAny>) -> PyResult<Vec<Point>> {
    let scalars = scalar::collect(scalars)?;
    counts::add(Op::BaseMul, scalars.len());
    Ok(py.detach(|| pool::map(&scalars, 2 * MUL_GRAIN, |s| RistrettoPoint::mul_base(s).into())))
}

#[pyfunction]
pub fn mul_batch(py: Python<'_>, scalars: &Bound<'_, PyAny>, points: &Bound<'_, PyAny>) -> PyResult<Vec<Point>> {
    let (scalars, points) = (scalar::collect(scalars)?, ristretto255::collect(points)?);
    same_length(scalars.len(), points.len())?;
    counts::add(Op::VarMul, scalars.len());
    Ok(py.detach(|| {
        let indices: Vec<usize> = (0..scalars.len()).collect();
        pool::map(&indices, MUL_GRAIN, |&i| (points[i] * scalars[i]).into())
    }))
}

#[pyfunction]
pub fn mul_one_scalar(py: Python<'_>, scalar: &Scalar, points: &Bound<'_, PyAny>) -> PyResult<Vec<Point>> {
    let points = ristretto255::collect(points)?;
    counts::add(Op::VarMul, points.len());
    Ok(py.detach(|| pool::map(&points, MUL_GRAIN, |p| (p * scalar.0).into())))
}

#[pyfunction]
pub fn mul_one_point(py: Python<'_>, scalars: &Bound<'_, PyAny>, point: &Point) -> PyResult<Vec<Point>> {
    let scalars = scalar::collect(scalars)?;
    if scalars.len() < TABLE_PAYS {
        counts::add(Op::VarMul, scalars.len());
        return Ok(py.detach(|| pool::map(&scalars, MUL_GRAIN, |s| (point.raw * s).into())));
    }
    counts::add(Op::BaseMul, scalars.len());
    Ok(py.detach(|| {
        let table = RistrettoBasepointTable::create(&point.raw);
        pool::map(&scalars, 2 * MUL_GRAIN, |s| (&table * s).into())
    }))
}

/// Sum of `scalars[i] * points[i]` in time that depends on the scalars, split over the threads.
pub fn msm_public(scalars: &[Raw], points: &[RistrettoPoint]) -> RistrettoPoint {
    counts::add(Op::MsmTerm, scalars.len());
    pool::chunks(scalars.len(), MSM_GRAIN, |from, to| {
        RistrettoPoint::vartime_multiscalar_mul(&scalars[from..to], &points[from..to])
    })
    .iter()
    .sum()
}

#[pyfunction]
pub fn msm(py: Python<'_>, scalars: &Bound<'_, PyAny>, points: &Bound<'_, PyAny>) -> PyResult<Point> {
    let (scalars, points) = (scalar::collect(scalars)?, ristretto255::collect(points)?);
    same_length(scalars.len(), points.len())?;
    counts::add(Op::MsmTerm, scalars.len());
    Ok(py.detach(|| {
        let parts = pool::chunks(scalars.len(), 2 * MUL_GRAIN, |from, to| {
            RistrettoPoint::multiscalar_mul(&scalars[from..to], &points[from..to])
        });
        parts.iter().sum::<RistrettoPoint>().into()
    }))
}

#[pyfunction]
pub fn msm_vartime(py: Python<'_>, scalars: &Bound<'_, PyAny>, points: &Bound<'_, PyAny>) -> PyResult<Point> {
    let (scalars, points) = (scalar::collect(scalars)?, ristretto255::collect(points)?);
    same_length(scalars.len(), points.len())?;
    Ok(py.detach(|| msm_public(&scalars, &points).into()))
}

#[pyfunction]
pub fn double_base_mul_vartime(a: &Scalar, point: &Point, b: &Scalar) -> Point {
    counts::add(Op::MsmTerm, 2);
    RistrettoPoint::vartime_double_scalar_mul_basepoint(&a.0, &point.raw, &b.0).into()
}

#[pyfunction]
pub fn decode_batch(py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Vec<Point>> {
    let data = args::collect(data, |item| args::bytes_array::<32>(item, "a point has 32 bytes"))?;
    counts::add(Op::Decode, data.len());
    let decoded = py.detach(|| {
        pool::map(&data, CODE_GRAIN, |bytes| Some(Point::with_encoding(ristretto255::decode(bytes)?, *bytes)))
    });
    decoded
        .into_iter()
        .collect::<Option<Vec<Point>>>()
        .ok_or_else(|| refuse("one of the points is not canonical, not in the group, or the identity"))
}

#[pyfunction]
pub fn encode_batch<'py>(py: Python<'py>, points: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let points = args::collect(points, |item| Ok(item.cast::<Point>()?.clone()))?;
    let points: Vec<&Point> = points.iter().map(Bound::get).collect();
    let encoded = py.detach(|| pool::map(&points, CODE_GRAIN, |p| *p.bytes()));
    Ok(Zeroizing::new(encoded).iter().map(|bytes| PyBytes::new(py, bytes)).collect())
}

#[pyfunction]
pub fn from_uniform_batch(py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Vec<Point>> {
    let data = args::collect(data, |item| args::bytes_array::<64>(item, "the one-way map takes 64 bytes"))?;
    counts::add(Op::HashToGroup, data.len());
    Ok(py.detach(|| pool::map(&data, CODE_GRAIN, |bytes| RistrettoPoint::from_uniform_bytes(bytes).into())))
}
