"""c of delegations and sealed metadata go over to a new committee too: they are in no block, and old members leave.

Each node keeps its attachments in files of its own; errands are carried by hand, so that a peer can lie or be silent.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from salus import labels
from salus.abpre.threshold.box import BoxKey
from salus.errors import Refused, TransportError
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing import lists
from salus.ledger.kinds.sharing.attachments import DELEGATION_C, METADATA
from salus.ledger.kinds.sharing.delegations import find_delegation
from salus.ledger.kinds.sharing.records import sign_record_upload
from salus.node.sharing import fetching as fetching_module
from salus.node.sharing.attachments import AttachmentStore
from salus.node.sharing.fetching import Fetching, keepers
from salus.records.record import metadata_hash
from support.handing_over import Seats, electing_chain, named
from support.sharing_world import DAY_MS, SharingChain, SharingWorld

OLD, NEW = named((0, 1, 2, 3)), named((3, 4, 5, 6))
"""One stays."""


class Keeper:
    """One node's attachments."""

    def __init__(self, seats: Seats, name: str, directory: Path) -> None:
        self.name = name
        self.around = seats.around(name)
        self.delegations = AttachmentStore(directory / name.replace("/", ".") / "delegations", 48)
        self.metadata = AttachmentStore(directory / name.replace("/", ".") / "metadata", m.SEALED_METADATA_MAX)
        self.fetching = Fetching(self.around, self.delegations, self.metadata)


class Kept:
    """A delegation and a record that the old committee keeps, and a new committee that holds its shares."""

    def __init__(self, directory: Path) -> None:
        self.world = SharingWorld("attachments of a hand-over", checks=4)
        self.chain: SharingChain = electing_chain(self.world)
        self.seats = Seats(self.chain, directory / "shares")
        self.seats.until(1)
        self.keepers = {name: Keeper(self.seats, name, directory) for name in self.seats.names}
        chain, world = self.chain, self.world
        self.owner = chain.owner()
        self.own_key = chain.key(self.owner)
        self.delegation = chain.delegate(self.owner, self.own_key)
        self.rid, self.sealed = chain.rid(self.owner), world.random(300)
        self.metadata_hash = metadata_hash(world.network, self.rid, self.sealed)
        kept = chain.kept(METADATA, self.rid, self.metadata_hash)
        content = chain.content(self.owner, self.rid)
        until = chain.time_ms + DAY_MS
        about = (self.rid, content.digest_tag, self.metadata_hash, until)
        upload = sign_record_upload(world.network, world.cloud, *about, world.random)
        content = replace(content, metadata=self.metadata_hash, metadata_kept=kept, uploads=(upload,))
        chain.put(self.owner, rid=self.rid, content=content)
        for name in OLD:
            self.keepers[name].delegations.keep(self.delegation, self.c_digest, chain.c[self.delegation], 0)
            self.keepers[name].metadata.keep(self.rid, self.metadata_hash, self.sealed, 0)
        self.seats.elect(NEW)

    @property
    def c_digest(self) -> bytes:
        return find_delegation(self.chain.view, self.delegation).sealed.c_digest

    def carry(self, name: str, answers: dict[str, bytes] | None = None, silent: set[str] | None = None) -> int:
        """Carry a node's errands; ``answers`` are what liars give."""
        carried = 0
        while (errand := self.keepers[name].around.errands.take()) is not None:
            carried += 1
            if errand.to in (silent or ()):
                errand.done(None, TransportError("silent"))
                continue
            try:
                data = (answers or {}).get(errand.to)
                if data is None:
                    data = self.keepers[errand.to].fetching.answer(m.AttachmentRequest.decode(errand.body)).encode()
                errand.done(data, None)
            except Refused as refused:
                errand.done(None, refused)
        return carried

    def holds(self, name: str) -> tuple[bool, bool]:
        keeper = self.keepers[name]
        return (
            keeper.delegations.holds(self.delegation, self.c_digest),
            keeper.metadata.holds(self.rid, self.metadata_hash),
        )


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_new_member_has_all_that_is_live_before_the_old_ones_leave(kept: Kept) -> None:
    kept.seats.step()
    for name in NEW:
        kept.keepers[name].fetching.catch_up()
        kept.carry(name)
        assert kept.holds(name) == (True, True)
        kept.keepers[name].fetching.catch_up()
        assert kept.carry(name) == 0  # nothing is asked for twice
    kept.seats.until(2)
    kept.seats.over(1)
    # The old ones are gone; what they kept is asked of the new ones from now on.
    assert set(keepers(kept.chain.view, kept.chain.time_ms)) == set(NEW)
    assert kept.chain.c[kept.delegation] == kept.keepers[NEW[1]].delegations.read(kept.delegation, kept.c_digest)


