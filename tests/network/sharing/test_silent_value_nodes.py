"""Claim: the value node of a share may be switched off at any moment: the next one in turn puts the grant together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.committee_state import current_epoch
from salus.node.sharing.transforming import TURN_MS, Transforming
from support.embedded import Clock, found_network
from support.sharing_network import Sharing, wait

READER = "st-anne/board"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> Iterator[Sharing]:
    with found_network(tmp_path / "home", now_ms=clock) as network:
        yield Sharing(network)


def asked(world: Sharing, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, list[str], Callable[[], None]]:
    """A request on the ledger before the check nodes have looked at it.

    :return: the share; the value nodes in the order of their turns; and what lets the check nodes go on.
    """
    world.grant(READER, "role:doctor")
    reader, owner = world.institution(READER), world.owner()
    delegation, rid = world.delegate(owner, world.key(owner)), world.put(owner)
    attend = world.network.checks.attend
    monkeypatch.setattr(world.network.checks, "attend", lambda now_ms, wanted: False)
    (share,), _ = world.request(reader, [(rid, delegation)])
    assert world.share(share).status == ss.ASKED
    height = ss.SHARE_REQUESTS.need(world.view, world.share(share).request).height
    members = current_epoch(world.view).members
    turns = [members[(height + k) % len(members)] for k in range(len(members))]

    def go_on() -> None:
        monkeypatch.setattr(world.network.checks, "attend", attend)

    return share, turns, go_on


def test_the_next_one_takes_over_from_the_one_whose_turn_it_is(
    world: Sharing, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    share, turns, go_on = asked(world, monkeypatch)
    gathered: list[str] = []
    honest = Transforming._gather

    def gather(self: Transforming, about: bytes) -> list[bytes]:
        gathered.append(self._around.name)
        return honest(self, about)

    monkeypatch.setattr(Transforming, "_gather", gather)
    world.network.stop_node(turns[0])
    go_on()
    wait(world.network, lambda: world.share(share).status == ss.APPROVED)
    world.network.settle()
    assert gathered == [], "it is nobody else's turn yet"
    clock.advance(TURN_MS)
    world.granted(share)
    assert gathered[0] == turns[1]


def silence(world: Sharing, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is up, takes part in everything else, and leaves shares lying."""
    half = world.network.node(name).sharing

    def nothing(item: Any, now_ms: int) -> list[bytes]:
        half.backlog.again(item, now_ms + 1000 * TURN_MS)
        return []

    monkeypatch.setattr(half.transforming, "look", nothing)


def test_two_silent_ones_in_turn_are_passed_over(world: Sharing, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    share, turns, go_on = asked(world, monkeypatch)
    for name in turns[:2]:
        silence(world, name, monkeypatch)
    go_on()
    wait(world.network, lambda: world.share(share).status == ss.APPROVED)
    clock.advance(2 * TURN_MS)
    world.granted(share)


def test_without_a_next_one_a_share_would_wait_for_ever(world: Sharing, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    share, turns, go_on = asked(world, monkeypatch)
    honest = Transforming._turn_ms

    def only_the_first(self: Transforming, about: Any) -> int:
        turn = honest(self, about)
        return turn if turn == max(about.decided_ms, about.asked_ms) else 1 << 62

    monkeypatch.setattr(Transforming, "_turn_ms", only_the_first)
    silence(world, turns[0], monkeypatch)
    go_on()
    wait(world.network, lambda: world.share(share).status == ss.APPROVED)
    for year in range(2010, 2015):
        clock.advance(TURN_MS)
        world.put(world.owner(category="imaging", period=f"{year}Q1"))
    assert world.share(share).status == ss.APPROVED
