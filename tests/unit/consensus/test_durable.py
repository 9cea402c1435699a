"""The vote log: what was synced is there, what was torn is cut off, what was damaged is reported."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from salus.consensus.pbft.durable import LOG_NAME, MAGIC, MAX_RECORD_BYTES, DirectoryDisk, VoteLog, _parse
from salus.errors import DamagedFile, StorageError
from salus.sim.disk import PowerLoss, SimDisk

RECORDS = [b"one", b"two" * 100, b"", b"four" * 5000]


def _written(disk: DirectoryDisk | SimDisk, batches: list[list[bytes]]) -> None:
    log = VoteLog(disk)
    for batch in batches:
        for payload in batch:
            log.append(payload)
        log.sync()


def test_records_come_back_in_order(tmp_path: Path) -> None:
    disk = DirectoryDisk(tmp_path / "votes")
    _written(disk, [RECORDS[:2], RECORDS[2:]])
    disk.close()
    log = VoteLog(DirectoryDisk(tmp_path / "votes"))
    assert log.records == RECORDS
    assert log.cut_bytes == 0
    assert (tmp_path / "votes").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "votes" / LOG_NAME).stat().st_mode & 0o777 == 0o600


def test_a_log_goes_on_after_it_was_opened_again(tmp_path: Path) -> None:
    for payload in RECORDS:
        disk = DirectoryDisk(tmp_path)
        log = VoteLog(disk)
        log.append(payload)
        log.sync()
        disk.close()
    assert VoteLog(DirectoryDisk(tmp_path)).records == RECORDS


def test_every_torn_tail_is_cut_off(tmp_path: Path) -> None:
    """The last batch, which was never fsynced, is cut at every byte: what was synced before is always there."""
    disk = SimDisk(Random(1))
    _written(disk, [[b"synced 1", b"synced 2"], [b"last", b"batch"]])
    whole = disk.read(LOG_NAME)
    assert whole is not None
    synced = SimDisk(Random(1))
    _written(synced, [[b"synced 1", b"synced 2"]])
    start = len(synced.read(LOG_NAME) or b"")
    for end in range(start, len(whole)):
        torn = SimDisk(Random(1))
        torn.replace(LOG_NAME, whole[:end])
        log = VoteLog(torn)
        assert log.records[:2] == [b"synced 1", b"synced 2"]
        assert len(log.records) < 4
        log.append(b"after")
        log.sync()
        assert VoteLog(torn).records[-1] == b"after"


def test_a_lost_record_in_the_last_batch_is_a_torn_tail_even_if_a_later_one_is_whole() -> None:
    """Sectors of one un-synced write reach the disk in any order."""
    disk = SimDisk(Random(1))
    _written(disk, [[b"synced"], [b"lost" * 200, b"kept"]])
    data = bytearray(disk.read(LOG_NAME) or b"")
    where = bytes(data).index(b"lost")
    data[where : where + 512] = bytes(512)
    torn = SimDisk(Random(1))
    torn.replace(LOG_NAME, bytes(data))
    assert VoteLog(torn).records == [b"synced"]


@pytest.mark.parametrize("record", [0, 1])
def test_damage_to_a_synced_record_is_reported(record: int) -> None:
    disk = SimDisk(Random(1))
    _written(disk, [[b"first record"], [b"second record"], [b"third record"]])
    whole = disk.read(LOG_NAME) or b""
    where = whole.index((b"first record", b"second record")[record])
    for offset in range(len(b"first record")):
        spoiled = bytearray(whole)
        spoiled[where + offset] ^= 1
        damaged = SimDisk(Random(1))
        damaged.replace(LOG_NAME, bytes(spoiled))
        with pytest.raises(DamagedFile, match="must not vote"):
            VoteLog(damaged)


def test_a_file_that_is_no_log_is_reported(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).write_bytes(b"something else entirely")
    with pytest.raises(DamagedFile, match="does not begin as one"):
        VoteLog(DirectoryDisk(tmp_path))


def test_a_file_cut_inside_its_first_line_starts_anew(tmp_path: Path) -> None:
    for length in range(len(MAGIC)):
        (tmp_path / LOG_NAME).write_bytes(MAGIC[:length])
        assert VoteLog(DirectoryDisk(tmp_path)).records == []


def test_opening_syncs_what_a_killed_process_left_unsynced() -> None:
    """A record that is read at the start must not vanish with the next power failure."""
    disk = SimDisk(Random(1))
    log = VoteLog(disk)
    log.append(b"written, not synced")
    log.flush()
    assert VoteLog(disk).records == [b"written, not synced"]
    disk.lose_power()
    assert VoteLog(disk).records == [b"written, not synced"]


def test_power_loss_takes_only_what_was_not_synced() -> None:
    for seed in range(200):
        disk = SimDisk(Random(seed))
        _written(disk, [[b"synced"]])
        log = VoteLog(disk)
        log.append(b"a" * 2000)
        log.append(b"b" * 2000)
        log.flush()
        disk.lose_power()
        assert VoteLog(disk).records[0] == b"synced"
    disk = SimDisk(Random(0))
    disk.crash_after = 1
    with pytest.raises(PowerLoss):
        _written(disk, [[b"never synced"]])


def test_rewriting_replaces_everything(tmp_path: Path) -> None:
    disk = DirectoryDisk(tmp_path)
    log = VoteLog(disk)
    for payload in RECORDS:
        log.append(payload)
    log.sync()
    log.rewrite([b"only this"])
    assert _parse(disk.read(LOG_NAME) or b"")[0] == [b"only this"]
    log.append(b"and this")
    log.sync()
    disk.close()
    assert VoteLog(DirectoryDisk(tmp_path)).records == [b"only this", b"and this"]


def test_a_record_over_the_bound_is_refused(tmp_path: Path) -> None:
    log = VoteLog(DirectoryDisk(tmp_path))
    with pytest.raises(StorageError, match="at most"):
        log.append(bytes(MAX_RECORD_BYTES + 1))


def test_errors_of_the_system_name_the_file(tmp_path: Path) -> None:
    disk = DirectoryDisk(tmp_path)
    log = VoteLog(disk)
    disk.close()
    os.rename(tmp_path / LOG_NAME, tmp_path / "elsewhere")
    (tmp_path / LOG_NAME).mkdir()
    log.append(b"x")
    with pytest.raises(StorageError, match=r"votes\.log"):
        log.sync()


def test_a_full_disk_is_an_error_and_the_log_stays_readable(tmp_path: Path) -> None:
    """/dev/full answers every write with "no space left"."""
    disk = DirectoryDisk(tmp_path)
    log = VoteLog(disk)
    log.append(b"kept")
    log.sync()
    descriptor = disk._open[LOG_NAME]
    full = os.open("/dev/full", os.O_WRONLY)
    disk._open[LOG_NAME] = full
    log.append(b"too much")
    with pytest.raises(StorageError, match="No space left on device; make room"):
        log.sync()
    os.close(full)
    os.close(descriptor)
    disk._open.clear()
    assert VoteLog(DirectoryDisk(tmp_path)).records == [b"kept"]
