//! Constant-time choices for look-ups whose place is secret.

use std::hint::black_box;

/// A type made of whole 64-bit limbs, without padding, of which every bit pattern may be held for a while.
///
/// # Safety
/// The implementing type must be plain `u64` limbs in memory and nothing else.
pub unsafe trait Limbs: Copy {}

// SAFETY: arrays of field elements of six limbs each.
unsafe impl Limbs for blst::blst_p1_affine {}
// SAFETY: as above.
unsafe impl Limbs for blst::blst_p2_affine {}
// SAFETY: as above.
unsafe impl Limbs for crate::gt::Target {}

/// 1 if a < b, else 0, without a branch.
pub fn less(a: u64, b: u64) -> u64 {
    ((!a & b) | ((!a | b) & a.wrapping_sub(b))) >> 63
}

/// All ones for 1, zero for 0; the compiler does not learn which.
pub fn mask(bit: u64) -> u64 {
    black_box(bit.wrapping_neg())
}

fn limbs<T: Limbs>(value: &T) -> &[u64] {
    // SAFETY: a `Limbs` value is size / 8 limbs, aligned as such.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>() / 8) }
}

fn limbs_mut<T: Limbs>(value: &mut T) -> &mut [u64] {
    // SAFETY: as above, and the borrow is unique.
    unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(value).cast(), size_of::<T>() / 8) }
}

/// `to = from` if the bit is 1.
pub fn assign<T: Limbs>(to: &mut T, from: &T, bit: u64) {
    let mask = mask(bit);
    for (a, b) in limbs_mut(to).iter_mut().zip(limbs(from)) {
        *a ^= (*a ^ b) & mask;
    }
}

/// `out = row[number - 1]`, and `out` is left alone for 0; every entry is read.
pub fn entry<T: Limbs>(out: &mut T, row: &[T], number: u64) {
    for (k, from) in (1..).zip(row) {
        let difference = k ^ number;
        assign(out, from, 1 ^ ((difference | difference.wrapping_neg()) >> 63));
    }
}

/// The signed value of `width` bits from bit `from` on, Booth's recoding: (1 if negative, magnitude up to 2^(width-1)).
///
/// The values of all windows, weighted by their places, add up to the number, if the last window's top bit is zero.
pub fn booth(limbs: &[u64], from: usize, width: usize) -> (u64, u64) {
    // Bits from - 1 .. from + width, where bit -1 is zero.
    let bit = |place: usize| -> u64 {
        let (limb, shift) = (place / 64, place % 64);
        let low = limbs.get(limb).map_or(0, |l| l >> shift);
        let high = if shift == 0 { 0 } else { limbs.get(limb + 1).map_or(0, |l| l << (64 - shift)) };
        low | high
    };
    let window = if from == 0 { limbs[0] << 1 } else { bit(from - 1) } & ((2 << width) - 1);
    let negative = window >> width;
    let value = (window + 1) >> 1;
    let mask = mask(negative);
    // value - 2^width if negative; its magnitude.
    let signed = value.wrapping_sub((1 << width) & mask);
    (negative, (signed ^ mask).wrapping_sub(mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: [u64; 8] = [0, 1, 2, 1 << 31, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX];

    #[test]
    fn comparisons() {
        for a in SOME {
            for b in SOME {
                assert_eq!(less(a, b), u64::from(a < b));
            }
        }
        assert_eq!((mask(0), mask(1)), (0, u64::MAX));
    }

    #[test]
    fn windows_add_up() {
        for width in [5, 6] {
            for low in SOME {
                for high in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX >> 1] {
                    let number = u128::from(high) << 64 | u128::from(low);
                    let windows = 129_usize.div_ceil(width);
                    let mut sum = 0_i128;
                    for window in (0..windows).rev() {
                        let (negative, magnitude) = booth(&[low, high, 0], window * width, width);
                        assert!(magnitude <= 1 << (width - 1) && negative <= 1);
                        let value = if negative == 1 { -(magnitude as i128) } else { magnitude as i128 };
                        sum = sum.wrapping_mul(1 << width).wrapping_add(value);
                    }
                    assert_eq!(sum as u128, number);
                }
            }
        }
    }

    #[test]
    fn entries_are_found() {
        let point = |l| blst::blst_p1_affine { x: blst::blst_fp { l: [l; 6] }, y: blst::blst_fp { l: [!l; 6] } };
        let row: Vec<_> = (1..=32).map(point).collect();
        for number in 0..=32 {
            let mut out = point(99);
            entry(&mut out, &row, number);
            assert_eq!(out, point(if number == 0 { 99 } else { number }));
        }
    }
}
