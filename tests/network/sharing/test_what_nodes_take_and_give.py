"""Claim: a node gives c and sealed metadata to other keepers alone, and signs for a delegation that it checked, or not at all.

c under the committee's key is what a revocation destroys: who has it from a node has it for ever. And what 2f + 1 nodes signed
is what the ledger believes: a node that signs unseen signs for what nobody has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from salus import labels
from salus.abpre.language import parse
from salus.abpre.rekeys import Coins
from salus.abpre.threshold import delegations as dg
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.groups import Z
from salus.consultation.registration import MemberKey, verify_member_signature
from salus.errors import Refused
from salus.groups.bls12_381 import G1, decode_g1
from salus.ledger import sharing_api as m
from salus.ledger.handing_out import attach_delegation
from salus.ledger.kinds.sharing import committee_state
from salus.ledger.kinds.sharing.attachments import DELEGATION_C, METADATA, open_c
from salus.ledger.kinds.sharing.messages import records as mr
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.reading import PROOF_AGE_MS
from salus.records.record import record_id
from support.consultation_world import weaken
from support.embedded import found_network
from support.sharing_network import DAY_MS, POLICY, Sharing
from support.stored_record import Stored

STRANGER = "st-anne/board"


@dataclass
class Kept:
    """A network whose nodes keep c of a delegation and a record's sealed metadata."""

    world: Sharing
    stored: Stored
    delegation: bytes

    @property
    def sealed(self) -> dg.SealedDelegation:
        return self.world.delegation(self.delegation).sealed

    def wanted(self) -> dict[str, tuple[bytes, bytes]]:
        """Object and digest of each sort."""
        return {DELEGATION_C: (self.delegation, self.sealed.c_digest), METADATA: (self.stored.rid, self.stored.hashed)}

    def ask(self, key: MemberKey, sort: str, after: dict[str, Any] | None = None, **parts: Any) -> str:
        """A question to node 1, signed with a key; fields other than an honest node 2 would write: ``parts``.

        :param after: what is altered after signing. :return: the reason of the refusal; empty if it was given.
        """
        world, about = self.world, self.wanted()[sort]
        box = BoxKey.generate(world.random)
        honest = (world.node(2).name, world.node(1).name, sort, *about, box.Er, world.network.now_ms(), UNSIGNED)
        draft = replace(m.AttachmentRequest(*honest), **parts)
        signature = key.sign(world.id, labels.SIG_FETCH, draft.signed(), world.random)
        try:
            data = world.call(world.node(1).name, m.ATTACHMENT, replace(draft, signature=signature, **(after or {})))
        except Refused as refused:
            return refused.reason
        answer = m.Attachment.decode(data)
        if sort == METADATA:
            assert len(answer.metadata or b"") > 40
        else:
            assert answer.c is not None
            c = open_c(world.id, 0, draft.node, box.er, draft.about, answer.c)
            assert dg.digest_of_c(world.id, draft.about, c) == draft.digest
        return ""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with found_network(tmp_path_factory.mktemp("takers") / "home") as network:
        world = Sharing(network)
        stored = Stored(world, world.owner())
        stored.put()
        yield Kept(world, stored, world.delegate(stored.owner, world.key(stored.owner)))


def node_key(kept: Kept, place: int) -> MemberKey:
    return kept.world.node(place).sharing.around.member


SORTS = [DELEGATION_C, METADATA]


