"""A node's encryption keys of one epoch: ``E = e*g1`` and ``Er = er*P0``, each with a proof of possession.

With keys that last, t of them stolen later would reopen old shares from the chain: e and er are erased when the epoch's grace
ends. Without the proofs, ``E_2 = E_1 + x*g1`` publishes a difference of shares.
Steps: docs/protocol/sharing-thresholds.md, "epoch keys".
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from salus import labels
from salus.abpre.hashing import table_g1
from salus.abpre.threshold.committee import (
    SUITE,
    UNSIGNED,
    G1Point,
    Proof,
    Seat,
    Signer,
    Value,
    context,
    signed_part,
    verify_signature,
)
from salus.abpre.threshold.g1_proofs import prove_logarithm, verify_logarithm
from salus.codec import Bytes32, Bytes64, Message, Name
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import FR_BYTES, Fr, decode_fr, decode_g1, random_fr
from salus.groups.proofs import schnorr_sign, schnorr_verify
from salus.groups.ristretto255 import SCALAR_BYTES, Point, Scalar, base_mul, decode_point, decode_scalar, random_scalar
from salus.symmetric import Random

SECRET_BYTES: Final = FR_BYTES + SCALAR_BYTES


class SharingKey(Message, frozen=True):
    """A node's two encryption keys of an epoch, proven and signed by the node."""

    KIND = "sharing.key"

    epoch: int
    node: Name
    E: G1Point
    E_possession: Proof
    Er: Bytes32
    Er_possession: Bytes64
    signature: Bytes64


class SharingSecret:
    """e and er of one epoch: kept in a file of its own, erased at the end of the epoch's grace.

    :ivar epoch: the epoch. :ivar E, Er: the public keys, 48 and 32 bytes.
    """

    __slots__ = ("E", "Er", "_e", "_er", "epoch")

    def __init__(self, epoch: int, e: Fr, er: Scalar) -> None:
        self.epoch = epoch
        self._e: Fr | None = e
        self._er: Scalar | None = er
        self.E = table_g1().mul(e).encode()
        self.Er = base_mul(er).encode()

    @classmethod
    def generate(cls, epoch: int, random: Random) -> SharingSecret:
        """Fresh e and er (epoch keys, step 1)."""
        return cls(epoch, random_fr(random), random_scalar(random))

    @property
    def e(self) -> Fr:
        """The secret of E.

        :raises Refused: ``erased``.
        """
        if self._e is None:
            raise Refused("erased", f"the encryption keys of epoch {self.epoch} were erased")
        return self._e

    @property
    def er(self) -> Scalar:
        """The secret of Er.

        :raises Refused: ``erased``.
        """
        if self._er is None:
            raise Refused("erased", f"the encryption keys of epoch {self.epoch} were erased")
        return self._er

    def wipe(self) -> None:
        """Forget both (epoch keys, step 3); the extension wipes their memory."""
        self._e = None
        self._er = None

    def export_secret(self) -> bytes:
        """e, then er: 64 bytes, for the node's file of this epoch."""
        return self.e.encode() + self.er.encode()

    @classmethod
    def from_secret(cls, epoch: int, data: bytes) -> SharingSecret:
        """Inverse of :meth:`export_secret`.

        :raises Refused: ``bad-encoding``, ``bad-scalar``.
        """
        refuse_unless(len(data) == SECRET_BYTES, "bad-encoding", f"the secrets of an epoch have {SECRET_BYTES} bytes")
        return cls(epoch, decode_fr(data[:FR_BYTES], "e"), decode_scalar(data[FR_BYTES:], "er"))

    def __repr__(self) -> str:
        return f"SharingSecret(epoch={self.epoch})"


def publish_sharing_key(network: bytes, node: Signer, secret: SharingSecret, random: Random) -> SharingKey:
    """A node posts its encryption keys of an epoch (epoch keys, step 1)."""
    ctx = _context(network, secret.epoch, node.name)
    draft = SharingKey(
        secret.epoch,
        node.name,
        secret.E,
        prove_logarithm(labels.E_POSSESSION, secret.e, secret.E, ctx, random),
        secret.Er,
        schnorr_sign(labels.ER_POSSESSION, SUITE, secret.er, (ctx, secret.Er), b"", random),
        UNSIGNED,
    )
    return replace(draft, signature=node.sign(network, labels.SIG_SHARING_KEY, signed_part(draft), random))


def check_sharing_key(network: bytes, message: SharingKey, W: bytes | Point) -> None:
    """Everyone's check of a node's encryption keys (epoch keys, step 2).

    :param W: the node's long-term key.
    :raises Refused: ``bad-possession``, ``bad-signature``, ``bad-point``.
    """
    ctx = _context(network, message.epoch, message.node)
    E, Er = decode_g1(message.E, "E"), decode_point(message.Er, "Er")
    try:
        verify_logarithm(labels.E_POSSESSION, E, ctx, message.E_possession)
        schnorr_verify(labels.ER_POSSESSION, SUITE, Er, (ctx, message.Er), b"", message.Er_possession)
    except Refused as error:
        raise Refused("bad-possession", error.detail) from None
    verify_signature(network, labels.SIG_SHARING_KEY, message.node, W, signed_part(message), message.signature)


def make_seat(index: int, message: SharingKey, W: bytes) -> Seat:
    """The seat of a node whose keys were checked.

    :param index: its place, 1 .. size. :param W: its long-term key.
    """
    return Seat(index, message.node, W, message.E, message.Er)


def _context(network: bytes, epoch: int, node: str) -> Value:
    return context(network, epoch, SharingKey.KIND, node, b"")
