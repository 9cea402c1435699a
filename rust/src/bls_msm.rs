//! Sums of multiples in G1 and G2: in constant time for secret scalars, fast for public ones.
//!
//! Public scalars are split by the endomorphism into digits (two of 128 bits in G1, four of 64 in G2), written in
//! non-adjacent form and added with few tables; a scalar is taken negative where that is shorter, so small integers and
//! their negatives cost next to nothing.

use zeroize::Zeroizing;

use crate::affine::{add_all, sum_all, AffinePoint, Lists};
use crate::bls12_381::CurvePoint;
use crate::bls_batch::MUL_GRAIN;
use crate::fr::Raw;
use crate::gt_pow;
use crate::pool;

/// Terms of a sum from which on additions share inversions.
const SHARE: usize = 12;
/// Sums from which on their doublings share inversions as well, if additions do: each list is added up before.
const LOCKSTEP: usize = 16;
/// Terms of one thread below which a sum is not worth splitting: the doublings are done twice.
const GRAIN: usize = 12;
/// Terms worked on at once: what their digits look up stays within a megabyte or so.
const TERMS_AT_ONCE: usize = 128;

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
    groups(&[(scalars, points)])[0]
}

/// The same, split over the threads.
pub fn vartime_in_parts<P: CurvePoint>(scalars: &[Raw], points: &[P]) -> P {
    let parts = pool::chunks(scalars.len(), GRAIN, |from, to| vartime(&scalars[from..to], &points[from..to]));
    parts.iter().fold(P::default(), |sum, part| sum.add(part))
}

/// Many sums, split over the threads.
pub fn groups_in_parts<P: CurvePoint>(all: &[(&[Raw], &[P])]) -> Vec<P> {
    pool::chunks(all.len(), 1, |from, to| groups(&all[from..to])).into_iter().flatten().collect()
}

/// Many sums on this thread, as many at once as share their inversions well.
pub fn groups<P: CurvePoint>(all: &[(&[Raw], &[P])]) -> Vec<P> {
    let mut out = Vec::with_capacity(all.len());
    let mut from = 0;
    while from < all.len() {
        let (mut to, mut terms) = (from, 0);
        while to < all.len() && (to == from || terms + all[to].0.len() <= TERMS_AT_ONCE) {
            terms += all[to].0.len();
            to += 1;
        }
        if to == from + 1 && terms > TERMS_AT_ONCE {
            let (scalars, points) = all[from];
            let parts = scalars.chunks(TERMS_AT_ONCE).zip(points.chunks(TERMS_AT_ONCE));
            let sums = parts.flat_map(|part| at_once(&[part]));
            out.push(sums.fold(P::default(), |sum, part| sum.add(&part)));
        } else {
            out.extend(at_once(&all[from..to]));
        }
        from = to;
    }
    out
}

/// One scalar's digits and how they are written.
struct Term {
    /// Number of the sum it belongs to.
    group: usize,
    negative: bool,
    digits: Vec<u128>,
    /// Odd multiples in its table.
    entries: usize,
}

fn bits(digits: &[u128]) -> u32 {
    digits.iter().map(|digit| u128::BITS - digit.leading_zeros()).sum()
}

/// Digits in base U^2 (two parts) or U (four).
fn split(scalar: &Raw, parts: usize) -> Vec<u128> {
    let [a, b, c, d] = *gt_pow::digits(scalar);
    let join = |low: u64, high: u64| u128::from(low) + u128::from(high) * u128::from(gt_pow::U);
    match parts {
        2 => vec![join(a, b), join(c, d)],
        _ => [a, b, c, d].map(u128::from).to_vec(),
    }
}

fn term(group: usize, scalar: &Raw, parts: usize) -> Term {
    let (plain, minus) = (split(scalar, parts), split(&-*scalar, parts));
    let negative = bits(&minus) < bits(&plain);
    let digits = if negative { minus } else { plain };
    // 1, 2, 4 or 8 odd multiples: as many as their digits' additions pay for.
    let entries = match bits(&digits) {
        0..=12 => 1,
        13..=30 => 2,
        31..=80 => 4,
        _ => 8,
    };
    Term { group, negative, digits, entries }
}

