//! Opening of anonymous envelopes at a node; `src/salus/consultation/envelope.py` is the readable twin.
//!
//! Step numbers are those of docs/protocol/consultation.md, "envelope".

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use zeroize::{Zeroize, Zeroizing};

use crate::codec::Writer;
use crate::counts::{self, Op};
use crate::equations::{Equation, Knowledge};
use crate::ristretto255;
use crate::scalar;
use crate::symmetric::{h1, h2, hash_to_point, kdf, labelled, unseal};

/// The repaired suite.
pub const SUITE: &str = "mbpa-r1";
/// P, Q, hp, quarter, g.
pub const SENDER_BYTES: usize = 136;
/// I, R1, R2, z.
pub const SIGNATURE_BYTES: usize = 128;

/// Network and centre: the same for a whole batch.
pub struct Domain {
    /// The network's identifier.
    pub network: Vec<u8>,
    /// The centre's public key.
    pub centre: RistrettoPoint,
    /// Its encoding.
    pub centre_bytes: [u8; 32],
}

/// An envelope as it came, with what its signature covers.
#[derive(Clone)]
pub struct Envelope {
    /// One-time key.
    pub a: [u8; 32],
    /// Commitment to the sender.
    pub cm: [u8; 32],
    /// Nullifier.
    pub nf: [u8; 32],
    /// The sender, sealed to the nodes.
    pub s: Vec<u8>,
    /// The signature, sealed under g.
    pub m1: Vec<u8>,
    /// Encoding of t0.
    pub t0: Vec<u8>,
    /// Encoding of the body.
    pub body: Vec<u8>,
}

/// What a node learns: nothing of it names the patient.
pub struct Opened {
    /// Digest of the static pseudonym.
    pub hp: [u8; 32],
    /// Quarter of the credential.
    pub quarter: u64,
    /// The signature, not verified yet.
    pub equation: Equation,
}

/// A reason code of `salus.errors.REASONS`.
pub type Refusal = &'static str;

/// Open a chunk of envelopes, each with half of its epoch's theta; the batch shares one inversion for all encodings.
pub fn open_all(domain: &Domain, items: &[(&Envelope, &Scalar)]) -> Vec<Result<Opened, Refusal>> {
    counts::add(Op::Decode, items.len());
    let keys: Vec<Option<RistrettoPoint>> = items.iter().map(|(e, _)| ristretto255::decode(&e.a)).collect();
    // step 6: theta*A, as twice (theta/2)*A, because doubled points can be encoded together.
    let halves: Zeroizing<Vec<RistrettoPoint>> =
        Zeroizing::new(keys.iter().zip(items).filter_map(|(a, (_, half))| a.map(|a| a * **half)).collect());
    counts::add(Op::VarMul, halves.len());
    counts::add(Op::Encode, halves.len());
    let shared = RistrettoPoint::double_and_compress_batch(halves.iter());
    let mut shared = shared.iter().map(|bytes| Zeroizing::new(bytes.to_bytes()));
    keys.iter()
        .zip(items)
        .map(|(key, (envelope, _))| match (key, key.and_then(|_| shared.next())) {
            (Some(_), Some(shared)) => open(domain, envelope, &shared),
            _ => Err("bad-point"),
        })
        .collect()
}

fn open(domain: &Domain, e: &Envelope, shared: &[u8; 32]) -> Result<Opened, Refusal> {
    // step 6: open S
    let mut context = Writer(Vec::with_capacity(e.t0.len() + 96));
    context.tuple(3);
    context.0.extend_from_slice(&e.t0);
    context.bytes(&e.cm).bytes(&e.nf);
    let key = kdf("node-seal", SUITE, shared, &context.0);
    let sender = unseal::<SENDER_BYTES>(&key, &e.s, &context.0).ok_or("bad-seal")?;
    let part = |from: usize| -> [u8; 32] { std::array::from_fn(|i| sender[from + i]) };
    let (p, q, hp, g) = (part(0), part(32), part(64), Zeroizing::new(part(104)));
    let quarter = u64::from_be_bytes(std::array::from_fn(|i| sender[96 + i]));

    // step 7: the commitment
    let mut cm = labelled("cm", SUITE, 5);
    cm.bytes(&p).bytes(&q).bytes(&hp).int(quarter).bytes(&*g);
    let computed = h2(&cm);
    cm.0.zeroize();
    if computed != e.cm {
        return Err("bad-commitment");
    }

    // step 8: open M1 under g
    let mut sealed = labelled("S", SUITE, 1);
    sealed.bytes(&e.s);
    let mut content = Writer(Vec::with_capacity(e.t0.len() + e.body.len() + 160));
    content.tuple(5);
    content.0.extend_from_slice(&e.t0);
    content.bytes(&e.cm).bytes(&e.nf).bytes(&h2(&sealed));
    content.0.extend_from_slice(&e.body);
    let key = kdf("kdf-sig", SUITE, &*g, &content.0);
    let signature = unseal::<SIGNATURE_BYTES>(&key, &e.m1, &content.0).ok_or("bad-proof")?;
    let part = |from: usize| -> [u8; 32] { std::array::from_fn(|i| signature[from + i]) };
    let (i, r1, r2, z) = (part(0), part(32), part(64), part(96));

    // step 9: decode everything and compare the nullifier
    counts::add(Op::Decode, 5);
    counts::add(Op::HashToGroup, 1);
    let point = |bytes: &[u8; 32]| ristretto255::decode(bytes).ok_or("bad-point");
    let mut base = labelled("nullifier", SUITE, 5);
    base.bytes(&domain.network).bytes(&p).bytes(&q).bytes(&hp).int(quarter);
    let mut alpha = labelled("alpha", SUITE, 6);
    alpha.text("patient").bytes(&hp).int(quarter).bytes(&p).bytes(&q).bytes(&domain.centre_bytes);
    let mut challenge = labelled("sig", SUITE, 10);
    challenge.bytes(&domain.network).text("patient").bytes(&p).bytes(&q).bytes(&hp).int(quarter);
    challenge.bytes(&i).bytes(&r1).bytes(&r2);
    challenge.0.extend_from_slice(&content.0);
    let knowledge = Box::new(Knowledge {
        key: point(&p)? + point(&q)?,
        base: hash_to_point(&base),
        nullifier: point(&i)?,
        r1: point(&r1)?,
        r2: point(&r2)?,
        z: scalar::decode(z).ok_or("bad-scalar")?,
        c: h1(&challenge),
        alpha: h1(&alpha),
    });
    let mut nf = labelled("nf", SUITE, 1);
    nf.bytes(&i);
    if h2(&nf) != e.nf {
        return Err("bad-nullifier");
    }
    Ok(Opened { hp, quarter, equation: Equation::Knowledge(knowledge) })
}
