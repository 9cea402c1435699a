"""Restoring a wallet into a home, and comparing it with the ledger."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salus.cli.progress import ProgressDisplay

if TYPE_CHECKING:
    from salus.network.embedded import EmbeddedNetwork


def restore_wallet(
    network: EmbeddedNetwork, role: str, name: str, backup: Path, passphrase: bytes, phrase: str | None, progress: ProgressDisplay
) -> dict[str, Any]:
    """Restore, reconcile with the ledger, and say what was found.

    :param passphrase: of the backup; with ``phrase`` the new one of the restored wallet.
    :raises WalletError: the backup is another party's, or there is a wallet; nothing is made then.
    """
    from salus.terminal.reconciliation import reconcile_with_ledger
    from salus.terminal.recovery import restore

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
        counted = partial(progress.counted, "looking for requests made since")
        found = reconcile_with_ledger(wallet, network.client(), counted)
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
