"""What the demonstration network of the printed suite orders, keeps and exports."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec.structs import replace

from salus import labels
from salus.codec import Bytes32, Message, Size, decode
from salus.consensus.block import ValidatorSet
from salus.consultation.published.messages import Directory, Request, Transaction2
from salus.errors import Refused, refuse_unless
from salus.symmetric import h2

MAX_EXPORT_BLOCKS: Final = 100_000


class Ordered(Message, frozen=True):
    """A printed transaction as the engine orders it: with its ciphertext C replaced by digest and size.

    The paper puts C itself into the transaction; a block is bounded, and a record may be larger. C goes to every node
    beside the transaction, and each verifies M_i1 or M_k1 over the whole.
    """

    KIND = "published.ordered"

    transaction: Request | Transaction2
    digest: Bytes32
    size_bytes: int

    @classmethod
    def of(cls, transaction: Request | Transaction2) -> tuple[Ordered, bytes]:
        """Split a transaction into what is ordered and its ciphertext."""
        C = ciphertext(transaction)
        return cls(_with_ciphertext(transaction, b""), body_digest(C), len(C)), C

    def whole(self, C: bytes) -> bytes:
        """The printed transaction with its ciphertext, encoded.

        :raises Refused: ``bad-body`` if C is another one.
        """
        refuse_unless(len(C) == self.size_bytes and body_digest(C) == self.digest, "bad-body")
        return _with_ciphertext(self.transaction, C).encode()


class Genesis(Message, frozen=True):
    """What the network starts from: the public directory and the first seats."""

    KIND = "published.genesis"

    directory: Directory
    validators: ValidatorSet
    time_ms: int

    def id(self) -> bytes:
        """Block 1's previous id."""
        return h2(labels.PRINTED_GENESIS, labels.SUITE_2019, self.to_value())


class ExportedBlock(Message, frozen=True):
    """A decided block and its certificate, both encoded."""

    KIND = "published.exported-block"

    block: Annotated[bytes, Size(1, 8 * 1024 * 1024)]
    certificate: Annotated[bytes, Size(1, 64 * 1024)]


class Export(Message, frozen=True):
    """All blocks in order: with the genesis enough to verify the ledger."""

    KIND = "published.export"

    blocks: Annotated[tuple[ExportedBlock, ...], Size(0, MAX_EXPORT_BLOCKS)]


def body_digest(C: bytes) -> bytes:
    """SHA-512, cut to 32 bytes, of a ciphertext."""
    return h2(labels.PRINTED_BODY, labels.SUITE_2019, C)


def ciphertext(transaction: Request | Transaction2) -> bytes:
    """C_PA or C_DO."""
    return transaction.transaction.C if isinstance(transaction, Request) else transaction.C


def decode_ordered(data: bytes) -> Ordered:
    """An ordered transaction whose own C is empty.

    :raises Refused: ``bad-encoding`` otherwise.
    """
    ordered = Ordered.from_value(decode(data))
    if ciphertext(ordered.transaction):
        raise Refused("bad-encoding", "an ordered transaction carries its ciphertext by digest")
    return ordered


def _with_ciphertext(transaction: Request | Transaction2, C: bytes) -> Request | Transaction2:
    if isinstance(transaction, Request):
        return replace(transaction, transaction=replace(transaction.transaction, C=C))
    return replace(transaction, C=C)
