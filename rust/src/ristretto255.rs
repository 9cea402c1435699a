//! Elements of ristretto255 (RFC 9496): decoded and checked once, wiped on drop.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::traits::Identity;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::args::{self, refuse};
use crate::counts::{self, Op};
use crate::pool;
use crate::scalar::{self, Scalar};

/// Items of one thread below which a batch of multiplications is not worth splitting (about 100 us of work).
pub const MUL_GRAIN: usize = 4;
/// The same for decodings and encodings.
pub const CODE_GRAIN: usize = 24;

/// A group element. Shared secrets are points too, so memory is wiped and nothing is shown.
#[pyclass(frozen, module = "salus._native")]
pub struct Point {
    /// The element.
    pub raw: RistrettoPoint,
    encoded: OnceLock<[u8; 32]>,
}

impl Drop for Point {
    fn drop(&mut self) {
        self.raw.zeroize();
        if let Some(bytes) = self.encoded.get_mut() {
            bytes.zeroize();
        }
    }
}

impl From<RistrettoPoint> for Point {
    fn from(raw: RistrettoPoint) -> Self {
        Self { raw, encoded: OnceLock::new() }
    }
}

impl Point {
    /// A point whose canonical encoding is known already.
    pub fn with_encoding(raw: RistrettoPoint, bytes: [u8; 32]) -> Self {
        Self { raw, encoded: OnceLock::from(bytes) }
    }

    /// The 32-byte encoding, computed once.
    pub fn bytes(&self) -> &[u8; 32] {
        self.encoded.get_or_init(|| {
            counts::add(Op::Encode, 1);
            self.raw.compress().to_bytes()
        })
    }
}

/// Decode a canonical encoding other than the identity's.
pub fn decode(bytes: &[u8; 32]) -> Option<RistrettoPoint> {
    if bytes == &[0; 32] {
        return None;
    }
    CompressedRistretto(*bytes).decompress()
}

/// The points of a Python sequence.
pub fn collect(seq: &Bound<'_, PyAny>) -> PyResult<Zeroizing<Vec<RistrettoPoint>>> {
    args::collect(seq, |item| Ok(item.cast::<Point>()?.get().raw)).map(Zeroizing::new)
}

const NOT_A_POINT: &str = "not a canonical encoding of a group element";

#[pymethods]
impl Point {
    #[staticmethod]
    fn decode(data: &[u8]) -> PyResult<Self> {
        let bytes = args::array::<32>(data, "a point has 32 bytes")?;
        if bytes == [0; 32] {
            return Err(refuse("the identity is not allowed here"));
        }
        Self::decode_with_identity(data)
    }

    #[staticmethod]
    fn decode_with_identity(data: &[u8]) -> PyResult<Self> {
        let bytes = args::array::<32>(data, "a point has 32 bytes")?;
        counts::add(Op::Decode, 1);
        let raw = CompressedRistretto(bytes).decompress().ok_or_else(|| refuse(NOT_A_POINT))?;
        Ok(Self::with_encoding(raw, bytes))
    }

    #[staticmethod]
    fn from_uniform(data: &[u8]) -> PyResult<Self> {
        let bytes = Zeroizing::new(args::array::<64>(data, "the one-way map takes 64 bytes")?);
        counts::add(Op::HashToGroup, 1);
        Ok(RistrettoPoint::from_uniform_bytes(&bytes).into())
    }

    #[staticmethod]
    fn generator() -> Self {
        RISTRETTO_BASEPOINT_POINT.into()
    }

    #[staticmethod]
    fn identity() -> Self {
        RistrettoPoint::identity().into()
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.bytes())
    }

    fn is_identity(&self) -> bool {
        self.raw.ct_eq(&RistrettoPoint::identity()).into()
    }

    fn mul(&self, scalar: &Scalar) -> Self {
        counts::add(Op::VarMul, 1);
        (self.raw * scalar.0).into()
    }

    fn __add__(&self, other: &Self) -> Self {
        (self.raw + other.raw).into()
    }

    fn __sub__(&self, other: &Self) -> Self {
        (self.raw - other.raw).into()
    }

    fn __neg__(&self) -> Self {
        (-self.raw).into()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|o| self.raw.ct_eq(&o.get().raw).into())
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.bytes().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> &'static str {
        "Point(..)"
    }
}

/// Precomputed multiples of one public point (30 KiB), for many multiplications of it.
#[pyclass(frozen, module = "salus._native")]
pub struct FixedBase(RistrettoBasepointTable);

#[pymethods]
impl FixedBase {
    #[new]
    fn new(py: Python<'_>, point: &Point) -> Self {
        let raw = point.raw;
        Self(py.detach(|| RistrettoBasepointTable::create(&raw)))
    }

    fn mul(&self, scalar: &Scalar) -> Point {
        counts::add(Op::BaseMul, 1);
        (&self.0 * &scalar.0).into()
    }

    fn mul_batch(&self, py: Python<'_>, scalars: &Bound<'_, PyAny>) -> PyResult<Vec<Point>> {
        let scalars = scalar::collect(scalars)?;
        counts::add(Op::BaseMul, scalars.len());
        Ok(py.detach(|| pool::map(&scalars, 2 * MUL_GRAIN, |s| Point::from(&self.0 * s))))
    }

    fn __repr__(&self) -> &'static str {
        "FixedBase(..)"
    }
}
