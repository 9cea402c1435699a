"""Blocks, votes and certificates of the embedded engine: the types that engine, ledger and light clients share.

A block is named by the hash of its header; a certificate is ``quorum`` commit signatures of one view over that
name. Everything a replica signs is ``(label, network, kind, height, view, block id)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha512
from typing import Annotated, Final

import msgspec

from salus import _native, labels
from salus.codec import Blob, Bytes32, Bytes64, Label, Message, Name, Size, encode
from salus.consensus.interface import BlockInput, ValidatorUpdate
from salus.errors import Refused, refuse_unless
from salus.merkle import leaf_hash, tree_root
from salus.symmetric import h2

ZERO32: Final = bytes(32)
"""Digest in block 1's header, which has no certificate before it."""
MAX_VALIDATORS: Final = 100
"""Seats: votes grow with the square of their number; the design is measured up to 31."""
MAX_BLOCK_TRANSACTIONS: Final = 8192
"""Transactions of one block: several seconds of the network's highest rate."""
MAX_BLOCK_BYTES: Final = 6 * 1024 * 1024
"""Bytes of all transactions and evidence of one block: with its frame it fits one call of the transport."""
MAX_MISBEHAVIOUR: Final = MAX_VALIDATORS
"""Evidence in one block: one item for each seat."""

PRE_PREPARE: Final = "pre-prepare"
PREPARE: Final = "prepare"
COMMIT: Final = "commit"
VIEW_CHANGE: Final = "view-change"
NEW_VIEW: Final = "new-view"
CHECKPOINT: Final = "checkpoint"
EVIDENCE_KINDS: Final = (PRE_PREPARE, PREPARE, COMMIT)
"""Votes of which an honest replica signs at most one for each height and view."""
_TX_PREFIX: Final = encode((labels.TX, labels.SUITE_LEDGER, b""))[:-4]


class Validator(Message, frozen=True):
    """One seat.

    :ivar name: the node's name.
    :ivar public_key: Ed25519 consensus key, 32 bytes.
    """

    KIND = "validator"
    name: Name
    public_key: Bytes32


class ValidatorSet(Message, frozen=True):
    """The seats in the order of the ranking; every seat counts the same.

    :ivar members: distinct names and keys; the primary of height h in view v is ``members[(h + v) % n]``.
    """

    KIND = "validator-set"
    members: Annotated[tuple[Validator, ...], Size(1, MAX_VALIDATORS)]

    @property
    def faulty(self) -> int:
        """f: how many seats may be faulty, (n - 1) // 3."""
        return (len(self.members) - 1) // 3

    @property
    def quorum(self) -> int:
        """n - f, which is 2f + 1 for n = 3f + 1: two quorums share an honest member."""
        return len(self.members) - self.faulty

    def primary(self, height: int, view: int) -> Validator:
        """The seat whose turn it is to propose at ``height`` in ``view``."""
        return self.members[(height + view) % len(self.members)]

    def missed(self, height: int, view: int) -> tuple[str, ...]:
        """Names of the seats that missed their turn before a first proposal in ``view``, each once, in order.

        A view is not bounded, so that after a long outage only the first round through the seats is listed.
        """
        return tuple(self.primary(height, v).name for v in range(min(view, len(self.members))))

    def index(self, name: str) -> int:
        """Position of ``name``.

        :raises Refused: ``unknown-party`` if it has no seat.
        """
        for i, member in enumerate(self.members):
            if member.name == name:
                return i
        raise Refused("unknown-party", f"{name} has no seat in this validator set")

    def hash(self) -> bytes:
        """32 bytes that name this set in headers."""
        return h2(labels.VALIDATOR_SET, labels.SUITE_LEDGER, self.to_value())

    def changed(self, updates: Sequence[ValidatorUpdate]) -> ValidatorSet:
        """The set after ``updates``: power 0 removes a seat, a known name changes its key, a new name is appended.

        :raises Refused: ``bad-encoding`` if a non-member is removed, a key or name would be there twice, or nobody is left.
        """
        members = {m.name: m for m in self.members}
        for update in updates:
            if update.power == 0:
                refuse_unless(update.name in members, "bad-encoding", f"{update.name} has no seat to remove")
                del members[update.name]
            else:
                members[update.name] = Validator(update.name, update.public_key)
        refuse_unless(0 < len(members) <= MAX_VALIDATORS, "bad-encoding", f"a validator set of {len(members)} seats")
        keys = {m.public_key for m in members.values()}
        refuse_unless(len(keys) == len(members), "bad-encoding", "two seats with one consensus key")
        return ValidatorSet(tuple(members.values()))


