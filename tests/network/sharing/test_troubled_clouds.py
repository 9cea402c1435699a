"""Clouds that are down or destroyed, or lose, swap, cut or corrupt bodies: another one's body is taken, and who failed is said.

One network with two clouds for all tests; none depends on another.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from salus.cloud import messages as cm
from salus.cloud import sharing_messages as sm
from salus.cloud.objects import DirectoryStore
from salus.cloud.party import CloudParty
from salus.errors import Refused, TransportError
from salus.network.actors import Actor
from salus.network.embedded import EmbeddedNetwork
from salus.terminal.sharing.entries import RecordEntry
from support.embedded import CHEAP, PASSPHRASE, enrolled_patient
from support.sharing_desks import HOSPITAL, desk, put
from support.troubled import changed, interposed_desk, of, silent


class Scene:
    """Two clouds, an owner, and a hospital of doctors."""

    def __init__(self, directory: Path) -> None:
        self.network = EmbeddedNetwork.create(directory / "home", PASSPHRASE, cost=CHEAP, clouds=2)
        self.alice: Actor = enrolled_patient(self.network, "alice", credentials=16)
        self.notes = directory
        self.count = 0
        expires_ms = self.network.now_ms() + 300 * 24 * 3600 * 1000
        self.network.centre.grant_attributes(HOSPITAL, ["role:doctor"], 2024, 2026, expires_ms)
        self.hospital: Actor = self.network.person("institution-st-anne.board", PASSPHRASE)

    def record(self) -> tuple[RecordEntry, bytes]:
        """A record that both clouds keep; what is in it."""
        self.count += 1
        note = self.notes / f"note-{self.count}.txt"
        note.write_text(f"{self.count}: pulse 71, pressure 118/76\n" * 9000)
        return put(desk(self.alice), note, policy="role:doctor"), note.read_bytes()

    def clouds(self, entry: RecordEntry) -> tuple[CloudParty, CloudParty]:
        """The clouds of a record, the one that readers ask first before the other."""
        names = desk(self.alice).owner.open(entry.rid).metadata.clouds
        first, second = sorted(self.network.clouds, key=lambda cloud: names.index(cloud.name))
        return first, second

    def object(self, cloud: CloudParty, entry: RecordEntry) -> Path:
        """The file that a cloud keeps a record's body in."""
        store = cloud.gateway._shelf.store
        assert isinstance(store, DirectoryStore)
        return store._path(desk(self.alice).owner.open(entry.rid).metadata.digest)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("clouds"))
    with made.network:
        yield made


def lose(path: Path, _other: Path) -> None:
    path.unlink()


def cut(path: Path, _other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path, _other: Path) -> None:
    path.write_bytes(b"")


def corrupt(path: Path, _other: Path) -> None:
    data = bytearray(path.read_bytes())
    data[70_000] ^= 1
    path.write_bytes(bytes(data))


def swap(path: Path, other: Path) -> None:
    shutil.copyfile(other, path)


HARM: tuple[Callable[[Path, Path], None], ...] = (lose, cut, empty, corrupt, swap)


@pytest.mark.parametrize("harm", HARM)
def test_a_body_that_one_cloud_harms_comes_from_the_other(
    scene: Scene, tmp_path: Path, harm: Callable[[Path, Path], None]
) -> None:
    (entry, data), (other, _) = scene.record(), scene.record()
    first, _ = scene.clouds(entry)
    harm(scene.object(first, entry), scene.object(first, other))
    owner = desk(scene.alice)
    assert owner.owner.reading.write(owner.owner.open(entry.rid), tmp_path / "whole").read_bytes() == data
    assert list(owner.bodies.passed_over) == [first.name]
    part = owner.owner.reading.write_range(owner.owner.open(entry.rid), 69_900, 70_100, tmp_path / "part")
    assert part.read_bytes() == data[69_900:70_100]
    reader = desk(scene.hospital)
    (asked,) = reader.institution.request([entry.rid], "treatment")
    assert reader.institution.get(asked.share, tmp_path / "read").path.read_bytes() == data
    owner.owner.rotate(entry.rid)
    assert owner.owner.reading.write(owner.owner.open(entry.rid), tmp_path / "rotated").read_bytes() == data
    assert owner.bodies.passed_over == {}


@pytest.mark.parametrize("harm", HARM)
def test_what_a_cloud_harmed_comes_back_from_the_other(scene: Scene, tmp_path: Path, harm: Callable[[Path, Path], None]) -> None:
    (entry, data), (other, _) = scene.record(), scene.record()
    for cloud in scene.network.clouds:
        cloud.follow()
    first, second = scene.clouds(entry)
    harm(scene.object(first, entry), scene.object(first, other))
    assert first.repair() == 1
    reader = interposed_desk(scene.alice, {sm.RECORD_RANGE: of([second.name], silent)})
    assert reader.owner.reading.write(reader.owner.open(entry.rid), tmp_path / "whole").read_bytes() == data


