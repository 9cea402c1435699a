//! Fixed-base multiplication in G1 and G2 with tables, in constant time.

use pyo3::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::args;
use crate::bls12_381::{CurvePoint, P1, P2};
use crate::bls_batch::{wrap_all, MUL_GRAIN};
use crate::counts::{self, Op};
use crate::fr::{self, Fr, Raw};
use crate::g1::G1;
use crate::g2::G2;
use crate::gt::{self, Gt};
use crate::gt_pow;
use crate::pool;
use crate::select;

/// Bits of a window.
const WINDOW: usize = 6;
/// Windows of a scalar of 255 bits: 258, so that the top bit of the last is zero.
const WINDOWS: usize = 43;
/// Positive multiples of one window.
const ENTRIES: usize = 1 << (WINDOW - 1);

/// Multiples of one public point: entry k of row j is (k + 1) * 64^j times the point.
pub struct Comb<P: CurvePoint> {
    table: Vec<P::Affine>,
}

impl<P: CurvePoint> Comb<P> {
    /// About 130 KB in G1, twice as much in G2.
    pub fn new(point: &P) -> Self {
        let mut multiples = Vec::with_capacity(WINDOWS * ENTRIES);
        let mut base = *point;
        for _ in 0..WINDOWS {
            let mut multiple = base;
            multiples.push(multiple);
            for _ in 1..ENTRIES {
                multiple = multiple.add(&base);
                multiples.push(multiple);
            }
            base = multiple.double();
        }
        Self { table: P::all_to_affine(&multiples) }
    }

    /// The multiple, in constant time.
    pub fn mul(&self, scalar: &Raw) -> P {
        let limbs = scalar.limbs();
        let mut sum = P::default();
        for (window, row) in self.table.chunks_exact(ENTRIES).enumerate() {
            let (negative, magnitude) = select::booth(&*limbs, window * WINDOW, WINDOW);
            let mut term = P::Affine::default();
            select::entry(&mut term, row, magnitude);
            P::negate_affine_if(&mut term, negative == 1);
            sum = sum.add_affine(&term);
        }
        sum
    }
}

/// The Python class of one group's tables.
macro_rules! comb {
    ($name:ident, $doc:literal, $element:ident, $point:ident, $op:ident) => {
        #[doc = $doc]
        #[pyclass(frozen, module = "salus._native")]
        pub struct $name(Comb<$point>);

        #[pymethods]
        impl $name {
            #[new]
            fn new(py: Python<'_>, point: &$element) -> Self {
                Self(py.detach(|| Comb::new(&point.0)))
            }

            fn mul(&self, py: Python<'_>, scalar: &Fr) -> $element {
                counts::add(Op::$op, 1);
                $element(py.detach(|| self.0.mul(&scalar.0)))
            }

            fn mul_batch(&self, py: Python<'_>, scalars: &Bound<'_, PyAny>) -> PyResult<Vec<$element>> {
                let scalars = fr::collect(scalars)?;
                counts::add(Op::$op, scalars.len());
                Ok(py.detach(|| wrap_all(pool::map(&scalars, 2 * MUL_GRAIN, |scalar| self.0.mul(scalar)))))
            }

            fn __repr__(&self) -> &'static str {
                concat!(stringify!($name), "(..)")
            }
        }
    };
}

comb!(G1Comb, "Precomputed multiples of one point of G1.", G1, P1, G1Comb);
comb!(G2Comb, "Precomputed multiples of one point of G2.", G2, P2, G2Comb);

/// Precomputed powers of one element of the target group.
#[pyclass(frozen, module = "salus._native")]
pub struct GtComb(gt_pow::Comb);

#[pymethods]
impl GtComb {
    #[new]
    fn new(py: Python<'_>, element: &Gt) -> Self {
        Self(py.detach(|| gt_pow::Comb::new(&element.0)))
    }

    fn pow(&self, py: Python<'_>, scalar: &Fr) -> Gt {
        counts::add(Op::GtComb, 1);
        Gt(py.detach(|| self.0.pow(&scalar.0)))
    }