/// Call `f(bit, odd value)` for the non-zero digits of the width-w non-adjacent form, entries = 2^(w-2).
pub fn non_adjacent(mut digit: u128, entries: usize, mut f: impl FnMut(usize, i64)) {
    let mut place = 0;
    let (modulus, half) = (4 * entries as i64, 2 * entries as i64);
    while digit != 0 {
        let zeros = digit.trailing_zeros();
        digit >>= zeros;
        place += zeros as usize;
        let low = (digit & (modulus as u128 - 1)) as i64;
        let value = if low >= half { low - modulus } else { low };
        // Digits stay far enough below 2^128 for this.
        digit = digit.wrapping_sub(value as i128 as u128);
        f(place, value);
    }
}

fn at_once<P: CurvePoint>(all: &[(&[Raw], &[P])]) -> Vec<P> {
    let mut terms = Vec::new();
    // The points may be parts of a key: copies and multiples of them are overwritten.
    let mut points = Zeroizing::new(Vec::with_capacity(all.iter().map(|(_, bases)| bases.len()).sum()));
    for (group, (scalars, bases)) in all.iter().enumerate() {
        terms.extend(scalars.iter().map(|scalar| term(group, scalar, P::Affine::PARTS)));
        points.extend_from_slice(bases);
    }
    let share = terms.len() >= SHARE;
    let affine = Lists(vec![P::all_to_affine(&points)]);
    let tables = tables::<P>(&affine.0[0], &terms, share);
    let width =
        1 + terms.iter().flat_map(|t| &t.digits).map(|d| u128::BITS - d.leading_zeros()).max().unwrap_or(0) as usize;
    // For each sum, each part and each bit the points to add, before the endomorphism.
    let parts = P::Affine::PARTS;
    let mut lists = Lists::<P::Affine>(vec![Vec::new(); all.len() * parts * width]);
    for (term, table) in terms.iter().zip(&tables.0) {
        for (part, digit) in term.digits.iter().enumerate() {
            let first = (term.group * parts + part) * width;
            non_adjacent(*digit, term.entries, |bit, value| {
                let entry = table[value.unsigned_abs() as usize / 2];
                let negative = term.negative != (value < 0);
                lists.0[first + bit].push(if negative { entry.negate() } else { entry });
            });
        }
    }
    if share {
        sum_all(&mut lists.0);
    }
    // The endomorphism, then one list for each sum and each bit.
    let mut bits = Lists::<P::Affine>(vec![Vec::new(); all.len() * width]);
    for (place, list) in lists.0.iter().enumerate() {
        let (group, part, bit) = (place / (parts * width), place / width % parts, place % width);
        bits.0[group * width + bit].extend(list.iter().map(|point| point.times_digit(part)));
    }
    if share {
        sum_all(&mut bits.0);
    }
    if share && all.len() >= LOCKSTEP {
        return horner_in_lockstep::<P>(&bits.0, width);
    }
    bits.0.chunks_exact(width).map(horner::<P>).collect()
}

/// The sum over the bits.
fn horner<P: CurvePoint>(bits: &[Vec<P::Affine>]) -> P {
    bits.iter().rev().fold(P::default(), |sum, list| {
        let doubled = if sum.is_identity() { sum } else { sum.double() };
        list.iter().fold(doubled, |sum, point| sum.add_affine(point))
    })
}

/// The sums over the bits of many sums at once, whose lists have at most one point: they share inversions too.
fn horner_in_lockstep<P: CurvePoint>(bits: &[Vec<P::Affine>], width: usize) -> Vec<P> {
    let mut sums = vec![P::Affine::default(); bits.len() / width];
    for bit in (0..width).rev() {
        sums = add_all(&sums.iter().map(|sum| (sum, sum)).collect::<Vec<_>>());
        let (places, pairs): (Vec<usize>, Vec<_>) = sums
            .iter()
            .enumerate()
            .filter_map(|(group, sum)| bits[group * width + bit].first().map(|point| (group, (sum, point))))
            .unzip();
        for (place, sum) in places.into_iter().zip(add_all(&pairs)) {
            sums[place] = sum;
        }
    }
    sums.iter().map(P::from_affine).collect()
}

