"""Dropping bodies of old blocks, as somebody who runs a network asks for it."""

from __future__ import annotations

import pytest

from salus.ledger.storage import sqlite
from salus.network.embedded import EmbeddedNetwork
from salus.node import pruning
from support.command_line import Terminal
from support.embedded import Clock

DAY_MS = 24 * 3_600_000


def test_a_time_shorter_than_the_evidence_window_is_refused(salus: Terminal) -> None:
    done = salus("network", "status", "--keep-days", "20", "--json")
    assert done.status
    assert "kept for 20 days" in done.json["error"]["message"]
    assert "counts for 21" in done.json["error"]["message"]
    assert salus.good("network", "status", "--keep-days", "21")["agreed"]


def test_old_bodies_go_and_an_archive_still_verifies(salus: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setitem(EmbeddedNetwork.open.__func__.__kwdefaults__, "now_ms", clock)  # type: ignore[attr-defined]
    monkeypatch.setattr(sqlite, "FOLD_BLOCKS", 3)
    monkeypatch.setattr(pruning, "BLOCKS_BETWEEN", 2)
    keep = ("--keep-days", "30")
    clock.advance(40 * DAY_MS)
    salus.good("network", "status", *keep)  # the epoch changes: blocks, and bodies that are older than a month
    found = salus.good("network", "verify", *keep)
    assert found["verified"]
    assert [node["kept_from"] > 1 for node in found["nodes"]] == [False, True, True, True]
    assert [node["transactions"] > 0 for node in found["nodes"]] == [True, False, False, False]
    shown = salus("network", "verify", *keep)
    assert "not replayed, same state as the others" in shown.out