    fn pow_batch(&self, py: Python<'_>, scalars: &Bound<'_, PyAny>) -> PyResult<Vec<Gt>> {
        let scalars = fr::collect(scalars)?;
        counts::add(Op::GtComb, scalars.len());
        let powers: Zeroizing<Vec<gt::Target>> =
            Zeroizing::new(py.detach(|| pool::map(&scalars, MUL_GRAIN, |scalar| self.0.pow(scalar))));
        Ok(powers.iter().map(|power| Gt(*power)).collect())
    }

    fn __repr__(&self) -> &'static str {
        "GtComb(..)"
    }
}

/// One multiplication among many of different groups.
enum Task<'a> {
    Power(&'a gt_pow::Comb),
    FixedG2(&'a Comb<P2>),
    FixedG1(&'a Comb<P1>),
    Any(P1),
}

/// Its result.
enum Multiple {
    Gt(Box<gt::Target>),
    G2(P2),
    G1(P1),
}

impl Zeroize for Multiple {
    fn zeroize(&mut self) {
        match self {
            Self::Gt(power) => power.zeroize(),
            Self::G2(point) => point.zeroize(),
            Self::G1(point) => point.zeroize(),
        }
    }
}

impl Task<'_> {
    fn run(&self, scalar: &Raw) -> Multiple {
        match self {
            Self::Power(comb) => Multiple::Gt(Box::new(comb.pow(scalar))),
            Self::FixedG2(comb) => Multiple::G2(comb.mul(scalar)),
            Self::FixedG1(comb) => Multiple::G1(comb.mul(scalar)),
            Self::Any(point) => Multiple::G1(point.mul(&scalar.multiplier())),
        }
    }
}

type Pairs<'py> = Vec<(Bound<'py, PyAny>, Bound<'py, Fr>)>;

/// Multiplications in all three groups at once, in constant time: no thread waits for another between the groups.
#[pyfunction]
pub fn multiples(
    py: Python<'_>,
    gt: Vec<(Bound<'_, GtComb>, Bound<'_, Fr>)>,
    g2: Vec<(Bound<'_, G2Comb>, Bound<'_, Fr>)>,
    g1: Pairs<'_>,
) -> PyResult<(Vec<Gt>, Vec<G2>, Vec<G1>)> {
    if gt.len() + g2.len() + g1.len() > args::MAX_BATCH {
        return Err(args::refuse("too many elements in one batch"));
    }
    let g1_scalars = g1.iter().map(|(_, by)| by.get().0);
    let scalars = gt.iter().map(|(_, by)| by.get().0).chain(g1_scalars).chain(g2.iter().map(|(_, by)| by.get().0));
    let scalars: Zeroizing<Vec<Raw>> = Zeroizing::new(scalars.collect());
    // The longest first.
    let mut tasks: Vec<Task<'_>> = gt.iter().map(|(comb, _)| Task::Power(&comb.get().0)).collect();
    for (base, _) in &g1 {
        let (task, op) = match base.cast::<G1>() {
            Ok(point) => (Task::Any(point.get().0), Op::G1Mul),
            Err(_) => (Task::FixedG1(&base.cast::<G1Comb>()?.get().0), Op::G1Comb),
        };
        counts::add(op, 1);
        tasks.push(task);
    }
    tasks.extend(g2.iter().map(|(comb, _)| Task::FixedG2(&comb.get().0)));
    counts::add(Op::GtComb, gt.len());
    counts::add(Op::G2Comb, g2.len());
    let tasks: Vec<(&Task<'_>, &Raw)> = tasks.iter().zip(scalars.iter()).collect();
    let found = Zeroizing::new(py.detach(|| pool::map(&tasks, 1, |(task, by)| task.run(by))));
    let mut out = (Vec::with_capacity(gt.len()), Vec::with_capacity(g2.len()), Vec::with_capacity(g1.len()));
    for multiple in found.iter() {
        match multiple {
            Multiple::Gt(power) => out.0.push(Gt(**power)),
            Multiple::G2(point) => out.1.push(G2(*point)),
            Multiple::G1(point) => out.2.push(G1(*point)),
        }
    }
    Ok(out)
}
