//! Native extension of Salus: group arithmetic, the canonical encoding, signatures of the engine and the Merkle map.
//!
//! One file per group or noun. Python sees opaque, checked objects; `src/salus/_native.pyi` is the typed boundary.

use pyo3::prelude::*;
use pyo3::types::PyDict;

pub mod admission;
pub mod affine;
mod arena;
pub mod args;
pub mod batch;
pub mod bench;
pub mod bench_bls;
pub mod bench_index;
pub mod bls12_381;
pub mod bls_batch;
pub mod bls_msm;
pub mod bls_sharing;
pub mod codec;
pub mod comb;
pub mod counts;
pub mod ed25519;
pub mod envelope;
pub mod equations;
pub mod fr;
pub mod g1;
pub mod g2;
pub mod gt;
pub mod gt_pow;
pub mod index_table;
pub mod key_prefixes;
#[cfg(target_arch = "x86_64")]
pub mod lanes;
#[cfg(target_arch = "x86_64")]
pub mod lanes_ifma;
pub mod merkle_map;
pub mod pairing;
pub mod pool;
pub mod records;
pub mod request;
pub mod ristretto255;
pub mod run_merge;
pub mod scalar;
pub mod select;
pub mod sharing;
pub mod symmetric;
pub mod tag_keys;

#[pyfunction]
fn operation_counts(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let counts = PyDict::new(py);
    for (name, count) in counts::read() {
        counts.set_item(name, count)?;
    }
    Ok(counts)
}

#[pyfunction]
fn reset_operation_counts() {
    counts::reset();
}

#[pyfunction]
fn set_threads(count: usize) {
    pool::set_threads(count);
}

#[pyfunction]
fn wake_thread() {
    pool::wake();
}

#[pyfunction]
fn threads() -> usize {
    pool::threads()
}

/// The pairing groups: classes, batches, sharing.
fn bls12_381_module(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<fr::Fr>()?;
    m.add_class::<g1::G1>()?;
    m.add_class::<g2::G2>()?;
    m.add_class::<gt::Gt>()?;
    m.add_class::<pairing::G2Prepared>()?;
    m.add_class::<comb::G1Comb>()?;
    m.add_class::<comb::G2Comb>()?;
    m.add_class::<comb::GtComb>()?;
    m.add_function(wrap_pyfunction!(bls_batch::g1_mul_batch, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g1_mul_batch_vartime, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g1_mul_one_scalar, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g1_add_batch, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g1_sum, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g1_msm, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g1_msm_vartime, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g1_msm_groups_vartime, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g1_decode_batch, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g1_encode_batch, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g2_mul_batch, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g2_mul_batch_vartime, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g2_mul_one_scalar, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g2_add_batch, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g2_sum, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g2_msm, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g2_msm_vartime, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g2_msm_groups_vartime, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g2_decode_batch, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g2_encode_batch, m)?)?;
    m.add_function(wrap_pyfunction!(bls_batch::g1_hash_batch, m)?)?;
    m.add_function(wrap_pyfunction!(gt::gt_decode_batch, m)?)?;
    m.add_function(wrap_pyfunction!(gt::gt_multi_pow, m)?)?;
    m.add_function(wrap_pyfunction!(gt::gt_multi_pow_vartime, m)?)?;
    m.add_function(wrap_pyfunction!(pairing::pairing, m)?)?;
    m.add_function(wrap_pyfunction!(pairing::multi_pairing, m)?)?;
    m.add_function(wrap_pyfunction!(pairing::multi_pairing_of_sums, m)?)?;
    m.add_function(wrap_pyfunction!(comb::multiples, m)?)?;
    m.add_function(wrap_pyfunction!(bls_sharing::fr_shamir_share, m)?)?;
    m.add_function(wrap_pyfunction!(bls_sharing::fr_lagrange_coefficients, m)?)?;
    m.add_function(wrap_pyfunction!(bls_sharing::fr_interpolate, m)?)?;
    m.add_function(wrap_pyfunction!(bls_sharing::fr_poly_eval, m)?)?;
    m.add_function(wrap_pyfunction!(bls_sharing::fr_inner_product, m)?)?;
    m.add_function(wrap_pyfunction!(bls_sharing::g1_interpolate, m)?)?;
    m.add_function(wrap_pyfunction!(bls_sharing::g2_interpolate, m)?)?;
    m.add_function(wrap_pyfunction!(bls_sharing::gt_interpolate, m)?)?;
    Ok(())
}