@pytest.mark.parametrize("sort", SORTS)
def test_only_another_keeper_is_given_an_attachment(kept: Kept, sort: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = kept.world
    stranger, cloud, centre = world.institution(STRANGER), world.network.cloud.gateway._key, world.network.centre
    assert kept.ask(node_key(kept, 2), sort) == ""
    # under its own name, a node's, or that of a node whose key it does not have
    for key in (stranger, cloud, node_key(kept, 3)):
        assert kept.ask(key, sort) == "bad-signature"
    for name in (STRANGER, world.network.cloud_name, centre.name, "nobody/at-all"):
        assert kept.ask(stranger, sort, node=name) == "not-a-member"
    # a node's own words, overheard, at another node, late, or about something else
    overheard = world.network.now_ms() - PROOF_AGE_MS - 1000
    assert kept.ask(node_key(kept, 2), sort, time_ms=overheard) == "wrong-request"
    assert kept.ask(node_key(kept, 2), sort, party=world.node(0).name) == "wrong-request"
    for part in ({"digest": bytes(32)}, {"about": world.random(len(kept.wanted()[sort][0]))}):
        assert kept.ask(node_key(kept, 2), sort, **part) == "not-found"
    weaken(monkeypatch, verify_member_signature, lambda *parts: None)
    assert kept.ask(stranger, sort) == "", "without the signature it is enough to know a node's name"


def test_a_question_altered_on_its_way_is_refused(kept: Kept) -> None:
    """Each part that a node's words could be turned by is signed."""
    key, world = node_key(kept, 2), kept.world
    about, digest = kept.wanted()[METADATA]
    for part, other in {
        "node": world.node(3).name,
        "about": about,
        "digest": digest,
        "time_ms": world.network.now_ms() + 1000,
    }.items():
        assert kept.ask(key, DELEGATION_C, after={part: other}) == "bad-signature", part
    assert kept.ask(key, DELEGATION_C, after={"sort": METADATA, "about": about, "digest": digest}) == "bad-signature"


# --- taking ---


def sealed_delegation(kept: Kept) -> tuple[dg.SealedDelegation, bytes]:
    """A fresh delegation of the owner, and its c, which nobody has yet."""
    world, owner = kept.world, kept.stored.owner
    z = committee_state.scalar_public(world.view, world.epoch, Z)
    expires_ms = world.network.now_ms() + 30 * DAY_MS
    return dg.seal_delegation(
        world.id, world.epoch, world.parameters, z.key, world.key(owner), owner.attribute, parse(POLICY), expires_ms,
        Coins.draw(world.random), world.random,
    )  # fmt: skip


def moved(data: bytes) -> bytes:
    return (decode_g1(data, "point") + G1.generator()).encode()


def other_digest(kept: Kept, sealed: dg.SealedDelegation, c: bytes) -> tuple[dg.SealedDelegation, bytes]:
    return sealed, moved(c)


LIES: dict[str, Callable[[Kept, dg.SealedDelegation, bytes], tuple[dg.SealedDelegation, bytes]]] = {
    "another c": other_digest,
    "no c": lambda kept, sealed, c: (sealed, bytes([0xC0]) + bytes(47)),
    "c of another delegation": lambda kept, sealed, c: (sealed, sealed_delegation(kept)[1]),
    "an R that does not fit": lambda kept, sealed, c: (replace(sealed, R=moved(sealed.R)), c),
    "an rk4 that does not fit": lambda kept, sealed, c: (replace(sealed, rk4=replace(sealed.rk4, D=moved(sealed.rk4.D))), c),
    "the P of another": lambda kept, sealed, c: (replace(sealed, P=kept.sealed.P), c),
    "another expiry": lambda kept, sealed, c: (replace(sealed, expires_ms=sealed.expires_ms + DAY_MS), c),
    "another id": lambda kept, sealed, c: (replace(sealed, delegation=bytes(32)), c),
}
ABOUT_C = ["another c", "no c", "c of another delegation"]


def handed_in(kept: Kept, sealed: dg.SealedDelegation, c: bytes) -> tuple[str, bool]:
    """What node 1 says, and whether it has c on its disk afterwards."""
    node = kept.world.node(1)
    try:
        seat = kept.world.committee.seat_of(node.name)
        handed = attach_delegation(kept.world.id, kept.world.epoch, seat, sealed, c, kept.stored.owner, kept.world.random)
        kept.world.call(node.name, m.ATTACH_DELEGATION, handed)
        said = ""
    except Refused as refused:
        said = refused.reason
    return said, node.sharing.delegations.holds(sealed.delegation, sealed.c_digest)


@pytest.mark.parametrize("name", LIES)
def test_a_node_signs_for_no_c_and_no_delegation_that_does_not_hold(kept: Kept, name: str) -> None:
    assert handed_in(kept, *LIES[name](kept, *sealed_delegation(kept))) == ("bad-delegation", False)


@pytest.mark.parametrize("name", LIES)
def test_without_its_checks_it_signs(kept: Kept, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner gathers signatures for a delegation that turns nothing, or of which the nodes have another c."""
    lie = LIES[name](kept, *sealed_delegation(kept))
    weaken(monkeypatch, dg.check_attachment if name in ABOUT_C else dg.check_delegation, lambda *parts: None)
    if name == "another id":  # the digest of c names the delegation
        weaken(monkeypatch, dg.check_attachment, lambda *parts: None)
    assert handed_in(kept, *lie) == ("", True)


def test_what_was_revoked_or_erased_is_not_taken_back(kept: Kept) -> None:
    """Nor signed for again: the receipt of the deletion says that it is gone."""
    world, owner = kept.world, kept.stored.owner
    delegation = world.delegate(owner, world.key(owner))
    sealed = world.delegation(delegation).sealed
    node = world.node(1)
    c = node.sharing.delegations.read(delegation, sealed.c_digest)
    world.revoke(owner, delegation)
    assert handed_in(kept, sealed, c) == ("delegation-revoked", False)
    stored = Stored(world, owner)
    stored.put()
    world.commit(signed_by_scope(mr.RecordErase(stored.rid, 2, UNSIGNED), owner, world.random))
    with pytest.raises(Refused, match="record-erased"):
        world.call(node.name, m.ATTACH_METADATA, m.AttachMetadata(stored.rid, stored.sealed))
    assert not node.sharing.metadata.digests(stored.rid)


def test_metadata_is_kept_under_what_it_hashes_to(kept: Kept) -> None:
    """A stranger cannot hand in other metadata under a record's digest: what it hands in has its own."""
    world, stored = kept.world, kept.stored
    false = stored.sealed[:-1] + bytes([stored.sealed[-1] ^ 1])
    receipt = world.call(world.node(1).name, m.ATTACH_METADATA, m.AttachMetadata(stored.rid, false))
    assert m.AttachmentReceipt.decode(receipt).digest != stored.hashed
    assert world.node(1).sharing.metadata.read(stored.rid, stored.hashed) == stored.sealed
    unknown = record_id(world.id, stored.owner.scope, world.random(16))
    assert m.AttachmentReceipt.decode(
        world.call(world.node(1).name, m.ATTACH_METADATA, m.AttachMetadata(unknown, stored.sealed))
    ).digest != stored.hashed  # fmt: skip
