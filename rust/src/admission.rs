//! Admission of a batch in one call: decode, open, hash and verify, on all cores, without the interpreter lock.
//!
//! The readable form is `salus.consultation` (request, envelope, batch); a test compares the two on honest, flipped and
//! adversarial batches.

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::scalar::Scalar as Raw;
use curve25519_dalek::traits::IsIdentity;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use zeroize::Zeroizing;

use crate::args::{self, refuse, same_length};
use crate::counts::{self, Op};
use crate::envelope::{self, Domain, Envelope, Opened, Refusal};
use crate::equations::{self, Equation, Schnorr};
use crate::pool;
use crate::request::{self, Context};
use crate::ristretto255::{self, Point};
use crate::scalar;

/// Items of one batch: twice the transactions of the largest block.
const MAX_ITEMS: usize = 4096;
const TOO_MANY: &str = "a batch has at most 4096 items";
/// Items that one thread opens together.
const CHUNK: usize = 16;

/// An admitted envelope: digest of the pseudonym, quarter, nullifier, one-time key.
type Facts = ([u8; 32], u64, [u8; 32], [u8; 32]);
type Verdict = Result<Facts, Refusal>;
/// Half of an epoch's theta.
type Half = Zeroizing<Raw>;

/// What the verification needs of one opened envelope.
type Kept = Result<(Opened, [u8; 32], [u8; 32]), Refusal>;

fn open_chunk<T>(domain: &Domain, chunk: &[(T, Half)], read: impl Fn(&T) -> Result<Envelope, Refusal>) -> Vec<Kept> {
    let read: Vec<Result<Envelope, Refusal>> = chunk.iter().map(|(item, _)| read(item)).collect();
    let present: Vec<(&Envelope, &Raw)> =
        read.iter().zip(chunk).filter_map(|(e, (_, half))| Some((e.as_ref().ok()?, &**half))).collect();
    let mut opened = envelope::open_all(domain, &present).into_iter();
    read.iter()
        .map(|item| {
            let envelope = item.as_ref().map_err(|reason| *reason)?;
            Ok((opened.next().unwrap_or(Err("internal"))?, envelope.nf, envelope.a))
        })
        .collect()
}

/// Open in chunks on all threads, then verify what opened as one batch.
fn admit<T: Sync>(
    domain: &Domain,
    items: &[(T, Half)],
    read: impl Fn(&T) -> Result<Envelope, Refusal> + Sync,
) -> Result<Vec<Verdict>, &'static str> {
    let chunks: Vec<&[(T, Half)]> = items.chunks(CHUNK).collect();
    let kept: Vec<Kept> =
        pool::map(&chunks, 1, |chunk| open_chunk(domain, chunk, &read)).into_iter().flatten().collect();
    let equations: Vec<&Equation> = kept.iter().flatten().map(|(opened, _, _)| &opened.equation).collect();
    let mut holds = vec![false; equations.len()];
    equations::verify(&equations, &domain.centre, &mut holds)?;
    let mut holds = holds.into_iter();
    Ok(kept
        .iter()
        .map(|item| {
            let (opened, nf, a) = item.as_ref().map_err(|reason| *reason)?;
            if holds.next() == Some(true) {
                Ok((opened.hp, opened.quarter, *nf, *a))
            } else {
                Err("bad-proof")
            }
        })
        .collect())
}

fn domain(network: &[u8], centre: &Point) -> Domain {
    Domain { network: network.to_vec(), centre: centre.raw, centre_bytes: *centre.bytes() }
}