/// The odd multiples 1, 3, 5, .. of every point that its term uses.
fn tables<P: CurvePoint>(points: &[P::Affine], terms: &[Term], share: bool) -> Lists<P::Affine> {
    let mut tables = Lists(Vec::with_capacity(points.len()));
    for (point, term) in points.iter().zip(terms) {
        let mut table = Vec::with_capacity(term.entries);
        table.push(*point);
        tables.0.push(table);
    }
    let long: Vec<usize> = (0..terms.len()).filter(|&i| terms[i].entries > 1).collect();
    if share {
        let doubles = add_all(&long.iter().map(|&i| (&points[i], &points[i])).collect::<Vec<_>>());
        for k in 1..8 {
            let growing: Vec<(usize, &P::Affine)> =
                long.iter().copied().zip(&doubles).filter(|(i, _)| terms[*i].entries > k).collect();
            let sums = add_all(&growing.iter().map(|(i, double)| (&tables.0[*i][k - 1], *double)).collect::<Vec<_>>());
            for ((i, _), sum) in growing.iter().zip(sums) {
                tables.0[*i].push(sum);
            }
        }
        return tables;
    }
    let mut multiples = Zeroizing::new(Vec::with_capacity(long.iter().map(|&i| terms[i].entries - 1).sum()));
    for &i in &long {
        let mut multiple = P::from_affine(&points[i]);
        let double = multiple.double();
        for _ in 1..terms[i].entries {
            multiple = multiple.add(&double);
            multiples.push(multiple);
        }
    }
    let mut affine = P::all_to_affine(&multiples).into_iter();
    for &i in &long {
        tables.0[i].extend(affine.by_ref().take(terms[i].entries - 1));
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bls12_381::{P1, P2};

    /// Scalars of every length that a table has a width for, with zero, one and their negatives.
    fn scalars(count: usize) -> Vec<Raw> {
        let mut power = Raw::from_u128(3);
        let small = [0, 1, 2, u128::from(gt_pow::U), u128::MAX].map(Raw::from_u128);
        let mut scalars: Vec<Raw> = small.iter().flat_map(|scalar| [*scalar, -*scalar]).collect();
        while scalars.len() < count {
            power = power * power;
            scalars.push(power);
        }
        scalars.rotate_left(7);
        scalars.truncate(count);
        scalars
    }

    /// Sums of these many terms each, against one multiplication after the other.
    fn compare<P: CurvePoint>(generator: P, sizes: &[usize]) {
        let count = sizes.iter().sum();
        let scalars = scalars(count);
        // Equal points, opposites and the identity among them.
        let mut points: Vec<P> = scalars.iter().map(|scalar| generator.mul(&scalar.multiplier())).collect();
        points.rotate_left(count / 3);
        let mut from = 0;
        let all: Vec<(&[Raw], &[P])> = sizes
            .iter()
            .map(|size| {
                from += size;
                (&scalars[from - size..from], &points[from - size..from])
            })
            .collect();
        for (sum, (scalars, points)) in groups(&all).iter().zip(&all) {
            assert!(sum.add(&constant_time(scalars, points).neg()).is_identity());
        }
    }

    #[test]
    fn sums_are_those_of_multiplications() {
        let many = [1; 40];
        let few_terms_in_many_sums = [&[3, 0, 4, 0, 4][..], &[0; 20]].concat();
        let uneven = [&[0, 1, 2, 30][..], &[1; 20]].concat();
        for sizes in [&[1][..], &[11], &[12], &[130], &[5, 0, 6], &many, &few_terms_in_many_sums, &uneven, &[0; 17]] {
            compare(P1::generator(), sizes);
            compare(P2::generator(), sizes);
        }
    }
}
