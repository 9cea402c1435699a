"""Write the golden wallet again (only when a stored format changes its version): ``python tests/golden/wallet/make.py``.

Passphrase ``golden passphrase``; every random byte is drawn from one seeded stream.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from salus.consultation.enrolment import EnrolmentStatement
from salus.terminal.recovery import backup
from salus.terminal.sealed import CHEAP_COST
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import (
    IN_USE,
    ConsultationEntry,
    Contact,
    CredentialEntry,
    PatientEntry,
    SlotEntry,
    WalletContent,
)

HERE = Path(__file__).parent
NETWORK = hashlib.sha256(b"golden network").digest()
NOW_MS = 1_760_000_000_000


def content() -> WalletContent:
    """Something in every field."""
    b = [bytes([n]) * 32 for n in range(8)]
    return WalletContent(
        role="patient", name="home/ada", display_name="Ada", network=NETWORK, genesis=b[1],
        patient=PatientEntry("Ada", b[2], EnrolmentStatement("Ada", b[3], 1, b[4] * 2)),
        credentials=(CredentialEntry(8100, 0, IN_USE, b"used secret"), CredentialEntry(8100, 1, 0, b"unused secret")),
        consultations=(
            ConsultationEntry("one", "stored", "clinic/dr-1", "2025-10-09", 4, b[5], b[6], 8100, 0, NOW_MS, b[7], 1000, "a.json"),
        ),
        slots=(SlotEntry(4, "2025-10-09", b[3], "open", None, b[4]),),
        contacts=(Contact("doctor", "clinic/dr-1", "Dr. One", b[5]),),
    ).with_setting("language", "en")  # fmt: skip


def main() -> None:
    """The wallet, one one-time secret, a backup, the recovery phrase."""
    stream, at = hashlib.shake_256(b"golden wallet").digest(1 << 16), 0

    def random(count: int, /) -> bytes:
        nonlocal at
        at += count
        return stream[at - count : at]

    shutil.rmtree(HERE / "wallet", ignore_errors=True)
    (HERE / "backup.sealed").unlink(missing_ok=True)
    wallet, phrase = Wallet.create(HERE / "wallet", content(), b"golden passphrase", random=random, cost=CHEAP_COST)
    with wallet:
        wallet.one_time.put("consultation-one", b"golden one-time secret")
        backup(wallet, HERE / "backup.sealed", now_ms=NOW_MS)
    (HERE / "wallet" / "lock").unlink()
    (HERE / "recovery-phrase.txt").write_text(phrase + "\n")


if __name__ == "__main__":
    main()
