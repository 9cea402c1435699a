//! Eight additions of affine points at a time, where the processor multiplies 52 bits in each of eight lanes (AVX-512 IFMA).
//!
//! What the way of an addition depends on is said in `affine`; the rest takes constant time. Elements keep the form `x*2^384` in
//! which blst stores them, while products here divide by `R = 2^416`: an element stands for `s*x`, `s = 2^-32`. A slope is a
//! quotient and does not notice; where a square of it meets coordinates, s is multiplied in.

use crate::affine::{AffinePoint, Field};

/// Additions of one call from which on this pays: an inversion is worth dozens of them.
pub const WORTH: usize = 16;
/// Additions side by side.
pub const WIDTH: usize = 8;
/// Whether this processor can.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma")
}

/// Eight elements of a coordinate's field.
///
/// All functions but the last need what [`available`] finds.
pub trait Lanes: Copy {
    /// One of them.
    type Scalar: Field;
    /// Eight elements.
    ///
    /// # Safety
    /// As of the trait.
    unsafe fn load(from: [&Self::Scalar; WIDTH]) -> Self;
    /// The elements, below p.
    ///
    /// # Safety
    /// As of the trait.
    unsafe fn store(self) -> [Self::Scalar; WIDTH];
    /// Sum.
    ///
    /// # Safety
    /// As of the trait.
    unsafe fn add(self, other: Self) -> Self;
    /// Difference; `other` is at most 2*p.
    ///
    /// # Safety
    /// As of the trait.
    unsafe fn sub(self, other: Self) -> Self;
    /// Product; factors are below 4*p.
    ///
    /// # Safety
    /// As of the trait.
    unsafe fn mul(self, other: Self) -> Self;
    /// Square of one below 4*p.
    ///
    /// # Safety
    /// As of the trait.
    unsafe fn square(self) -> Self;
    /// s times the elements.
    ///
    /// # Safety
    /// As of the trait.
    unsafe fn scaled(self) -> Self;
    /// The value below p of one below 4*p.
    ///
    /// # Safety
    /// As of the trait.
    unsafe fn reduced(self) -> Self;
    /// The factor that makes an inverse of blst one of ours.
    fn inverse_factor() -> Self::Scalar;
}

/// The sums of the pairs, in order.
///
/// # Safety
/// The processor must be [`available`].
pub unsafe fn add_all<P: AffinePoint>(pairs: &[(&P, &P)]) -> Vec<P> {
    let mut out = vec![P::default(); pairs.len()];
    let (mut chords, mut tangents) = (Vec::with_capacity(pairs.len()), Vec::new());
    for (k, &(a, b)) in pairs.iter().enumerate() {
        if a.is_identity() {
            out[k] = *b;
        } else if b.is_identity() {
            out[k] = *a;
        } else if a.xy().0 != b.xy().0 {
            chords.push(k);
        } else if a.xy().1 == b.xy().1 {
            tangents.push(k);
        }
    }
    // SAFETY: as for this function.
    unsafe {
        sums::<P, <P::Field as Field>::Lanes, false>(pairs, &chords, &mut out);
        sums::<P, <P::Field as Field>::Lanes, true>(pairs, &tangents, &mut out);
    }
    out
}

/// The sums of some pairs: of points with different x, or of twice the same point.
///
/// # Safety
/// As of [`add_all`].
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
unsafe fn sums<P: AffinePoint, L: Lanes<Scalar = P::Field>, const SAME: bool>(
    pairs: &[(&P, &P)],
    which: &[usize],
    out: &mut [P],
) {
    let Some(&last) = which.last() else { return };
    // The last pair fills the lanes that are left.
    let chunks: Vec<[usize; WIDTH]> =
        which.chunks(WIDTH).map(|chunk| std::array::from_fn(|i| chunk.get(i).copied().unwrap_or(last))).collect();
    // SAFETY: as for this function.
    unsafe {
        // Lane by lane the product of the denominators before each chunk.
        let mut before = Vec::with_capacity(chunks.len());
        let mut product: Option<L> = None;
        for chunk in &chunks {
            let denominator = if SAME {
                let y = L::load(chunk.map(|k| pairs[k].0.y()));
                y.add(y).scaled()
            } else {
                L::load(chunk.map(|k| pairs[k].1.x())).sub(L::load(chunk.map(|k| pairs[k].0.x())))
            };
            before.push((product, denominator));
            product = Some(product.map_or(denominator, |product| product.mul(denominator)));
        }
        let Some(product) = product else { return };
        let inverses = inverted::<L>(&product.reduced().store());
        let mut rest = L::load(std::array::from_fn(|i| &inverses[i]));
        for (chunk, (before, denominator)) in chunks.iter().zip(before).rev() {
            let inverse = before.map_or(rest, |before| rest.mul(before));
            rest = rest.mul(denominator);
            let (xa, ya) = (L::load(chunk.map(|k| pairs[k].0.x())), L::load(chunk.map(|k| pairs[k].0.y())));
            let (xb, numerator) = if SAME {
                let square = xa.square();
                (xa, square.add(square).add(square))
            } else {
                (L::load(chunk.map(|k| pairs[k].1.x())), L::load(chunk.map(|k| pairs[k].1.y())).sub(ya))
            };
            let slope = numerator.mul(inverse);
            let x = slope.square().scaled().sub(xa.add(xb)).reduced();
            let y = slope.mul(xa.sub(x)).sub(ya).reduced();
            let (x, y) = (x.store(), y.store());
            for (i, k) in chunk.iter().enumerate() {
                out[*k] = P::of(x[i], y[i]);
            }
        }
    }
}

/// Inverses of products here, as factors of products here.
fn inverted<L: Lanes>(products: &[L::Scalar; WIDTH]) -> [L::Scalar; WIDTH] {
    let mut before = *products;
    for i in 1..WIDTH {
        before[i] = before[i - 1].mul(&products[i]);
    }
    let mut rest = before[WIDTH - 1].invert().mul(&L::inverse_factor());
    let mut out = *products;
    for i in (1..WIDTH).rev() {
        out[i] = rest.mul(&before[i - 1]);
        rest = rest.mul(&products[i]);
    }
    out[0] = rest;
    out
}
