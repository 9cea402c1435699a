//! Batch operations over G1 and G2: lists in, lists out, all cores, without the interpreter lock.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::PyClass;
use zeroize::Zeroizing;

use crate::args::{self, refuse, same_length};
use crate::bls12_381::{CurvePoint, P1, P2};
use crate::bls_msm;
use crate::counts::{self, Op};
use crate::fr::{self, Fr, Raw};
use crate::g1::G1;
use crate::g2::G2;
use crate::pool;

/// Multiplications of one thread that outweigh the cost of handing work to it.
pub const MUL_GRAIN: usize = 2;
/// Encodings and additions of one thread that do.
const CODE_GRAIN: usize = 64;
/// Groups of one call, and all their terms together.
const MAX_GROUPS: usize = 1 << 16;

/// A Python class that holds one point.
pub trait Element: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Send + Sync {
    /// The point inside.
    type Point: CurvePoint;
    /// Kinds of operations to count: multiplication, term of a sum, hash, decoding.
    const MUL: Op;
    /// One term of a multi-scalar multiplication.
    const TERM: Op;
    /// Decoding of an element.
    const DECODE: Op;
    /// What is wrong with an encoding that is refused.
    const REFUSED: &'static str;
    /// The point.
    fn point(&self) -> &Self::Point;
    /// The class around a point.
    fn wrap(point: Self::Point) -> Self;
}

impl Element for G1 {
    type Point = P1;
    const MUL: Op = Op::G1Mul;
    const TERM: Op = Op::G1MsmTerm;
    const DECODE: Op = Op::G1Decode;
    const REFUSED: &'static str = "one of the G1 elements is not canonical, not in the group, or the identity";
    fn point(&self) -> &P1 {
        &self.0
    }
    fn wrap(point: P1) -> Self {
        Self(point)
    }
}

impl Element for G2 {
    type Point = P2;
    const MUL: Op = Op::G2Mul;
    const TERM: Op = Op::G2MsmTerm;
    const DECODE: Op = Op::G2Decode;
    const REFUSED: &'static str = "one of the G2 elements is not canonical, not in the group, or the identity";
    fn point(&self) -> &P2 {
        &self.0
    }
    fn wrap(point: P2) -> Self {
        Self(point)
    }
}

/// Points of a batch, wiped when dropped: keys are points too.
pub type Points<E> = Zeroizing<Vec<<E as Element>::Point>>;

/// The points of a Python sequence.
pub fn collect<E: Element>(seq: &Bound<'_, PyAny>) -> PyResult<Points<E>> {
    args::collect(seq, |item| Ok(*item.cast::<E>()?.get().point())).map(Zeroizing::new)
}

/// Python objects of computed points, with Z one.
pub fn wrap_all<E: Element>(points: Vec<E::Point>) -> Vec<E> {
    let points = Zeroizing::new(points);
    let normal = Zeroizing::new(E::Point::normalise(&points));
    normal.iter().map(|point| E::wrap(*point)).collect()
}

/// Scalars and points of one length.
fn terms<E: Element>(
    scalars: &Bound<'_, PyAny>,
    points: &Bound<'_, PyAny>,
) -> PyResult<(Zeroizing<Vec<Raw>>, Points<E>)> {
    let (scalars, points) = (fr::collect(scalars)?, collect::<E>(points)?);
    same_length(scalars.len(), points.len())?;
    Ok((scalars, points))
}

fn mul_batch<E: Element>(py: Python<'_>, scalars: &Bound<'_, PyAny>, points: &Bound<'_, PyAny>) -> PyResult<Vec<E>> {
    let (scalars, points) = terms::<E>(scalars, points)?;
    counts::add(E::MUL, scalars.len());
    Ok(py.detach(|| {
        let indices: Vec<usize> = (0..scalars.len()).collect();
        wrap_all(pool::map(&indices, MUL_GRAIN, |&i| points[i].mul(&scalars[i].multiplier())))
    }))
}

