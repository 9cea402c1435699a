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
