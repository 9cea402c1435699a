"""Claim: every byte of every message of sharing that is stored or sent, flipped once, is noticed; and no message is forgotten.

Transactions are flipped here, each at the moment at which a chain would take it; so are values of the state under their proofs,
and the answers of nodes and clouds that nothing else covers. Every other kind is named with the test that flips it, or with those
that hold it. A message type that is added and named nowhere fails.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from msgspec.structs import replace

from salus import labels
from salus.abpre.threshold.alpha import AlphaSharing
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.committee import Committee
from salus.abpre.threshold.scalar_deals import ScalarSharing
from salus.cloud import sharing_messages as sm
from salus.codec import Message, decode, message_types
from salus.consultation.registration import verify_member_signature
from salus.errors import CodecError, refuse_unless
from salus.groups import multi_signatures as bls
from salus.groups.ristretto255 import base_mul, random_scalar
from salus.ledger import sharing_api as m
from salus.ledger.kinds.all import REGISTRY
from salus.ledger.kinds.sharing import all as sharing_kinds
from salus.ledger.kinds.sharing import attachments, records
from salus.ledger.kinds.sharing.access_log import AccessEntry
from salus.ledger.kinds.sharing.attachments import open_c, seal_c
from salus.ledger.kinds.sharing.constants import SharingConstants
from salus.ledger.kinds.sharing.messages.common import UNSIGNED
from salus.ledger.merkle_map import prove, value_digest
from salus.ledger.reading import check_reader, prove_owner
from salus.records.digest import (
    SEALED_SEGMENT_BYTES,
    SEGMENT_BYTES,
    BodyDigester,
    digest_body,
    prove_range,
    verify_range,
)
from salus.records.record import (
    RecordMetadata,
    RecordPlace,
    SealedMetadata,
    encrypt_record,
    metadata_hash,
    open_metadata,
    seal_metadata,
)
from salus.search.answer_box import open_answer, seal_answer
from support.consultation_world import SeededRandom, flip, refusal
from support.flipped_transactions import Flipped
from support.instances import all_message_types

ROOT = Path(__file__).resolve().parents[3]
OWN = ("salus.abpre", "salus.search", "salus.ledger.kinds.sharing", "salus.node.sharing", "salus.terminal.sharing")
ALONE = (
    "salus.ledger.sharing_api",
    "salus.ledger.access_proofs",
    "salus.ledger.access_export",
    "salus.cloud.sharing_messages",
    "salus.cloud.sharing_records",
    "salus.cloud.wanted",
    "salus.records.record",
    "salus.records.digest",
)


def of_sharing() -> dict[str, type[Message]]:
    """Every message type of sharing, by kind."""
    all_message_types()  # imports the whole package
    found = [t for t in message_types() if t.__module__.startswith(OWN) or t.__module__ in ALONE]
    return {t.KIND: t for t in found if t.__module__.startswith("salus.")}


# --- transactions ---


ELSEWHERE = {
    "sharing.complaint": "tests/attacks/threshold/test_flipped_messages.py::test_a_complaint",
    "key.evidence": "tests/attacks/threshold/test_flipped_messages.py::test_partial_keys_demands_and_evidence",
    "share.evidence": "tests/attacks/threshold/test_flipped_messages.py::test_partial_transformations_claims_and_evidence",
}
"""Transactions that are evidence: flipped where the library judges them."""


@pytest.fixture(scope="module")
def flipped() -> Flipped:
    return Flipped()


def test_every_kind_of_transaction_is_flipped(flipped: Flipped) -> None:
    kinds = {spec.message.KIND for spec in sharing_kinds.KINDS}
    assert kinds <= {spec.message.KIND for spec in REGISTRY.kinds()}
    assert kinds == set(flipped.missed) | set(ELSEWHERE)


def test_no_flipped_byte_of_a_transaction_is_taken(flipped: Flipped) -> None:
    assert {kind: places for kind, places in flipped.missed.items() if places} == {}


def test_no_transaction_makes_the_judging_fail(flipped: Flipped) -> None:
    """A node that fails instead of refusing would stop, and with it every other one that sees the block."""
    assert set(flipped.twisted) == set(flipped.missed)
    assert min(flipped.twisted.values()) > 4
    assert flipped.failed == []


# --- what holds what ---


def parts(cls: type[Message]) -> Iterator[type[Message]]:
    """Message types that a message type holds, at any depth."""
    for hint in get_type_hints(cls, include_extras=True).values():
        yield from _inside(hint)


def _inside(hint: Any) -> Iterator[type[Message]]:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if isinstance(hint, type) and issubclass(hint, Message):
        yield hint
        yield from parts(hint)
    for inner in get_args(hint):
        if inner is not hint:
            yield from _inside(inner)


# --- the state ---


def test_no_flipped_byte_of_a_value_of_the_state_fits_its_proof(flipped: Flipped) -> None:
    """The first value of each kind: a proof names the digest of its very bytes."""
    application = flipped.chain.application
    tree, height = application.tree(), application.head().height
    seen = set()
    for chunk in application.store.leaves():
        for key, value in chunk:
            kind = _kind_of(value)
            if kind in seen:
                continue
            seen.add(kind)
            digest = prove(tree, key, height).leaf_digest
            assert value_digest(value) == digest
            assert [i for i in range(len(value)) if value_digest(flip(value, i, i % 8)) == digest] == []
    assert seen >= STATE


def _kind_of(value: bytes) -> str:
    for raw in (value, value[8:]):  # values that expire begin with their time
        try:
            return str(decode(raw)[0])
        except (CodecError, IndexError, TypeError):
            continue
    return ""


# --- what nodes, clouds and readers send ---


def noticed(message: Message, reader: Callable[[Any], object], unproven: tuple[str, ...] = ()) -> None:
    """Flip a bit of each byte and read it; ``unproven`` are fields that change the question and nothing else."""
    data, kind = message.encode(), type(message)
    assert refusal(lambda: reader(kind.decode(data))) is None, "the honest message is accepted"
    missed = []
    for i in range(len(data)):
        spoilt = flip(data, i, i % 8)
        if refusal(lambda spoilt=spoilt: reader(kind.decode(spoilt))) is None:
            other = kind.decode(spoilt)
            missed += [name for name in kind.__struct_fields__ if getattr(other, name) != getattr(message, name)]
    assert set(missed) <= set(unproven)


def test_proofs_of_readers_and_owners(flipped: Flipped) -> None:
    chain, world = flipped.chain, flipped.chain.world
    now, cloud = chain.time_ms, world.cloud.name
    proof = prove_owner(flipped.owner, flipped.own, cloud, now, world.random)
    read = lambda shown: check_reader(chain.view, world.network, shown, cloud, now, now)  # noqa: E731
    noticed(proof, read)
    # What is asked for beside the proof is no secret and no promise: the answer is compared with the digest.
    noticed(sm.RecordInfoRequest(proof), lambda asked: read(asked.proof))
    noticed(sm.RecordRange(proof, 0, 100), lambda asked: read(asked.proof), ("offset", "count"))
    noticed(sm.RecordProof(proof, 0, 1), lambda asked: read(asked.proof), ("first", "count"))
    noticed(m.MetadataRequest(proof), lambda asked: read(asked.proof))


def test_requests_among_nodes_and_clouds(flipped: Flipped) -> None:
    world = flipped.chain.world
    node, cloud = world.nodes[0].member, world.cloud
    draft = m.AttachmentRequest(node.name, "b", "metadata", bytes(16), bytes(32), bytes(32), 1, UNSIGNED)
    asked = replace(draft, signature=node.sign(world.network, labels.SIG_FETCH, draft.signed(), world.random))
    other = sm.RecordRepair(bytes(16), bytes(32), 0, 10, cloud.name, "b", 1, UNSIGNED)
    repair = replace(other, signature=cloud.sign(world.network, labels.SIG_FETCH, other.signed(), world.random))
    for message, who in ((asked, node), (repair, cloud)):

        def verify(read: Any, who: Any = who) -> None:
            name = read.node if who is node else read.cloud
            verify_member_signature(world.network, labels.SIG_FETCH, name, who.W_bytes, read.signed(), read.signature)

        noticed(message, verify)


def test_receipts_of_nodes(flipped: Flipped) -> None:
    """A receipt that was altered on its way is left out of the certificate; one that is in it is checked with the others."""
    world, committee = flipped.chain.world, flipped.chain.committee()
    seats = [(n.member.name, n.bls.public) for n in world.nodes]
    tx_hash, secrets = bytes(range(32)), [n.bls.export_secret() for n in world.nodes]
    pending = [
        m.PendingReceipt(tx_hash, name, bls.sign(secret, m.pending_message(world.network, tx_hash)))
        for (name, _), secret in zip(seats, secrets, strict=True)
    ]
    noticed(pending[0], lambda receipt: m.make_pending_certificate(world.network, seats, [pending[1], receipt]))
    certificate = m.make_pending_certificate(world.network, seats, pending[:2])

    def check(shown: m.PendingCertificate) -> None:
        refuse_unless(shown.tx_hash == tx_hash, "wrong-request")
        m.check_pending_certificate(world.network, seats, shown)

    noticed(certificate, check)
    about, digest = bytes(16), bytes(32)
    signed = {
        seat.name: attachments.sign_attachment(
            world.network, 1, world.node(seat.name).bls.export_secret(), "metadata", about, digest
        )
        for seat in committee.seats[:3]
    }
    first = committee.seats[0].name
    receipt = m.AttachmentReceipt(1, first, about, digest, signed[first])
    keys = {name: world.node(name).bls.public for name in signed}

    def gather(shown: m.AttachmentReceipt) -> None:
        same = (shown.epoch, shown.node, shown.about, shown.digest) == (1, first, about, digest)
        refuse_unless(same, "wrong-request")
        found = {**signed, shown.node: shown.signature}
        attachments.gather_receipts(world.network, committee, keys, "metadata", about, digest, found)

    noticed(receipt, gather)


def test_metadata_bodies_and_their_proofs() -> None:
    random = SeededRandom("flipped bodies")
    place, k, sink = RecordPlace(bytes(32), random(16), random(32)), random(32), io.BytesIO()
    summary = encrypt_record(io.BytesIO(random(300)), k, place, sink, random=random)
    body = sink.getvalue()
    size_bytes = len(body)
    about = RecordMetadata(
        ("salus/cloud",), summary.digest, size_bytes, labels.SUITE_RECORDS_2, 1, "lab", "2025Q3", "text/plain", "note.txt"
    )
    sealed = seal_metadata(about, k, place, random)
    named = metadata_hash(place.network, place.rid, sealed)

    def opened(data: bytes) -> RecordMetadata:
        return open_metadata(data, named, k, place)

    noticed(SealedMetadata.decode(sealed), lambda read: opened(read.encode()))
    noticed(m.Metadata(sealed), lambda read: opened(read.data))
    noticed(m.Attachment(sealed, None), lambda read: opened(read.metadata or b""))
    key = BoxKey.generate(random)
    c = seal_c(place.network, 0, "a/node", key.Er, bytes(32), bytes(48), random)

    def give(read: m.Attachment) -> None:
        refuse_unless(read.c is not None, "bad-delegation")
        assert read.c is not None
        refuse_unless(open_c(place.network, 0, "a/node", key.er, bytes(32), read.c) == bytes(48), "bad-delegation")

    noticed(m.Attachment(None, c), give)
    noticed(sm.RecordInfo(sealed, len(body)), lambda read: opened(read.sealed), ("size_bytes",))
    tag = records.digest_tag(place.network, summary.digest)

    def piece(read: sm.RecordPiece) -> None:
        opened(read.sealed)
        refuse_unless(records.digest_tag(place.network, read.digest) == tag, "bad-body")
        digester = BodyDigester(suite=labels.SUITE_RECORDS_2)
        digester.update(read.data)
        whole = digester.finish()
        refuse_unless((whole.digest, whole.size_bytes) == (read.digest, read.size_bytes), "bad-body")

    noticed(sm.RecordPiece(sealed, summary.digest, len(body), body), piece)
    outline = io.BytesIO()
    long = encrypt_record(io.BytesIO(random(5 * SEGMENT_BYTES)), k, place, sink := io.BytesIO(), random=random)
    digest_body(io.BytesIO(sink.getvalue()), outline=outline, suite=labels.SUITE_RECORDS_2)
    proof = prove_range(outline.getvalue(), long.size_bytes, 2, 1, labels.SUITE_RECORDS_2)
    segment = sink.getvalue()[2 * SEALED_SEGMENT_BYTES : 3 * SEALED_SEGMENT_BYTES]
    noticed(proof, lambda read: verify_range(long, read, segment))


def test_answers_to_questions(flipped: Flipped) -> None:
    world = flipped.chain.world
    node, er = world.nodes[0].member, random_scalar(world.random)
    request = bytes(range(32))
    box = seal_answer(world.network, request, node, base_mul(er).encode(), b"some hits", world.random)
    noticed(box, lambda read: open_answer(world.network, request, node.name, node.W_bytes, er, read))


# --- no message is forgotten ---

FLIPS = "tests/attacks/abpre/test_every_byte_flipped_messages.py"
SCHEME = "tests/attacks/abpre/test_every_byte_flipped_sharing.py::test_every_flipped_byte_is_refused"
THRESHOLDS = "tests/attacks/threshold/test_flipped_messages.py"
EXPORT = "tests/application/sharing/test_access_export.py::test_every_byte_but_the_owners_word_is_proven"
WALLET = (
    "tests/unit/terminal/test_sealed.py::test_every_flipped_byte_and_every_truncation_is_damage_before_any_passphrase_is_tried"
)
VERIFIED = "tests/network/sharing/test_verifying.py::test_one_damaged_file_is_found_and_its_party_named"

COVERED = {
    **dict.fromkeys(("abpre.key", "abpre.parameters", "abpre.rekey", "abpre.transformed"), SCHEME),
    "delegation.deletion": f"{THRESHOLDS}::test_deletions_and_receipts",
    **dict.fromkeys(("access.export", "access.proof", "access.scope"), EXPORT),
    "search.question-box": "tests/unit/search/test_question.py::test_every_byte_counts",
    "search.answer-box": f"{FLIPS}::test_answers_to_questions",
    **dict.fromkeys(("sharing.pending-receipt", "sharing.pending-certificate"), f"{FLIPS}::test_receipts_of_nodes"),
    "sharing.attachment-receipt": f"{FLIPS}::test_receipts_of_nodes",
    **dict.fromkeys(("sharing.attachment-request", "cloud.record-repair"), f"{FLIPS}::test_requests_among_nodes_and_clouds"),
    **dict.fromkeys(
        (
            "sharing.read-proof", "sharing.metadata-request", "cloud.record-info-request", "cloud.record-range",
            "cloud.record-proof",
        ),
        f"{FLIPS}::test_proofs_of_readers_and_owners",
    ),
    **dict.fromkeys(
        ("records.metadata", "records.sealed-metadata", "records.range-proof", "sharing.metadata", "cloud.record-info"),
        f"{FLIPS}::test_metadata_bodies_and_their_proofs",
    ),
    "sharing.attachment": f"{FLIPS}::test_metadata_bodies_and_their_proofs",
    "cloud.record-piece": f"{FLIPS}::test_metadata_bodies_and_their_proofs",
    "cloud.record-entry": VERIFIED,
    # in wallets, which are sealed as a whole
    **dict.fromkeys(("search.known-token", "search.token-book"), WALLET),
    **dict.fromkeys(
        (
            "wallet.attribute-key", "wallet.delegation", "wallet.followed", "wallet.found-records", "wallet.known-index-key",
            "wallet.pending-key", "wallet.pending-opening", "wallet.pending-order", "wallet.record", "wallet.scope",
            "wallet.share",
        ),
        WALLET,
    ),
}  # fmt: skip
"""Kinds, and the test that flips every byte of them (or of what holds them)."""

QUESTIONS = {
    "sharing.accept-request": "check.verdict",
    "sharing.acceptance-request": "check.verdict",
    "sharing.store-request": "sharing.pending-receipt",
    "sharing.verdict-request": "check.verdict",
    "sharing.claim-request": "share.partial-claim",
    "sharing.partial-request": "share.partial",
    "sharing.partial-key-request": "key.partial",
    "sharing.evaluate-request": "search.evaluation",
    "sharing.search-request": "search.answer-box",
    "sharing.deletion-request": "delegation.deletion",
    "sharing.attach-delegation": "sharing.attachment-receipt",
    "sharing.attach-metadata": "sharing.attachment-receipt",
    "cloud.record-keep": "record.upload",
}
"""Kinds that are a question and nobody's word: one that is altered asks for something else, and whoever asked compares the
answer, a signature over what was asked for, which is of this kind."""

PARTS_OF_STATE = {"state.deal-ref", "state.scalar-phase", "state.held-attribute"}
STATE = {t.KIND for t in (AlphaSharing, ScalarSharing, Committee, SharingConstants, AccessEntry)} | {
    kind for kind in of_sharing() if kind.startswith("state.") and kind not in PARTS_OF_STATE
}
"""Values of the state: no byte differs without another digest in the map."""

HELD_BY = {
    "sharing.acceptance": ("check.verdict", "sharing.pending-certificate"),
    "sharing.seat": ("sharing.committee",),
    "state.deal-ref": ("state.sharing-epoch",),
    "state.scalar-phase": ("state.sharing-epoch",),
    "state.held-attribute": ("state.holding",),
    "sharing.search-answer": ("search.answer-box",),
    "sharing.search-hit": ("search.answer-box",),
    "search.index-entry": ("record.put",),
    "search.index-page": ("record.put",),
    "search.page-entry": ("record.put",),
    "search.token-key": ("sharing.scalar", "sharing.committee"),
    "search.key-holder": ("sharing.scalar", "sharing.committee"),
    "node.open-items": ("state.share", "state.key-demand", "state.delegation"),
    "node.open-item": ("state.share", "state.key-demand", "state.delegation"),
    "cloud.wanted-record": ("state.record",),
}
"""Kinds that say nothing of their own: parts of other kinds, or a note of what the ledger has, which is looked up there."""

SHOWN = {"sharing.status", "sharing.status-request", "sharing.epoch-held"}
"""Shown to whoever runs a node, and believed by no program."""


def test_every_message_of_sharing_is_covered() -> None:
    everything = of_sharing()
    transactions = {spec.message.KIND for spec in sharing_kinds.KINDS}
    whole = transactions | STATE | set(COVERED)
    with_parts = whole | {part.KIND for kind in whole if kind in everything for part in parts(everything[kind])}
    assert {answer for answer in QUESTIONS.values() if answer not in with_parts} == set()
    assert {held for holders in HELD_BY.values() for held in holders if held not in with_parts} == set()
    left = set(everything) - with_parts - set(QUESTIONS) - set(HELD_BY) - SHOWN
    assert left == set(), "say where each byte of these is flipped"
    named = set(COVERED) | set(QUESTIONS) | set(HELD_BY) | SHOWN
    assert named - set(everything) == set(), "there are no such messages (any more)"


@pytest.mark.parametrize("place", sorted({*COVERED.values(), *ELSEWHERE.values()}))
def test_the_tests_that_are_named_are_there(place: str) -> None:
    path, _, name = place.partition("::")
    functions = {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)}
    assert name in functions
