//! Decoding of Transaction 1 into its envelope; `src/salus/consultation/request.py` is the readable twin.

use crate::codec::Writer;
use crate::envelope::{Envelope, Refusal, SENDER_BYTES, SIGNATURE_BYTES, SUITE};
use crate::symmetric::TAG_BYTES;

const KIND: &str = "consultation.request";
const PID_BYTES: usize = 92;
/// P, Q, pid, quarter, g.
const DOCTOR_BYTES: usize = 32 + 32 + PID_BYTES + 8 + 32;
const NAME_CHARS: usize = 128;

/// What is looked up in the state, never sent.
pub struct Context {
    /// The epoch that the keys belong to.
    pub epoch: u64,
    /// Public key of the epoch's shared value.
    pub epoch_key: [u8; 32],
    /// The doctor's public key.
    pub doctor_key: [u8; 32],
    /// The slot's one-time key.
    pub slot_key: [u8; 32],
}

/// Reads typed fields in order; anything but the canonical form gives `None`.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn head(&mut self, tag: u8) -> Option<usize> {
        let head = self.take(5)?;
        (head[0] == tag).then(|| u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        if self.head(b'b')? != N {
            return None;
        }
        self.take(N)?.try_into().ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.head(b's')?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn name(&mut self) -> Option<&'a str> {
        self.text().filter(|name| (1..=NAME_CHARS).contains(&name.chars().count()))
    }

    fn int(&mut self) -> Option<u64> {
        let bytes = self.take(9)?;
        (bytes[0] == b'i').then(|| u64::from_be_bytes(std::array::from_fn(|i| bytes[1 + i])))
    }

    fn message(&mut self, kind: &str, fields: usize) -> Option<()> {
        let right = self.head(b't')? == 2 + fields && self.text()? == kind && self.int()? == 1;
        right.then_some(())
    }
}

/// Everything that the envelope needs, in the transaction's order.
fn parse(transaction: &[u8], network: &[u8], context: &Context) -> Option<Result<Envelope, Refusal>> {
    let mut f = Fields(transaction);
    f.message(KIND, 15)?;
    let pid = f.bytes::<PID_BYTES>()?;
    let doctor = f.name()?;
    let a = f.bytes::<32>()?;
    let digest = f.bytes::<32>()?;
    let size = f.int()?;
    let m1 = f.bytes::<{ SIGNATURE_BYTES + TAG_BYTES }>()?;
    let m2 = f.bytes::<32>()?;
    let sn = f.int()?;
    let s = f.bytes::<{ SENDER_BYTES + TAG_BYTES }>()?;
    let s_d = f.bytes::<{ DOCTOR_BYTES + TAG_BYTES }>()?;
    let cm = f.bytes::<32>()?;
    let nf = f.bytes::<32>()?;
    let epoch = f.int()?;
    let valid_until = f.int()?;
    let receipt = f.0;
    f.message("receipt.upload", 3)?;
    f.name()?;
    f.int()?;
    f.bytes::<64>()?;
    if !f.0.is_empty() {
        return None;
    }
    if epoch != context.epoch {
        return Some(Err("wrong-epoch"));
    }
    let mut t0 = Writer(Vec::with_capacity(512));
    t0.tuple(11).text(SUITE).text(KIND).bytes(network).int(epoch).bytes(&context.epoch_key).bytes(&a);
    t0.int(valid_until).text(doctor).bytes(&context.doctor_key).bytes(&context.slot_key).int(sn);
    let mut body = Writer(Vec::with_capacity(768));
    body.tuple(6).bytes(&pid).bytes(&digest).int(size).bytes(&m2).bytes(&s_d);
    body.0.extend_from_slice(receipt);
    Some(Ok(Envelope { a, cm, nf, s: s.to_vec(), m1: m1.to_vec(), t0: t0.0, body: body.0 }))
}

/// The envelope of an encoded request: `bad-encoding` unless it is the one canonical encoding of such a transaction.
pub fn envelope(transaction: &[u8], network: &[u8], context: &Context) -> Result<Envelope, Refusal> {
    parse(transaction, network, context).unwrap_or(Err("bad-encoding"))
}
