//! Elements of the coordinates' fields in the lanes of a processor: eight side by side, each of eight limbs of 52 bits.
//!
//! Products divide by `R = 2^416`; they lie below 1.01*p for factors below 2^13*p. Differences are taken from a multiple of p, so that
//! nothing is negative, and limbs always have 52 bits.

use std::arch::x86_64::*;

use blst::{blst_fp, blst_fp2};

use crate::lanes::{Lanes, WIDTH};

/// Limbs of an element, and bits of a limb.
const LIMBS: usize = 8;
const BITS: u32 = 52;
const MASK: u64 = (1 << BITS) - 1;
/// -1/p modulo 2^52.
const MINUS_INVERSE: u64 = 0x3_fffc_fffc_fffd;
/// p.
const P: [u64; LIMBS] = [
    0xe_ffff_ffff_aaab,
    0xf_eb15_3fff_fb9f,
    0x6_b0f6_241e_abff,
    0x1_2bf6_730d_2a0f,
    0x7_6477_4b84_f385,
    0x1_ba7b_6434_bacd,
    0x1_ea39_7fe6_9a4b,
    0x1_a011,
];
/// 2*p.
const P2: [u64; LIMBS] = doubled(P);
/// 4*p.
const P4: [u64; LIMBS] = doubled(P2);
/// s, as a factor of a product: 2^384 modulo p.
const S: [u64; LIMBS] = [
    0x9_0000_0002_fffd,
    0x0_bc40_c000_2760,
    0x3_c758_baeb_f400,
    0x5_7455_f489_8575,
    0xd_77ce_5853_7052,
    0x0_71a9_7a25_6ec6,
    0xe_c3fa_80e4_935c,
    0x1_5f65,
];
/// 2^448 modulo p: times blst's inverse of a product here, it is the inverse of that product here.
const INVERSE: blst_fp = blst_fp {
    l: [
        0x42b7_fde3_7dba_9366,
        0x7784_894e_2752_5bc3,
        0xb2b9_1b9d_c1f5_b1e9,
        0x206f_497d_fcaf_b872,
        0x5941_37cc_89a9_b0bb,
        0x0411_cd9d_20d7_e399,
    ],
};

const fn doubled(of: [u64; LIMBS]) -> [u64; LIMBS] {
    let (mut out, mut carry, mut i) = ([0; LIMBS], 0, 0);
    while i < LIMBS {
        let limb = 2 * of[i] + carry;
        out[i] = limb & MASK;
        carry = limb >> BITS;
        i += 1;
    }
    out
}

/// Eight elements of the prime field, by limbs.
#[derive(Clone, Copy)]
pub struct Base([__m512i; LIMBS]);

/// Eight elements of its quadratic extension.
#[derive(Clone, Copy)]
pub struct Extension(Base, Base);

impl Base {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn constant(limbs: &[u64; LIMBS]) -> Self {
        Self(limbs.map(|limb| _mm512_set1_epi64(limb as i64)))
    }

    /// Limbs of 52 bits again; the last one has the sign.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn carried(mut self) -> Self {
        let mask = _mm512_set1_epi64(MASK as i64);
        for i in 0..LIMBS - 1 {
            let carry = _mm512_srai_epi64::<BITS>(self.0[i]);
            self.0[i] = _mm512_and_si512(self.0[i], mask);
            self.0[i + 1] = _mm512_add_epi64(self.0[i + 1], carry);
        }
        self
    }

    /// `a - b + more`.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn sub_from(self, other: Self, more: &[u64; LIMBS]) -> Self {
        let mut out = Self::constant(more);
        for i in 0..LIMBS {
            out.0[i] = _mm512_sub_epi64(_mm512_add_epi64(out.0[i], self.0[i]), other.0[i]);
        }
        out.carried()
    }

    /// Without `by` where that leaves a number that is not negative.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn less(self, by: &[u64; LIMBS]) -> Self {
        let mut out = Self::constant(by);
        for i in 0..LIMBS {
            out.0[i] = _mm512_sub_epi64(self.0[i], out.0[i]);
        }
        let mut out = out.carried();
        let negative = _mm512_movepi64_mask(out.0[LIMBS - 1]);
        for i in 0..LIMBS {
            out.0[i] = _mm512_mask_mov_epi64(out.0[i], negative, self.0[i]);
        }
        out
    }
}

/// Add a product to columns of 52 bits: less than 2^56 each, so that two products and a reduction stay far below 2^63.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn multiply(columns: &mut [__m512i; 2 * LIMBS], a: &Base, b: &Base) {
    for i in 0..LIMBS {
        for j in 0..LIMBS {
            columns[i + j] = _mm512_madd52lo_epu64(columns[i + j], a.0[i], b.0[j]);
            columns[i + j + 1] = _mm512_madd52hi_epu64(columns[i + j + 1], a.0[i], b.0[j]);
        }
    }
}