#[pymodule]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<scalar::Scalar>()?;
    m.add_class::<ristretto255::Point>()?;
    m.add_class::<ristretto255::FixedBase>()?;
    m.add_function(wrap_pyfunction!(batch::base_mul, m)?)?;
    m.add_function(wrap_pyfunction!(batch::base_mul_batch, m)?)?;
    m.add_function(wrap_pyfunction!(batch::mul_batch, m)?)?;
    m.add_function(wrap_pyfunction!(batch::mul_one_scalar, m)?)?;
    m.add_function(wrap_pyfunction!(batch::mul_one_point, m)?)?;
    m.add_function(wrap_pyfunction!(batch::msm, m)?)?;
    m.add_function(wrap_pyfunction!(batch::msm_vartime, m)?)?;
    m.add_function(wrap_pyfunction!(batch::double_base_mul_vartime, m)?)?;
    m.add_function(wrap_pyfunction!(batch::decode_batch, m)?)?;
    m.add_function(wrap_pyfunction!(batch::encode_batch, m)?)?;
    m.add_function(wrap_pyfunction!(batch::from_uniform_batch, m)?)?;
    m.add_function(wrap_pyfunction!(sharing::shamir_share, m)?)?;
    m.add_function(wrap_pyfunction!(sharing::lagrange_coefficients, m)?)?;
    m.add_function(wrap_pyfunction!(sharing::interpolate_scalar, m)?)?;
    m.add_function(wrap_pyfunction!(sharing::interpolate_point, m)?)?;
    m.add_function(wrap_pyfunction!(sharing::poly_from_roots, m)?)?;
    m.add_function(wrap_pyfunction!(sharing::poly_eval, m)?)?;
    m.add_function(wrap_pyfunction!(ed25519::ed25519_verify, m)?)?;
    m.add_function(wrap_pyfunction!(ed25519::ed25519_verify_batch, m)?)?;
    m.add_function(wrap_pyfunction!(codec::encode_value, m)?)?;
    m.add_function(wrap_pyfunction!(codec::decode_value, m)?)?;
    bls12_381_module(m)?;
    m.add_class::<merkle_map::MerkleMap>()?;
    m.add_class::<key_prefixes::KeyPrefixes>()?;
    m.add_class::<key_prefixes::PrefixSearch>()?;
    m.add_class::<run_merge::RunMerge>()?;
    m.add_function(wrap_pyfunction!(admission::admit_requests, m)?)?;
    m.add_function(wrap_pyfunction!(admission::admit_envelopes, m)?)?;
    m.add_function(wrap_pyfunction!(admission::schnorr_verify_batch, m)?)?;
    m.add_class::<tag_keys::TagKeys>()?;
    m.add_class::<index_table::IndexTable>()?;
    m.add_function(wrap_pyfunction!(index_table::check_tags, m)?)?;
    m.add_class::<records::BodyTree>()?;
    m.add_function(wrap_pyfunction!(records::body_leaves, m)?)?;
    m.add_function(wrap_pyfunction!(records::body_node, m)?)?;
    m.add_function(wrap_pyfunction!(bench::bench_native, m)?)?;
    m.add_function(wrap_pyfunction!(operation_counts, m)?)?;
    m.add_function(wrap_pyfunction!(reset_operation_counts, m)?)?;
    m.add_function(wrap_pyfunction!(set_threads, m)?)?;
    m.add_function(wrap_pyfunction!(threads, m)?)?;
    m.add_function(wrap_pyfunction!(wake_thread, m)?)?;
    Ok(())
}
