"""A party's wallet: a directory with the sealed long-term part and, beside it, sealed one-time secrets.

::

    wallet.sealed         long-term part, under passphrase and recovery phrase
    one-time/NAME.sealed  one-time secrets (:mod:`salus.terminal.wallet_one_time`)
    lock                  held while the wallet is open

Each save replaces ``wallet.sealed`` atomically and overwrites what it replaces, because erased secrets stood there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from salus import labels
from salus.errors import CodecError, DamagedFile, WalletError
from salus.files import HomeLock, UnfinishedWriteError, read_bounded, remove_leftovers, write_atomic
from salus.symmetric import KEY_BYTES, Random, kdf
from salus.terminal.recovery_phrase import entropy_of, phrase_of
from salus.terminal.sealed import (
    DEFAULT_COST,
    FILE_BYTES_MAX,
    Argon2Cost,
    PassphraseWrap,
    PhraseWrap,
    SealedFile,
    open_content,
    parse,
    raise_if_other_version,
    seal_content,
    unwrap_passphrase,
    unwrap_phrase,
    wrap_passphrase,
    wrap_phrase,
)
from salus.terminal.wallet_content import WalletContent
from salus.terminal.wallet_one_time import OneTimeStore

WALLET_FILE: Final = "wallet.sealed"
ONE_TIME_DIRECTORY: Final = "one-time"
PURPOSE: Final = "wallet"


class WrongNetwork(WalletError):
    """The wallet belongs to another network than the one it was opened for."""


class Wallet:
    """An open wallet; close it (or use ``with``) to let other processes open it.

    :ivar directory: where it lives. :ivar one_time: its one-time secrets.
    """

    def __init__(
        self,
        directory: Path,
        lock: HomeLock,
        data_key: bytes,
        wraps: tuple[PassphraseWrap, PhraseWrap],
        content: WalletContent,
        random: Random,
    ) -> None:
        """Use :meth:`create`, :meth:`open` or :func:`salus.terminal.recovery.restore`."""
        self.directory = directory
        self._lock = lock
        self._data_key = data_key
        self._wraps = wraps
        self._content = content
        self._random = random
        self.one_time = OneTimeStore(directory / ONE_TIME_DIRECTORY, data_key, random)

    @classmethod
    def create(
        cls,
        directory: Path,
        content: WalletContent,
        passphrase: bytes,
        *,
        random: Random = os.urandom,
        cost: Argon2Cost = DEFAULT_COST,
    ) -> tuple[Wallet, str]:
        """Make a wallet; returns it with its recovery phrase (24 words), which is shown this once and kept nowhere.

        :raises WalletError: there is a wallet already, or the passphrase is empty.
        :raises Busy: another process has this directory open.
        :raises StorageError: it could not be written; nothing was made.
        """
        lock = HomeLock(directory)
        try:
            refuse_existing(directory)
            data_key = random(KEY_BYTES)
            entropy = random(32)
            wraps = (wrap_passphrase(data_key, passphrase, cost, random), wrap_phrase(data_key, entropy, random))
            wallet = cls(directory, lock, data_key, wraps, content, random)
            wallet.save()
        except BaseException:
            lock.release()
            raise
        return wallet, phrase_of(entropy)

    @classmethod
    def open(cls, directory: Path, passphrase: bytes, *, network: bytes | None = None, random: Random = os.urandom) -> Wallet:
        """Open a wallet by its passphrase.

        :param network: id of the network it is to be used on; another one is refused.
        :raises WrongPassphrase: the file is intact, the passphrase another one.
        :raises DamagedFile: the file was altered or truncated.
        :raises UnknownVersion: a newer Salus wrote it.
        :raises WrongNetwork: it belongs to another network.
        :raises Busy: another process has it open.
        :raises StorageError: there is none, or it cannot be read.
        """
        return cls._open(directory, lambda file, where: unwrap_passphrase(file, passphrase, where), network, random)

    @classmethod
    def open_with_phrase(
        cls, directory: Path, phrase: str, *, network: bytes | None = None, random: Random = os.urandom
    ) -> Wallet:
        """Open a wallet by its recovery phrase; errors as :meth:`open`, and :class:`WalletError` for a mistyped phrase."""
        entropy = entropy_of(phrase)
        return cls._open(directory, lambda file, where: unwrap_phrase(file, entropy, where), network, random)

    @classmethod
    def _open(cls, directory: Path, unwrap: Callable[[SealedFile, str], bytes], network: bytes | None, random: Random) -> Wallet:
        path = directory / WALLET_FILE
        if not path.is_file():
            raise WalletError(f"there is no wallet in {directory}; make one with: salus wallet create")
        lock = HomeLock(directory)
        try:
            remove_leftovers(directory)
            file = parse(read_bounded(path, FILE_BYTES_MAX, "the wallet"), str(path))
            data_key = unwrap(file, str(path))
            content = decode_content(open_content(data_key, file, PURPOSE, str(path)), str(path))
            check_network(content, network)
            return cls(directory, lock, data_key, required_wraps(file, str(path)), content, random)
        except BaseException:
            lock.release()
            raise

    @property
    def content(self) -> WalletContent:
        """What the wallet remembers, as last saved."""
        return self._content

    def update(self, change: Callable[[WalletContent], WalletContent]) -> WalletContent:
        """Change the content and save it.

        :raises UnfinishedWriteError: it is saved, but the replaced version could not be overwritten.
        :raises StorageError: it could not be saved; the wallet, in memory and on disk, is as before.
        """
        changed = change(self._content)
        if changed != self._content:
            try:
                self._save(changed)
            except UnfinishedWriteError:
                self._content = changed
                raise
            self._content = changed
        return changed

    def change_passphrase(self, passphrase: bytes, *, cost: Argon2Cost = DEFAULT_COST) -> None:
        """Put the wallet under another passphrase; recovery phrase and older backups stay as they are.

        :raises WalletError: an empty passphrase. :raises StorageError: not saved; the old passphrase still holds.
        """
        old = self._wraps
        self._wraps = (wrap_passphrase(self._data_key, passphrase, cost, self._random), old[1])
        try:
            self._save(self._content)
        except UnfinishedWriteError:
            raise
        except BaseException:
            self._wraps = old
            raise

    def save(self) -> None:
        """Write the content as it is (:meth:`update` does so by itself).

        :raises StorageError: it could not be written.
        """
        self._save(self._content)

    def seal_beside(self, purpose: str, content: bytes) -> SealedFile:
        """Seal other content under this wallet's ways to open it (for backups)."""
        return seal_content(self._data_key, purpose, self._content.name, content, self._random, self._wraps)

    def seal_private(self, purpose: str, name: str, content: bytes) -> SealedFile:
        """Seal other content of this wallet, to be opened with the wallet alone."""
        if not self._data_key:
            raise WalletError("the wallet is closed")
        return seal_content(self._data_key, purpose, name, content, self._random)

    def private_name(self, purpose: str, name: str) -> str:
        """A name for a file that tells nobody without the wallet's key what is in it: 32 hexadecimal digits."""
        if not self._data_key:
            raise WalletError("the wallet is closed")
        return kdf(labels.WALLET_NAME, labels.SUITE_WALLET, [self._data_key], (purpose, name), 16).hex()

    def open_private(self, file: SealedFile, purpose: str, where: str) -> bytes:
        """Open what :meth:`seal_private` sealed.

        :raises DamagedFile: it was altered, or is of another wallet or purpose.
        """
        if not self._data_key:
            raise WalletError("the wallet is closed")
        return open_content(self._data_key, file, purpose, where)

    def close(self) -> None:
        """Forget the keys and release the lock."""
        self._data_key = b""
        self.one_time.close()
        self._lock.release()

    def _save(self, content: WalletContent) -> None:
        if not self._data_key:
            raise WalletError("the wallet is closed")
        file = seal_content(self._data_key, PURPOSE, content.name, content.encode(), self._random, self._wraps)
        write_atomic(self.directory / WALLET_FILE, file.to_bytes(), overwrite_old=True)

    def __enter__(self) -> Wallet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Wallet({self._content.role} {self._content.name} in {self.directory})"


