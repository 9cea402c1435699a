//! Counters of group operations, read by the bench to compare each phase with its printed operation count.

use std::sync::atomic::{AtomicU64, Ordering};

/// One counted kind of operation; the discriminant is its place in the table.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum Op {
    /// Multiplication of the generator or of another point with a precomputed table.
    BaseMul,
    /// Multiplication of an arbitrary point.
    VarMul,
    /// One term of a multi-scalar multiplication.
    MsmTerm,
    /// Decoding of a point.
    Decode,
    /// Encoding of a point.
    Encode,
    /// Hash or map to a group element.
    HashToGroup,
    /// Inversion of a scalar.
    ScalarInvert,
    /// Multiplication in G1 of BLS12-381.
    G1Mul,
    /// Multiplication in G2 of BLS12-381.
    G2Mul,
    /// Miller loop of one pair.
    MillerLoop,
    /// Final exponentiation.
    FinalExp,
    /// Pairing product (one final exponentiation).
    Pairing,
    /// Ed25519 verification.
    Ed25519Verify,
}

const NAMES: [&str; 13] = [
    "base_mul",
    "var_mul",
    "msm_term",
    "decode",
    "encode",
    "hash_to_group",
    "scalar_invert",
    "g1_mul",
    "g2_mul",
    "miller_loop",
    "final_exp",
    "pairing",
    "ed25519_verify",
];

static COUNTS: [AtomicU64; NAMES.len()] = [const { AtomicU64::new(0) }; NAMES.len()];

/// Add `n` operations of one kind.
pub fn add(op: Op, n: usize) {
    COUNTS[op as usize].fetch_add(n as u64, Ordering::Relaxed);
}

/// Name and count of every kind since the last reset.
pub fn read() -> impl Iterator<Item = (&'static str, u64)> {
    NAMES.iter().zip(&COUNTS).map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
}

/// Set every count to zero.
pub fn reset() {
    COUNTS.iter().for_each(|count| count.store(0, Ordering::Relaxed));
}
