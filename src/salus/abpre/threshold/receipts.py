"""Revocation receipts: a quorum of nodes signs that it has deleted c of a revoked delegation.

Steps: docs/protocol/sharing-thresholds.md, "revocation".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from salus import labels
from salus.abpre.threshold.committee import SEATS_MAX, SUITE, Committee
from salus.codec import Bytes32, Message, Name, Size, encode
from salus.errors import Refused, refuse_unless
from salus.groups import multi_signatures as bls

BlsSignature = Annotated[bytes, Size(48, 48)]


class Deletion(Message, frozen=True):
    """A node's word that it has deleted c of a delegation, durably.

    :ivar epoch: of the committee that it is a member of.
    """

    KIND = "delegation.deletion"

    epoch: int
    node: Name
    delegation: Bytes32
    c_digest: Bytes32
    signature: BlsSignature


class RevocationReceipt(Message, frozen=True):
    """The deletions of a quorum in one signature.

    :ivar signers: one bit for each seat of the committee by index, the first the most significant; unused bits zero.
    """

    KIND = "delegation.receipt"

    epoch: int
    delegation: Bytes32
    c_digest: Bytes32
    signers: Annotated[bytes, Size(1, (SEATS_MAX + 7) // 8)]
    signature: BlsSignature


def deletion_message(network: bytes, epoch: int, delegation: bytes, c_digest: bytes) -> bytes:
    """What every node signs: the same bytes for all (revocation, step 2)."""
    return encode((labels.DELETED, SUITE, network, epoch, delegation, c_digest))


def sign_deletion(network: bytes, epoch: int, node: str, bls_secret: bytes, delegation: bytes, c_digest: bytes) -> Deletion:
    """A node signs that c is gone (revocation, step 2); call it only after the deletion is fsynced.

    :param bls_secret: the node's, 32 bytes.
    """
    signature = bls.sign(bls_secret, deletion_message(network, epoch, delegation, c_digest))
    return Deletion(epoch, node, delegation, c_digest, signature)


def check_deletion(network: bytes, deletion: Deletion, bls_key: bytes) -> None:
    """Check one node's deletion.

    :param bls_key: the node's, whose possession the ledger has checked.
    :raises Refused: ``bad-signature``.
    """
    message = deletion_message(network, deletion.epoch, deletion.delegation, deletion.c_digest)
    bls.verify([bls_key], message, deletion.signature)


def make_receipt(
    network: bytes, committee: Committee, bls_keys: Mapping[str, bytes], deletions: Sequence[Deletion]
) -> RevocationReceipt:
    """Put the deletions of a quorum together (revocation, step 3); those that do not verify are left out.

    :param bls_keys: of the committee's members, by name.
    :param deletions: of one delegation.
    :raises Refused: ``no-quorum`` if fewer than t are good.
    """
    refuse_unless(bool(deletions), "no-quorum", "no node has signed")
    first = deletions[0]
    good: dict[int, bytes] = {}
    for deletion in deletions:
        same = (deletion.epoch, deletion.delegation, deletion.c_digest) == (committee.epoch, first.delegation, first.c_digest)
        if same and _verifies(network, committee, deletion, bls_keys):
            good[committee.seat_of(deletion.node).index] = deletion.signature
    refuse_unless(len(good) >= committee.threshold, "no-quorum", f"{len(good)} of {committee.threshold} deletions")
    marks = sum(1 << (committee.size - index) for index in good)
    padded = marks << (-committee.size % 8)
    signers = padded.to_bytes((committee.size + 7) // 8, "big")
    return RevocationReceipt(committee.epoch, first.delegation, first.c_digest, signers, bls.aggregate(list(good.values())))


def check_receipt(
    network: bytes, committee: Committee, bls_keys: Mapping[str, bytes], receipt: RevocationReceipt
) -> tuple[str, ...]:
    """Everyone's check of a receipt (revocation, step 4): one aggregate, one bitmap, one check.

    :return: names of the nodes that signed.
    :raises Refused: ``bad-encoding`` for the bitmap, ``no-quorum``, ``not-a-member``, ``bad-signature``, ``wrong-epoch``.
    """
    names = signers_of(committee, receipt)
    message = deletion_message(network, receipt.epoch, receipt.delegation, receipt.c_digest)
    bls.verify([_key(bls_keys, name) for name in names], message, receipt.signature)
    return names


def signers_of(committee: Committee, receipt: RevocationReceipt) -> tuple[str, ...]:
    """Names of the nodes whose signatures are in a receipt, at least t; the signature itself is not looked at.

    :raises Refused: ``bad-encoding`` for the bitmap, ``no-quorum``, ``not-a-member``, ``wrong-epoch``.
    """
    refuse_unless(receipt.epoch == committee.epoch, "wrong-epoch", "the receipt is another committee's")
    unused = -committee.size % 8
    marks = int.from_bytes(receipt.signers, "big")
    sized = len(receipt.signers) == (committee.size + 7) // 8 and marks & ((1 << unused) - 1) == 0
    refuse_unless(sized, "bad-encoding", "the bitmap has one bit for each seat")
    indices = [i for i in range(1, committee.size + 1) if marks >> (committee.size - i + unused) & 1]
    refuse_unless(len(indices) >= committee.threshold, "no-quorum", f"{len(indices)} of {committee.threshold} deletions")
    return tuple(committee.seat(index).name for index in indices)


def _verifies(network: bytes, committee: Committee, deletion: Deletion, bls_keys: Mapping[str, bytes]) -> bool:
    try:
        committee.seat_of(deletion.node)
        check_deletion(network, deletion, _key(bls_keys, deletion.node))
    except Refused:
        return False
    return True


def _key(bls_keys: Mapping[str, bytes], name: str) -> bytes:
    key = bls_keys.get(name)
    if key is None:
        raise Refused("not-a-member", f"{name} has no BLS key")
    return key
