//! Arithmetic on affine points in batches: a field inversion shared by many additions makes each cost six multiplications.
//!
//! Variable time in the scalars that decide what is added: those are public. Points may be parts of a key: an addition goes
//! another way only where one of its points is the identity or both have one x. Among points whose logarithms to each other nobody
//! knows that happens by chance once in 2^250, and who makes it happen on purpose knows the point already. blst's inversion takes
//! constant time.

use std::sync::LazyLock;

use blst::*;

use crate::bls12_381::wipe;
#[cfg(target_arch = "x86_64")]
use crate::{lanes, lanes_ifma};

/// The field of a curve's coordinates.
pub trait Field: Copy + Default + PartialEq + Send + Sync {
    /// Sum.
    fn add(&self, other: &Self) -> Self;
    /// Difference.
    fn sub(&self, other: &Self) -> Self;
    /// Product.
    fn mul(&self, other: &Self) -> Self;
    /// Square.
    fn square(&self) -> Self;
    /// Inverse; zero gives zero.
    fn invert(&self) -> Self;
    /// Eight elements at a time.
    #[cfg(target_arch = "x86_64")]
    type Lanes: lanes::Lanes<Scalar = Self>;
}

/// Calls of blst's functions of one field.
macro_rules! field {
    ($name:ty, $lanes:ident, $add:ident, $sub:ident, $mul:ident, $square:ident, $invert:ident) => {
        impl Field for $name {
            #[cfg(target_arch = "x86_64")]
            type Lanes = lanes_ifma::$lanes;
            fn add(&self, other: &Self) -> Self {
                let mut out = Self::default();
                // SAFETY: three live elements.
                unsafe { $add(&mut out, self, other) };
                out
            }
            fn sub(&self, other: &Self) -> Self {
                let mut out = Self::default();
                // SAFETY: three live elements.
                unsafe { $sub(&mut out, self, other) };
                out
            }
            fn mul(&self, other: &Self) -> Self {
                let mut out = Self::default();
                // SAFETY: three live elements.
                unsafe { $mul(&mut out, self, other) };
                out
            }
            fn square(&self) -> Self {
                let mut out = Self::default();
                // SAFETY: two live elements.
                unsafe { $square(&mut out, self) };
                out
            }
            fn invert(&self) -> Self {
                let mut out = Self::default();
                // SAFETY: two live elements.
                unsafe { $invert(&mut out, self) };
                out
            }
        }
    };
}

field!(blst_fp, Base, blst_fp_add, blst_fp_sub, blst_fp_mul, blst_fp_sqr, blst_fp_eucl_inverse);
field!(blst_fp2, Extension, blst_fp2_add, blst_fp2_sub, blst_fp2_mul, blst_fp2_sqr, blst_fp2_eucl_inverse);

/// An affine point, of whole limbs without padding; both coordinates zero: the identity.
pub trait AffinePoint: Copy + Default + Send + Sync {
    /// Of the coordinates.
    type Field: Field;
    /// Parts that a scalar of 255 bits is split into by the curve's endomorphism.
    const PARTS: usize;
    /// First coordinate.
    fn x(&self) -> &Self::Field;
    /// Second coordinate.
    fn y(&self) -> &Self::Field;
    /// Coordinates.
    fn xy(&self) -> (Self::Field, Self::Field) {
        (*self.x(), *self.y())
    }
    /// The point of these coordinates.
    fn of(x: Self::Field, y: Self::Field) -> Self;
    /// The point times the value of digit number `part`: U^(2*part) in G1, U^part in G2, U the absolute value of the curve
    /// parameter, by the endomorphism.
    fn times_digit(&self, part: usize) -> Self;
    /// Negation.
    fn negate(&self) -> Self {
        let (x, y) = self.xy();
        Self::of(x, Self::Field::default().sub(&y))
    }
    /// The neutral element?
    fn is_identity(&self) -> bool {
        let (x, y) = self.xy();
        x == Self::Field::default() && y == Self::Field::default()
    }
}

fn element(limbs: [u64; 6]) -> blst_fp {
    let mut out = blst_fp::default();
    // SAFETY: blst reads six limbs and writes one element.
    unsafe { blst_fp_from_uint64(&mut out, limbs.as_ptr()) };
    out
}

/// The cube root of unity b with (b*x, -y) = U^2 * (x, y) in G1.
static BETA: LazyLock<blst_fp> = LazyLock::new(|| {
    element([
        0x2e01_ffff_fffe_fffe,
        0xde17_d813_620a_0002,
        0xddb3_a93b_e6f8_9688,
        0xba69_c607_6a0f_77ea,
        0x5f19_672f_df76_ce51,
        0x0000_0000_0000_0000,
    ])
});