fn answer(py: Python<'_>, verdicts: Vec<Verdict>) -> PyResult<Vec<Bound<'_, PyAny>>> {
    verdicts
        .into_iter()
        .map(|verdict| match verdict {
            Ok((hp, quarter, nf, a)) => {
                let facts: Bound<'_, PyTuple> =
                    (PyBytes::new(py, &hp), quarter, PyBytes::new(py, &nf), PyBytes::new(py, &a)).into_pyobject(py)?;
                Ok(facts.into_any())
            }
            Err(reason) => Ok(PyString::new(py, reason).into_any()),
        })
        .collect()
}

fn check_count(items: &Bound<'_, PyAny>) -> PyResult<()> {
    if items.len()? > MAX_ITEMS {
        return Err(refuse(TOO_MANY));
    }
    Ok(())
}

type PyHash<'py> = Bound<'py, PyBytes>;
type PyTheta<'py> = Bound<'py, scalar::Scalar>;

#[pyfunction]
pub fn admit_requests<'py>(
    py: Python<'py>,
    items: &Bound<'py, PyAny>,
    network: &[u8],
    centre: &Point,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    const KEY: &str = "a looked-up key has 32 bytes";
    check_count(items)?;
    let items = args::collect(items, |item| {
        let (transaction, epoch, epoch_key, theta, doctor_key, slot_key) =
            item.extract::<(PyHash<'_>, u64, PyHash<'_>, PyTheta<'_>, PyHash<'_>, PyHash<'_>)>()?;
        let context = Context {
            epoch,
            epoch_key: args::array(epoch_key.as_bytes(), KEY)?,
            doctor_key: args::array(doctor_key.as_bytes(), KEY)?,
            slot_key: args::array(slot_key.as_bytes(), KEY)?,
        };
        Ok(((transaction.as_bytes().to_vec(), context), Zeroizing::new(theta.get().0.div_by_2())))
    })?;
    let domain = domain(network, centre);
    let verdicts = py.detach(|| {
        admit(&domain, &items, |(transaction, context)| request::envelope(transaction, &domain.network, context))
    });
    answer(py, verdicts.map_err(refuse)?)
}

#[pyfunction]
pub fn admit_envelopes<'py>(
    py: Python<'py>,
    items: &Bound<'py, PyAny>,
    network: &[u8],
    centre: &Point,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    const SIZE: &str = "A, cm and nf have 32 bytes each";
    check_count(items)?;
    let items = args::collect(items, |item| {
        let (t0, body, a, cm, nf, s, m1, theta) = item.extract::<(
            PyHash<'_>,
            PyHash<'_>,
            PyHash<'_>,
            PyHash<'_>,
            PyHash<'_>,
            PyHash<'_>,
            PyHash<'_>,
            PyTheta<'_>,
        )>()?;
        let envelope = Envelope {
            a: args::array(a.as_bytes(), SIZE)?,
            cm: args::array(cm.as_bytes(), SIZE)?,
            nf: args::array(nf.as_bytes(), SIZE)?,
            s: s.as_bytes().to_vec(),
            m1: m1.as_bytes().to_vec(),
            t0: t0.as_bytes().to_vec(),
            body: body.as_bytes().to_vec(),
        };
        Ok((envelope, Zeroizing::new(theta.get().0.div_by_2())))
    })?;
    let domain = domain(network, centre);
    let verdicts = py.detach(|| admit(&domain, &items, |envelope| Ok(envelope.clone())));
    answer(py, verdicts.map_err(refuse)?)
}

#[pyfunction]
pub fn schnorr_verify_batch(
    py: Python<'_>,
    publics: &Bound<'_, PyAny>,
    challenges: &Bound<'_, PyAny>,
    signatures: &Bound<'_, PyAny>,
) -> PyResult<Vec<bool>> {
    check_count(publics)?;
    let publics = ristretto255::collect(publics)?;
    let challenges = scalar::collect(challenges)?;
    let signatures = args::collect(signatures, |item| args::bytes_array::<64>(item, "a signature has 64 bytes"))?;
    same_length(publics.len(), challenges.len())?;
    same_length(publics.len(), signatures.len())?;
    counts::add(Op::Decode, signatures.len());
    let verdicts = py.detach(|| {
        let indices: Vec<usize> = (0..publics.len()).collect();
        let read = pool::map(&indices, ristretto255::CODE_GRAIN, |&i| {
            if publics[i].is_identity() {
                return None;
            }
            let r = std::array::from_fn(|k| signatures[i][k]);
            let z = std::array::from_fn(|k| signatures[i][32 + k]);
            let (r, z) = (ristretto255::decode(&r)?, scalar::decode(z)?);
            Some(Equation::Schnorr(Box::new(Schnorr { key: publics[i], r, c: challenges[i], z })))
        });
        let equations: Vec<&Equation> = read.iter().flatten().collect();
        let mut holds = vec![false; equations.len()];
        equations::verify(&equations, &RISTRETTO_BASEPOINT_POINT, &mut holds)?;
        let mut holds = holds.into_iter();
        Ok(read.iter().map(|item| item.is_some() && holds.next() == Some(true)).collect())
    });
    verdicts.map_err(refuse)
}
