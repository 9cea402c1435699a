"""Reading while a revocation, a re-policy, a rotation, an erasure or a suspension commits: whole, or refused for a reason.

One network for all tests; each has records of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from salus.cloud import sharing_messages as sm
from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.network.actors import Actor
from salus.network.embedded import EmbeddedNetwork
from salus.network.suspending import vote
from salus.terminal.sharing.desk import SharingDesk
from support.embedded import PASSPHRASE, enrolled_patient, found_network
from support.interposed import once
from support.sharing_desks import HOSPITAL, QUARTER, desk, in_days, put
from support.troubled import interposed_desk


class Scene:
    """An owner and a hospital of doctors."""

    def __init__(self, home: Path, note: Path) -> None:
        note.write_text("pulse 71, pressure 118/76\n" * 9000)
        self.note = note
        self.network = found_network(home)
        expires_ms = self.network.now_ms() + 300 * 24 * 3600 * 1000
        self.network.centre.grant_attributes(HOSPITAL, ["role:doctor"], 2024, 2026, expires_ms)
        self.hospital: Actor = self.network.person("institution-st-anne.board", PASSPHRASE)
        self.alice: Actor = enrolled_patient(self.network, "alice", credentials=16)
        self.owner: SharingDesk = desk(self.alice)
        desk(self.hospital).institution.request_key()

    def shared(self, *, by_policy: bool) -> tuple[bytes, bytes, bytes]:
        """A record that is granted to the hospital: rid, share, delegation (empty by policy)."""
        rid = put(self.owner, self.note, policy="role:doctor" if by_policy else "", category="vitals" if by_policy else "lab").rid
        delegation = b""
        if not by_policy:
            made = self.owner.delegating.create("role:doctor", "lab", QUARTER, QUARTER, in_days(self.owner, 30))
            delegation = made[0].delegation
        reader = desk(self.hospital).institution
        (asked,) = reader.request([rid], "treatment", through=delegation or None)
        assert reader.decided(asked.share).status == "granted"
        return rid, asked.share, delegation


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("races")
    made = Scene(directory / "home", directory / "note.txt")
    with made.network:
        yield made


WHEN = {
    "before the partials": m.PARTIAL, "before the metadata": m.METADATA, "before the body": sm.RECORD_RANGE,
}  # fmt: skip


def read(scene: Scene, share: bytes, out: Path, method: str, meanwhile: Callable[[], Any]) -> str:
    """Read while something commits; the reason of the refusal, empty if the file is there, whole."""
    done: list[Any] = []
    reader = interposed_desk(scene.hospital, {method: once(lambda: done.append(meanwhile()))}).institution
    try:
        assert reader.get(share, out).path.read_bytes() == scene.note.read_bytes()
    except Refused as refused:
        assert not out.exists()
        return refused.reason
    finally:
        assert len(done) == 1
    return ""


@pytest.mark.parametrize("when", WHEN)
def test_a_revocation_that_commits_first_stops_the_reading(scene: Scene, tmp_path: Path, when: str) -> None:
    _, share, delegation = scene.shared(by_policy=False)
    reason = read(scene, share, tmp_path / "out", WHEN[when], lambda: scene.owner.delegating.revoke(delegation))
    assert reason == "delegation-revoked"


def test_a_reading_that_is_first_is_whole_and_the_next_one_refused(scene: Scene, tmp_path: Path) -> None:
    _, share, delegation = scene.shared(by_policy=False)
    reader = desk(scene.hospital).institution
    assert reader.get(share, tmp_path / "first").path.read_bytes() == scene.note.read_bytes()
    scene.owner.delegating.revoke(delegation)
    with pytest.raises(Refused) as refusal:
        reader.get(share, tmp_path / "second")
    assert refusal.value.reason == "delegation-revoked"
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize(
    ("when", "by_policy"), [*((when, False) for when in WHEN), ("before the metadata", True), ("before the body", True)]
)
def test_a_rotation_meanwhile_is_read_as_it_is_now(scene: Scene, tmp_path: Path, when: str, by_policy: bool) -> None:
    rid, share, _ = scene.shared(by_policy=by_policy)
    assert read(scene, share, tmp_path / "out", WHEN[when], lambda: scene.owner.owner.rotate(rid)) == ""


@pytest.mark.parametrize("by_policy", [True, False])
@pytest.mark.parametrize("when", ["before the metadata", "before the body"])
def test_an_erasure_meanwhile_is_told_and_leaves_nothing(scene: Scene, tmp_path: Path, when: str, by_policy: bool) -> None:
    rid, share, _ = scene.shared(by_policy=by_policy)
    assert read(scene, share, tmp_path / "out", WHEN[when], lambda: scene.owner.owner.erase(rid)) == "record-erased"


def test_another_policy_meanwhile(scene: Scene, tmp_path: Path) -> None:
    """A granted reader reads on by its delegation; by policy only while the record's policy still lets it in."""
    rid, share, _ = scene.shared(by_policy=False)
    assert read(scene, share, tmp_path / "one", m.PARTIAL, lambda: scene.owner.owner.repolicy(rid, "role:nurse")) == ""
    rid, share, _ = scene.shared(by_policy=True)
    scene.owner.owner.repolicy(rid, "role:nurse")
    with pytest.raises(Refused) as refusal:
        desk(scene.hospital).institution.get(share, tmp_path / "two")
    assert refusal.value.reason == "unsatisfied"
    assert not (tmp_path / "two").exists()
    scene.owner.owner.repolicy(rid, "role:doctor or role:nurse")
    assert desk(scene.hospital).institution.get(share, tmp_path / "two").path.read_bytes() == scene.note.read_bytes()


@pytest.mark.parametrize("when", WHEN)
def test_a_suspension_meanwhile_stops_a_live_share(scene: Scene, tmp_path: Path, when: str) -> None:
    _, share, _ = scene.shared(by_policy=False)
    network: EmbeddedNetwork = scene.network
    try:
        reason = read(scene, share, tmp_path / "out", WHEN[when], lambda: vote(network, HOSPITAL, [], against=True))
        assert reason == "suspended"
    finally:
        vote(network, HOSPITAL, [], against=False)
    assert desk(scene.hospital).institution.get(share, tmp_path / "out").path.read_bytes() == scene.note.read_bytes()


def test_a_suspension_denies_what_waits_for_its_grant(scene: Scene) -> None:
    rid = put(scene.owner, scene.note, category="condition").rid
    (made,) = scene.owner.delegating.create("role:doctor", "condition", QUARTER, QUARTER, in_days(scene.owner, 30))
    gathers = [node.sharing.transforming._gather for node in scene.network.nodes]
    for node in scene.network.nodes:
        node.sharing.transforming._gather = lambda _share: []  # type: ignore[method-assign]
    try:
        reader = desk(scene.hospital).institution
        (asked,) = reader.request([rid], "treatment")
        scene.network.client().wait(
            lambda: ((found := reader.share(asked.share)) and found.status == "approved") or None, "the approval"
        )
        vote(scene.network, HOSPITAL, [], against=True)
        for node, gather in zip(scene.network.nodes, gathers, strict=True):
            node.sharing.transforming._gather = gather  # type: ignore[method-assign]
        decided = reader.decided(asked.share)
        assert (decided.status, decided.reason, decided.delegation) == ("denied", "suspended", made.delegation)
        with pytest.raises(Refused) as refusal:
            reader.get(asked.share)
        assert refusal.value.reason == "suspended"
    finally:
        vote(scene.network, HOSPITAL, [], against=False)
