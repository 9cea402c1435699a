"""Claim: announcing uploads keeps nobody out for long.

Uploads are anonymous, and announcing one costs a message. A stranger who announced as many as may be open, or as many bytes as
there is room for, and then sent nothing, would keep every patient out for as long as an idle upload is kept.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from salus.cloud.gateway import Gateway
from salus.cloud.settings import GatewaySettings
from salus.errors import Refused
from unit.cloud.clouds import Clock, begin, body, number, open_gateway, upload

OPEN_MAX = 8
MINUTE_MS = 60 * 1000


def announce(gateway: Gateway, directory: Path, clock: Clock, idle_ms: int) -> None:
    """A stranger announces as much as there is room for, and sends nothing."""
    _, summary = body(10_000, b"stranger")
    for n in range(OPEN_MAX):
        begin(gateway, 1000 + n, summary)
    for path in (directory / "staging").iterdir():
        stamp = (clock.ms - idle_ms) / 1000
        os.utime(path, (stamp, stamp))


@pytest.mark.parametrize(
    "settings",
    [
        GatewaySettings(uploads_open_max=OPEN_MAX, reserve_bytes=0),
        GatewaySettings(store_bytes_max=OPEN_MAX * 10_100, reserve_bytes=0),
    ],
    ids=["number", "bytes"],
)
def test_a_patient_finds_room_where_strangers_only_announced(tmp_path: Path, settings: GatewaySettings) -> None:
    clock = Clock()
    data, summary = body(10_000, b"patient")
    with open_gateway(tmp_path / "cloud", clock, settings=settings) as gateway:
        announce(gateway, tmp_path / "cloud", clock, 2 * MINUTE_MS)
        assert upload(gateway, 1, data, summary).keep_until_ms


def test_without_making_room_nobody_gets_in_for_an_hour(tmp_path: Path) -> None:
    clock = Clock()
    _, summary = body(10_000, b"patient")
    patient = GatewaySettings(uploads_open_max=OPEN_MAX, reserve_bytes=0, crowded_idle_ms=3600 * 1000)
    with open_gateway(tmp_path / "cloud", clock, settings=patient) as gateway:
        announce(gateway, tmp_path / "cloud", clock, 59 * MINUTE_MS)
        with pytest.raises(Refused, match="no-room"):
            begin(gateway, 1, summary)


def test_an_upload_that_goes_on_keeps_its_place(tmp_path: Path) -> None:
    clock = Clock()
    _, summary = body(10_000, b"patient")
    settings = GatewaySettings(uploads_open_max=OPEN_MAX, reserve_bytes=0)
    with open_gateway(tmp_path / "cloud", clock, settings=settings) as gateway:
        announce(gateway, tmp_path / "cloud", clock, MINUTE_MS // 2)
        with pytest.raises(Refused, match="no-room"):
            begin(gateway, 1, summary)
        assert begin(gateway, 1000, body(10_000, b"stranger")[1]).upload == number(1000)
