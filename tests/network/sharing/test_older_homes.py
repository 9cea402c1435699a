"""A home that was founded before there was sharing opens, serves consultations, and says plainly that nothing is shared in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from salus.codec import encode
from salus.errors import DamagedFile, Refused, StorageError
from salus.ledger import sharing_api as m
from salus.ledger.genesis import Genesis, GenesisCore, SharingGenesisCore
from salus.network import founding
from salus.network.embedded import EmbeddedNetwork
from salus.network.home import read_genesis
from support.embedded import CHEAP, DAY, PASSPHRASE, enrolled_doctor, enrolled_patient
from support.filled import filled


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


def test_a_genesis_with_other_fields_is_of_another_version_and_not_damaged(tmp_path: Path) -> None:
    kind, version, core, *proofs = replace(filled(Genesis), core=filled(SharingGenesisCore)).to_value()
    path = tmp_path / "genesis"
    for changed in (core[:-1], (*core[:-1], core[-1][:-1]), (core[0], 99, *core[2:])):
        path.write_bytes(encode((kind, version, changed, *proofs)))
        with pytest.raises(StorageError, match="another version of Salus"):
            read_genesis(path)
    path.write_bytes(encode((kind, version, core, *proofs)))  # its fields are right, its signatures are not
    with pytest.raises(DamagedFile, match="copy it again"):
        read_genesis(path)
