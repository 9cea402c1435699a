"""Wallets for tests: cheap to open, with one real credential of a real centre."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from salus.consultation.credentials import (
    Credential,
    PidKeys,
    finish_credential,
    issue_credential,
    request_credential,
)
from salus.consultation.enrolment import EnrolmentKey
from salus.consultation.registration import CentreKey, SecretValue
from salus.terminal.sealed import CHEAP_COST
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import (
    UNUSED,
    ConsultationEntry,
    CredentialEntry,
    PatientEntry,
    SlotEntry,
    WalletContent,
)

NETWORK = hashlib.sha256(b"a network").digest()
QUARTER = 8100
PASSPHRASE = b"correct horse"


def seeded(seed: bytes = b"wallet") -> Callable[[int], bytes]:
    """A deterministic source of bytes."""
    state = hashlib.shake_256(seed)
    at = 0

    def random(count: int, /) -> bytes:
        nonlocal at
        at += count
        return state.digest(at)[-count:]

    return random


def credentials(count: int, random: Callable[[int], bytes]) -> list[Credential]:
    """Credentials as a centre issues them."""
    centre = CentreKey.generate(random)
    key = EnrolmentKey.generate(random)
    pids = PidKeys(centre.w, NETWORK)
    out = []
    for index in range(count):
        secret = SecretValue.draw(random)
        request = request_credential(NETWORK, key, QUARTER, index, secret, random)
        out.append(finish_credential(request, secret, issue_credential(centre.w, pids, "Ada", request, random), centre.Pub))
    return out


def patient_content(count: int = 3, random: Callable[[int], bytes] | None = None) -> WalletContent:
    """A patient's wallet with ``count`` unused credentials."""
    random = random or seeded(b"centre")
    entries = tuple(CredentialEntry(c.quarter, c.index, UNUSED, c.export_secret()) for c in credentials(count, random))
    return WalletContent(
        "patient", "home/ada", "Ada", NETWORK, bytes(32), patient=PatientEntry("Ada", random(32), None), credentials=entries
    )


def create(directory: Path, content: WalletContent | None = None) -> tuple[Wallet, str]:
    """A new wallet with a cheap passphrase."""
    return Wallet.create(directory, content or patient_content(), PASSPHRASE, cost=CHEAP_COST)


def consultation(id_: str, index: int, state: str = "sent", nullifier: bytes = bytes(32)) -> ConsultationEntry:
    return ConsultationEntry(
        id=id_, state=state, doctor="clinic/dr-1", day="2025-01-02", sn=4, tx_hash=bytes(32), nullifier=nullifier,
        quarter=QUARTER, index=index, deadline_ms=5, body_digest=bytes(32), body_size_bytes=100, file_name="x.json",
    )  # fmt: skip


def slot(sn: int, state: str) -> SlotEntry:
    return SlotEntry(sn, "2025-01-02", bytes([sn]) * 32, state, None, None)
