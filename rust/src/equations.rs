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

/// Do all the equations hold? Wrong with probability 2^-128 at most.
fn hold(items: &[&Equation], centre: &RistrettoPoint) -> Result<bool, &'static str> {
    let weights = weights(2 * items.len())?;
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
    Ok(msm_public(&scalars, &points).is_identity())
}

/// Which of the equations hold; a failing batch is halved until each bad one stands alone.
///
/// `centre` is the trusted centre's public key; a batch of Schnorr signatures alone may give any point.
pub fn verify(items: &[&Equation], centre: &RistrettoPoint, out: &mut [bool]) -> Result<(), &'static str> {
    if items.is_empty() {
        return Ok(());
    }
    if hold(items, centre)? {
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
