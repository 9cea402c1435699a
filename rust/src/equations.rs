//! Batch verification: many signatures as one random-weighted multi-scalar multiplication.
//!
//! Over envelopes i and Schnorr signatures j, with independent, nonzero 128-bit weights u and v that are drawn from the
//! operating system after the batch is fixed:
//!
//! ```text
//! (sum u_i z_i + sum u_j z_j) G + sum v_i z_i B_i
//!   = sum u_i R1_i + sum u_i c_i (P_i + Q_i) + (sum u_i c_i alpha_i) Pub + sum v_i R2_i + sum v_i c_i I_i
//!   + sum u_j R_j + sum u_j c_j W_j
//! ```
//!
//! Weights that a sender knows forge a signature; `v_i = u_i` hides a false nullifier.

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;

use crate::batch::msm_public;

/// A signature of knowledge: `z*G = R1 + c*W` with `W = P + alpha*Pub + Q`, and `z*B = R2 + c*I`.
pub struct Knowledge {
    /// P + Q of the credential.
    pub key: RistrettoPoint,
    /// The hash that binds the credential's identity to its key.
    pub alpha: Scalar,
    /// Base of the nullifier.
    pub base: RistrettoPoint,
    /// The nullifier point s*B.
    pub nullifier: RistrettoPoint,
    /// Commitment over G.
    pub r1: RistrettoPoint,
    /// Commitment over B.
    pub r2: RistrettoPoint,
    /// Challenge.
    pub c: Scalar,
    /// Response.
    pub z: Scalar,
}

/// A Schnorr signature: `z*G = R + c*W`.
pub struct Schnorr {
    /// Public key.
    pub key: RistrettoPoint,
    /// Commitment.
    pub r: RistrettoPoint,
    /// Challenge.
    pub c: Scalar,
    /// Response.
    pub z: Scalar,
}

/// One item of a batch.
pub enum Equation {
    /// An anonymous envelope's.
    Knowledge(Box<Knowledge>),
    /// A named signer's.
    Schnorr(Box<Schnorr>),
}

/// Nonzero weights of 128 bits.
fn weights(count: usize) -> Result<Vec<Scalar>, &'static str> {
    const NO_RANDOMNESS: &str = "the operating system gives no randomness";
    let mut bytes = vec![0; 16 * count];
    getrandom::fill(&mut bytes).map_err(|_| NO_RANDOMNESS)?;
    bytes
        .chunks_exact(16)
        .map(|chunk| {
            let mut weight = [0; 16];
            weight.copy_from_slice(chunk);
            match u128::from_le_bytes(weight) {
                0 => Err(NO_RANDOMNESS),
                weight => Ok(Scalar::from(weight)),
            }
        })
        .collect()
}

/// The weighted sum of all equations: the identity if they hold, and else with probability 2^-128 at most.
fn weighted_sum(items: &[&Equation], centre: &RistrettoPoint, weights: &[Scalar]) -> RistrettoPoint {
    let mut scalars = Vec::with_capacity(5 * items.len() + 2);
    let mut points = Vec::with_capacity(5 * items.len() + 2);
    let (mut generator, mut centre_sum) = (Scalar::ZERO, Scalar::ZERO);
    for (item, weight) in items.iter().zip(weights.chunks_exact(2)) {
        let (u, v) = (weight[0], weight[1]);
        match item {
            Equation::Knowledge(k) => {
                let uc = u * k.c;
                generator -= u * k.z;
                centre_sum += uc * k.alpha;
                // The signs put the short weights themselves into the sum: they cost half as much.
                scalars.extend([u, uc, v, v * k.c, -(v * k.z)]);
                points.extend([k.r1, k.key, k.r2, k.nullifier, k.base]);
            }
            Equation::Schnorr(s) => {
                generator -= u * s.z;
                scalars.extend([u, u * s.c]);
                points.extend([s.r, s.key]);
            }
        }
    }
    scalars.extend([generator, centre_sum]);
    points.extend([RISTRETTO_BASEPOINT_POINT, *centre]);
    msm_public(&scalars, &points)
}