/// The columns over R modulo p, by Montgomery's reduction.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn divide(columns: &mut [__m512i; 2 * LIMBS]) -> Base {
    let (p, minus_inverse) = (Base::constant(&P), _mm512_set1_epi64(MINUS_INVERSE as i64));
    for i in 0..LIMBS {
        let times = _mm512_madd52lo_epu64(_mm512_setzero_si512(), columns[i], minus_inverse);
        for j in 0..LIMBS {
            columns[i + j] = _mm512_madd52lo_epu64(columns[i + j], times, p.0[j]);
            columns[i + j + 1] = _mm512_madd52hi_epu64(columns[i + j + 1], times, p.0[j]);
        }
        columns[i + 1] = _mm512_add_epi64(columns[i + 1], _mm512_srli_epi64::<BITS>(columns[i]));
    }
    let mut out = [_mm512_setzero_si512(); LIMBS];
    out.copy_from_slice(&columns[LIMBS..]);
    Base(out).carried()
}

/// Rows and columns of eight by eight words exchanged.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn transposed(rows: [__m512i; 8]) -> [__m512i; 8] {
    let mut pairs = rows;
    for i in 0..4 {
        pairs[2 * i] = _mm512_unpacklo_epi64(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi64(rows[2 * i], rows[2 * i + 1]);
    }
    let mut fours = pairs;
    for i in 0..2 {
        for k in 0..2 {
            let (low, high) = (pairs[4 * i + k], pairs[4 * i + 2 + k]);
            fours[4 * i + k] = _mm512_shuffle_i64x2::<0x88>(low, high);
            fours[4 * i + 2 + k] = _mm512_shuffle_i64x2::<0xdd>(low, high);
        }
    }
    let mut out = fours;
    for k in 0..4 {
        let (low, high) = (fours[k], fours[4 + k]);
        out[k] = _mm512_shuffle_i64x2::<0x88>(low, high);
        out[4 + k] = _mm512_shuffle_i64x2::<0xdd>(low, high);
    }
    out
}

