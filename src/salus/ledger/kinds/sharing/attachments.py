"""Nodes' receipts for attachments: what is kept and erased by nodes, while the chain holds digest and signatures.

Steps: docs/protocol/sharing-ledger.md, "attachments".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from salus import labels
from salus.abpre.threshold.box import Box, open_box, seal_box
from salus.abpre.threshold.committee import SUITE, Committee
from salus.abpre.threshold.committee import context as box_context
from salus.codec import encode
from salus.errors import Refused, refuse_unless
from salus.groups import multi_signatures as bls
from salus.groups.ristretto255 import Scalar
from salus.ledger.kinds.parties import NODES
from salus.ledger.kinds.sharing.attributes import counts
from salus.ledger.kinds.sharing.committee_state import accepted_epoch, committee_of
from salus.ledger.kinds.sharing.messages.common import AttachmentReceipts
from salus.ledger.signatures import BlsClaim
from salus.ledger.state import StateView
from salus.ledger.transactions import BlockContext
from salus.symmetric import Random

METADATA: Final = "metadata"
"""Sealed metadata of a record: object id = rid, digest = :func:`salus.records.record.metadata_hash`."""
DELEGATION_C: Final = "delegation-c"
"""c of a delegation: object id = the delegation's id, digest = ``c_digest``."""


def attachment_message(network: bytes, epoch: int, kind: str, object_id: bytes, digest: bytes) -> bytes:
    """What every node signs once an attachment is checked and durable: the same bytes for all (attachments, step 2).

    :param epoch: of the committee that the node is a member of. :param kind: :data:`METADATA` or :data:`DELEGATION_C`.
    """
    return encode((labels.ATTACHMENT, SUITE, network, epoch, kind, object_id, digest))


def sign_attachment(network: bytes, epoch: int, bls_secret: bytes, kind: str, object_id: bytes, digest: bytes) -> bytes:
    """A node's signature, 48 bytes; call it only after the attachment is fsynced.

    :param bls_secret: the node's, 32 bytes.
    """
    return bls.sign(bls_secret, attachment_message(network, epoch, kind, object_id, digest))


def seal_c(network: bytes, epoch: int, node: str, Er: bytes, delegation: bytes, c: bytes, random: Random) -> Box:
    """c on its way to a node (attachments, step 1): who records the traffic would have it after every node has deleted it.

    :param epoch, Er: of the node's seat; 0 and a one-time key where a node asks for what it lacks.
    """
    return seal_box(Er, box_context(network, epoch, labels.C_HANDED, node, delegation), c, random)


def open_c(network: bytes, epoch: int, node: str, er: Scalar, delegation: bytes, box: Box) -> bytes:
    """The node opens it; whether it is the delegation's c the digest tells.

    :raises Refused: ``bad-box``, ``bad-seal``.
    """
    return open_box(er, box, box_context(network, epoch, labels.C_HANDED, node, delegation))


def gather_receipts(
    network: bytes,
    committee: Committee,
    bls_keys: Mapping[str, bytes],
    kind: str,
    object_id: bytes,
    digest: bytes,
    signatures: Mapping[str, bytes],
) -> AttachmentReceipts:
    """Put the signatures of a quorum together (attachments, step 3); those that do not verify are left out.

    :param bls_keys, signatures: by name of the node.
    :raises Refused: ``no-quorum`` if fewer than t are good.
    """
    message = attachment_message(network, committee.epoch, kind, object_id, digest)
    good = {}
    for seat in committee.seats:
        key, signature = bls_keys.get(seat.name), signatures.get(seat.name)
        if key is not None and signature is not None and _verifies(key, message, signature):
            good[seat.index] = signature
    refuse_unless(
        len(good) >= committee.threshold, "no-quorum", f"{len(good)} of {committee.threshold} nodes hold the attachment"
    )
    return AttachmentReceipts(committee.epoch, _bitmap(committee, list(good)), bls.aggregate(list(good.values())))


def check_receipts(
    network: bytes,
    committee: Committee,
    bls_keys: Mapping[str, bytes],
    receipts: AttachmentReceipts,
    kind: str,
    object_id: bytes,
    digest: bytes,
) -> tuple[str, ...]:
    """Check receipts: at least t seats, one signature (attachments, step 4).

    :return: names of the nodes that signed. :raises Refused: ``bad-certificate``.
    """
    names = _signers(committee, receipts)
    _check_signature(network, receipts, tuple(bls_keys[name] for name in names), kind, object_id, digest)
    return names


def receipts_claim(
    view: StateView, context: BlockContext, receipts: AttachmentReceipts, kind: str, object_id: bytes, digest: bytes
) -> BlsClaim:
    """What apply_block checks of an attachment: form at once, the signature with the block's others.

    :raises Refused: ``wrong-epoch``, ``bad-certificate``.
    """
    accepted_epoch(view, receipts.epoch, context.time_ms)
    committee = committee_of(view, receipts.epoch)
    names = _signers(committee, receipts)
    require_quorum(view, committee, names, "bad-certificate")
    nodes = [NODES.get(view, name.encode()) for name in names]
    keys = tuple(node.record.bls_key for node in nodes if node is not None)
    message = attachment_message(context.network, receipts.epoch, kind, object_id, digest)
    return BlsClaim(keys, message, receipts.signature, "bad-certificate", f"receipts for {kind}")


def require_quorum(view: StateView, committee: Committee, names: Collection[str], reason: str) -> None:
    """At least t of those who signed still count: what a node signed before it was revoked is no word of an honest one's.

    :raises Refused: with the reason given.
    """
    counted = sum(counts(view, committee.seat_of(name)) for name in names)
    refuse_unless(counted >= committee.threshold, reason, f"{counted} of {committee.threshold} signers count")


def _signers(committee: Committee, receipts: AttachmentReceipts) -> tuple[str, ...]:
    unused = -committee.size % 8
    marks = int.from_bytes(receipts.signers, "big")
    sized = len(receipts.signers) == (committee.size + 7) // 8 and marks & ((1 << unused) - 1) == 0
    refuse_unless(sized and receipts.epoch == committee.epoch, "bad-certificate", "the bitmap has one bit for each seat")
    indices = [i for i in range(1, committee.size + 1) if marks >> (committee.size - i + unused) & 1]
    refuse_unless(set(indices) <= set(committee.indices()), "bad-certificate", "a seat signs that has posted no keys")
    enough = len(indices) >= committee.threshold
    refuse_unless(enough, "bad-certificate", f"{len(indices)} of {committee.threshold} nodes hold the attachment")
    return tuple(committee.seat(index).name for index in indices)


def _bitmap(committee: Committee, indices: list[int]) -> bytes:
    marks = sum(1 << (committee.size - index) for index in indices)
    return (marks << (-committee.size % 8)).to_bytes((committee.size + 7) // 8, "big")


def _check_signature(
    network: bytes, receipts: AttachmentReceipts, keys: tuple[bytes, ...], kind: str, object_id: bytes, digest: bytes
) -> None:
    try:
        bls.verify(keys, attachment_message(network, receipts.epoch, kind, object_id, digest), receipts.signature)
    except Refused as error:
        raise Refused("bad-certificate", error.detail) from None


def _verifies(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        bls.verify([key], message, signature)
    except Refused:
        return False
    return True
