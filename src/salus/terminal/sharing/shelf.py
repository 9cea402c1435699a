"""What a terminal remembers of sharing, beside its wallet: small messages, each sealed in a file of its own.

A file is replaced atomically and what it replaced is overwritten. The owner's secret, from which keys of scopes and index keys
are derived, is not here but in the wallet itself, and so in its backups (:mod:`.scopes`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, TypeVar

from salus.codec import Message
from salus.errors import CodecError, DamagedFile, WalletError
from salus.files import erase, make_private_directory, read_bounded, remove_leftovers, write_atomic
from salus.terminal.sealed import FILE_BYTES_MAX, parse, raise_if_other_version
from salus.terminal.wallet import Wallet

DIRECTORY: Final = "sharing"
PURPOSE: Final = "sharing"
FILES_MAX: Final = 65_536
"""Records, shares, scopes and keys of one terminal."""
_SUFFIX: Final = ".sealed"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
M = TypeVar("M", bound=Message)


class Shelf:
    """The directory ``sharing/`` of a wallet."""

    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet
        self._directory = wallet.directory / DIRECTORY
        make_private_directory(self._directory)
        remove_leftovers(self._directory)

    def put(self, name: str, message: Message) -> None:
        """Seal a message durably under ``name``, in the place of an older one.

        :raises StorageError: it could not be written; what was there before is as it was.
        """
        path = self._path(name)
        file = self._wallet.seal_private(PURPOSE, path.name, message.encode())
        write_atomic(path, file.to_bytes(), overwrite_old=True)

    def get(self, name: str, kind: type[M]) -> M | None:
        """The message under ``name``, or None.

        :raises DamagedFile: its file was altered or cut short. :raises UnknownVersion: a newer Salus wrote it.
        """
        path = self._path(name)
        return self._read(path, kind) if path.exists() else None

    def _read(self, path: Path, kind: type[M]) -> M:
        file = parse(read_bounded(path, FILE_BYTES_MAX, "a file of the wallet"), str(path))
        if file.name != path.name:
            raise DamagedFile(f"{path} holds {file.name}; put it back under that name")
        data = self._wallet.open_private(file, PURPOSE, str(path))
        try:
            return kind.decode(data)
        except CodecError as error:
            raise_if_other_version(data, kind, str(path))
            raise DamagedFile(f"{path} opens, but holds something else ({error.detail})") from None

    def all(self, prefix: str, kind: type[M]) -> list[M]:
        """Every message whose name begins with ``prefix``, a word and a hyphen; in no particular order."""
        return [self._read(path, kind) for path in self._paths(prefix)]

    def count(self, prefix: str) -> int:
        """How many names begin with ``prefix``."""
        return len(self._paths(prefix))

    def _paths(self, prefix: str) -> list[Path]:
        found = sorted(self._directory.glob(f"{prefix}*{_SUFFIX}"))
        if len(found) > FILES_MAX:
            raise WalletError(f"{self._directory} holds {len(found)} files; at most {FILES_MAX}")
        return found

    def remove(self, name: str) -> bool:
        """Overwrite and remove; returns whether there was one."""
        return erase(self._path(name))

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise WalletError("a name has lower-case letters, digits, dots and hyphens, up to 100")
        word, hyphen, _ = name.partition("-")
        # Of a name that tells which record or scope it is, only the sort is shown.
        shown = f"{word}-{self._wallet.private_name(PURPOSE, name)}" if hyphen else name
        return self._directory / f"{shown}{_SUFFIX}"