fn mul_batch_vartime<E: Element>(
    py: Python<'_>,
    scalars: &Bound<'_, PyAny>,
    points: &Bound<'_, PyAny>,
) -> PyResult<Vec<E>> {
    let (scalars, points) = terms::<E>(scalars, points)?;
    counts::add(E::TERM, scalars.len());
    Ok(py.detach(|| {
        let parts: Vec<_> = (0..scalars.len()).map(|i| (&scalars[i..=i], &points[i..=i])).collect();
        wrap_all(bls_msm::groups_in_parts(&parts))
    }))
}

fn mul_one_scalar<E: Element>(py: Python<'_>, scalar: &Fr, points: &Bound<'_, PyAny>) -> PyResult<Vec<E>> {
    let points = collect::<E>(points)?;
    counts::add(E::MUL, points.len());
    Ok(py.detach(|| {
        let by = scalar.0.multiplier();
        wrap_all(pool::map(&points, MUL_GRAIN, |point| point.mul(&by)))
    }))
}

fn add_batch<E: Element>(py: Python<'_>, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Vec<E>> {
    let (a, b) = (collect::<E>(a)?, collect::<E>(b)?);
    same_length(a.len(), b.len())?;
    Ok(py.detach(|| wrap_all(a.iter().zip(b.iter()).map(|(a, b)| a.add(b)).collect())))
}

fn sum<E: Element>(points: &Bound<'_, PyAny>) -> PyResult<E> {
    Ok(E::wrap(collect::<E>(points)?.iter().fold(E::Point::default(), |sum, point| sum.add(point))))
}

fn msm<E: Element>(py: Python<'_>, scalars: &Bound<'_, PyAny>, points: &Bound<'_, PyAny>) -> PyResult<E> {
    let (scalars, points) = terms::<E>(scalars, points)?;
    counts::add(E::TERM, scalars.len());
    Ok(E::wrap(py.detach(|| bls_msm::constant_time(&scalars, &points))))
}

fn msm_vartime<E: Element>(py: Python<'_>, scalars: &Bound<'_, PyAny>, points: &Bound<'_, PyAny>) -> PyResult<E> {
    let (scalars, points) = terms::<E>(scalars, points)?;
    counts::add(E::TERM, scalars.len());
    Ok(E::wrap(py.detach(|| bls_msm::vartime_in_parts(&scalars, &points))))
}

fn msm_groups_vartime<E: Element>(py: Python<'_>, groups: &Bound<'_, PyAny>) -> PyResult<Vec<E>> {
    let mut total = 0;
    let groups = args::collect(groups, |item| {
        let (scalars, points) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        let group = terms::<E>(&scalars, &points)?;
        total += group.0.len();
        if total > args::MAX_BATCH {
            return Err(refuse("too many elements in one batch"));
        }
        Ok(group)
    })?;
    if groups.len() > MAX_GROUPS {
        return Err(refuse("too many sums in one call"));
    }
    counts::add(E::TERM, total);
    Ok(py.detach(|| {
        let parts: Vec<(&[Raw], &[E::Point])> = groups.iter().map(|(s, p)| (s.as_slice(), p.as_slice())).collect();
        wrap_all(bls_msm::groups_in_parts(&parts))
    }))
}

fn decode_batch<E: Element>(py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Vec<E>> {
    let data = args::collect(data, |item| Ok(item.cast::<PyBytes>()?.as_bytes().to_vec()))?;
    counts::add(E::DECODE, data.len());
    let decoded = py.detach(|| pool::map(&data, MUL_GRAIN, |bytes| E::Point::decode(bytes).map(E::wrap)));
    decoded.into_iter().collect::<Option<Vec<E>>>().ok_or_else(|| refuse(E::REFUSED))
}

fn encode_batch<'py, E: Element>(py: Python<'py>, points: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let points = collect::<E>(points)?;
    let encoded = py.detach(|| {
        let normal = Zeroizing::new(E::Point::normalise(&points));
        pool::map(&normal, CODE_GRAIN, E::Point::encode)
    });
    Ok(encoded.iter().map(|bytes| PyBytes::new(py, bytes.as_ref())).collect())
}

