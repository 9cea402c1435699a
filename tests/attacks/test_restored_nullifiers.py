"""Claim: restoring a wallet tells no node which visits to come are one patient's.

A restored wallet must know which of its credentials were used since the backup. Their nullifiers will stand on the ledger one
day, one for each visit; a node that is asked about all of them at once links the visits.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from salus.ledger.kinds.consultations import NULLIFIER
from salus.terminal import reconciliation
from salus.terminal.reconciliation import reconcile_with_ledger
from salus.terminal.recovery import nullifier_of, restore, to_reconcile
from salus.terminal.wallet import Wallet
from salus.transport import Transport
from support.embedded import CHEAP, DAY, PASSPHRASE, enrolled_doctor, enrolled_patient, found_network


class Listening:
    """What the nodes are asked."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.heard: list[bytes] = []

    def call(self, party: str, method: str, body: bytes) -> bytes:
        self.heard.append(body)
        return self._inner.call(party, method, body)


def learnt(wallet: Wallet, listening: Listening) -> int:
    """How many nullifiers of the wallet the nodes were shown."""
    ours = [nullifier_of(wallet.content.network, credential) for _, credential in to_reconcile(wallet).credentials]
    return sum(any(nf in body for body in listening.heard) for nf in ours)


@pytest.mark.parametrize("asks", [False, True])
def test_nodes_learn_no_nullifier_of_a_restored_wallet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks: bool) -> None:
    record = tmp_path / "record"
    record.write_bytes(b"words")
    with found_network(tmp_path / "home") as network:
        doctor = enrolled_doctor(network)
        patient = enrolled_patient(network, "alice", credentials=5)
        patient.backup(str(tmp_path / "backup"))
        patient.request(doctor.name, DAY, str(record))
        listening = Listening(network.transport)
        wallet = restore(tmp_path / "device", tmp_path / "backup", passphrase=PASSPHRASE, cost=CHEAP).wallet
        with wallet:
            client = network.client(listening)
            if asks:  # the repair taken out: the wallet asks which are used
                real = reconciliation.nullifier_of

                def asked(network_id: bytes, credential: object) -> bytes:
                    nf = real(network_id, credential)  # type: ignore[arg-type]
                    client._raw_states(NULLIFIER, [nf])
                    return nf

                monkeypatch.setattr(reconciliation, "nullifier_of", asked)
            found = reconcile_with_ledger(wallet, client)
            assert len(found.used) == 1
            assert learnt(wallet, listening) == (4 if asks else 0)