class BlockHeader(Message, frozen=True):
    """What a block's name commits to.

    :ivar height: 1, 2, ..
    :ivar view: the view in which the block was first proposed; re-proposals keep it.
    :ivar previous_id: id of the block before, for block 1 the hash of the whole genesis.
    :ivar time_ms: UTC milliseconds, above the previous block's.
    :ivar transaction_root: RFC 6962 root over evidence and transactions (:func:`transaction_root`).
    :ivar proposer: name of the seat that first proposed it.
    :ivar validators_hash: set that votes on this block.
    :ivar next_validators_hash: set that votes on the next.
    :ivar previous_certificate_digest: of the certificate carried in this block; zeros in block 1.
    :ivar application_hash: after the previous block.
    """

    KIND = "block.header"
    height: int
    view: int
    previous_id: Bytes32
    time_ms: int
    transaction_root: Bytes32
    proposer: Name
    validators_hash: Bytes32
    next_validators_hash: Bytes32
    previous_certificate_digest: Bytes32
    application_hash: Bytes32

    def id(self) -> bytes:
        """The block's name, 32 bytes."""
        return h2(labels.BLOCK, labels.SUITE_LEDGER, self.to_value())


class CommitSignature(Message, frozen=True):
    """One seat's commit signature (Ed25519, 64 bytes) over :func:`vote_bytes`."""

    KIND = "commit-signature"
    name: Name
    signature: Bytes64


class Certificate(Message, frozen=True):
    """Proof that a block is decided: at least a quorum of commit signatures of one view.

    :ivar signatures: sorted by the order of the validator set, no seat twice.
    """

    KIND = "certificate"
    height: int
    view: int
    block_id: Bytes32
    signatures: Annotated[tuple[CommitSignature, ...], Size(1, MAX_VALIDATORS)]

    def digest(self) -> bytes:
        """32 bytes that stand for this very certificate in the next header."""
        return h2(labels.CERTIFICATE, labels.SUITE_LEDGER, self.to_value())


class Block(Message, frozen=True):
    """A proposed or decided block.

    :ivar transactions: encoded transactions in order, at most :data:`MAX_BLOCK_BYTES` together with the evidence.
    :ivar misbehaviour: encoded :class:`Equivocation` evidence.
    :ivar previous_certificate: of the block before; None in block 1.
    """

    KIND = "block"
    header: BlockHeader
    transactions: Annotated[tuple[Blob, ...], Size(0, MAX_BLOCK_TRANSACTIONS)]
    misbehaviour: Annotated[tuple[Blob, ...], Size(0, MAX_MISBEHAVIOUR)]
    previous_certificate: Certificate | None


class Equivocation(Message, frozen=True):
    """Evidence: two signatures of one seat, of the same kind, height and view, over different block ids.

    :ivar first_id: the smaller of the two ids, so that evidence has one encoding.
    """

    KIND = "equivocation"
    name: Name
    vote_kind: Label
    height: int
    view: int
    first_id: Bytes32
    first_signature: Bytes64
    second_id: Bytes32
    second_signature: Bytes64

    def verify(self, network: bytes, public_key: bytes) -> None:
        """Check that the evidence convicts the holder of ``public_key``.

        :raises Refused: ``bad-encoding`` if it is no equivocation, ``bad-signature`` if a signature fails.
        """
        refuse_unless(self.vote_kind in EVIDENCE_KINDS, "bad-encoding", f"votes of kind {self.vote_kind} convict nobody")
        refuse_unless(self.first_id < self.second_id, "bad-encoding", "evidence needs two different ids, the smaller first")
        items = [
            (public_key, vote_bytes(network, self.vote_kind, self.height, self.view, self.first_id), self.first_signature),
            (public_key, vote_bytes(network, self.vote_kind, self.height, self.view, self.second_id), self.second_signature),
        ]
        refuse_unless(all(_native.ed25519_verify_batch(items)), "bad-signature", f"evidence against {self.name}")


class CertifiedHeader(Message, frozen=True):
    """A header and the certificate that decided it: what light clients follow."""

    KIND = "certified-header"
    header: BlockHeader
    certificate: Certificate


class BlockRecord(msgspec.Struct, frozen=True):
    """A decided block with its certificate, decoded."""

    block: Block
    certificate: Certificate