/// The factors of the untwisted Frobenius map: 1/(1+i)^((p-1)/3) and 1/(1+i)^((p-1)/2).
static FROBENIUS: LazyLock<[blst_fp2; 2]> = LazyLock::new(|| {
    let x = element([
        0x8bfd_0000_0000_aaad,
        0x4094_27eb_4f49_fffd,
        0x897d_2965_0fb8_5f9b,
        0xaa0d_857d_8975_9ad4,
        0xec02_4086_63d4_de85,
        0x1a01_11ea_397f_e699,
    ]);
    let y = [
        element([
            0xf1ee_7b04_121b_dea2,
            0x3044_66cf_3e67_fa0a,
            0xef39_6489_f61e_b45e,
            0x1c3d_edd9_30b1_cf60,
            0xe2e9_c448_d77a_2cd9,
            0x1352_03e6_0180_a68e,
        ]),
        element([
            0xc810_84fb_ede3_cc09,
            0xee67_992f_72ec_05f4,
            0x77f7_6e17_0092_41c5,
            0x4839_5dab_c2d3_435e,
            0x6831_e36d_6bd1_7ffe,
            0x06af_0e04_37ff_400b,
        ]),
    ];
    [blst_fp2 { fp: [blst_fp::default(), x] }, blst_fp2 { fp: y }]
});

/// The norm of the first of them.
static OMEGA: LazyLock<blst_fp> = LazyLock::new(|| FROBENIUS[0].fp[1].square());

impl AffinePoint for blst_p1_affine {
    type Field = blst_fp;
    const PARTS: usize = 2;
    fn x(&self) -> &blst_fp {
        &self.x
    }
    fn y(&self) -> &blst_fp {
        &self.y
    }
    fn of(x: blst_fp, y: blst_fp) -> Self {
        Self { x, y }
    }
    fn times_digit(&self, part: usize) -> Self {
        match part {
            0 => *self,
            _ => Self { x: self.x.mul(&BETA), y: self.y }.negate(),
        }
    }
}

impl AffinePoint for blst_p2_affine {
    type Field = blst_fp2;
    const PARTS: usize = 4;
    fn x(&self) -> &blst_fp2 {
        &self.x
    }
    fn y(&self) -> &blst_fp2 {
        &self.y
    }
    fn of(x: blst_fp2, y: blst_fp2) -> Self {
        Self { x, y }
    }
    fn times_digit(&self, part: usize) -> Self {
        let conjugate = |a: &blst_fp2| blst_fp2 { fp: [a.fp[0], blst_fp::default().sub(&a.fp[1])] };
        let scaled = |a: &blst_fp2, by: &blst_fp| blst_fp2 { fp: [a.fp[0].mul(by), a.fp[1].mul(by)] };
        match part {
            0 => *self,
            1 => Self { x: conjugate(&self.x).mul(&FROBENIUS[0]), y: conjugate(&self.y).mul(&FROBENIUS[1]) }.negate(),
            // The second power of the map is multiplication of x by a cube root of unity, and of y by -1.
            2 => Self { x: scaled(&self.x, &OMEGA), y: self.y }.negate(),
            _ => self.times_digit(2).times_digit(part - 2),
        }
    }
}

/// Lists of points that are overwritten when they go.
pub struct Lists<P: AffinePoint>(pub Vec<Vec<P>>);

impl<P: AffinePoint> Drop for Lists<P> {
    fn drop(&mut self) {
        for list in &mut self.0 {
            // What a list was cut down from is in its memory still.
            list.resize(list.capacity(), P::default());
            for point in list {
                // SAFETY: a point is two coordinates of whole limbs, without padding, and all zeros is the identity.
                unsafe { wipe(point) }
            }
        }
    }
}

/// What one addition needs: the slope's numerator and denominator, or a result that needs no slope.
enum Step<P: AffinePoint> {
    Slope(P::Field, P::Field),
    Done(P),
}

fn step<P: AffinePoint>(a: &P, b: &P) -> Step<P> {
    if a.is_identity() {
        return Step::Done(*b);
    }
    if b.is_identity() {
        return Step::Done(*a);
    }
    let ((xa, ya), (xb, yb)) = (a.xy(), b.xy());
    if xa != xb {
        return Step::Slope(yb.sub(&ya), xb.sub(&xa));
    }
    if ya != yb {
        return Step::Done(P::default());
    }
    // Points of odd order have y other than zero.
    let square = xa.square();
    Step::Slope(square.add(&square).add(&square), ya.add(&ya))
}

