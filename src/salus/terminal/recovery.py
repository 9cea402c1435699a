"""Backups without one-time keys, restoring, and what a restored wallet must ask the ledger.

A backup is a sealed file like the wallet, under the same passphrase and recovery phrase. It holds no one-time key and no
secret of a credential that was ever used: what it could open, or name, an attacker who finds it could too. It does hold
the secrets of unused credentials: with passphrase or phrase, a backup that outlives their use can name the requests they
were used for (not open them). Make a new backup after using credentials, and erase the old one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from salus.codec import Message
from salus.consultation.credentials import Credential
from salus.consultation.envelope import nullifier, nullifier_base
from salus.errors import CodecError, DamagedFile, WalletError
from salus.files import HomeLock, read_bounded, write_atomic
from salus.symmetric import Random
from salus.terminal.recovery_phrase import entropy_of
from salus.terminal.sealed import (
    DEFAULT_COST,
    FILE_BYTES_MAX,
    Argon2Cost,
    open_content,
    parse,
    raise_if_other_version,
    unwrap_passphrase,
    unwrap_phrase,
    wrap_passphrase,
)
from salus.terminal.wallet import Wallet, check_network, refuse_existing, required_wraps
from salus.terminal.wallet_content import (
    SPENT,
    UNUSED,
    ConsultationEntry,
    CredentialEntry,
    SlotEntry,
    WalletContent,
)

PURPOSE: Final = "backup"
UNREADABLE: Final = "unreadable"
"""State of a consultation whose reply can no longer be opened, because its one-time keys are gone."""
RESTORED: Final = "restored"
"""Setting of a restored wallet until it was compared with the ledger: when its backup was made."""
CONSULTATION_NEEDS_KEYS: Final = frozenset({"sent", "stored"})
"""States of a consultation (:mod:`salus.terminal.patient`) whose reply can only be opened with one-time keys."""
SLOT_NEEDS_KEYS: Final = frozenset({"open", "taken", "replying"})
"""States of a slot (:mod:`salus.terminal.doctor`) that can only be served with its one-time key."""


def consultation_file(id_: str) -> str:
    """Name of the one-time file of a patient's consultation."""
    return f"consultation-{id_}"


def slot_file(sn: int) -> str:
    """Name of the one-time file of a doctor's slot."""
    return f"slot-{sn}"


class BackupContent(Message, frozen=True):
    """What a backup holds. :ivar made_ms: when it was made, UTC milliseconds."""

    KIND = "wallet.backup"

    made_ms: int
    content: WalletContent

    def __repr__(self) -> str:
        return f"BackupContent({self.content!r})"


def backup(wallet: Wallet, path: Path, *, now_ms: int) -> None:
    """Write a backup; an existing file is never overwritten.

    :raises WalletError: there is a file of that name. :raises StorageError: it could not be written.
    """
    if path.exists():
        raise WalletError(f"{path} exists already; name a new file for each backup")
    content = without_used_secrets(wallet.content)
    write_atomic(path, wallet.seal_beside(PURPOSE, BackupContent(now_ms, content).encode()).to_bytes())


def without_used_secrets(content: WalletContent) -> WalletContent:
    """A copy without the secrets of credentials that were ever used; a backup must not be able to name past requests."""
    kept = (c if c.state == UNUSED else CredentialEntry(c.quarter, c.index, SPENT, b"") for c in content.credentials)
    return content.replace(credentials=tuple(kept))


class Restored(msgspec.Struct, frozen=True):
    """A restored wallet and when its backup was made. The next step is :func:`to_reconcile`."""

    wallet: Wallet
    made_ms: int


def restore(
    directory: Path,
    path: Path,
    *,
    passphrase: bytes | None = None,
    phrase: str | None = None,
    new_passphrase: bytes | None = None,
    network: bytes | None = None,
    party: tuple[str, str] | None = None,
    random: Random = os.urandom,
    cost: Argon2Cost = DEFAULT_COST,
) -> Restored:
    """Make a wallet in ``directory`` from a backup.

    :param passphrase: opens the backup; or
    :param phrase: opens it by the 24 words; then ``new_passphrase`` is required.
    :param new_passphrase: the restored wallet's passphrase; by default the backup's.
    :param party: role and name whose backup it must be.
    :raises WrongPassphrase, DamagedFile, UnknownVersion, WrongNetwork, WalletError, Busy, StorageError: as
        :meth:`salus.terminal.wallet.Wallet.open`; nothing is made then.
    """
    if (passphrase is None) == (phrase is None):
        raise WalletError("restoring needs either the passphrase or the recovery phrase")
    if phrase is not None and new_passphrase is None:
        raise WalletError("restoring by the recovery phrase needs a new passphrase")
    where = str(path)
    refuse_existing(directory)
    file = parse(read_bounded(path, FILE_BYTES_MAX, "the backup"), where)
    if passphrase is not None:
        data_key = unwrap_passphrase(file, passphrase, where)
    else:
        data_key = unwrap_phrase(file, entropy_of(phrase or ""), where)
    opened = _decode_backup(open_content(data_key, file, PURPOSE, where), where)
    check_network(opened.content, network)
    whose = (opened.content.role, opened.content.name)
    if party not in (None, whose):
        raise WalletError(f"{path} is the backup of {' '.join(whose)}, not of {' '.join(party or ())}; nothing was made")
    wrap, phrase_wrap = required_wraps(file, where)
    if new_passphrase is not None:
        wrap = wrap_passphrase(data_key, new_passphrase, cost, random)
    lock = HomeLock(directory)
    try:
        refuse_existing(directory)
        content = opened.content.with_setting(RESTORED, str(opened.made_ms))
        wallet = Wallet(directory, lock, data_key, (wrap, phrase_wrap), content, random)
        wallet.save()
    except BaseException:
        lock.release()
        raise
    return Restored(wallet, opened.made_ms)


