"""The driver of the embedded network: from submit to committed, on real files with real signatures, and what it says if not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from salus.consensus.block import Validator, ValidatorSet
from salus.consensus.pbft.crypto import Ed25519Signer
from salus.consensus.pbft.driver import Driver
from salus.consensus.pbft.durable import DirectoryDisk, VoteLog
from salus.consensus.pbft.messages import hash_of
from salus.consensus.pbft.runner import ReplicaRunner
from salus.consensus.pbft.state import Config
from salus.errors import ConsensusError, Refused, StorageError
from salus.sim.toy import ToyApplication
from support.pbft_cluster import GENESIS_ID, NETWORK, START_MS, put

SIGNERS = [Ed25519Signer(bytes([i + 1]) * 32) for i in range(4)]
VALIDATORS = ValidatorSet(tuple(Validator(f"node-{i}", s.public_key) for i, s in enumerate(SIGNERS)))


class Clock:
    """A clock that a test moves; it also goes on with sleeping."""

    def __init__(self) -> None:
        self.now = START_MS

    def __call__(self) -> int:
        return self.now

    def sleep(self, ms: int) -> None:
        self.now += ms


def _open(directory: Path, clock: Callable[[], int], **changes: int) -> dict[str, ReplicaRunner]:
    runners = {}
    for i, signer in enumerate(SIGNERS):
        disk = DirectoryDisk(directory / f"node-{i}")
        config = Config(NETWORK, f"node-{i}", GENESIS_ID, VALIDATORS, **changes)  # type: ignore[arg-type]
        application = ToyApplication(disk, genesis_time_ms=START_MS - 1)
        runners[f"node-{i}"] = ReplicaRunner(config, signer, application, VoteLog(disk), clock)
    return runners


def _driver(directory: Path, clock: Clock, **changes: int) -> Driver:
    return Driver(_open(directory, clock, **changes), clock, monotonic_ms=clock, sleep_ms=clock.sleep)


def test_submit_and_wait_for_each_word(tmp_path: Path) -> None:
    driver = _driver(tmp_path, Clock())
    [result] = driver.submit("node-2", [put("a")])
    assert result.accepted
    [progress] = driver.wait_accepted("node-2", [result.tx_hash])
    assert progress.accepted
    [progress] = driver.wait_committed("node-2", [result.tx_hash])
    assert progress.height == 1
    driver.wait_proven("node-2", [result.tx_hash])
    assert driver.runners["node-2"].height == 2
    driver.settle()
    assert {r.height for r in driver.runners.values()} == {2}


def test_a_refusal_is_not_waited_for(tmp_path: Path) -> None:
    driver = _driver(tmp_path, Clock())
    good, bad = driver.commit("node-0", [put("a"), put("b", sealed=0)])
    assert (good.height, good.reason) == (1, "")
    assert (bad.height, bad.reason) == (0, "bad-seal")
    assert driver.submit("node-0", []) == []


def test_another_node_knows_of_a_commit_as_well(tmp_path: Path) -> None:
    driver = _driver(tmp_path, Clock())
    driver.commit("node-0", [put("a")])
    driver.settle()
    [progress] = driver.wait_committed("node-3", [hash_of(put("a"))])
    assert progress.height == 1


def test_the_network_opens_again_with_everything_it_committed(tmp_path: Path) -> None:
    clock = Clock()
    for round_number in range(4):
        driver = _driver(tmp_path, clock)
        driver.commit(f"node-{round_number}", [put(f"k{round_number}")])
    driver = _driver(tmp_path, clock)
    driver.run(lambda: len({r.height for r in driver.runners.values()}) == 1, 10_000)
    for runner in driver.runners.values():
        written = runner._application.written()  # type: ignore[attr-defined]
        assert set(written) == {b"k0", b"k1", b"k2", b"k3"}


def test_no_quorum_is_an_error_that_says_who_stopped(tmp_path: Path) -> None:
    driver = _driver(tmp_path, Clock())
    for name in ("node-1", "node-2"):
        driver.runners[name]._stop("its disk is gone")
    driver.submit("node-0", [put("a")])
    with pytest.raises(ConsensusError, match="node-1 has stopped: its disk is gone"):
        driver.wait_committed("node-0", [hash_of(put("a"))], 20_000)
    with pytest.raises(ConsensusError, match="node-2 has stopped"):
        driver.submit("node-2", [put("b")])


def test_a_clock_behind_the_ledger_is_an_error_that_names_both_times(tmp_path: Path) -> None:
    clock = Clock()
    _driver(tmp_path, clock).commit("node-0", [put("a")])
    clock.now -= 24 * 3600 * 1000
    driver = _driver(tmp_path, clock)
    driver.submit("node-0", [put("b")])
    with pytest.raises(Refused, match=r"2023-11-14 .*2023-11-13 ") as refused:
        driver.wait_committed("node-0", [hash_of(put("b"))], 20_000)
    assert refused.value.reason == "clock"


def test_a_disk_error_stops_one_replica_and_not_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = _driver(tmp_path, Clock())

    def fail() -> None:
        raise StorageError("the disk is full; make room")

    monkeypatch.setattr(driver.runners["node-3"]._log, "sync", fail)
    driver.commit("node-0", [put("a")])
    assert driver.runners["node-3"].error == "the disk is full; make room"
    assert driver.runners["node-0"].height >= 1


def test_the_log_is_cut_when_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salus.consensus.pbft.runner.MAX_LOG_BYTES", 20_000)
    clock = Clock()
    driver = _driver(tmp_path, clock)
    sizes = []
    for i in range(30):
        driver.commit("node-0", [put(f"k{i}", bytes(2000))])
        sizes.append(driver.runners["node-0"]._log.size_bytes)
    assert max(sizes) < 40_000
    driver = _driver(tmp_path, clock)
    driver.commit("node-0", [put("after")])


def test_thousands_of_transactions_and_a_lone_one(tmp_path: Path) -> None:
    """Far below what is measured elsewhere: a net against engines that became slow by a factor."""
    clock = lambda: time.time_ns() // 1_000_000  # noqa: E731
    driver = Driver(_open(tmp_path, clock), clock)
    transactions = [put(f"k{i}", bytes(1000)) for i in range(2000)]
    start = time.perf_counter()
    driver.commit("node-0", transactions)
    assert time.perf_counter() - start < 20
    driver.settle()
    start = time.perf_counter()
    driver.commit("node-1", [put("lone")])
    assert time.perf_counter() - start < 2