def test_who_has_no_seat_asks_for_nothing_and_is_given_nothing(kept: Kept) -> None:
    stranger = kept.seats.names[-1]
    assert stranger not in (*OLD, *NEW)
    keeper = kept.keepers[stranger]
    keeper.fetching.catch_up()
    assert not keeper.around.errands
    about = (DELEGATION_C, kept.delegation, kept.c_digest, BoxKey.generate(kept.world.random).Er)
    draft = m.AttachmentRequest(stranger, OLD[0], *about, kept.chain.time_ms, bytes(64))
    signature = keeper.around.member.sign(kept.world.network, labels.SIG_FETCH, draft.signed(), kept.world.random)
    with pytest.raises(Refused, match="not-a-member"):
        kept.keepers[OLD[0]].fetching.answer(replace(draft, signature=signature))


def test_liars_and_silent_ones_do_not_keep_it_from_a_new_member(kept: Kept) -> None:
    kept.seats.step()
    name = NEW[1]
    lies = {OLD[0]: m.Attachment(bytes(48), None).encode(), OLD[1]: b"\xff"}
    kept.keepers[name].fetching.catch_up()
    kept.carry(name, lies, {OLD[2]})
    assert kept.holds(name) == (True, True)


def test_what_nobody_gives_is_asked_for_again_when_it_is_needed(kept: Kept) -> None:
    kept.seats.step()
    name = NEW[1]
    keeper = kept.keepers[name]
    keeper.fetching.catch_up()
    kept.carry(name, silent=set(kept.seats.names))
    assert kept.holds(name) == (False, False)
    keeper.fetching.metadata_of(kept.rid)
    kept.carry(name)
    assert kept.holds(name) == (False, True)


def test_what_ended_meanwhile_is_not_fetched(kept: Kept) -> None:
    chain = kept.chain
    chain.commit(chain.revocation(kept.owner, kept.delegation))
    kept.seats.step()
    name = NEW[1]
    kept.keepers[name].fetching.catch_up()
    kept.carry(name)
    assert kept.holds(name) == (False, True)
    assert list(lists.items(chain.view, lists.DELEGATIONS, b"")) == [kept.delegation]


def test_a_few_at_a_time(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = kept.chain
    monkeypatch.setattr(fetching_module, "LOOKED_AT_A_TIME", 1)
    monkeypatch.setattr(fetching_module, "UNDER_WAY_MAX", 1)
    more = [kept.delegation, chain.delegate(kept.owner, kept.own_key)]
    for name in OLD:
        sealed = find_delegation(chain.view, more[1]).sealed
        kept.keepers[name].delegations.keep(more[1], sealed.c_digest, chain.c[more[1]], 0)
    kept.seats.step()
    name = NEW[1]
    for rounds in (1, 2, 3, 4):
        kept.keepers[name].fetching.catch_up()
        assert 0 < kept.carry(name) <= len(kept.seats.names) or rounds > 3
    assert kept.holds(name) == (True, True)
    assert len(kept.keepers[name].delegations) == 2
