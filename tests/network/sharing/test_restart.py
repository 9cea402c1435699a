"""Stopped and killed in the middle of every duty: each is taken up where it was, from what is on disk and on the ledger."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from salus.abpre.threshold.key_issuing import demand_partial
from salus.files import KEY_FILE_BYTES_MAX
from salus.ledger import sharing_api as m
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.committee_state import find_epoch, status
from salus.ledger.kinds.sharing.constants import SharingConstants
from salus.ledger.kinds.sharing.keys import find_demand
from salus.ledger.kinds.sharing.messages.keys import SharingFix
from salus.network.embedded import EmbeddedNetwork
from salus.node.sharing import committee_duties
from support.embedded import CHEAP, PASSPHRASE, Clock, found_network
from support.sharing_network import Sharing, wait

READER = "st-anne/board"
DAY_MS = 24 * 3600_000


def killed(network: EmbeddedNetwork, to: Path) -> Path:
    """The home as a kill -9 at this very moment leaves it: every file as it is on disk, nothing closed."""
    shutil.copytree(network.home.directory, to)
    return to


def test_a_node_that_slept_through_the_deals_reads_its_shares_from_the_ledger(world: Sharing) -> None:
    network = world.network
    node = network.nodes[2]
    network.stop_node(node.name)
    shares = network.home.nodes()[2] / "sharing" / "shares"
    for kind in ("alpha", "z", "oprf"):
        (shares / f"1.{kind}").unlink()
    again = network.start_node(node.name)
    wait(network, lambda: again.sharing.around.shares.holds(1) == ("keys", "alpha", "z", "oprf"))
    for path in shares.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.stat().st_size < KEY_FILE_BYTES_MAX


def test_killed_during_the_window_of_complaints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(EmbeddedNetwork, "_ready", lambda self: bool(_pending(self)))
    # Nobody approves, so that the window lasts.
    monkeypatch.setattr(committee_duties.CommitteeDuties, "_approval", lambda self, committee, phase: SharingFix(1, "z").encode())
    slow = SharingConstants(complaint_window_ms=DAY_MS)
    network = EmbeddedNetwork.create(tmp_path / "home", PASSPHRASE, cost=CHEAP, now_ms=clock, sharing=slow)
    wait(network, lambda: all(len(phase.deals) == 4 for phase in _pending(network).scalars))
    monkeypatch.undo()
    copy = killed(network, tmp_path / "killed")
    network.close()
    clock.advance(DAY_MS + 1000)
    with EmbeddedNetwork.open(copy, now_ms=clock) as again:
        assert status(again.nodes[0].application.view()).current == 1
        for node in again.nodes:
            wait(again, lambda node=node: node.sharing.around.shares.holds(1) == ("keys", "alpha", "z", "oprf"))


def _pending(network: EmbeddedNetwork) -> Any:
    view = network.nodes[0].application.view()
    return find_epoch(view, status(view).pending)


def test_keys_are_durable_before_they_are_posted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that dies between drawing its keys and posting them posts the same ones."""
    drawn: dict[str, bytes] = {}
    honest = committee_duties.publish_sharing_key

    def publish(network: bytes, node: Any, secret: Any, random: Any) -> Any:
        drawn.setdefault(node.name, secret.E)
        assert drawn[node.name] == secret.E
        return honest(network, node, secret, random)

    monkeypatch.setattr(committee_duties, "publish_sharing_key", publish)
    with found_network(tmp_path / "home", now_ms=Clock(), nodes=4) as network:
        for place, node in enumerate(network.nodes):
            data = (network.home.nodes()[place] / "sharing" / "shares" / "1.keys").read_bytes()
            assert len(data) == 64
            secret = node.sharing.around.shares.secret(1)
            assert secret is not None
            assert drawn[node.name] == secret.E


def test_killed_between_approval_and_grant(world: Sharing, tmp_path: Path) -> None:
    world.grant(READER, "role:doctor")
    reader, owner = world.institution(READER), world.owner()
    key = world.key(reader, "role:doctor@2025")
    delegation = world.delegate(owner, world.key(owner))
    rid = world.put(owner)
    for node in world.network.nodes:
        node.sharing.transforming._gather = lambda _share: []  # type: ignore[method-assign]
    (share,), box = world.request(reader, [(rid, delegation)])
    wait(world.network, lambda: world.share(share).status == ss.APPROVED)
    # each has made its partial, and promised it: after the restart it is the same one
    claims = {node.name: node.sharing.transforming.claim(share) for node in world.network.nodes}
    copy = killed(world.network, tmp_path / "killed")
    with EmbeddedNetwork.open(copy) as again:
        later = Sharing(again)
        later.granted(share)
        partials = later.partials(share)
        assert {p.node: p.claim() for p in partials} == claims
        assert later.open(share, box, key, partials).key == b"k" * 32


