"""Small files that must survive a crash: atomic replacement, private key files, erasure, the lock of a home.

Every write goes to a temporary file in the same directory, is fsynced, renamed over the old name, and the directory is
fsynced: after a crash or on a full disk the name holds the old content or the new, never a mixture.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NoReturn

from salus.errors import DamagedFile, Refused, StorageError

PRIVATE_FILE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700
KEY_FILE_BYTES_MAX: Final = 64 * 1024
"""A key file holds a handful of keys; anything larger is not one."""
LOCK_NAME: Final = "lock"
_TEMPORARY: Final = re.compile(r"\..+\.[0-9]+-[0-9a-f]{16}\.tmp")
_ERASE_CHUNK: Final = 1 << 16
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Busy(Refused, StorageError):
    """Another process works on this home (reason ``busy``).

    :ivar pid: process id of the holder, or 0 if it could not be read.
    """

    def __init__(self, directory: Path, pid: int) -> None:
        self.pid = pid
        who = f"process {pid}" if pid else "another process"
        super().__init__("busy", f"{who} works on {directory}; wait until it ends, or stop it")


class UnfinishedWriteError(StorageError):
    """The new content is in place, but not yet durable, or what it replaced could not be overwritten."""


def write_atomic(path: Path, data: bytes, mode: int = PRIVATE_FILE, *, overwrite_old: bool = False) -> None:
    """Replace the content of ``path``: temporary file, fsync, rename, fsync of the directory.

    :param mode: permission bits of the new file.
    :param overwrite_old: afterwards overwrite the bytes of the file that was replaced (if nothing else links to it),
        for files whose old version held secrets that the new one has dropped.
    :raises UnfinishedWriteError: the new content is in place; see there.
    :raises StorageError: nothing was replaced: no room, no permission, no such directory; the old content is as it was.
    """
    old = _open_old(path) if overwrite_old else None
    try:
        with replacing(path, mode) as file:
            file.write(data)
        if old is not None and os.fstat(old).st_nlink == 0:
            _overwrite(old)
    except OSError as error:
        _fail(error, path, "the new version is in place, but the bytes of the old one are not overwritten", UnfinishedWriteError)
    finally:
        if old is not None:
            os.close(old)


@contextlib.contextmanager
def replacing(path: Path, mode: int = PRIVATE_FILE) -> Iterator[BinaryIO]:
    """A binary file that becomes ``path`` when the block ends well, and disappears if it does not.

    :raises UnfinishedWriteError: the new content is in place; see there.
    :raises StorageError: nothing was replaced; the old content of ``path`` is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(8).hex()}.tmp")
    done = False
    try:
        with open(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
        done = True
        fsync_directory(path.parent)
    except OSError as error:
        if done:
            _fail(error, path, "the new version is in place, but may not outlive a power failure", UnfinishedWriteError)
        _fail(error, path, "what was there before is unchanged")
    finally:
        if not done:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def fsync_directory(directory: Path) -> None:
    """Make renames and removals in ``directory`` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_directory(directory: Path) -> None:
    """Create ``directory`` and its missing parents, each with mode 0700, unless it exists.

    :raises StorageError: it cannot be created, or something else has its name.
    """
    try:
        missing = [path for path in (directory, *directory.parents) if not path.exists()]
        for path in reversed(missing):  # one by one: mkdir(parents=True) gives parents the default mode
            path.mkdir(PRIVATE_DIRECTORY, exist_ok=True)
        if not directory.is_dir():
            raise StorageError(f"{directory} is not a directory; name another one, or move it away")
    except OSError as error:
        _fail(error, directory, "nothing was created")


def remove_leftovers(directory: Path) -> int:
    """Remove temporary files that a killed process left in ``directory``; returns how many.

    Call it under the home's lock only. Each is overwritten first, for it may hold secrets.
    """
    count = 0
    try:
        for entry in sorted(directory.iterdir()):
            if _TEMPORARY.fullmatch(entry.name) and erase(entry):
                count += 1
    except OSError as error:
        _fail(error, directory, "leftovers could not be listed")
    return count


def read_bounded(path: Path, max_bytes: int, what: str) -> bytes:
    """Read a whole small file.

    :param what: what the file is, for the error message (``"the wallet"``).
    :raises StorageError: it is missing or cannot be read.
    :raises DamagedFile: it is larger than ``max_bytes`` or not a regular file.
    """
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DamagedFile(f"{path} ({what}) is not a regular file")
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise StorageError(f"{path} ({what}) does not exist; check the path, or restore it from a backup") from None
    except OSError as error:
        raise StorageError(f"{path} ({what}) cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise DamagedFile(f"{path} ({what}) is over {max_bytes} bytes; it is damaged or another file")
    return data


def write_key_file(path: Path, data: bytes) -> None:
    """Create a key file of mode 0600.

    :raises StorageError: there is a file of that name already (keys are never overwritten), or it cannot be written.
    """
    if path.exists():
        raise StorageError(f"{path} exists already; a key file is never overwritten: move it away first")
    make_private_directory(path.parent)
    write_atomic(path, data, PRIVATE_FILE)


def read_key_file(path: Path, what: str) -> bytes:
    """Read a key file that nobody but its owner can read.

    :raises StorageError: missing, unreadable, or group or others have access (``chmod 600`` it).
    """
    data = read_bounded(path, KEY_FILE_BYTES_MAX, what)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        _fail(error, path, f"{what} cannot be examined")
    if mode & 0o077:
        raise StorageError(f"{path} ({what}) is open to others (mode {mode:04o}); run: chmod 600 {path}")
    return data


def erase(path: Path) -> bool:
    """Overwrite a file, fsync it, remove it, fsync the directory.

    On copy-on-write file systems and on flash the medium may keep old blocks, which no program can reach from here;
    therefore what is erased was sealed in the first place, and whole-disk encryption is advised.

    :returns: whether there was a file.
    :raises StorageError: it could not be removed, or it was removed without being overwritten.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        _fail(error, path, "it was not erased")
    failure: OSError | None = None
    try:
        try:
            _overwrite(descriptor)
        except OSError as error:  # the name goes all the same: a sealed leftover is worth less than a whole file
            failure = error
    finally:
        os.close(descriptor)
    try:
        path.unlink()
        fsync_directory(path.parent)
    except OSError as error:
        _fail(error, path, "it was overwritten but not removed")
    if failure is not None:
        _fail(failure, path, "it was removed, but its bytes could not be overwritten")
    return True


class HomeLock:
    """Exclusive lock of a home directory, held by one process for as long as the object is open.

    The lock is the operating system's, so it ends with the process that holds it, however that ends.
    """

    def __init__(self, directory: Path, name: str = LOCK_NAME) -> None:
        """Take the lock of ``directory``, which is created (mode 0700) if it is missing.

        :raises Busy: another process, or another object of this one, holds it.
        :raises StorageError: the directory cannot be used.
        """
        make_private_directory(directory)
        self.path = directory / name
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        except OSError as error:
            _fail(error, self.path, "the home cannot be locked")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _read_pid(descriptor)
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise Busy(directory, holder) from None
            _fail(error, self.path, "the home cannot be locked")
        self._descriptor: int | None = descriptor
        with contextlib.suppress(OSError):  # on a full disk the lock holds all the same; only its owner's number is lost
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock back; doing so twice is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> HomeLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def _read_pid(descriptor: int) -> int:
    try:
        text = os.pread(descriptor, 20, 0).strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def _open_old(path: Path) -> int | None:
    try:
        return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        _fail(error, path, "what was there before is unchanged")


def _overwrite(descriptor: int) -> None:
    """Zeros over every byte, then fsync."""
    size = os.fstat(descriptor).st_size
    offset = 0
    while offset < size:
        offset += os.pwrite(descriptor, bytes(min(_ERASE_CHUNK, size - offset)), offset)
    os.fsync(descriptor)


def _fail(error: OSError, path: Path, state: str, kind: type[StorageError] = StorageError) -> NoReturn:
    what_to_do = "free some space and repeat" if error.errno in _NO_ROOM else "check the path and its permissions"
    raise kind(f"{path}: {error.strerror or error}; {state}; {what_to_do}") from error
