//! Safe values over blst, the one place that calls its C functions; `g1`, `g2` and `gt` are the Python classes.

use std::ptr::null;

use blst::*;
use zeroize::{Zeroize, Zeroizing};

use crate::affine::AffinePoint;
use crate::select::Limbs;

/// Bits of the group order r.
const ORDER_BITS: usize = 255;

/// A secret multiplier below the group order, little-endian as blst wants it, wiped when dropped.
pub type Multiplier = Zeroizing<[u8; 32]>;

/// 32 bytes, big-endian, below the group order.
pub fn multiplier(bytes: &[u8]) -> Option<Multiplier> {
    let mut little: Multiplier = Zeroizing::new(bytes.try_into().ok()?);
    little.reverse();
    let mut scalar = blst_scalar::default();
    // SAFETY: blst reads 32 bytes of `little` and writes one scalar; both are live and of that size.
    let below_order = unsafe {
        blst_scalar_from_lendian(&mut scalar, little.as_ptr());
        blst_scalar_fr_check(&scalar)
    };
    // blst_scalar wipes itself on drop.
    below_order.then_some(little)
}

/// Overwrite a value of plain limbs.
///
/// # Safety
/// All zeros must be a value of the type.
pub unsafe fn wipe<T: Copy>(value: &mut T) {
    // SAFETY: the pointer is live and aligned; the caller vouches for the zeros.
    unsafe { std::ptr::write_volatile(value, std::mem::zeroed()) };
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

/// What the batches, sums and combs need of G1 and of G2.
pub trait CurvePoint: Copy + Default + Send + Sync + Zeroize {
    /// A point with two coordinates; both zero: the identity.
    type Affine: Limbs + AffinePoint;
    /// Bytes of the compressed encoding.
    type Encoding: AsRef<[u8]> + Send;

    /// A compressed encoding: canonical, on the curve, in the subgroup, not the identity.
    fn decode(bytes: &[u8]) -> Option<Self>;
    /// Compressed encoding; cheap for points that went through [`CurvePoint::normalise`].
    fn encode(&self) -> Self::Encoding;
    /// Constant-time multiplication.
    fn mul(&self, by: &Multiplier) -> Self;
    /// Addition, complete.
    fn add(&self, other: &Self) -> Self;
    /// Negation.
    fn neg(&self) -> Self;
    /// The neutral element?
    fn is_identity(&self) -> bool;
    /// Doubling.
    fn double(&self) -> Self;
    /// Addition, complete.
    fn add_affine(&self, other: &Self::Affine) -> Self;
    /// The same point in projective coordinates.
    fn from_affine(point: &Self::Affine) -> Self;
    /// Affine coordinates of all, with one inversion for about a thousand of them.
    fn all_to_affine(points: &[Self]) -> Vec<Self::Affine>;

    /// Negation of an affine point if the flag is set, in constant time.
    fn negate_affine_if(point: &mut Self::Affine, flag: bool);

    /// The same points with coordinate Z one, which makes encoding, pairing and adding them cheap.
    fn normalise(points: &[Self]) -> Vec<Self> {
        Self::all_to_affine(points).iter().map(Self::from_affine).collect()
    }
}

/// A curve group of blst: the functions of its two groups differ in their prefix only.
macro_rules! group {
    ($name:ident, $doc:literal, $raw:ty, $affine:ty, $size:literal, $generator:ident, $uncompress:ident, $in_group:ident,
     $from_affine:ident, $to_affine:ident, $compress:ident, $serialize:ident, $mult:ident, $add:ident, $cneg:ident,
     $is_equal:ident, $is_inf:ident, $hash:ident, $double:ident, $add_affine:ident, $all_to_affine:ident,
     $cneg_field:ident) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Default)]
        #[repr(transparent)]
        pub struct $name(pub $raw);

        impl Zeroize for $name {
            fn zeroize(&mut self) {
                // SAFETY: a point is three coordinates of whole limbs, without padding, and all zeros is the identity.
                unsafe { wipe(&mut self.0) }
            }
        }

        impl CurvePoint for $name {
            type Affine = $affine;
            type Encoding = [u8; $size];

            fn decode(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().and_then(Self::decode)
            }
            fn encode(&self) -> Self::Encoding {
                self.encode()
            }
            fn mul(&self, by: &Multiplier) -> Self {
                self.mul(by)
            }
            fn add(&self, other: &Self) -> Self {
                self.add(other)
            }
            fn neg(&self) -> Self {
                self.neg()
            }
            fn is_identity(&self) -> bool {
                self.is_identity()
            }
            fn double(&self) -> Self {
                let mut out = Self::default();
                // SAFETY: two live points.
                unsafe { $double(&mut out.0, &self.0) };
                out
            }
            fn add_affine(&self, other: &$affine) -> Self {
                let mut out = Self::default();
                // SAFETY: three live points; this addition is complete, and two zero coordinates are the identity.
                unsafe { $add_affine(&mut out.0, &self.0, other) };
                out
            }
            fn negate_affine_if(point: &mut $affine, flag: bool) {
                let y = &raw mut point.y;
                // SAFETY: one live coordinate; blst allows input and output to be the same.
                unsafe { $cneg_field(y, y, flag) };
            }
            fn from_affine(point: &$affine) -> Self {
                let mut out = Self::default();
                // SAFETY: two live points.
                unsafe { $from_affine(&mut out.0, point) };
                out
            }
            fn all_to_affine(points: &[Self]) -> Vec<$affine> {
                let mut out = vec![<$affine>::default(); points.len()];
                if !points.is_empty() {
                    let list = [points.as_ptr().cast::<$raw>(), null()];
                    // SAFETY: the first pointer starts `points.len()` points (a point is its one field), null ends the
                    // list, and as many affine points are written.
                    unsafe { $all_to_affine(out.as_mut_ptr(), list.as_ptr(), points.len()) };
                }
                out
            }
        }

        impl $name {
            /// Bytes of the compressed encoding.
            pub const SIZE: usize = $size;

            /// The standard generator.
            pub fn generator() -> Self {
                // SAFETY: blst gives a pointer to its constant, which lives for ever.
                Self(unsafe { *$generator() })
            }

            /// A compressed encoding: canonical, on the curve, in the subgroup, not the identity.
            pub fn decode(bytes: &[u8; $size]) -> Option<Self> {
                Self::decode_with_identity(bytes).filter(|point| !point.is_identity())
            }

            /// The same, where the identity is allowed.
            pub fn decode_with_identity(bytes: &[u8; $size]) -> Option<Self> {
                let mut affine = <$affine>::default();
                let mut out = <$raw>::default();
                // SAFETY: blst reads exactly SIZE bytes and writes one affine point, then reads it back.
                let valid = unsafe {
                    $uncompress(&mut affine, bytes.as_ptr()) == BLST_ERROR::BLST_SUCCESS && $in_group(&affine)
                };
                // SAFETY: both points are live values of the types that blst names.
                unsafe { $from_affine(&mut out, &affine) };
                valid.then_some(Self(out))
            }

            /// Hash to the group by RFC 9380 (SHA-256, simplified SWU, random oracle).
            pub fn hash(message: &[u8], dst: &[u8]) -> Self {
                let mut out = <$raw>::default();
                // SAFETY: pointers and lengths come from live slices; the augmentation is empty, where null is allowed.
                unsafe {
                    $hash(&mut out, message.as_ptr(), message.len(), dst.as_ptr(), dst.len(), null(), 0);
                }
                Self(out)
            }

            /// Compressed encoding.
            pub fn encode(&self) -> [u8; $size] {
                let mut out = [0; $size];
                // SAFETY: blst writes exactly SIZE bytes.
                unsafe { $compress(out.as_mut_ptr(), &self.0) };
                out
            }

            /// Uncompressed encoding, twice as long.
            pub fn encode_uncompressed(&self) -> [u8; 2 * $size] {
                let mut out = [0; 2 * $size];
                // SAFETY: blst writes exactly twice SIZE bytes.
                unsafe { $serialize(out.as_mut_ptr(), &self.0) };
                out
            }

            /// Constant-time multiplication.
            pub fn mul(&self, by: &Multiplier) -> Self {
                let mut out = <$raw>::default();
                // SAFETY: blst reads ORDER_BITS bits of a 32-byte array and one point, and writes one point.
                unsafe { $mult(&mut out, &self.0, by.as_ptr(), ORDER_BITS) };
                Self(out)
            }

            /// Addition, complete.
            pub fn add(&self, other: &Self) -> Self {
                let mut out = <$raw>::default();
                // SAFETY: three live points; blst allows any of them to be equal.
                unsafe { $add(&mut out, &self.0, &other.0) };
                Self(out)
            }

            /// Negation.
            pub fn neg(&self) -> Self {
                let mut out = self.0;
                // SAFETY: one live point, changed in place.
                unsafe { $cneg(&mut out, true) };
                Self(out)
            }

            /// Equality as group elements.
            pub fn equals(&self, other: &Self) -> bool {
                // SAFETY: two live points, read only.
                unsafe { $is_equal(&self.0, &other.0) }
            }

            /// The neutral element?
            pub fn is_identity(&self) -> bool {
                // SAFETY: one live point, read only.
                unsafe { $is_inf(&self.0) }
            }

            /// Affine coordinates, for the pairing.
            pub fn affine(&self) -> $affine {
                let mut out = <$affine>::default();
                // SAFETY: one live point is read, one written.
                unsafe { $to_affine(&mut out, &self.0) };
                out
            }
        }
    };
}

