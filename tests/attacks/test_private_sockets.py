"""Claim: another account of the same machine commands nobody: sockets are their owner's alone.

Behind a person's socket is an open wallet, behind the operator's the centre; neither asks who is calling.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from salus.network.sockets import SocketServer, SocketTransport


class Wallet:
    """Does what it is told."""

    def handle(self, method: str, body: bytes) -> bytes:
        return b"done"


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_a_socket_is_open_to_its_owner_only(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        server = SocketServer(Wallet(), tmp_path / "patient-alice.sock")
    finally:
        os.umask(before)
    try:
        assert stat.S_IMODE((tmp_path / "patient-alice.sock").stat().st_mode) == 0o600
        assert SocketTransport(tmp_path).call("patient-alice", "show", b"") == b"done"
    finally:
        server.close()
