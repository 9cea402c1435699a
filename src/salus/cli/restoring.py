"""Restoring a wallet into a home, and comparing it with the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from salus.cli.progress import ProgressDisplay

if TYPE_CHECKING:
    from salus.ledger.client import LedgerClient
    from salus.network.embedded import EmbeddedNetwork
    from salus.terminal.wallet import Wallet
    from salus.terminal.wallet_content import ConsultationEntry


def restore_wallet(
    network: EmbeddedNetwork, role: str, name: str, backup: Path, passphrase: bytes, phrase: str | None, progress: ProgressDisplay
) -> dict[str, Any]:
    """Restore, reconcile with the ledger, and say what was found.

    :param passphrase: of the backup; with ``phrase`` the new one of the restored wallet.
    :raises WalletError: the backup is another party's, or there is a wallet; nothing is made then.
    """
    from salus.terminal.recovery import reconcile, restore

    progress.stage("opening the backup")
    restored = restore(
        network.home.person(role, name),
        backup,
        passphrase=passphrase if phrase is None else None,
        phrase=phrase,
        new_passphrase=None if phrase is None else passphrase,
        network=network.genesis.network(),
        party=(role, name),
        random=network.random,
    )
    with restored.wallet as wallet:
        progress.stage("comparing with the ledger")
        found = reconcile(wallet, _seen(wallet, network.client(), progress).get)
        return {
            "role": role,
            "name": name,
            "party": wallet.directory.name,
            "made_ms": restored.made_ms,
            "credentials_unused": len(wallet.content.unused_credentials()),
            "credentials_used_since": len(found.used),
            "unreadable": [{"id": c.id, "doctor": c.doctor, "day": c.day, "sn": c.sn} for c in found.unreadable],
            "slots_without_key": [s.sn for s in found.slots],
        }


def _seen(wallet: Wallet, ledger: LedgerClient, progress: ProgressDisplay) -> dict[bytes, ConsultationEntry]:
    """Committed requests by nullifier, if any credential of the wallet was used: then the ledger is gone through once."""
    from salus.terminal.recovery import nullifier_of, to_reconcile

    ours = set()
    for _, credential in to_reconcile(wallet).credentials:
        ours.add(nullifier_of(wallet.content.network, credential))
        credential.wipe()
    ledger.refresh()
    spent = {nf for nf, used in zip(sorted(ours), ledger.spent(sorted(ours)), strict=True) if used}
    return _requests(ledger, spent, progress) if spent else {}


def _requests(ledger: LedgerClient, spent: set[bytes], progress: ProgressDisplay) -> dict[bytes, ConsultationEntry]:
    from salus.ledger.kinds.all import REGISTRY
    from salus.terminal.wallet_content import ConsultationEntry

    found: dict[bytes, ConsultationEntry] = {}
    for verified in ledger.follow(0):
        progress.counted("looking for requests made since", verified.block.header.height, ledger.height)
        for raw in verified.block.transactions:
            tx = REGISTRY.decode(raw)
            message = tx.message
            if message.KIND == "consultation.request" and message.nf in spent:
                found[message.nf] = ConsultationEntry(
                    id=tx.hash.hex()[:16], state="unreadable", doctor=message.ID_D, day="", sn=message.sn, tx_hash=tx.hash,
                    nullifier=message.nf, quarter=0, index=0, deadline_ms=message.valid_until, body_digest=message.digest,
                    body_size_bytes=message.size_bytes, file_name="",
                )  # fmt: skip
    return found