group!(
    P1,
    "An element of G1, held in projective coordinates.",
    blst_p1,
    blst_p1_affine,
    48,
    blst_p1_generator,
    blst_p1_uncompress,
    blst_p1_affine_in_g1,
    blst_p1_from_affine,
    blst_p1_to_affine,
    blst_p1_compress,
    blst_p1_serialize,
    blst_p1_mult,
    blst_p1_add_or_double,
    blst_p1_cneg,
    blst_p1_is_equal,
    blst_p1_is_inf,
    blst_hash_to_g1,
    blst_p1_double,
    blst_p1_add_or_double_affine,
    blst_p1s_to_affine,
    blst_fp_cneg
);
group!(
    P2,
    "An element of G2, held in projective coordinates.",
    blst_p2,
    blst_p2_affine,
    96,
    blst_p2_generator,
    blst_p2_uncompress,
    blst_p2_affine_in_g2,
    blst_p2_from_affine,
    blst_p2_to_affine,
    blst_p2_compress,
    blst_p2_serialize,
    blst_p2_mult,
    blst_p2_add_or_double,
    blst_p2_cneg,
    blst_p2_is_equal,
    blst_p2_is_inf,
    blst_hash_to_g2,
    blst_p2_double,
    blst_p2_add_or_double_affine,
    blst_p2s_to_affine,
    blst_fp2_cneg
);
