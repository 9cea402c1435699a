//! Powers in the target group: exponents split by Frobenius into four digits of 64 bits.
//!
//! The power to p is the power to u = -U, so a^e is the product of the images of a under Frobenius, to the digits of e in
//! base U (Galbraith, Scott: Exponentiation in pairing-friendly groups using homomorphisms, 2008).

use zeroize::{Zeroize, Zeroizing};

use crate::bls_msm::non_adjacent;
use crate::fr::Raw;
use crate::gt::Target;
use crate::pool;
use crate::select;

/// The absolute value of the curve parameter u; its top bit is set.
pub const U: u64 = 0xd201_0000_0001_0000;
/// floor((2^128 - 1) / U) - 2^64.
const RECIPROCAL: u64 = (u128::MAX / U as u128 - (1 << 64)) as u64;
/// Bits of a window.
const WINDOW: usize = 5;
/// Windows of a 64-bit digit, and one bit for the carry of signed windows.
const WINDOWS: usize = 13;
/// Positive multiples of one window.
const ENTRIES: usize = 1 << (WINDOW - 1);
/// Powers of one thread below which a product is not worth splitting.
const GRAIN: usize = 2;

/// Quotient and remainder of (high, low) by U, high < U, in constant time: Moeller and Granlund, Improved division by
/// invariant integers, 2011, algorithm 4.
fn divide(high: u64, low: u64) -> (u64, u64) {
    let q = u128::from(RECIPROCAL) * u128::from(high) + ((u128::from(high) << 64) | u128::from(low));
    let mut quotient = ((q >> 64) as u64).wrapping_add(1);
    let mut remainder = low.wrapping_sub(quotient.wrapping_mul(U));
    let too_much = select::mask(select::less(q as u64, remainder));
    quotient = quotient.wrapping_add(too_much);
    remainder = remainder.wrapping_add(too_much & U);
    let too_little = select::mask(1 ^ select::less(remainder, U));
    (quotient.wrapping_sub(too_little), remainder.wrapping_sub(too_little & U))
}

/// The four digits of a scalar in base U, least significant first, in constant time.
pub fn digits(scalar: &Raw) -> Zeroizing<[u64; 4]> {
    let mut limbs = scalar.limbs();
    let mut out = Zeroizing::new([0; 4]);
    for digit in out.iter_mut() {
        let mut remainder = 0;
        for limb in limbs.iter_mut().rev() {
            (*limb, remainder) = divide(remainder, *limb);
        }
        *digit = remainder;
    }
    out
}

/// The image of `a` that the digit number `i` is the exponent of: a^(U^i).
pub fn image(a: &Target, i: usize) -> Target {
    match i {
        0 => *a,
        2 => a.frobenius(2),
        _ => a.frobenius(i).inverse(),
    }
}

/// a, a^2, .. a^16.
fn multiples(a: &Target) -> Zeroizing<Vec<Target>> {
    let mut row = Zeroizing::new(Vec::with_capacity(ENTRIES));
    row.push(*a);
    for k in 2..=ENTRIES {
        let next = if k % 2 == 0 { row[k / 2 - 1].square() } else { row[k - 2].mul(a) };
        row.push(next);
    }
    row
}

/// The power of the window's value, looked up in constant time.
fn pick(row: &[Target], digit: u64, window: usize) -> Target {
    let (negative, magnitude) = select::booth(&[digit, 0], window * WINDOW, WINDOW);
    let mut out = Target::default();
    select::entry(&mut out, row, magnitude);
    let inverse = out.inverse();
    select::assign(&mut out, &inverse, negative);
    out
}

/// The product of the powers, in constant time.
pub fn multi(elements: &[Target], exponents: &[Raw]) -> Target {
    let parts = pool::chunks(elements.len(), GRAIN, |from, to| part(&elements[from..to], &exponents[from..to]));
    Zeroizing::new(parts).iter().fold(Target::default(), |product, part| product.mul(part))
}

fn part(elements: &[Target], exponents: &[Raw]) -> Target {
    let tables: Vec<_> = elements.iter().map(multiples).collect();
    let digits: Vec<_> = exponents.iter().map(digits).collect();
    let mut product = Target::default();
    for window in (0..WINDOWS).rev() {
        for _ in 0..if window + 1 == WINDOWS { 0 } else { WINDOW } {
            product = product.square();
        }
        for (table, digits) in tables.iter().zip(&digits) {
            for (i, digit) in digits.iter().enumerate() {
                product = product.mul(&image(&pick(table, *digit, window), i));
            }
        }
    }
    product
}

