"""Nodes that fail while the network works: a full disk, a damaged file, a home that two processes want."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from salus.errors import DamagedFile, Refused, StorageError
from salus.files import Busy
from salus.network.embedded import EmbeddedNetwork
from support.embedded import DAY, enrolled_doctor, found_network


def test_a_node_whose_disk_fails_stops_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with found_network(tmp_path / "home") as network:
        doctor = enrolled_doctor(network, slots=1)
        broken = network.nodes[0]

        def full(*_: object) -> None:
            raise StorageError("no space left on the disk; free some and start the node again")

        monkeypatch.setattr(broken.application.store, "append", full)
        doctor.publish(DAY, 1)
        assert "no space left" in broken.status().complaint
        height = network.nodes[1].runner.height
        assert broken.runner.height < height
        doctor.publish(DAY, 1)
        monkeypatch.undo()
        network.stop_node(broken.name)
        again = network.start_node(broken.name)
        while again.runner.height < height:
            network.client()._sleep_ms(5)
        assert again.status().complaint == ""


@pytest.mark.parametrize(
    "file", ["node-2/node.key", "node-1/epochs/1.theta", "cloud/cloud.key", "centre/centre.key", "centre/genesis"]
)
@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_file_is_named_and_leaves_the_home_as_it_was(tmp_path: Path, file: str, how: str) -> None:
    home = tmp_path / "home"
    found_network(home).close()
    path = home / file
    good = path.read_bytes()
    path.write_bytes(good[:-1] if how == "cut" else good[:-1] + bytes([good[-1] ^ 0x80]))
    if how == "flipped" and file.endswith("node.key"):
        path.write_bytes(bytes(len(good)))
    for _ in range(2):  # the lock is free again
        with pytest.raises((DamagedFile, Refused), match=file.split("/")[-1].replace(".", r"\.")):
            EmbeddedNetwork.open(home)
    path.write_bytes(good)
    EmbeddedNetwork.open(home).close()


@pytest.mark.parametrize("lost", ["theta", "other theta", "key and theta"])
def test_a_node_that_lost_an_epochs_secrets_gets_others(tmp_path: Path, lost: str) -> None:
    """They are in no backup: theta is opened again with e_j; with e_j gone too, the node goes without until the next epoch."""
    home = tmp_path / "home"
    found_network(home).close()
    epochs = home / "node-1" / "epochs"
    if lost == "other theta":
        (epochs / "1.theta").write_bytes(bytes([1, *bytes(31)]))
    else:
        (epochs / "1.theta").unlink()
    if lost == "key and theta":
        (epochs / "1.key").unlink()
    with EmbeddedNetwork.open(home) as network:
        pk_BC = network.client().epoch().pk_BC
        held = [node.secrets.theta(1, pk_BC) is not None for node in network.nodes]
        assert held == [True, lost != "key and theta", True, True]


def test_a_node_that_lost_its_ledger_gets_it_back_from_its_peers(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with found_network(home) as network:
        doctor = enrolled_doctor(network, slots=1)
        height = network.nodes[3].runner.height
    shutil.rmtree(home / "node-3" / "ledger")
    with EmbeddedNetwork.open(home) as network:
        while network.nodes[3].runner.height < height:
            network.client()._sleep_ms(5)
        assert len({n.application.info().application_hash for n in network.nodes}) == 1
        assert doctor.name


def test_two_processes_on_one_home(tmp_path: Path) -> None:
    with found_network(tmp_path / "home"):
        with pytest.raises(Busy, match="works on"):
            EmbeddedNetwork.open(tmp_path / "home")
        with pytest.raises(Busy):
            found_network(tmp_path / "home")