/// The functions of one group under their Python names.
macro_rules! functions {
    ($element:ty, $mul_batch:ident, $mul_batch_vartime:ident, $mul_one_scalar:ident, $add_batch:ident, $sum:ident, $msm:ident,
     $msm_vartime:ident, $msm_groups_vartime:ident, $decode_batch:ident, $encode_batch:ident) => {
        #[pyfunction]
        pub fn $mul_batch(
            py: Python<'_>,
            scalars: &Bound<'_, PyAny>,
            points: &Bound<'_, PyAny>,
        ) -> PyResult<Vec<$element>> {
            mul_batch(py, scalars, points)
        }

        #[pyfunction]
        pub fn $mul_batch_vartime(
            py: Python<'_>,
            scalars: &Bound<'_, PyAny>,
            points: &Bound<'_, PyAny>,
        ) -> PyResult<Vec<$element>> {
            mul_batch_vartime(py, scalars, points)
        }

        #[pyfunction]
        pub fn $mul_one_scalar(py: Python<'_>, scalar: &Fr, points: &Bound<'_, PyAny>) -> PyResult<Vec<$element>> {
            mul_one_scalar(py, scalar, points)
        }

        #[pyfunction]
        pub fn $add_batch(py: Python<'_>, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Vec<$element>> {
            add_batch(py, a, b)
        }

        #[pyfunction]
        pub fn $sum(points: &Bound<'_, PyAny>) -> PyResult<$element> {
            sum(points)
        }

        #[pyfunction]
        pub fn $msm(py: Python<'_>, scalars: &Bound<'_, PyAny>, points: &Bound<'_, PyAny>) -> PyResult<$element> {
            msm(py, scalars, points)
        }

        #[pyfunction]
        pub fn $msm_vartime(
            py: Python<'_>,
            scalars: &Bound<'_, PyAny>,
            points: &Bound<'_, PyAny>,
        ) -> PyResult<$element> {
            msm_vartime(py, scalars, points)
        }

        #[pyfunction]
        pub fn $msm_groups_vartime(py: Python<'_>, groups: &Bound<'_, PyAny>) -> PyResult<Vec<$element>> {
            msm_groups_vartime(py, groups)
        }

        #[pyfunction]
        pub fn $decode_batch(py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Vec<$element>> {
            decode_batch(py, data)
        }

        #[pyfunction]
        pub fn $encode_batch<'py>(py: Python<'py>, points: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
            encode_batch::<$element>(py, points)
        }
    };
}

functions!(
    G1,
    g1_mul_batch,
    g1_mul_batch_vartime,
    g1_mul_one_scalar,
    g1_add_batch,
    g1_sum,
    g1_msm,
    g1_msm_vartime,
    g1_msm_groups_vartime,
    g1_decode_batch,
    g1_encode_batch
);
functions!(
    G2,
    g2_mul_batch,
    g2_mul_batch_vartime,
    g2_mul_one_scalar,
    g2_add_batch,
    g2_sum,
    g2_msm,
    g2_msm_vartime,
    g2_msm_groups_vartime,
    g2_decode_batch,
    g2_encode_batch
);

#[pyfunction]
pub fn g1_hash_batch(py: Python<'_>, messages: &Bound<'_, PyAny>, dst: &[u8]) -> PyResult<Vec<G1>> {
    if dst.is_empty() {
        return Err(refuse("the domain separation tag is empty"));
    }
    let messages = args::collect(messages, |item| Ok(item.cast::<PyBytes>()?.as_bytes().to_vec()))?;
    counts::add(Op::G1Hash, messages.len());
    Ok(py.detach(|| wrap_all(pool::map(&messages, MUL_GRAIN, |message| P1::hash(message, dst)))))
}
