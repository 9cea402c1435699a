"""A node's registration: one signed record that binds its ristretto255, consensus, BLS and epoch keys, each proven.

Steps: docs/protocol/consultation.md, "registration of nodes". Revoking the record ends the node's duties.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace

from salus import labels
from salus._native import G1, G2, ed25519_verify, pairing
from salus.codec import Bytes32, Bytes64, Message, Size, encode
from salus.consultation.registration import NODE, SUITE, MemberKey, MemberRecord, verify_member_signature
from salus.consultation.shared_value import EpochKey, EpochSecret, check_epoch_key, publish_epoch_key
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Point
from salus.symmetric import Random

BLS_ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
_POSSESSION_DST: Final = labels.BLS_POSSESSION.encode()
"""Keys in G2, signatures in G1."""
_UNSIGNED: Final = bytes(64)

BlsKey = Annotated[bytes, Size(96, 96)]
BlsSignature = Annotated[bytes, Size(48, 48)]


class NodeRecord(Message, frozen=True):
    """Everything a node is known by, signed under its ristretto255 key.

    :ivar member: P and Q under the node's name. :ivar consensus_key: Ed25519. :ivar bls_key: compressed point of G2.
    :ivar epoch_key: its key for the first epoch it takes part in.
    """

    KIND = "registration.node"

    member: MemberRecord
    consensus_key: Bytes32
    consensus_possession: Bytes64
    bls_key: BlsKey
    bls_possession: BlsSignature
    epoch_key: EpochKey
    signature: Bytes64


class BlsSecret:
    """A BLS12-381 secret key, for receipts that add up; ``public`` is its point of G2, 96 bytes."""

    __slots__ = ("_secret", "public")

    def __init__(self, secret: bytes) -> None:
        value = int.from_bytes(secret, "big")
        refuse_unless(len(secret) == 32 and 0 < value < BLS_ORDER, "bad-scalar", "BLS secret")
        self._secret = secret
        self.public = G2.generator().mul(secret).encode()

    @classmethod
    def generate(cls, random: Random) -> BlsSecret:
        """A uniform nonzero secret (48 bytes reduced)."""
        return cls((int.from_bytes(random(48), "big") % (BLS_ORDER - 1) + 1).to_bytes(32, "big"))

    def prove_possession(self) -> bytes:
        """``secret * H(public)`` in G1, 48 bytes."""
        return G1.hash(self.public, _POSSESSION_DST).mul(self._secret).encode()

    def export_secret(self) -> bytes:
        """The secret, 32 bytes big-endian, for the node's key file."""
        return self._secret

    def __repr__(self) -> str:
        return "BlsSecret()"


def check_bls_possession(public: bytes, proof: bytes) -> None:
    """``e(H(public), public) = e(proof, g2)``.

    :raises Refused: ``bad-possession``, ``bad-point``.
    """
    try:
        key, shown = G2.decode(public), G1.decode(proof)
    except ValueError as error:
        raise Refused("bad-point", f"BLS key: {error}") from None
    product = pairing([(G1.hash(public, _POSSESSION_DST), key), (-shown, G2.generator())])
    refuse_unless(product.is_one(), "bad-possession", "BLS key")


def _consensus_message(network: bytes, name: str, key: bytes) -> bytes:
    return encode((labels.CONSENSUS_POSSESSION, SUITE, network, name, key))


def make_node_record(
    network: bytes, node: MemberKey, consensus: Ed25519PrivateKey, bls: BlsSecret, epoch: EpochSecret, random: Random
) -> NodeRecord:
    """Bind a node's keys (registration of nodes, step 1)."""
    key = consensus.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    draft = NodeRecord(
        node.record(), key, consensus.sign(_consensus_message(network, node.name, key)), bls.public, bls.prove_possession(),
        publish_epoch_key(network, node, epoch, random), _UNSIGNED,
    )  # fmt: skip
    return replace(draft, signature=node.sign(network, labels.SIG_NODE_RECORD, _signed(draft), random))


def check_node_record(network: bytes, record: NodeRecord, Pub: Point) -> Point:
    """Check every proof and the signature (registration of nodes, step 2); returns W.

    :raises Refused: ``bad-possession``, ``bad-signature``, ``bad-point``, ``bad-encoding``.
    """
    name = record.member.name
    same = record.member.role == NODE and record.epoch_key.node == name
    refuse_unless(same, "bad-encoding", "the record's parts name different parties")
    W = record.member.public_key(Pub)
    message = _consensus_message(network, name, record.consensus_key)
    refuse_unless(ed25519_verify(record.consensus_key, message, record.consensus_possession), "bad-possession", "consensus key")
    check_bls_possession(record.bls_key, record.bls_possession)
    check_epoch_key(network, record.epoch_key, W)
    verify_member_signature(network, labels.SIG_NODE_RECORD, name, W, _signed(record), record.signature)
    return W


def _signed(record: NodeRecord) -> tuple[Any, ...]:
    return record.to_value()[:-1]
