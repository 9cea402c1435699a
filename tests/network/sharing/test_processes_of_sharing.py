"""Nodes and check nodes as processes of their own: the committee comes up, errands cross, a killed node has its shares again."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from salus.consultation.registration import MemberKey
from salus.errors import Refused, TransportError
from salus.ledger import sharing_api as m
from salus.ledger.client import LedgerClient
from salus.ledger.kinds.sharing.committee_state import STATUS, SharingStatus
from salus.ledger.kinds.sharing.messages import scopes as mc
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.shares import VALID
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.ledger.kinds.sharing.scopes import SCOPES, possession_by_institution
from salus.network.demonstration import process_stage
from salus.network.embedded import system_ms
from salus.network.founding import Founded


class Stage:
    """A network of processes, and what its founding made."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        founded: list[Founded] = []
        honest = process_stage.found

        def found(*arguments: Any, **options: Any) -> Founded:
            founded.append(honest(*arguments, **options))
            return founded[0]

        monkeypatch.setattr(process_stage, "found", found)
        self.stage = process_stage.ProcessStage(home, 4, b"a passphrase for tests")
        self.genesis = founded[0].genesis
        self.names = [member.name for member in self.genesis.validators().members]
        self.institution: MemberKey = founded[0].institutions[0].key

    def client(self, names: list[str] | None = None) -> LedgerClient:
        transport = self.stage._transport
        return LedgerClient(transport, names or self.names, self.genesis, system_ms, lambda ms: time.sleep(ms / 1000))

    def call(self, party: str, method: str, message: Any) -> bytes:
        return self.stage._transport.call(party, method, message.encode())


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(tmp_path / "home", monkeypatch)
    try:
        yield made
    finally:
        made.stage.close()


def until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := holds():
                return found
        except (Refused, TransportError):
            time.sleep(0.1)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def held(stage: Stage, name: str) -> tuple[str, ...]:
    status = m.SharingStatus.decode(stage.call(name, m.STATUS, m.SharingStatusRequest()))
    return status.held[0].kinds if status.held else ()


def test_committee_acceptance_and_a_killed_node_over_processes(stage: Stage) -> None:
    client = stage.client()

    def started() -> int:
        value = client.raw_state(STATUS.kind, b"")
        return 0 if value is None else SharingStatus.decode(value).current

    assert until(started) == 1
    everything = ("keys", "alpha", "z", "oprf")
    for name in stage.names:
        until(lambda name=name: held(stage, name) == everything)

    network, member = stage.genesis.network(), stage.institution
    key = ScopeKey.derive(network, hashlib.sha256(b"owner").digest(), "lab", "2025Q3")
    draft = mc.InstitutionScope(key.V, possession_by_institution(key, member.name, os.urandom), member.name, UNSIGNED)
    raw = signed_by_member(network, draft, member, os.urandom).encode()
    general = stage.names[1]
    tx_hash = m.Acceptance.decode(stage.call(general, m.ACCEPT, m.AcceptRequest(raw))).tx_hash

    def accepted() -> m.Acceptance | None:
        answer = m.Acceptance.decode(stage.call(general, m.ACCEPTANCE, m.AcceptanceRequest(tx_hash)))
        return answer if answer.verdict is not None and answer.certificate is not None else None

    answer = until(accepted)
    assert answer.verdict.outcomes == (VALID,)
    seats = [(n.member.name, n.bls_key) for n in stage.genesis.core.nodes if n.member.name in stage.names]
    assert len(m.check_pending_certificate(network, seats, answer.certificate)) >= 2
    until(lambda: client.raw_state(SCOPES.kind, key.scope))

    killed = stage.stage.process_ids["node-2"]
    os.kill(killed, signal.SIGKILL)
    process = stage.stage._processes.pop("node-2")
    process.wait(10)
    stage.stage._start("node-2", ["node", "--index", "2"])
    until(lambda: held(stage, stage.names[2]) == everything)
