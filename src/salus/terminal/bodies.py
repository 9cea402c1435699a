"""Bodies on their way between a terminal and the cloud: encrypted to a staging file, uploaded, fetched, opened.

Nothing that is not verified reaches ``received/``; staging files hold ciphertext only and are removed when they are done with.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

from salus.consultation.receipts import SealedReceipt, UploadReceipt
from salus.errors import StorageError
from salus.files import make_private_directory, remove_leftovers
from salus.records.digest import BodySummary, encrypted_size
from salus.records.file import recognise
from salus.records.payload import (
    Header,
    OpenedPayload,
    PayloadHeader,
    ReplyHeader,
    SealedPayload,
    decrypt_payload,
    encrypt_payload,
)
from salus.symmetric import Random
from salus.terminal.cloud_client import CloudClient

H = TypeVar("H", PayloadHeader, ReplyHeader)
OUTGOING: Final = "outgoing"
"""Directory of a terminal's transactions whose commit is not known yet: as they go to the nodes, nothing secret."""
Progress = Callable[[str, int, int], None]
"""Told (what is done, bytes done, bytes in all)."""


def no_progress(what: str, done_bytes: int, all_bytes: int) -> None:
    """Tell nobody."""


class Payload:
    """A file to be sent: opened once, its size fixed at that moment.

    :ivar media_type, file_name: what the receiver is told.
    :raises StorageError: the file cannot be read, or is no regular file.
    """

    def __init__(self, path: Path) -> None:
        try:
            if path.exists() and not path.is_file():  # before it is opened: a named pipe would wait for a writer
                raise StorageError(f"{path} is not a regular file; name the file itself")
            self.file: BinaryIO = path.open("rb")
            self.size_bytes = os.fstat(self.file.fileno()).st_size
        except OSError as error:
            raise StorageError(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from None
        self.file_name = path.name
        self.media_type = recognise(path).media_type

    def __enter__(self) -> Payload:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


class BodyTransfer:
    """Moves bodies for one terminal.

    :param staging: directory of this terminal for ciphertext under way.
    :param received: directory for what was opened and verified.
    """

    def __init__(self, cloud: CloudClient, staging: Path, received: Path, random: Random) -> None:
        self._cloud = cloud
        self._staging = staging
        self._received = received
        self._random = random
        make_private_directory(staging)
        make_private_directory(received)
        for left in staging.glob("*.body"):
            if not left.name.startswith(f"{os.getpid()}-"):  # of a process that was killed: this one holds the wallet's lock
                left.unlink(missing_ok=True)
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        """What a killed process left; the wallet's lock keeps others that still work away from here."""
        remove_leftovers(self._received)
        for path in self._staging.glob("*.body"):
            if not path.name.startswith(f"{os.getpid()}-"):
                path.unlink(missing_ok=True)

    def check_room(self, payload: Payload) -> None:
        """Refuse a payload whose ciphertext has no room here, before anything is spent on it.

        :raises StorageError: saying how much room there is.
        """
        needed, free = encrypted_size(payload.size_bytes), shutil.disk_usage(self._staging).free
        if needed > free:
            raise StorageError(
                f"{payload.file_name} needs {needed} bytes below {self._staging}, {free} are free; make room, or send less"
            )

    def send(
        self, header: Header, payload: Payload, key: bytes, context: Any, keep_until_ms: int, progress: Progress = no_progress
    ) -> tuple[SealedPayload, UploadReceipt]:
        """Encrypt and upload (request, steps 5 and 7): the body's summary and the cloud's receipt.

        :raises StorageError: the payload changed or the disk is full; nothing is left behind.
        :raises Refused: the cloud refused. :raises TransportError: the cloud does not answer.
        """
        self.check_room(payload)
        with self._staged() as path:
            with path.open("wb") as sink:
                sealed = encrypt_payload(
                    header, payload.file, key, context, sink, random=self._random,
                    progress=lambda done: progress("encrypting", done, payload.size_bytes),
                )  # fmt: skip
            with path.open("rb") as source:
                receipt = self._cloud.upload(
                    source, sealed.body.digest, sealed.body.size_bytes, keep_until_ms,
                    progress=lambda done: progress("uploading", done, sealed.body.size_bytes),
                )  # fmt: skip
        return sealed, receipt

    def receive(
        self, expected: BodySummary, key: bytes, context: Any, header_type: type[H], accept: Callable[[H], None], name: str,
        progress: Progress = no_progress,
    ) -> tuple[OpenedPayload[H], Path]:  # fmt: skip
        """Fetch, verify and open a body; the file appears in ``received/`` only when all of it is verified.

        :param name: name of the file to write; an existing one of that name is replaced.
        :raises Refused: ``missing-body``, ``bad-body``, or what ``accept`` raises.
        """
        destination = self._received / name
        with self._staged() as path:
            with path.open("wb") as sink:
                self._cloud.download(
                    expected.digest,
                    expected.size_bytes,
                    sink,
                    progress=lambda done: progress("fetching", done, expected.size_bytes),
                )
            with path.open("rb") as source:
                opened = decrypt_payload(source, key, context, expected, header_type, accept, destination)
        return opened, destination

    def storage_receipt(self, tx_hash: bytes) -> SealedReceipt:
        """The cloud's sealed storage receipt of a committed transaction (storage, step 3); waits for a cloud that lags."""
        return self._cloud.await_storage_receipt(tx_hash)

    @contextlib.contextmanager
    def _staged(self) -> Iterator[Path]:
        path = self._staging / f"{os.getpid()}-{os.urandom(8).hex()}.body"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
