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
    /// Multiplication of a point of G1 with a table.
    G1Comb,
    /// Multiplication of a point of G2 with a table.
    G2Comb,
    /// Power of an element of the target group with a table.
    GtComb,
    /// One term of a sum of multiples in G1.
    G1MsmTerm,
    /// One term of a sum of multiples in G2.
    G2MsmTerm,
    /// Power in the target group.
    GtPow,
    /// One factor of a product of powers in the target group.
    GtPowTerm,
    /// Hash to G1.
    G1Hash,
    /// Hash to G2.
    G2Hash,
    /// Decoding of an element of G1.
    G1Decode,
    /// Decoding of an element of G2.
    G2Decode,
    /// Decoding of an element of the target group.
    GtDecode,
    /// Lines of a point of G2 computed ahead.
    G2Prepare,
}

const NAMES: [&str; 26] = [
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
    "g1_comb",
    "g2_comb",
    "gt_comb",
    "g1_msm_term",
    "g2_msm_term",
    "gt_pow",
    "gt_pow_term",
    "g1_hash",
    "g2_hash",
    "g1_decode",
    "g2_decode",
    "gt_decode",
    "g2_prepare",
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