impl Lanes for Base {
    type Scalar = blst_fp;

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn load(from: [&blst_fp; WIDTH]) -> Self {
        // SAFETY: six words are read of each element, which has six.
        let rows = from.map(|element| unsafe { _mm512_maskz_loadu_epi64(0x3f, element.l.as_ptr().cast()) });
        let w = transposed(rows);
        let mask = _mm512_set1_epi64(MASK as i64);
        macro_rules! limb {
            ($low:expr, $right:literal, $high:expr, $left:literal) => {
                _mm512_and_si512(
                    _mm512_or_si512(_mm512_srli_epi64::<$right>($low), _mm512_slli_epi64::<$left>($high)),
                    mask,
                )
            };
        }
        Self([
            _mm512_and_si512(w[0], mask),
            limb!(w[0], 52, w[1], 12),
            limb!(w[1], 40, w[2], 24),
            limb!(w[2], 28, w[3], 36),
            limb!(w[3], 16, w[4], 48),
            _mm512_and_si512(_mm512_srli_epi64::<4>(w[4]), mask),
            limb!(w[4], 56, w[5], 8),
            _mm512_srli_epi64::<44>(w[5]),
        ])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn store(self) -> [blst_fp; WIDTH] {
        let l = self.0;
        macro_rules! word {
            ($low:expr, $right:literal, $high:expr, $left:literal) => {
                _mm512_or_si512(_mm512_srli_epi64::<$right>($low), _mm512_slli_epi64::<$left>($high))
            };
        }
        let zero = _mm512_setzero_si512();
        let rows = transposed([
            word!(l[0], 0, l[1], 52),
            word!(l[1], 12, l[2], 40),
            word!(l[2], 24, l[3], 28),
            word!(l[3], 36, l[4], 16),
            _mm512_or_si512(word!(l[4], 48, l[5], 4), _mm512_slli_epi64::<56>(l[6])),
            word!(l[6], 8, l[7], 44),
            zero,
            zero,
        ]);
        let mut out = [blst_fp::default(); WIDTH];
        for (element, row) in out.iter_mut().zip(rows) {
            // SAFETY: six words are written to an element, which has six.
            unsafe { _mm512_mask_storeu_epi64(element.l.as_mut_ptr().cast(), 0x3f, row) };
        }
        out
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn add(self, other: Self) -> Self {
        let mut out = self;
        for i in 0..LIMBS {
            out.0[i] = _mm512_add_epi64(self.0[i], other.0[i]);
        }
        out.carried()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn sub(self, other: Self) -> Self {
        self.sub_from(other, &P2)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn mul(self, other: Self) -> Self {
        let mut columns = [_mm512_setzero_si512(); 2 * LIMBS];
        multiply(&mut columns, &self, &other);
        divide(&mut columns)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn square(self) -> Self {
        // SAFETY: as for this function.
        unsafe { self.mul(self) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn scaled(self) -> Self {
        // SAFETY: as for this function.
        unsafe { self.mul(Self::constant(&S)) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn reduced(self) -> Self {
        self.less(&P2).less(&P)
    }

    fn inverse_factor() -> blst_fp {
        INVERSE
    }
}

impl Lanes for Extension {
    type Scalar = blst_fp2;

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn load(from: [&blst_fp2; WIDTH]) -> Self {
        // SAFETY: as for this function.
        unsafe { Self(Base::load(from.map(|element| &element.fp[0])), Base::load(from.map(|element| &element.fp[1]))) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn store(self) -> [blst_fp2; WIDTH] {
        // SAFETY: as for this function.
        let (first, second) = unsafe { (self.0.store(), self.1.store()) };
        std::array::from_fn(|i| blst_fp2 { fp: [first[i], second[i]] })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as for this function.
        unsafe { Self(self.0.add(other.0), self.1.add(other.1)) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: as for this function.
        unsafe { Self(self.0.sub(other.0), self.1.sub(other.1)) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn mul(self, other: Self) -> Self {
        let minus = Base([_mm512_setzero_si512(); LIMBS]).sub_from(other.1, &P4);
        // Each coordinate is two products and one reduction.
        let mut real = [_mm512_setzero_si512(); 2 * LIMBS];
        multiply(&mut real, &self.0, &other.0);
        multiply(&mut real, &self.1, &minus);
        let real = divide(&mut real);
        let mut imaginary = [_mm512_setzero_si512(); 2 * LIMBS];
        multiply(&mut imaginary, &self.0, &other.1);
        multiply(&mut imaginary, &self.1, &other.0);
        Self(real, divide(&mut imaginary))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn square(self) -> Self {
        // SAFETY: as for this function.
        unsafe {
            let (sum, difference) = (self.0.add(self.1), self.0.sub_from(self.1, &P4));
            Self(sum.mul(difference), self.0.add(self.0).mul(self.1))
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn scaled(self) -> Self {
        // SAFETY: as for this function.
        unsafe { Self(self.0.scaled(), self.1.scaled()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn reduced(self) -> Self {
        // SAFETY: as for this function.
        unsafe { Self(self.0.reduced(), self.1.reduced()) }
    }

    fn inverse_factor() -> blst_fp2 {
        blst_fp2 { fp: [INVERSE, blst_fp::default()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::affine::{AffinePoint, Field};
    use crate::bls12_381::{CurvePoint, P1, P2};
    use crate::lanes::available;

    /// 0, 1, 2 and their negatives, and coordinates of points, which stand for random elements.
    fn elements<F: Field>(one: F, points: impl Iterator<Item = F>) -> Vec<F> {
        let (zero, two) = (F::default(), one.add(&one));
        let mut elements = vec![zero, one, two, zero.sub(&one), zero.sub(&two)];
        elements.extend(points);
        elements
    }

    fn coordinates<P: CurvePoint>(generator: P) -> Vec<<P::Affine as AffinePoint>::Field> {
        let mut point = generator;
        let points: Vec<P> = std::iter::repeat_with(|| {
            point = point.double().add(&generator);
            point
        })
        .take(20)
        .collect();
        P::all_to_affine(&points).iter().map(|point| *point.x()).collect()
    }

    /// Every operation on every pair, with values up to the bounds that it is said to take.
    ///
    /// # Safety
    /// The processor must be [`available`].
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    unsafe fn compare<L: Lanes>(elements: &[L::Scalar]) {
        for a in elements {
            for some in elements.chunks(WIDTH) {
                let b: [&L::Scalar; WIDTH] = std::array::from_fn(|i| some.get(i).unwrap_or(&elements[3]));
                let expected = |f: &dyn Fn(&L::Scalar) -> L::Scalar| b.map(f);
                // SAFETY: as for this function.
                let same = |found: L, expected: [L::Scalar; WIDTH]| unsafe { found.reduced().store() == expected };
                // SAFETY: as for this function.
                unsafe {
                    let (x, y) = (L::load([a; WIDTH]), L::load(b));
                    assert!(y.store() == b.map(|element| *element));
                    assert!(same(x.add(y), expected(&|b| a.add(b))) && same(x.sub(y), expected(&|b| a.sub(b))));
                    // Below 4*p: 2*x + y + p or so, against the same of the plain field.
                    let (large, plain) = (x.add(x).add(y), |b: &L::Scalar| a.add(a).add(b));
                    assert!(same(large, expected(&plain)));
                    assert!(same(x.sub(y.add(y)), expected(&|b| a.sub(b).sub(b))));
                    // A product here is 2^-32 of blst's, as is a scaled element of the element.
                    let product = L::load(expected(&|b| plain(b).mul(&plain(b))).each_ref());
                    assert!(same(large.mul(large), product.scaled().reduced().store()));
                    assert!(same(large.square(), product.scaled().reduced().store()));
                    let mut back = y.scaled().reduced().store();
                    for element in &mut back {
                        (0..32).for_each(|_| *element = element.add(element));
                    }
                    assert!(back == b.map(|element| *element));
                }
            }
        }
    }

    #[test]
    fn lanes_are_fields() {
        if !available() {
            return;
        }
        let (first, second) = (coordinates(P1::generator()), coordinates(P2::generator()));
        let one = first[0].mul(&first[0].invert());
        let one_of_two = second[0].mul(&second[0].invert());
        // SAFETY: the processor has what it takes.
        unsafe {
            compare::<Base>(&elements(one, first.into_iter()));
            compare::<Extension>(&elements(one_of_two, second.into_iter()));
        }
    }
}
