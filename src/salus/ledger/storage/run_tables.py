"""Sorted runs in the database: their pages, their key prefixes, and the pages that are left over."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from salus.codec import encode
from salus.errors import DamagedFile
from salus.ledger.storage.runs import Changes, Entry, Run, RunSet, unpack_prefixes
from salus.ledger.storage.schema import PAGE_NUMBER_BITS, page_id, row_checksum

PAGES_DROPPED_A_COMMIT: Final = 64
"""Pages of replaced runs that one commit deletes: a merge writes fewer."""
MAPS: Final = 2


class RunTables:
    """The run sets of one database.

    :ivar sets: one run set for each map.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        loaded = self._load_runs()
        stored = self._stored_numbers()
        live = {run.number for _, run in loaded}
        self._last_number = max([*live, *stored], default=0)
        self._dead = [number for number in stored if number not in live]
        self.sets = [RunSet(self, [r for m, r in loaded if m == which], self._next_number) for which in range(MAPS)]

    def read_page(self, run: int, number: int) -> bytes:
        """One page.

        :raises DamagedFile: if it is missing.
        """
        row = self._connection.execute("SELECT data FROM pages WHERE id = ?", (page_id(run, number),)).fetchone()
        if row is None:
            raise DamagedFile(f"page {number} of run {run} is missing")
        return bytes(row[0])

    def write(self, committed: Sequence[int], folds: Sequence[Sequence[Entry] | None]) -> list[Changes]:
        """Within a transaction: write what is due with one commit, for each map; delete a slice of left-over pages."""
        changes = [s.work(count, fold) for s, count, fold in zip(self.sets, committed, folds, strict=True)]
        for which, change in enumerate(changes):
            self._write(which, change)
        if self._dead:
            first, end = page_id(self._dead[0], 0), page_id(self._dead[0] + 1, 0)
            self._connection.execute(
                "DELETE FROM pages WHERE id IN (SELECT id FROM pages WHERE id >= ? AND id < ? LIMIT ?)",
                (first, end, PAGES_DROPPED_A_COMMIT),
            )
        return changes

    def adopt(self, changes: Sequence[Changes]) -> None:
        """After the transaction: take over what was written."""
        if self._dead:
            first, end = page_id(self._dead[0], 0), page_id(self._dead[0] + 1, 0)
            row = self._connection.execute("SELECT MIN(id) FROM pages WHERE id >= ? AND id < ?", (first, end)).fetchone()
            if row[0] is None:
                del self._dead[0]
        for run_set, change in zip(self.sets, changes, strict=True):
            run_set.adopt(change)
            self._dead += [run.number for run in change.old_runs]

    def abandon(self) -> None:
        """The transaction failed: merges start again; what they committed before is left over."""
        for run_set in self.sets:
            self._dead += run_set.abandon()

    def replace(self, which: int, entries: Sequence[Entry]) -> None:
        """Within a transaction: drop all runs of a map and write one with these ascending entries."""
        self._connection.execute("DELETE FROM runs WHERE map = ?", (which,))
        self._write(which, RunSet(self, (), self._next_number).work(0, entries))

    def _write(self, which: int, changes: Changes) -> None:
        rows = [(page_id(run, number), data) for run, number, data in changes.pages]
        self._connection.executemany("INSERT INTO pages VALUES (?, ?)", rows)
        for run in changes.new_runs:
            prefixes = run.prefixes.encode()
            checksum = row_checksum(_header(run.number, which, run.order, run.level), prefixes)
            values = (run.number, which, run.order, run.level, prefixes, checksum)
            self._connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?)", values)
        for run in changes.old_runs:
            self._connection.execute("DELETE FROM runs WHERE number = ?", (run.number,))

    def _load_runs(self) -> list[tuple[int, Run]]:
        found = []
        query = "SELECT number, map, run_order, level, prefixes, checksum FROM runs"
        for number, which, order, level, prefixes, checksum in self._connection.execute(query).fetchall():
            if row_checksum(_header(number, which, order, level), bytes(prefixes)) != checksum:
                raise DamagedFile(f"run {number} was altered; restore this node from its peers")
            found.append((which, Run(number, order, level, unpack_prefixes(bytes(prefixes)))))
        return found

    def _stored_numbers(self) -> list[int]:
        """Numbers of all runs that have pages, finished or not, by jumping from one to the next."""
        numbers: list[int] = []
        start = 0
        while True:
            row = self._connection.execute("SELECT MIN(id) FROM pages WHERE id >= ?", (start,)).fetchone()
            if row[0] is None:
                return numbers
            numbers.append(row[0] >> PAGE_NUMBER_BITS)
            start = page_id(numbers[-1] + 1, 0)

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number


def _header(number: int, which: int, order: int, level: int) -> bytes:
    return encode((number, which, order, level))
