//! Bare library calls in a loop, timed here, so that the bench can tell what the boundary to Python costs.

use std::hint::black_box;
use std::time::Instant;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{MultiscalarMul, VartimeMultiscalarMul};
use ed25519_zebra::{batch, Signature, SigningKey, VerificationKeyBytes};
use getrandom::rand_core::UnwrapErr;
use getrandom::SysRng;
use pyo3::prelude::*;
use sha2::{Digest, Sha512};

use crate::args::refuse;
use crate::bench_bls::bls;

/// Different inputs that a loop goes through, so that no result is known from the call before.
pub const INPUTS: usize = 512;
/// Longest loop: minutes of the slowest call.
const MAX_ITERATIONS: usize = 1 << 20;

/// 64 bytes that look random.
pub fn bytes(n: usize) -> [u8; 64] {
    Sha512::digest(n.to_be_bytes()).into()
}

fn scalars(count: usize) -> Vec<Scalar> {
    (0..count).map(|n| Scalar::from_bytes_mod_order_wide(&bytes(n))).collect()
}

fn points(count: usize) -> Vec<RistrettoPoint> {
    (0..count).map(|n| RistrettoPoint::from_uniform_bytes(&bytes(n + INPUTS))).collect()
}

/// Seconds that `iterations` calls of `f` take, each with the number of its input.
pub fn timed<R>(iterations: usize, mut f: impl FnMut(usize) -> R) -> f64 {
    let start = Instant::now();
    for i in 0..iterations {
        black_box(f(black_box(i % INPUTS)));
    }
    start.elapsed().as_secs_f64()
}

fn ristretto(name: &str, iterations: usize) -> Option<f64> {
    let (s, p) = (scalars(INPUTS), points(INPUTS));
    Some(match name {
        "base_mul" => timed(iterations, |i| RistrettoPoint::mul_base(&s[i])),
        "fixed_base_mul" => {
            let table = RistrettoBasepointTable::create(&p[0]);
            timed(iterations, |i| &table * &s[i])
        }
        "var_mul" => timed(iterations, |i| p[i] * s[i]),
        "double_base_mul" => {
            timed(iterations, |i| RistrettoPoint::vartime_double_scalar_mul_basepoint(&s[i], &p[i], &s[INPUTS - 1 - i]))
        }
        "decode" => {
            let encoded: Vec<CompressedRistretto> = p.iter().map(RistrettoPoint::compress).collect();
            timed(iterations, |i| encoded[i].decompress())
        }
        "encode" => timed(iterations, |i| p[i].compress()),
        "hash_to_group" => {
            let uniform: Vec<[u8; 64]> = (0..INPUTS).map(bytes).collect();
            timed(iterations, |i| RistrettoPoint::from_uniform_bytes(&uniform[i]))
        }
        "msm_512" => timed(iterations, |_| RistrettoPoint::multiscalar_mul(&s, &p)),
        "msm_vartime_512" => timed(iterations, |_| RistrettoPoint::vartime_multiscalar_mul(&s, &p)),
        "msm_vartime_2560" => {
            let (s, p) = (scalars(5 * INPUTS), points(5 * INPUTS));
            timed(iterations, |_| RistrettoPoint::vartime_multiscalar_mul(&s, &p))
        }
        _ => return None,
    })
}

fn ed25519(name: &str, iterations: usize) -> Option<f64> {
    let items: Vec<(VerificationKeyBytes, Signature, [u8; 64])> = (0..64)
        .map(|n| {
            let mut seed = [0; 32];
            seed.copy_from_slice(&bytes(n)[..32]);
            let key = SigningKey::from(seed);
            (VerificationKeyBytes::from(&key), key.sign(&bytes(n)), bytes(n))
        })
        .collect();
    Some(match name {
        "ed25519_verify" => timed(iterations, |i| {
            let (key, signature, message) = &items[i % 64];
            batch::Item::from((*key, *signature, message)).verify_single().is_ok()
        }),
        "ed25519_batch_64" => timed(iterations, |_| {
            let mut verifier = batch::Verifier::new();
            for (key, signature, message) in &items {
                verifier.queue((*key, *signature, message));
            }
            verifier.verify(UnwrapErr(SysRng)).is_ok()
        }),
        _ => return None,
    })
}

#[pyfunction]
pub fn bench_native(py: Python<'_>, name: &str, iterations: usize) -> PyResult<f64> {
    if iterations == 0 || iterations > MAX_ITERATIONS {
        return Err(refuse("a loop has 1 to 2^20 iterations"));
    }
    py.detach(|| {
        ristretto(name, iterations)
            .or_else(|| bls(name, iterations))
            .or_else(|| ed25519(name, iterations))
            .or_else(|| crate::bench_index::bench_index(name, iterations))
    })
    .ok_or_else(|| refuse("there is no such bench"))
}