/// Which of the equations hold; a failing batch is halved until each bad one stands alone.
///
/// `centre` is the trusted centre's public key; a batch of Schnorr signatures alone may give any point.
pub fn verify(items: &[&Equation], centre: &RistrettoPoint, out: &mut [bool]) -> Result<(), &'static str> {
    if items.is_empty() {
        return Ok(());
    }
    if weighted_sum(items, centre, &weights(2 * items.len())?).is_identity() {
        out.fill(true);
        return Ok(());
    }
    if items.len() == 1 {
        out[0] = false;
        return Ok(());
    }
    let half = items.len() / 2;
    let (left, right) = out.split_at_mut(half);
    verify(&items[..half], centre, left)?;
    verify(&items[half..], centre, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTRE: RistrettoPoint = RISTRETTO_BASEPOINT_POINT;

    fn point(n: u64) -> RistrettoPoint {
        RistrettoPoint::mul_base(&Scalar::from(n))
    }

    /// A signature of knowledge for the secret s = p + alpha whose commitments are off by d1 and d2.
    fn signed(n: u64, d1: RistrettoPoint, d2: RistrettoPoint) -> Equation {
        let (p, alpha, c, k) = (Scalar::from(n + 2), Scalar::from(n + 3), Scalar::from(n + 5), Scalar::from(n + 7));
        let (base, s) = (point(n + 11), p + alpha);
        Equation::Knowledge(Box::new(Knowledge {
            key: RistrettoPoint::mul_base(&p),
            alpha,
            base,
            nullifier: base * s,
            r1: RistrettoPoint::mul_base(&k) + d1,
            r2: base * k + d2,
            c,
            z: k + c * s,
        }))
    }

    fn named(items: &[Equation]) -> Vec<bool> {
        let items: Vec<&Equation> = items.iter().collect();
        let mut out = vec![false; items.len()];
        verify(&items, &CENTRE, &mut out).expect("randomness");
        out
    }

    fn zero() -> RistrettoPoint {
        point(0)
    }

    #[test]
    fn honest_items_hold() {
        assert_eq!(named(&[signed(1, zero(), zero()), signed(100, zero(), zero())]), [true, true]);
        assert_eq!(named(&[]), Vec::<bool>::new());
    }

    #[test]
    fn equal_weights_of_one_item_hide_errors_that_cancel() {
        let forged = signed(1, point(9), -point(9));
        let same = vec![Scalar::from(77_u64); 2];
        assert!(weighted_sum(&[&forged], &CENTRE, &same).is_identity(), "the attack works without independent weights");
        assert_eq!(named(&[forged]), [false]);
    }

    #[test]
    fn known_weights_hide_errors_of_two_items() {
        let weights: Vec<Scalar> = [3_u64, 5, 7, 11].map(Scalar::from).to_vec();
        // Errors 7*D and -3*D at weights 3 and 7.
        let (a, b) = (signed(1, point(7), zero()), signed(50, -point(3), zero()));
        assert!(weighted_sum(&[&a, &b], &CENTRE, &weights).is_identity(), "the attack works with weights known before");
        assert_eq!(named(&[signed(2, zero(), zero()), a, b, signed(3, zero(), zero())]), [true, false, false, true]);
    }

    #[test]
    fn a_zero_weight_would_skip_an_item() {
        let forged = signed(1, point(9), zero());
        assert!(weighted_sum(&[&forged], &CENTRE, &[Scalar::ZERO, Scalar::ONE]).is_identity());
        assert!(weights(1000).expect("randomness").iter().all(|w| *w != Scalar::ZERO));
    }

    #[test]
    fn signatures_of_both_kinds_mix() {
        let schnorr = |n: u64, error: u64| {
            let (s, c, k) = (Scalar::from(n), Scalar::from(n + 1), Scalar::from(n + 2));
            let r = RistrettoPoint::mul_base(&k) + point(error);
            Equation::Schnorr(Box::new(Schnorr { key: RistrettoPoint::mul_base(&s), r, c, z: k + c * s }))
        };
        let items =
            [schnorr(5, 0), signed(1, zero(), zero()), schnorr(6, 1), signed(9, zero(), point(1)), schnorr(7, 0)];
        assert_eq!(named(&items), [true, true, false, false, true]);
    }
}