/// The sums of the pairs, in order.
pub fn add_all<P: AffinePoint>(pairs: &[(&P, &P)]) -> Vec<P> {
    #[cfg(target_arch = "x86_64")]
    if pairs.len() >= lanes::WORTH && lanes::available() {
        // SAFETY: the processor has what it takes.
        return unsafe { lanes::add_all(pairs) };
    }
    add_one_by_one(pairs)
}

/// The sums of the pairs, in order, on any processor.
pub fn add_one_by_one<P: AffinePoint>(pairs: &[(&P, &P)]) -> Vec<P> {
    let steps: Vec<Step<P>> = pairs.iter().map(|&(a, b)| step(a, b)).collect();
    // before[k]: product of the denominators before the k-th one.
    let mut before = Vec::with_capacity(steps.len());
    let mut product: Option<P::Field> = None;
    for step in &steps {
        if let Step::Slope(_, denominator) = step {
            before.push(product);
            product = Some(product.map_or(*denominator, |product| product.mul(denominator)));
        }
    }
    let mut rest = product.map(|product| product.invert()).unwrap_or_default();
    let mut out = vec![P::default(); pairs.len()];
    for (k, step) in steps.iter().enumerate().rev() {
        out[k] = match step {
            Step::Done(sum) => *sum,
            Step::Slope(numerator, denominator) => {
                let inverse = before.pop().flatten().map_or(rest, |before| rest.mul(&before));
                rest = rest.mul(denominator);
                let slope = numerator.mul(&inverse);
                let ((xa, ya), (xb, _)) = (pairs[k].0.xy(), pairs[k].1.xy());
                let x = slope.square().sub(&xa).sub(&xb);
                P::of(x, slope.mul(&xa.sub(&x)).sub(&ya))
            }
        };
    }
    out
}

/// Shorten every list of points to at most one by adding pairs, all lists at once.
pub fn sum_all<P: AffinePoint>(lists: &mut [Vec<P>]) {
    loop {
        let pairs: Vec<(&P, &P)> =
            lists.iter().flat_map(|list| list.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))).collect();
        if pairs.is_empty() {
            return;
        }
        let mut sums = add_all(&pairs).into_iter();
        for list in lists.iter_mut() {
            let (count, odd) = (list.len() / 2, list.len() % 2);
            for place in list.iter_mut().take(count) {
                if let Some(sum) = sums.next() {
                    *place = sum;
                }
            }
            if odd == 1 {
                list[count] = list[2 * count];
            }
            list.truncate(count + odd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bls12_381::{CurvePoint, P1, P2};

    /// Pairs of every kind: chords, tangents, opposites, the identity on either side and on both.
    fn pairs<P: AffinePoint>(points: &[P]) -> Vec<(P, P)> {
        let none = P::default();
        let mut pairs: Vec<(P, P)> = points.windows(2).map(|two| (two[0], two[1])).collect();
        for (k, point) in points.iter().enumerate() {
            match k % 5 {
                0 => pairs.push((*point, *point)),
                1 => pairs.push((*point, point.negate())),
                2 => pairs.push((none, *point)),
                3 => pairs.push((*point, none)),
                _ => pairs.push((none, none)),
            }
        }
        pairs
    }

    fn compare<C: CurvePoint>(generator: C) {
        let mut multiple = generator;
        let multiples: Vec<C> = std::iter::repeat_with(|| {
            multiple = multiple.double().add(&generator);
            multiple
        })
        .take(300)
        .collect();
        for count in [2, 7, 15, 16, 17, 64, 300] {
            let pairs = pairs(&C::all_to_affine(&multiples[..count]));
            let borrowed: Vec<_> = pairs.iter().map(|(a, b)| (a, b)).collect();
            let (sums, slow) = (add_all(&borrowed), add_one_by_one(&borrowed));
            for (((a, b), sum), slow) in pairs.iter().zip(&sums).zip(&slow) {
                let expected = C::from_affine(a).add_affine(b);
                let expected = C::all_to_affine(&[expected])[0];
                assert!(sum.xy() == expected.xy() && slow.xy() == expected.xy());
            }
        }
    }

    #[test]
    fn sums_are_those_of_blst() {
        compare(P1::generator());
        compare(P2::generator());
    }
}
