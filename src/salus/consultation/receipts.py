"""The cloud's two receipts: for an upload (anyone can check it) and for storage under the ledger (sealed to the sender).

Steps: docs/protocol/consultation.md, "receipts".
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec.structs import replace

from salus import labels
from salus.codec import Bytes32, Bytes64, Message, Name, Size
from salus.consultation.credentials import Pid
from salus.consultation.registration import SUITE, MemberKey, verify_member_signature
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Point, Scalar, decode_point
from salus.symmetric import Random, kdf, seal, unseal

_UNSIGNED: Final = bytes(64)
Value = tuple[Any, ...]


class UploadReceipt(Message, frozen=True):
    """U: the cloud holds a body of this digest and size until then; part of the transaction that names the body.

    :ivar cloud: the cloud's name.
    :ivar keep_until_ms: block time until which the body is kept even if no transaction names it.
    :ivar signature: over (network, digest, size, keep-until), label ``sig-upload``.
    """

    KIND = "receipt.upload"

    cloud: Name
    keep_until_ms: int
    signature: Bytes64


def _upload_message(network: bytes, digest: bytes, size_bytes: int, keep_until_ms: int) -> Value:
    return (network, digest, size_bytes, keep_until_ms)


def sign_upload(
    network: bytes, cloud: MemberKey, digest: bytes, size_bytes: int, keep_until_ms: int, random: Random
) -> UploadReceipt:
    """The cloud's receipt for a body it has hashed and holds durably (receipts, step 1)."""
    message = _upload_message(network, digest, size_bytes, keep_until_ms)
    return UploadReceipt(cloud.name, keep_until_ms, cloud.sign(network, labels.SIG_UPLOAD, message, random))


def check_upload(network: bytes, receipt: UploadReceipt, digest: bytes, size_bytes: int, W_C: bytes | Point) -> None:
    """Check an upload receipt (receipts, step 2); how long it must keep is the ledger's rule.

    :param W_C: public key looked up under ``receipt.cloud``.
    :raises Refused: ``bad-receipt``.
    """
    message = _upload_message(network, digest, size_bytes, receipt.keep_until_ms)
    _as_bad_receipt(network, labels.SIG_UPLOAD, receipt.cloud, W_C, message, receipt.signature)


class StorageReceipt(Message, frozen=True):
    """The cloud's word that the body of a *committed* transaction is filed: under the pseudonym, the one-time key and the doctor.

    :ivar PID: PID1 of a request, PID2 of a reply.
    :ivar A: A of a request, A_D of a reply.
    """

    KIND = "receipt.storage"

    PID: Pid
    A: Bytes32
    ID_D: Name
    height: int
    tx_hash: Bytes32
    digest: Bytes32
    size_bytes: int
    cloud: Name
    signature: Bytes64


class SealedReceipt(Message, frozen=True):
    """A storage receipt that only the holder of a (or a_D) can open."""

    KIND = "receipt.sealed"

    nonce: Bytes32
    box: Annotated[bytes, Size(16, 4096)]


def _storage_message(receipt: StorageReceipt) -> Value:
    return receipt.to_value()[:-1]


def _receipt_key(shared: Point, network: bytes, tx_hash: bytes, nonce: bytes) -> tuple[bytes, tuple[bytes, bytes, bytes]]:
    context = (network, tx_hash, nonce)
    return kdf(labels.RECEIPT, SUITE, [shared.encode()], context), context


def seal_storage_receipt(
    network: bytes, cloud: MemberKey, PID: bytes, A: bytes, ID_D: str, height: int, tx_hash: bytes, digest: bytes,
    size_bytes: int, random: Random,
) -> SealedReceipt:  # fmt: skip
    """Sign and seal a storage receipt to the one-time key of a committed transaction (receipts, steps 3 and 4).

    :raises Refused: ``bad-point`` if A is not one.
    """
    draft = StorageReceipt(PID, A, ID_D, height, tx_hash, digest, size_bytes, cloud.name, _UNSIGNED)
    receipt = replace(draft, signature=cloud.sign(network, labels.SIG_RECEIPT, _storage_message(draft), random))
    nonce = random(32)
    key, context = _receipt_key(decode_point(A, "A").mul(cloud.s), network, tx_hash, nonce)
    return SealedReceipt(nonce, seal(key, receipt.encode(), context))


def open_storage_receipt(
    network: bytes, sealed: SealedReceipt, a: Scalar, W_C: bytes, tx_hash: bytes, expected: StorageReceipt
) -> StorageReceipt:
    """Open and check a storage receipt (receipts, step 5).

    :param a: the one-time secret of the transaction.
    :param expected: what the transaction says; its ``height`` and ``signature`` are ignored.
    :raises Refused: ``bad-receipt``.
    """
    key, context = _receipt_key(decode_point(W_C, "W_C").mul(a), network, tx_hash, sealed.nonce)
    receipt = StorageReceipt.decode(unseal(key, sealed.box, context, "bad-receipt"))
    same = replace(receipt, height=expected.height, signature=expected.signature) == expected
    refuse_unless(same and receipt.tx_hash == tx_hash, "bad-receipt", "the receipt is for something else")
    _as_bad_receipt(network, labels.SIG_RECEIPT, receipt.cloud, W_C, _storage_message(receipt), receipt.signature)
    return receipt


def _as_bad_receipt(network: bytes, label: str, cloud: str, W_C: bytes | Point, message: Value, signature: bytes) -> None:
    try:
        verify_member_signature(network, label, cloud, W_C, message, signature)
    except Refused as error:
        raise Refused("bad-receipt", error.detail) from None