def test_killed_between_revocation_and_receipt(world: Sharing, tmp_path: Path) -> None:
    owner = world.owner()
    delegation = world.delegate(owner, world.key(owner))
    for node in world.network.nodes:
        node.sharing.revoking.look = lambda _item, _now: []  # type: ignore[method-assign]
        node.sharing.backlog.due = lambda _now: []  # type: ignore[method-assign]
    world.revoke(owner, delegation)
    assert all(len(node.sharing.delegations) == 1 for node in world.network.nodes)
    copy = killed(world.network, tmp_path / "killed")
    with EmbeddedNetwork.open(copy) as again:
        later = Sharing(again)
        wait(again, lambda: later.delegation(delegation).receipt is not None)
        assert all(len(node.sharing.delegations) == 0 for node in again.nodes)
        assert not any(list((home / "sharing" / "delegations").iterdir()) for home in again.home.nodes())


def test_killed_between_demand_and_answer(world: Sharing, tmp_path: Path) -> None:
    world.grant(READER, "role:doctor")
    core, box = world.ask_key(world.institution(READER), "role:doctor@2025")
    silent = world.node(1)
    silent.sharing.backlog.due = lambda _now: []  # type: ignore[method-assign]
    world.commit(demand_partial(world.id, core, silent.name, box, world.random))
    copy = killed(world.network, tmp_path / "killed")
    with EmbeddedNetwork.open(copy) as again:
        view = Sharing(again)
        wait(again, lambda: (d := find_demand(view.view, core.digest(world.id), silent.name, 0)) and d.posted)


def test_killed_before_the_verdict(world: Sharing, tmp_path: Path) -> None:
    world.grant(READER, "role:doctor")
    reader, owner = world.institution(READER), world.owner()
    delegation = world.delegate(owner, world.key(owner))
    rid = world.put(owner)
    for check in world.network.checks.running:
        check.attend = lambda _now: 0  # type: ignore[method-assign]
    (share,), _ = world.request(reader, [(rid, delegation)])
    assert world.share(share).status == ss.ASKED
    copy = killed(world.network, tmp_path / "killed")
    with EmbeddedNetwork.open(copy) as again:
        Sharing(again).granted(share)


def test_a_node_that_lacks_c_fetches_it_from_the_others(world: Sharing) -> None:
    world.grant(READER, "role:doctor")
    reader, owner = world.institution(READER), world.owner()
    own_key = world.key(owner)
    away = world.network.nodes[3].name
    world.network.stop_node(away)
    delegation = world.delegate(owner, own_key)
    rid = world.put(owner)
    node = world.network.start_node(away)
    (share,), _ = world.request(reader, [(rid, delegation)])
    world.granted(share)
    wait(world.network, lambda: away in world.everyone(m.PARTIAL, m.PartialRequest(share)))
    assert len(node.sharing.delegations) == 1


def test_hand_over_to_the_next_epoch(tmp_path: Path) -> None:
    clock = Clock()
    with found_network(tmp_path / "home", now_ms=clock) as network:
        world = Sharing(network)
        world.grant(READER, "role:doctor")
        reader, owner = world.institution(READER), world.owner()
        key = world.key(reader, "role:doctor@2025")
        delegation = world.delegate(owner, world.key(owner))
        rid = world.put(owner)
        before = world.parameters.Y.encode()
        clock.advance(91 * DAY_MS)
        wait(network, lambda: world.epoch == 2)
        assert world.parameters.Y.encode() == before
        clock.advance(DAY_MS + 1000)
        world.grant(READER, "role:nurse")  # a block past the grace
        wait(network, lambda: all(node.sharing.around.shares.epochs() == [2] for node in network.nodes))
        (share,), _ = world.request(reader, [(rid, delegation)])
        wait(network, lambda: world.share(share).status == ss.DENIED)
        assert world.share(share).reason == "delegation-expired"
        fresh = world.delegate(owner, world.key(owner))
        (share,), box = world.request(reader, [(rid, fresh)])
        world.granted(share)
        assert world.open(share, box, key).key == b"k" * 32