def vote_bytes(network: bytes, kind: str, height: int, view: int, block_id: bytes) -> bytes:
    """What a replica signs.

    :param network: network id, 32 bytes.
    :param kind: one of the vote kinds of this module.
    """
    return encode((labels.VOTE, labels.SUITE_LEDGER, network, kind, height, view, block_id))


def transaction_hash(transaction: bytes) -> bytes:
    """``H2("tx", bytes)``: the name of an encoded transaction, 32 bytes."""
    # The encoding of (label, suite, bytes), put together here: the most frequent hash of all.
    return sha512(_TX_PREFIX + len(transaction).to_bytes(4, "big") + transaction).digest()[:32]


def transaction_root(transactions: Sequence[bytes], misbehaviour: Sequence[bytes]) -> bytes:
    """RFC 6962 root over the hashes of evidence ("e") and transactions ("t"), evidence first."""
    return root_of_hashes([transaction_hash(item) for item in transactions], [transaction_hash(item) for item in misbehaviour])


def root_of_hashes(transactions: Sequence[bytes], misbehaviour: Sequence[bytes]) -> bytes:
    """:func:`transaction_root` from hashes (32 bytes each), where the body is not there."""
    leaves = [leaf_hash(b"e" + item) for item in misbehaviour]
    leaves += [leaf_hash(b"t" + item) for item in transactions]
    return tree_root(leaves)


def check_body(block: Block) -> None:
    """Whether the body is the one the header commits to, and within bounds.

    :raises Refused: ``too-large`` or ``bad-encoding``.
    """
    size = sum(map(len, block.transactions)) + sum(map(len, block.misbehaviour))
    refuse_unless(size <= MAX_BLOCK_BYTES, "too-large", f"a block body of {size} bytes, at most {MAX_BLOCK_BYTES}")
    root = transaction_root(block.transactions, block.misbehaviour)
    refuse_unless(root == block.header.transaction_root, "bad-encoding", "the body does not have the header's transaction root")
    certificate = block.previous_certificate
    digest = ZERO32 if certificate is None else certificate.digest()
    refuse_unless(digest == block.header.previous_certificate_digest, "bad-encoding", "not the certificate that the header names")


def verify_certificate(certificate: Certificate, network: bytes, validators: ValidatorSet) -> None:
    """Check a certificate under the set of its own height.

    :param network: network id, 32 bytes.
    :raises Refused: ``no-quorum`` for too few or repeated signers, ``unknown-party`` for a signer without a seat,
        ``bad-signature`` if a signature fails (ZIP-215).
    """
    keys = {m.name: (i, m.public_key) for i, m in enumerate(validators.members)}
    count = len(certificate.signatures)
    refuse_unless(count >= validators.quorum, "no-quorum", f"certificate of {count} signatures, {validators.quorum} needed")
    message = vote_bytes(network, COMMIT, certificate.height, certificate.view, certificate.block_id)
    items, last = [], -1
    for signature in certificate.signatures:
        refuse_unless(signature.name in keys, "unknown-party", f"{signature.name} has no seat at height {certificate.height}")
        index, key = keys[signature.name]
        refuse_unless(index > last, "no-quorum", "certificate signatures repeat a seat or are out of order")
        last = index
        items.append((key, message, signature.signature))
    good = _native.ed25519_verify_batch(items)
    refuse_unless(all(good), "bad-signature", f"certificate of height {certificate.height}")


def verify_decided(header: BlockHeader, certificate: Certificate, network: bytes, validators: ValidatorSet) -> None:
    """Check that ``certificate`` decided ``header`` under ``validators``, the set the header names.

    :raises Refused: as :func:`verify_certificate`; ``bad-signature`` if it is another block's.
    """
    known = header.validators_hash == validators.hash()
    refuse_unless(known, "bad-signature", f"header {header.height} names another validator set")
    same = certificate.height == header.height and certificate.block_id == header.id()
    refuse_unless(same, "bad-signature", f"the certificate is not of block {header.height}")
    verify_certificate(certificate, network, validators)


def block_input(block: Block, validators: ValidatorSet) -> BlockInput:
    """What the application may depend on; ``validators`` is the set of the block's own height."""
    header = block.header
    missed = validators.missed(header.height, header.view)
    return BlockInput(header.height, header.time_ms, header.proposer, missed, block.misbehaviour, block.transactions)
