"""The directories of an embedded network: one for each party, and nothing beside them but the lock.

::

    HOME/lock                    held while a process works on this home
    HOME/founding                there while a network is being made here: what is beside it is unfinished
    HOME/centre/                 key, tables, genesis
    HOME/cloud/                  key, bodies, records, index, genesis
    HOME/cloud-1/ ..             the same of further clouds, in networks that have them
    HOME/node-0/ ..              keys, votes, ledger, shares, attachments, genesis
    HOME/check-0/ ..             keys, ledger, genesis of a check node
    HOME/institution-NAME/       wallet ('/' in names is written '.')
    HOME/doctor-NAME/            wallet, received/, staging/
    HOME/patient-NAME/           wallet, received/, staging/
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from salus.codec import decode
from salus.errors import CodecError, DamagedFile, Refused, StorageError
from salus.files import fsync_directory, read_bounded, write_atomic
from salus.ledger.genesis import Genesis

GENESIS_FILE: Final = "genesis"
FOUNDING_MARKER: Final = "founding"
GENESIS_BYTES_MAX: Final = 4 * 1024 * 1024
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,47}")
_NODE: Final = re.compile(r"node-(\d{1,3})")
_CLOUD: Final = re.compile(r"cloud-(\d{1,3})")
_CHECK: Final = re.compile(r"check-(\d{1,3})")
PERSON_ROLES: Final = ("patient", "doctor", "institution")


class Home:
    """Where each party of one embedded network lives."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.centre = directory / "centre"
        self.cloud = directory / "cloud"

    def cloud_of(self, index: int) -> Path:
        """Directory of cloud ``index``; the first one is :attr:`cloud`."""
        return self.directory / f"cloud-{index}" if index else self.cloud

    def node(self, index: int) -> Path:
        """Directory of node ``index``."""
        return self.directory / f"node-{index}"

    def nodes(self) -> list[Path]:
        """Directories of all nodes, by number."""
        return self._numbered(_NODE)

    def check(self, index: int) -> Path:
        """Directory of check node ``index``."""
        return self.directory / f"check-{index}"

    def checks(self) -> list[Path]:
        """Directories of all check nodes, by number; none in a home that was made before there were any."""
        return self._numbered(_CHECK)

    def _numbered(self, pattern: re.Pattern[str]) -> list[Path]:
        found = [p for p in self.directory.iterdir() if pattern.fullmatch(p.name)] if self.directory.is_dir() else []
        return sorted(found, key=lambda p: int(p.name.split("-")[1]))

    def person(self, role: str, name: str) -> Path:
        """Directory of a patient, doctor or institution."""
        return self.directory / f"{role}-{slug(name)}"

    def persons(self) -> Iterator[tuple[str, Path]]:
        """(role, directory) of every patient, doctor and institution of this home."""
        for path in sorted(self.directory.iterdir()):
            role = path.name.split("-", 1)[0]
            if role in PERSON_ROLES and path.is_dir():
                yield role, path

    def find_person(self, who: str) -> tuple[str, Path]:
        """The person that ``--as`` names: a directory (``patient-alice``), or a name that only one role has.

        :raises Refused: ``unknown-party``, naming those there are.
        """
        known = list(self.persons())
        for role, path in known:
            if path.name == who:
                return role, path
        matching = [(role, path) for role, path in known if path.name == f"{role}-{slug(who)}"]
        if len(matching) == 1:
            return matching[0]
        listed = ", ".join(path.name for _, path in known) or "none yet; make one with: salus wallet create"
        raise Refused("unknown-party", f"{who!r} is no party of {self.directory}; there are: {listed}")

    @property
    def founded(self) -> bool:
        """Whether there is a whole network here."""
        return (self.centre / GENESIS_FILE).exists() and not self._marker.exists()

    @property
    def _marker(self) -> Path:
        return self.directory / FOUNDING_MARKER

    @contextmanager
    def founding(self) -> Iterator[None]:
        """A network is made inside the block, under the home's lock: all of it, or nothing is left of it.

        What an earlier process left that was killed on the way is removed first.

        :raises StorageError: there are parties here already, or the directory cannot be written.
        """
        if self._marker.exists():
            self._remove_parties()
        elif parties := self._parties():
            raise StorageError(
                f"{self.directory} holds {parties[0].name}, but no network; choose another --home, or move it away"
            )
        write_atomic(self._marker, b"")
        try:
            yield
            self._marker.unlink()
            fsync_directory(self.directory)
        except BaseException:
            if self._marker.exists():
                self._remove_parties()
                self._marker.unlink()
            raise

    def _parties(self) -> list[Path]:
        persons = [path for _, path in self.persons()] if self.directory.is_dir() else []
        others = self._numbered(_CLOUD)
        return [path for path in (self.centre, self.cloud, *others, *self.nodes(), *self.checks(), *persons) if path.exists()]

    def _remove_parties(self) -> None:
        try:
            for path in self._parties():
                shutil.rmtree(path)
        except OSError as error:
            raise StorageError(f"{error.filename} cannot be removed ({error.strerror}); remove it, and try again") from None

    def genesis(self) -> Genesis:
        """The genesis, verified.

        :raises StorageError: there is no network here. :raises DamagedFile: it was altered.
        """
        if not self.founded and not self._marker.exists() and (nodes := self.nodes()):
            copy = f"cp {nodes[0] / GENESIS_FILE} {self.centre / GENESIS_FILE}"
            raise StorageError(f"{self.centre / GENESIS_FILE} is missing; every party has a copy: {copy}")
        if not self.founded:
            raise StorageError(
                f"there is no network in {self.directory}; make one with: salus --home {self.directory} network init"
            )
        return read_genesis(self.centre / GENESIS_FILE)


def read_genesis(path: Path) -> Genesis:
    """Read and verify a genesis file.

    :raises DamagedFile: it is no genesis, or does not verify. :raises StorageError: it is of another version of Salus.
    """
    data = read_bounded(path, GENESIS_BYTES_MAX, "the genesis")
    _raise_if_other_version(data, path)
    try:
        genesis = Genesis.decode(data)
        genesis.verify()
    except (CodecError, Refused) as error:
        raise DamagedFile(f"{path} is not a genesis that verifies ({error}); copy it again from another party") from None
    return genesis


def _raise_if_other_version(data: bytes, path: Path) -> None:
    """Tell a genesis with other fields than this version's from an altered one: it is whole, and of the kind, but does not fit.

    :raises StorageError: such a one.
    """
    try:
        value = decode(data)
        if type(value) is not tuple or not value or value[0] != Genesis.KIND:
            return
    except CodecError:
        return
    try:
        Genesis.from_value(value)
    except CodecError as error:
        raise StorageError(
            f"{path} is a genesis of another version of Salus ({error.detail}); use the version that founded the network, "
            "or found a new one in another home"
        ) from None


def slug(name: str) -> str:
    """A name as part of a directory name: as it is if plain, else readable characters and a digest."""
    plain = name.lower().replace("/", ".").replace(" ", "-")
    if _PLAIN.fullmatch(plain) and plain == name.replace("/", "."):
        return plain
    kept = re.sub(r"[^a-z0-9.-]+", "", plain).strip(".-")[:32]
    return f"{kept or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
