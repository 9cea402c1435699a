"""What a cloud still has to fetch: in turn, whatever was fetched meanwhile, and whatever became of one file."""

from __future__ import annotations

from pathlib import Path

import structlog

from salus.cloud.wanted import WANTED_DIRECTORY, WantedRecords
from salus.ledger.kinds.sharing.messages.records import RecordContent
from support.smallest import smallest


def wanted_records(directory: Path, count: int) -> WantedRecords:
    wanted = WantedRecords(directory)
    for number in range(count):
        wanted.add(1, bytes(32), bytes([number]) * 16, smallest(RecordContent))
    return wanted


def rids(wanted: WantedRecords, count: int) -> list[int]:
    return [record.rid[0] for _, record in wanted.some(count)]


def test_records_come_in_turn_and_from_the_start_again(tmp_path: Path) -> None:
    wanted = wanted_records(tmp_path, 5)
    assert [rids(wanted, 2) for _ in range(4)] == [[0, 1], [2, 3], [4], [0, 1]]


def test_what_is_fetched_meanwhile_makes_nobody_miss_a_turn(tmp_path: Path) -> None:
    wanted = wanted_records(tmp_path, 6)
    for name, _ in list(wanted.some(2)):
        wanted.drop(name)
    assert [rids(wanted, 2) for _ in range(3)] == [[2, 3], [4, 5], [2, 3]]
    assert len(WantedRecords(tmp_path)) == len(wanted) == 4


def test_a_damaged_file_is_told_of_and_holds_up_no_other(tmp_path: Path) -> None:
    wanted = wanted_records(tmp_path, 3)
    damaged = sorted((tmp_path / WANTED_DIRECTORY).iterdir())[1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with structlog.testing.capture_logs() as logs:
        assert rids(wanted, 3) == [0, 2]
        assert rids(wanted, 3) == [0, 2]
    assert [(entry["event"], entry["file"]) for entry in logs] == [("wanted-record-damaged", damaged.name)]
