"""The records below a directory: every regular file is one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from salus.errors import StorageError

RECORDS_MAX: Final = 100_000
"""Files below all roots together: more are a wrong directory (a home, a disk) rather than a set of records."""


class RecordFile(msgspec.Struct, frozen=True):
    """One record: its file, the root it was found under, its path relative to that root (with ``/``), its size in bytes."""

    path: Path
    root: Path
    relative: str
    size_bytes: int


def find_records(*roots: Path) -> list[RecordFile]:
    """Every regular file below ``roots``, sub-directories included, sorted by path within each root.

    Symbolic links are not followed: a record lies where it seems to lie.

    :raises StorageError: a root is missing or no directory, a directory cannot be read, there is no file at all, or there are
        more than :data:`RECORDS_MAX`.
    """
    found: list[RecordFile] = []
    for root in roots:
        if not root.is_dir():
            raise StorageError(f"{root} is {'not a directory' if root.exists() else 'not there'}; name a directory of records")
        below = []
        for record in _walk(root):
            below.append(record)
            if len(found) + len(below) > RECORDS_MAX:
                raise StorageError(f"more than {RECORDS_MAX} files below {root}; name the directory of the records themselves")
        found += sorted(below, key=lambda record: record.relative)
    if not found:
        raise StorageError(f"no file below {', '.join(map(str, roots)) or 'no directory'}; name a directory of records")
    return found


def _walk(root: Path) -> Iterator[RecordFile]:
    def fail(error: OSError) -> None:
        raise StorageError(f"cannot read the directory {error.filename}: {error.strerror or error}") from error

    for directory, _, names in os.walk(root, onerror=fail):
        for name in names:
            path = Path(directory, name)
            try:
                status = path.lstat()
            except OSError as error:
                raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
            if stat.S_ISREG(status.st_mode):
                yield RecordFile(path, root, path.relative_to(root).as_posix(), status.st_size)