class ToReconcile(msgspec.Struct, frozen=True):
    """What a restored wallet must compare with the ledger.

    :ivar credentials: credentials that the backup believes unused, each with its secrets, so that its nullifier can be
        computed and looked up.
    :ivar consultations: consultations under way whose one-time keys are gone: their replies can no longer be opened.
    :ivar slots: a doctor's slots that are not closed and whose e_sn is gone: to cancel or decline.
    """

    credentials: tuple[tuple[CredentialEntry, Credential], ...]
    consultations: tuple[ConsultationEntry, ...]
    slots: tuple[SlotEntry, ...]

    def __repr__(self) -> str:
        return (
            f"ToReconcile({len(self.credentials)} credentials, {len(self.consultations)} consultations, {len(self.slots)} slots)"
        )


def to_reconcile(wallet: Wallet) -> ToReconcile:
    """Collect what must be compared with the ledger."""
    content, one_time = wallet.content, wallet.one_time
    return ToReconcile(
        tuple((c, Credential.from_secret(c.secret)) for c in content.unused_credentials() if c.secret),
        tuple(
            c for c in content.consultations if c.state in CONSULTATION_NEEDS_KEYS and not one_time.has(consultation_file(c.id))
        ),
        tuple(s for s in content.slots if s.state in SLOT_NEEDS_KEYS and not one_time.has(slot_file(s.sn))),
    )


def nullifier_of(network: bytes, credential: Credential) -> bytes:
    """``nf = H2("nf", s*B)`` of a credential (envelope, step 2): what the ledger shows if it was used."""
    base = nullifier_base(network, credential.P, credential.Q, credential.hp, credential.quarter)
    return nullifier(base.mul(credential.s).encode())


class Reconciled(msgspec.Struct, frozen=True):
    """What reconciling changed.

    :ivar used: credentials that were used after the backup was made. :ivar unreadable: consultations whose replies can no
        longer be opened, those found on the ledger included. :ivar slots: slots that must be cancelled or declined.
    """

    used: tuple[CredentialEntry, ...]
    unreadable: tuple[ConsultationEntry, ...]
    slots: tuple[SlotEntry, ...]


def reconcile(
    wallet: Wallet,
    seen_on_ledger: Callable[[bytes], ConsultationEntry | None],
    spent_otherwise: Callable[[bytes], bool] = lambda _: False,
) -> Reconciled:
    """Mark credentials used since the backup as spent (erasing their secrets), and consultations as unreadable; saves once.

    :param seen_on_ledger: looks a nullifier up, proven by the caller; the committed request as an entry, or ``None``.
    :param spent_otherwise: whether the ledger has the nullifier in an anonymous transaction that is no request.
    """
    todo = to_reconcile(wallet)
    used: list[CredentialEntry] = []
    found: list[ConsultationEntry] = []
    known = {c.nullifier for c in wallet.content.consultations}
    for entry, credential in todo.credentials:
        nf = nullifier_of(wallet.content.network, credential)
        credential.wipe()
        seen = seen_on_ledger(nf)
        if seen is not None or spent_otherwise(nf):
            used.append(entry)
            if seen is not None and nf not in known:
                found.append(msgspec.structs.replace(seen, nullifier=nf, quarter=entry.quarter, index=entry.index))
    unreadable = tuple(msgspec.structs.replace(c, state=UNREADABLE) for c in (*todo.consultations, *found))
    wallet.update(lambda content: _reconciled(content, used, unreadable))
    return Reconciled(tuple(used), unreadable, todo.slots)


def _reconciled(
    content: WalletContent, used: Iterable[CredentialEntry], unreadable: Iterable[ConsultationEntry]
) -> WalletContent:
    for entry in used:
        content = content.with_credential_state(entry.quarter, entry.index, SPENT)
    for consultation in unreadable:
        content = content.with_consultation(consultation)
    return content


def _decode_backup(data: bytes, where: str) -> BackupContent:
    try:
        return BackupContent.decode(data)
    except CodecError as error:
        raise_if_other_version(data, BackupContent, where)
        raise DamagedFile(f"{where} opens, but holds no backup ({error.detail})") from None
