"""kill -9 of a process that commits to an embedded network, at random moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from salus.ledger.kinds.slots import slot_key
from salus.ledger.verify import verify_export
from salus.network.embedded import EmbeddedNetwork
from support.embedded import DAY, DOCTOR, enrolled_doctor, found_network

TESTS = Path(__file__).resolve().parent.parent


def commit_until_killed(home: Path, after_s: float) -> list[int]:
    """Run the committing process, kill it ``after_s`` after it opened the home; returns what it acknowledged."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, str(TESTS / "support" / "committing.py"), str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first == "open\n", process.stderr.read() if process.stderr else ""
    timer = threading.Timer(after_s, process.send_signal, [signal.SIGKILL])
    timer.start()
    acknowledged = [int(line.split()[1]) for line in process.stdout if line.startswith("acknowledged") and line.endswith("\n")]
    assert process.wait() == -signal.SIGKILL, process.stderr.read() if process.stderr else ""
    timer.cancel()
    return acknowledged


def check(home: Path, acknowledged: list[int], verify: bool) -> None:
    """Everything acknowledged is there, nothing twice, all replicas agree, and the network goes on."""
    with EmbeddedNetwork.open(home) as network:
        client = network.client()
        next_sn = client.next_sn(DOCTOR)
        assert not acknowledged or next_sn > max(acknowledged)
        for sn in acknowledged:
            slot = client.slot(DOCTOR, sn)
            assert slot is not None
            assert (slot.sn, slot.day) == (sn, DAY)
        assert len({(n.runner.height, n.application.info().application_hash) for n in network.nodes}) == 1
        if verify:
            # replay refuses a slot that is published twice
            network.export(home.parent / "export")
            with (home.parent / "export").open("rb") as file:
                assert verify_export(network.genesis, file).height == network.nodes[0].runner.height
            assert client.slot(DOCTOR, next_sn) is None
            assert network.nodes[0].application.view().get("slot", slot_key(DOCTOR, next_sn)) is None


def run(tmp_path: Path, kills: int, seed: int) -> None:
    home = tmp_path / "home"
    with found_network(home) as network:
        enrolled_doctor(network, slots=0)
    draw = random.Random(seed)
    seen: list[int] = []
    for kill in range(kills):
        acknowledged = commit_until_killed(home, draw.uniform(0.0, 0.35))
        assert len(set(acknowledged)) == len(acknowledged)
        assert not set(acknowledged) & set(seen)
        seen += acknowledged
        check(home, acknowledged, verify=kill == kills - 1)
    assert len(seen) > kills // 4


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    run(tmp_path, 20, 7)


@pytest.mark.long
def test_nothing_acknowledged_is_lost_two_hundred_kills(tmp_path: Path) -> None:
    run(tmp_path, 200, 8)
