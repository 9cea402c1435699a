//! Loops over bare blst, as [`crate::bench`] has them for the other libraries.

use std::hint::black_box;
use std::ptr::null_mut;

use blst::*;

use crate::bench::{bytes, timed, INPUTS};
use crate::bls12_381::{multiplier, CurvePoint, Multiplier, P1, P2};
use crate::gt::{self, Target};

/// Points of G1 and G2 that the loops go through.
const POINTS: usize = 64;
/// Bits of one window of blst's table multiplication, and windows of a scalar.
const WINDOW: usize = 8;
const WINDOWS: usize = 32;

fn multipliers() -> Vec<Multiplier> {
    (0..INPUTS).filter_map(|n| multiplier(&{ bytes(n)[..32].iter().map(|b| b & 0x3f).collect::<Vec<u8>>() })).collect()
}

/// Points 1, 2^8, 2^16, .. times the generator.
fn shifted<P: CurvePoint>(generator: P) -> Vec<P::Affine> {
    let mut points = vec![generator];
    while points.len() < WINDOWS {
        let next = (0..WINDOW).fold(points[points.len() - 1], |point, _| point.double());
        points.push(next);
    }
    P::all_to_affine(&points)
}

/// blst's multiplication with tables of the shifted generator, one byte of the scalar for each of them.
macro_rules! table_loop {
    ($iterations:ident, $scalars:ident, $point:ty, $raw:ty, $affine:ty, $precompute:ident, $mult:ident, $scratch:ident) => {{
        let points: Vec<$affine> = shifted(<$point>::generator());
        let mut table = vec![<$affine>::default(); WINDOWS << (WINDOW - 1)];
        let list = [points.as_ptr(), std::ptr::null()];
        // SAFETY: blst reads 32 points and writes 2^7 for each.
        unsafe { $precompute(table.as_mut_ptr(), WINDOW, list.as_ptr(), WINDOWS) };
        // SAFETY: a size is computed.
        let mut scratch = vec![0_u64; unsafe { $scratch(WINDOWS) } / 8];
        timed($iterations, |i| {
            let mut out = <$raw>::default();
            let scalars = [$scalars[i % $scalars.len()].as_ptr(), null_mut::<u8>()];
            // SAFETY: blst reads the table, 32 scalars of one byte each and writes one point; the scratch has its size.
            unsafe {
                $mult(&mut out, table.as_ptr(), WINDOW, WINDOWS, scalars.as_ptr().cast(), WINDOW, scratch.as_mut_ptr());
            }
            out
        })
    }};
}

/// The power by square and multiply, with what blst has for it.
fn power(base: &Target, by: &Multiplier) -> Target {
    (0..255).rev().fold(Target::default(), |power, bit| {
        let square = power.square();
        if by[bit / 8] >> (bit % 8) & 1 == 1 {
            square.mul(base)
        } else {
            square
        }
    })
}

fn pairings(name: &str, iterations: usize, p: &[blst_p1_affine], q: &[blst_p2_affine]) -> Option<f64> {
    Some(match name {
        "pairing" => timed(iterations, |i| blst_fp12::miller_loop(&q[i % POINTS], &p[i % POINTS]).final_exp()),
        "pairing_8" => timed(iterations, |_| blst_fp12::miller_loop_n(&q[..8], &p[..8]).final_exp()),
        "pairing_64" => timed(iterations, |_| blst_fp12::miller_loop_n(q, p).final_exp()),
        "miller_loop" => timed(iterations, |i| blst_fp12::miller_loop(&q[i % POINTS], &p[i % POINTS])),
        "miller_loop_64" => timed(iterations, |_| blst_fp12::miller_loop_n(q, p)),
        "final_exp" => {
            let product = blst_fp12::miller_loop_n(q, p);
            timed(iterations, |_| black_box(product).final_exp())
        }
        "pairing_prepared_8" => {
            let lines: Vec<Vec<blst_fp6>> = q[..8].iter().map(crate::pairing::lines).collect();
            timed(iterations, |_| {
                let mut product = blst_fp12::default();
                for (lines, p) in lines.iter().zip(p) {
                    let mut factor = blst_fp12::default();
                    // SAFETY: 68 lines and two live values.
                    unsafe { blst_miller_loop_lines(&mut factor, lines.as_ptr(), p) };
                    product *= factor;
                }
                product.final_exp()
            })
        }
        "g2_prepare" => timed(iterations, |i| crate::pairing::lines(&q[i % POINTS])),
        _ => return None,
    })
}

fn targets(name: &str, iterations: usize, m: &[Multiplier], p: &[blst_p1_affine], q: &[blst_p2_affine]) -> Option<f64> {
    let element = Target(blst_fp12::miller_loop(&q[0], &p[0]).final_exp());
    Some(match name {
        "gt_pow" | "gt_comb" => timed(iterations, |i| power(&element, &m[i % m.len()])),
        "gt_decode" => {
            let encoded: [u8; gt::SIZE] = element.0.to_bendian();
            timed(iterations, |_| Target::decode(black_box(&encoded)))
        }
        _ => return None,
    })
}

/// Seconds of a loop over blst's call of that name.
pub fn bls(name: &str, iterations: usize) -> Option<f64> {
    let m = multipliers();
    let g1: Vec<P1> = P1::normalise(&m.iter().take(POINTS).map(|k| P1::generator().mul(k)).collect::<Vec<_>>());
    let g2: Vec<P2> = P2::normalise(&m.iter().take(POINTS).map(|k| P2::generator().mul(k)).collect::<Vec<_>>());
    let (p, q) = (P1::all_to_affine(&g1), P2::all_to_affine(&g2));
    let all: Vec<u8> = m[..POINTS].iter().flat_map(|by| **by).collect();
    Some(match name {
        "g1_mul" => timed(iterations, |i| g1[i % POINTS].mul(&m[i % m.len()])),
        "g2_mul" => timed(iterations, |i| g2[i % POINTS].mul(&m[i % m.len()])),
        "g1_hash" => timed(iterations, |i| P1::hash(&bytes(i), b"SALUS-BENCH")),
        "g1_decode" => {
            let encoded: Vec<_> = g1.iter().map(P1::encode).collect();
            timed(iterations, |i| P1::decode(&encoded[i % POINTS]))
        }
        "g2_decode" => {
            let encoded: Vec<_> = g2.iter().map(P2::encode).collect();
            timed(iterations, |i| P2::decode(&encoded[i % POINTS]))
        }
        "g1_msm_64" => timed(iterations, |_| p.mult(&all, 255)),
        "g2_msm_64" => timed(iterations, |_| q.mult(&all, 255)),
        "g1_comb" => table_loop!(
            iterations,
            m,
            P1,
            blst_p1,
            blst_p1_affine,
            blst_p1s_mult_wbits_precompute,
            blst_p1s_mult_wbits,
            blst_p1s_mult_wbits_scratch_sizeof
        ),
        "g2_comb" => table_loop!(
            iterations,
            m,
            P2,
            blst_p2,
            blst_p2_affine,
            blst_p2s_mult_wbits_precompute,
            blst_p2s_mult_wbits,
            blst_p2s_mult_wbits_scratch_sizeof
        ),
        _ => return pairings(name, iterations, &p, &q).or_else(|| targets(name, iterations, &m, &p, &q)),
    })
}
