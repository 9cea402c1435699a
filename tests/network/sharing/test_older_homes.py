"""A home that was founded before there was sharing opens, serves consultations, and says plainly that nothing is shared in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.genesis import GenesisCore
from salus.network import founding
from salus.network.embedded import EmbeddedNetwork
from support.embedded import CHEAP, DAY, PASSPHRASE, enrolled_doctor, enrolled_patient


def test_a_home_without_sharing_opens_and_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def core(**parts: Any) -> GenesisCore:
        parts.pop("sharing")
        return GenesisCore(**(parts | {"protocol_version": 1}))

    monkeypatch.setattr(founding, "SharingGenesisCore", core)
    monkeypatch.setattr(founding.found, "__defaults__", (None, None, 0, 1))
    EmbeddedNetwork.create(tmp_path / "home", PASSPHRASE, cost=CHEAP).close()
    monkeypatch.undo()
    record = tmp_path / "record.txt"
    record.write_text("pulse 71\n")
    with EmbeddedNetwork.open(tmp_path / "home") as network:
        assert network.checks.names == []
        doctor, patient = enrolled_doctor(network), enrolled_patient(network, "anna")
        assert patient.request(doctor.name, DAY, str(record))["request_tx"]
        node = network.nodes[0].name
        status = m.SharingStatus.decode(network.transport.call(node, m.STATUS, m.SharingStatusRequest().encode()))
        assert (status.epoch, status.held) == (0, ())
        with pytest.raises(Refused) as refusal:
            network.transport.call(node, m.ATTACH_METADATA, m.AttachMetadata(bytes(16), b"x").encode())
        assert refusal.value.reason == "not-started"