def refuse_existing(directory: Path) -> None:
    """Refuse to make a wallet where one is.

    :raises WalletError: there is one.
    """
    if (directory / WALLET_FILE).exists():
        raise WalletError(f"there is a wallet in {directory} already; nothing was changed: to replace it, move it away first")


def decode_content(data: bytes, where: str) -> WalletContent:
    """Decode the opened content.

    :raises UnknownVersion: of another version. :raises DamagedFile: no wallet content.
    """
    try:
        return WalletContent.decode(data)
    except CodecError as error:
        raise_if_other_version(data, WalletContent, where)
        raise DamagedFile(f"{where} opens, but holds no wallet ({error.detail})") from None


def check_network(content: WalletContent, network: bytes | None) -> None:
    """Refuse a wallet of another network.

    :raises WrongNetwork: naming both ids.
    """
    if network is not None and network != content.network:
        raise WrongNetwork(
            f"the wallet of {content.name} belongs to network {content.network.hex()[:16]}.., this is {network.hex()[:16]}..; "
            "name the right home or wallet"
        )


def required_wraps(file: SealedFile, where: str) -> tuple[PassphraseWrap, PhraseWrap]:
    """Both ways to open a wallet.

    :raises DamagedFile: one is missing.
    """
    if file.passphrase is None or file.phrase is None:
        raise DamagedFile(f"{where} lacks its passphrase or recovery phrase part")
    return file.passphrase, file.phrase
