//! Sums of multiples in G1 and G2: in constant time for secret scalars, fast for public ones.

use crate::bls12_381::CurvePoint;
use crate::bls_batch::MUL_GRAIN;
use crate::fr::Raw;
use crate::pool;

/// The sum in constant time: one multiplication a term.
pub fn constant_time<P: CurvePoint>(scalars: &[Raw], points: &[P]) -> P {
    let parts = pool::chunks(scalars.len(), MUL_GRAIN, |from, to| {
        let terms = scalars[from..to].iter().zip(&points[from..to]);
        terms.fold(P::default(), |sum, (scalar, point)| sum.add(&point.mul(&scalar.multiplier())))
    });
    parts.iter().fold(P::default(), |sum, part| sum.add(part))
}

/// The sum in time that depends on the scalars, on this thread.
pub fn vartime<P: CurvePoint>(scalars: &[Raw], points: &[P]) -> P {
    scalars.iter().zip(points).fold(P::default(), |sum, (scalar, point)| sum.add(&point.mul(&scalar.multiplier())))
}

/// The same, split over the threads.
pub fn vartime_in_parts<P: CurvePoint>(scalars: &[Raw], points: &[P]) -> P {
    let parts = pool::chunks(scalars.len(), 16, |from, to| vartime(&scalars[from..to], &points[from..to]));
    parts.iter().fold(P::default(), |sum, part| sum.add(part))
}
