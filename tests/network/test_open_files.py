"""A network that was closed holds no file open: a program may open and close as many as it wants."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.embedded import found_network

DESCRIPTORS = Path("/proc/self/fd")


def open_below(directory: Path) -> list[str]:
    """Files below a directory that this process has open; deleted ones too."""
    found = []
    for descriptor in os.listdir(DESCRIPTORS):
        try:
            target = os.readlink(DESCRIPTORS / descriptor)
        except FileNotFoundError:  # that of the listing itself
            continue
        if target.startswith(str(directory)):
            found.append(target)
    return sorted(found)


@pytest.mark.skipif(sys.platform != "linux", reason="open files are listed in /proc, which only Linux has")
def test_a_closed_network_holds_no_file_open(tmp_path: Path) -> None:
    with found_network(tmp_path / "home"):
        assert any(name.endswith("votes.log") for name in open_below(tmp_path))
    assert open_below(tmp_path) == []
