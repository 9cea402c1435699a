//! The protocol's hashing, key derivation and unsealing; `src/salus/symmetric.py` is the readable twin.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use hkdf::Hkdf;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::codec::Writer;

/// Bytes of an authentication tag.
pub const TAG_BYTES: usize = 16;

/// Starts the encoding of `(label, suite, fields...)` with `fields` values to follow.
pub fn labelled(label: &str, suite: &str, fields: usize) -> Writer {
    let mut out = Writer(Vec::with_capacity(512));
    out.tuple(2 + fields).text(label).text(suite);
    out
}

/// SHA-512 of an encoding.
pub fn digest64(encoding: &Writer) -> [u8; 64] {
    Sha512::digest(&encoding.0).into()
}

/// H2: SHA-512 truncated to 32 bytes.
pub fn h2(encoding: &Writer) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(&digest64(encoding)[..32]);
    out
}

/// H1: SHA-512 reduced modulo the group order.
pub fn h1(encoding: &Writer) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&digest64(encoding))
}

/// Hash to group by the one-way map of RFC 9496.
pub fn hash_to_point(encoding: &Writer) -> RistrettoPoint {
    RistrettoPoint::from_uniform_bytes(&digest64(encoding))
}

/// HKDF-SHA512 without salt, one key of 32 bytes; info: (suite, label, 32, context), the context already encoded.
pub fn kdf(label: &str, suite: &str, secret: &[u8], context: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut head = Writer(Vec::with_capacity(64));
    head.tuple(4).text(suite).text(label).int(32);
    let mut key = Zeroizing::new([0; 32]);
    if Hkdf::<Sha512>::new(None, secret).expand_multi_info(&[&head.0, context], &mut *key).is_err() {
        unreachable!("32 bytes are within the 255 blocks of HKDF");
    }
    key
}

/// Open a ChaCha20-Poly1305 box with nonce zero (every key is used once); `None` if the tag does not match.
pub fn unseal<const N: usize>(key: &[u8; 32], sealed: &[u8], aad: &[u8]) -> Option<Zeroizing<[u8; N]>> {
    let (body, tag) = sealed.split_at_checked(N)?;
    let mut plain = Zeroizing::new([0; N]);
    plain.copy_from_slice(body);
    let tag: [u8; TAG_BYTES] = tag.try_into().ok()?;
    ChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(&[0; 12].into(), aad, plain.as_mut_slice().into(), &tag.into())
        .ok()?;
    Some(plain)
}

/// Seal with a key that is used once (nonce zero); ciphertext and tag.
pub fn seal(key: &[u8; 32], plain: &[u8], aad: &[u8]) -> Vec<u8> {
    // Full size at once: plaintext is encrypted in place, and growing would leave a copy of it.
    let mut out = Vec::with_capacity(plain.len() + TAG_BYTES);
    out.extend_from_slice(plain);
    match ChaCha20Poly1305::new(key.into()).encrypt_inout_detached(&[0; 12].into(), aad, out.as_mut_slice().into()) {
        Ok(tag) => out.extend_from_slice(&tag),
        Err(_) => unreachable!("a box is far below 256 GiB"),
    }
    out
}

/// As [`unseal`], into `plain`, whose length is the plaintext's; false if the tag does not match.
pub fn unseal_into(key: &[u8; 32], sealed: &[u8], aad: &[u8], plain: &mut [u8]) -> bool {
    let Some((body, tag)) = sealed.split_at_checked(plain.len()) else { return false };
    let Ok(tag) = <[u8; TAG_BYTES]>::try_from(tag) else { return false };
    plain.copy_from_slice(body);
    ChaCha20Poly1305::new(key.into()).decrypt_inout_detached(&[0; 12].into(), aad, plain.into(), &tag.into()).is_ok()
}