@pytest.mark.parametrize("harm", [lose, cut, corrupt])
def test_where_both_clouds_fail_the_error_names_them_and_nothing_is_written(
    scene: Scene, tmp_path: Path, harm: Callable[[Path, Path], None]
) -> None:
    (entry, _), (other, _) = scene.record(), scene.record()
    for cloud in scene.network.clouds:
        harm(scene.object(cloud, entry), scene.object(cloud, other))
    owner = desk(scene.alice).owner
    opened = owner.open(entry.rid)
    for read in (
        lambda: owner.reading.write(opened, tmp_path / "whole"),
        lambda: owner.reading.write_range(opened, 69_900, 70_100, tmp_path / "part"),
        lambda: owner.reading.export_crypt4gh(opened, bytes(range(32)), tmp_path / "exported"),
        lambda: owner.rotate(entry.rid),
    ):
        with pytest.raises(Refused) as refusal:
            read()
        assert refusal.value.reason in ("bad-body", "missing-body")  # a cloud that notices sets the body aside
        assert all(f"{cloud.name}: " in refusal.value.detail for cloud in scene.network.clouds)
    assert list(tmp_path.iterdir()) == []
    assert list((scene.alice.directory / "staging").iterdir()) == []


def test_one_cloud_down_or_both(scene: Scene, tmp_path: Path) -> None:
    entry, data = scene.record()
    services = scene.network._services
    for cloud in scene.network.clouds:
        del services[cloud.name]
        try:
            owner = desk(scene.alice)
            out = tmp_path / cloud.name.replace("/", "-")
            assert owner.owner.reading.write(owner.owner.open(entry.rid), out).read_bytes() == data
            later, _ = scene.record()  # is kept by the other one alone
            found = owner.owner.find(later.rid)
            assert found is not None
            assert found.clouds == tuple(c.name for c in scene.network.clouds if c is not cloud)
        finally:
            services[cloud.name] = cloud
    everyone = {method: silent for method in (sm.RECORD_RANGE, sm.RECORD_INFO, sm.RECORD_KEEP, cm.UPLOAD_BEGIN, cm.UPLOAD_WHOLE)}
    owner = interposed_desk(scene.alice, everyone)
    with pytest.raises(TransportError) as failure:
        owner.owner.reading.write(owner.owner.open(entry.rid), tmp_path / "none")
    assert all(f"{cloud.name}: " in str(failure.value) for cloud in scene.network.clouds)
    records = len(owner.owner.records())
    never = scene.notes / "refused.txt"
    never.write_text("never put")
    with pytest.raises(TransportError):
        put(owner, never)
    assert len(desk(scene.alice).owner.records()) == records
    assert list((scene.alice.directory / "staging").iterdir()) == []


def test_a_cloud_that_answers_with_too_much_or_nothing_is_passed_over(scene: Scene, tmp_path: Path) -> None:
    entry, data = scene.record()

    def longer(answer: bytes) -> bytes:
        return cm.BodyRange(cm.BodyRange.decode(answer).data + b"x").encode()

    def nothing(_answer: bytes) -> bytes:
        return cm.BodyRange(b"").encode()

    first, _ = scene.clouds(entry)
    for number, change in enumerate((longer, nothing, lambda _answer: b"rubbish")):
        owner = interposed_desk(scene.alice, {sm.RECORD_RANGE: of([first.name], changed(change))})
        out = tmp_path / str(number)
        assert owner.owner.reading.write(owner.owner.open(entry.rid), out).read_bytes() == data
        assert list(owner.bodies.passed_over) == [first.name]


def test_a_destroyed_cloud_costs_nothing(scene: Scene, tmp_path: Path) -> None:
    entry, data = scene.record()
    first, _ = scene.clouds(entry)
    store = first.gateway._shelf.store
    assert isinstance(store, DirectoryStore)
    aside = tmp_path / "objects"
    shutil.copytree(store._objects, aside)
    shutil.rmtree(store._objects)
    try:
        reader = desk(scene.hospital)
        (asked,) = reader.institution.request([entry.rid], "treatment")
        received = reader.institution.get(asked.share, tmp_path / "read")
        assert received.path.read_bytes() == data
        assert list(reader.bodies.passed_over) == [first.name]
    finally:
        shutil.copytree(aside, store._objects, dirs_exist_ok=True)
