//! Ed25519 by the rules of ZIP-215: the cofactored equation, any encoding of a point on the curve, canonical s.
//!
//! Single and batch verification agree on every input, so no crafted signature splits verifiers.

use ed25519_zebra::{batch, Signature, VerificationKeyBytes};
use getrandom::rand_core::UnwrapErr;
use getrandom::SysRng;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::args;
use crate::counts::{self, Op};
use crate::pool;

/// Signatures of one thread below which splitting does not pay.
const GRAIN: usize = 8;

/// A signature to check: key, message, signature.
pub struct Item {
    key: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
}

/// Does one signature verify?
pub fn verify(item: &Item) -> bool {
    batch::Item::from((VerificationKeyBytes::from(item.key), Signature::from(item.signature), &item.message))
        .verify_single()
        .is_ok()
}

/// Which of the signatures verify; a failing batch is halved until each bad one stands alone.
pub fn verify_all(items: &[&Item], out: &mut [bool]) {
    if items.len() < 3 {
        for (ok, item) in out.iter_mut().zip(items) {
            *ok = verify(item);
        }
        return;
    }
    let mut verifier = batch::Verifier::new();
    for item in items {
        verifier.queue((VerificationKeyBytes::from(item.key), Signature::from(item.signature), &item.message));
    }
    if verifier.verify(UnwrapErr(SysRng)).is_ok() {
        out.fill(true);
        return;
    }
    let half = items.len() / 2;
    let (left, right) = out.split_at_mut(half);
    verify_all(&items[..half], left);
    verify_all(&items[half..], right);
}

fn item(key: &[u8], message: &[u8], signature: &[u8]) -> Option<Item> {
    Some(Item { key: key.try_into().ok()?, message: message.to_vec(), signature: signature.try_into().ok()? })
}

#[pyfunction]
pub fn ed25519_verify(py: Python<'_>, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    counts::add(Op::Ed25519Verify, 1);
    item(public_key, message, signature).is_some_and(|item| py.detach(|| verify(&item)))
}

#[pyfunction]
pub fn ed25519_verify_batch(py: Python<'_>, items: &Bound<'_, PyAny>) -> PyResult<Vec<bool>> {
    let items = args::collect(items, |entry| {
        let (key, message, signature) =
            entry.extract::<(Bound<'_, PyBytes>, Bound<'_, PyBytes>, Bound<'_, PyBytes>)>()?;
        Ok(item(key.as_bytes(), message.as_bytes(), signature.as_bytes()))
    })?;
    counts::add(Op::Ed25519Verify, items.len());
    Ok(py.detach(|| {
        // Wrong lengths are simply bad signatures; the rest is verified together.
        let well_formed: Vec<(usize, &Item)> =
            items.iter().enumerate().filter_map(|(i, item)| item.as_ref().map(|it| (i, it))).collect();
        let parts = pool::chunks(well_formed.len(), GRAIN, |from, to| {
            let part: Vec<&Item> = well_formed[from..to].iter().map(|(_, it)| *it).collect();
            let mut ok = vec![false; part.len()];
            verify_all(&part, &mut ok);
            ok
        });
        let mut result = vec![false; items.len()];
        for ((i, _), ok) in well_formed.iter().zip(parts.concat()) {
            result[*i] = ok;
        }
        result
    }))
}