/// The product of the powers, in time that depends on the exponents; small ones and their negatives are cheap.
pub fn multi_vartime(elements: &[Target], exponents: &[Raw]) -> Target {
    let parts = pool::chunks(elements.len(), GRAIN, |from, to| part_vartime(&elements[from..to], &exponents[from..to]));
    Zeroizing::new(parts).iter().fold(Target::default(), |product, part| product.mul(part))
}

fn part_vartime(elements: &[Target], exponents: &[Raw]) -> Target {
    // For each bit the factors.
    let mut factors: Zeroizing<Vec<Vec<Target>>> = Zeroizing::new(vec![Vec::new(); 1 + 64]);
    for (element, exponent) in elements.iter().zip(exponents) {
        let bits = |digits: &[u64; 4]| digits.iter().map(|digit| 64 - digit.leading_zeros()).sum::<u32>();
        let (plain, minus) = (digits(exponent), digits(&-*exponent));
        let negative = bits(&minus) < bits(&plain);
        let digits = if negative { minus } else { plain };
        let count = match bits(&digits) {
            0..=12 => 1,
            13..=30 => 2,
            31..=80 => 4,
            _ => 8,
        };
        let mut table = Zeroizing::new(odd_powers(element, count));
        for (i, digit) in digits.iter().enumerate() {
            if i > 0 && digits[i..].iter().any(|digit| *digit != 0) {
                table.iter_mut().for_each(|entry| *entry = image(entry, 1));
            }
            non_adjacent(u128::from(*digit), count, |bit, value| {
                let entry = table[value.unsigned_abs() as usize / 2];
                factors[bit].push(if negative == (value < 0) { entry } else { entry.inverse() });
            });
        }
    }
    let highest = factors.iter().rposition(|list| !list.is_empty()).unwrap_or(0);
    factors[..=highest].iter().rev().fold(Target::default(), |product, list| {
        list.iter().fold(product.square(), |product, factor| product.mul(factor))
    })
}

/// a, a^3, a^5, ..
fn odd_powers(a: &Target, count: usize) -> Vec<Target> {
    let mut powers = Vec::with_capacity(count);
    powers.push(*a);
    let square = a.square();
    while powers.len() < count {
        powers.push(powers[powers.len() - 1].mul(&square));
    }
    powers
}

/// Precomputed powers of one element, for many exponents.
pub struct Comb {
    /// Entry k of row j: the power to (k + 1) * 32^j.
    rows: Vec<Zeroizing<Vec<Target>>>,
}

impl Comb {
    /// About 120 KB of powers.
    pub fn new(element: &Target) -> Self {
        let mut base = *element;
        let rows = (0..WINDOWS)
            .map(|_| {
                let row = multiples(&base);
                base = row[ENTRIES - 1].square();
                row
            })
            .collect();
        base.zeroize();
        Self { rows }
    }

    /// The power, in constant time: one product for each digit, then the Frobenius images of the four.
    pub fn pow(&self, exponent: &Raw) -> Target {
        let digits = digits(exponent);
        let powers = digits.iter().enumerate().map(|(i, digit)| {
            let factors = self.rows.iter().enumerate().map(|(window, row)| pick(row, *digit, window));
            let product = factors.reduce(|product, factor| product.mul(&factor)).unwrap_or_default();
            image(&product, i)
        });
        powers.reduce(|product, power| product.mul(&power)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_by_the_curve_parameter() {
        let some = [0, 1, 2, U - 2, U - 1, U, U + 1, u64::MAX / 3, 1 << 63, u64::MAX - 1, u64::MAX];
        for high in some.iter().filter(|high| **high < U) {
            for low in some {
                let number = u128::from(*high) << 64 | u128::from(low);
                let expected = ((number / u128::from(U)) as u64, (number % u128::from(U)) as u64);
                assert_eq!(divide(*high, low), expected);
            }
        }
    }

    #[test]
    fn digits_make_up_the_scalar() {
        let base = Raw::from_u128(u128::from(U));
        let mut scalar = Raw::from_u128(u128::MAX / 7);
        for _ in 0..200 {
            scalar = scalar * scalar + Raw::from_u128(5);
            let sum = digits(&scalar)
                .iter()
                .rev()
                .fold(Raw::ZERO, |sum, digit| sum * base + Raw::from_u128(u128::from(*digit)));
            assert!(sum.equals(&scalar) && digits(&scalar).iter().all(|digit| *digit < U));
        }
    }
}
