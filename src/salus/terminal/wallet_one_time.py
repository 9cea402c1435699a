"""One-time secrets, each sealed in a file of its own, so that erasing one leaves nothing of it behind.

They are never part of ``wallet.sealed`` and never of a backup.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from salus.errors import Refused, WalletError
from salus.files import erase, make_private_directory, read_bounded, remove_leftovers, write_atomic
from salus.symmetric import Random
from salus.terminal.sealed import open_content, parse, seal_content

SECRET_BYTES_MAX: Final = 64 * 1024
"""Keys of one consultation or slot; a few hundred bytes each."""
NAMES_MAX: Final = 65_536
_FILE_BYTES_MAX: Final = SECRET_BYTES_MAX + 4096
_SUFFIX: Final = ".sealed"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")


class OneTimeStore:
    """The directory ``one-time/`` of a wallet."""

    def __init__(self, directory: Path, data_key: bytes, random: Random) -> None:
        self._directory = directory
        self._data_key: bytes | None = data_key
        self._random = random
        make_private_directory(directory)
        remove_leftovers(directory)

    def close(self) -> None:
        """Forget the key; every later use is refused."""
        self._data_key = None

    def _key(self) -> bytes:
        if self._data_key is None:
            raise WalletError("the wallet is closed")
        return self._data_key

    def put(self, name: str, secret: bytes) -> None:
        """Seal ``secret`` durably under ``name`` before it is used anywhere.

        :param name: lower-case letters, digits, dots and hyphens, up to 100.
        :raises WalletError: the name is in use (one-time secrets are never replaced), malformed, or the secret too large.
        :raises StorageError: it could not be written.
        """
        path = self._path(name)
        if path.exists():
            raise WalletError(f"there is a one-time secret {name} already; it is never replaced, only erased")
        if len(secret) > SECRET_BYTES_MAX:
            raise WalletError(f"the one-time secret {name} has {len(secret)} bytes; at most {SECRET_BYTES_MAX}")
        write_atomic(path, seal_content(self._key(), "one-time", name, secret, self._random).to_bytes())

    def get(self, name: str) -> bytes:
        """The secret under ``name``.

        :raises Refused: ``erased``, if there is none (any more).
        :raises DamagedFile: its file was altered or truncated.
        """
        path = self._path(name)
        if not path.exists():
            raise Refused("erased", f"the one-time keys {name} are not here: erased, or made before the wallet was restored")
        file = parse(read_bounded(path, _FILE_BYTES_MAX, "a one-time secret"), str(path))
        if file.name != name:
            raise Refused("erased", f"{path} holds the one-time keys {file.name}, not {name}")
        return open_content(self._key(), file, "one-time", str(path))

    def has(self, name: str) -> bool:
        """Whether there is a secret under ``name``."""
        return self._path(name).exists()

    def erase(self, name: str) -> bool:
        """Overwrite and remove the secret; returns whether there was one. Again is harmless.

        :raises StorageError: it could not be erased.
        """
        return erase(self._path(name))

    def names(self) -> tuple[str, ...]:
        """Names of all secrets, sorted.

        :raises WalletError: over :data:`NAMES_MAX`.
        """
        found = sorted(path.name.removesuffix(_SUFFIX) for path in self._directory.glob(f"*{_SUFFIX}") if path.name[0] != ".")
        if len(found) > NAMES_MAX:
            raise WalletError(f"{self._directory} holds {len(found)} one-time secrets; at most {NAMES_MAX}")
        return tuple(found)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise WalletError("the name of a one-time secret has lower-case letters, digits, dots and hyphens, up to 100")
        return self._directory / f"{name}{_SUFFIX}"
