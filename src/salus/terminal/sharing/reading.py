"""From a record's key to its file: sealed metadata from nodes or clouds, the body from clouds, everything verified.

Steps: docs/protocol/records.md, "reading" and "ranges".
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from salus.abpre.capsules import VerifiedCapsule, take_unchecked
from salus.cloud import sharing_messages as sm
from salus.errors import Refused, StorageError, TransportError, refuse_unless
from salus.files import erase, make_private_directory, replacing
from salus.ledger.kinds.sharing.committee_state import committee_of, current_epoch
from salus.ledger.kinds.sharing.records import Record, capsule_of, record_aad
from salus.ledger.sharing_api import METADATA, Metadata, MetadataRequest, ReadProof
from salus.ledger.signatures import decoded_capsule
from salus.ledger.state import StateView
from salus.records.crypt4gh import export_crypt4gh
from salus.records.payload import safe_file_name
from salus.records.record import RecordMetadata, RecordPlace, decrypt_record, decrypt_record_bytes, open_metadata
from salus.symmetric import Random
from salus.terminal.bodies import Progress, no_progress
from salus.terminal.cloud_client import RemoteBody
from salus.terminal.sharing.bodies import RECEIVED, RecordBodies
from salus.terminal.sharing.nodes import Nodes

Prove = Callable[[str], ReadProof]


class Opened(msgspec.Struct, frozen=True):
    """A record that this terminal can read.

    :ivar key: k, 32 secret bytes. :ivar prove: shows a cloud or node, by name, who reads.
    """

    record: Record
    place: RecordPlace
    key: bytes
    metadata: RecordMetadata
    prove: Prove

    def __repr__(self) -> str:
        return f"Opened({self.record.rid.hex()})"


def verified_capsule(view: StateView, network: bytes, record: Record) -> VerifiedCapsule:
    """A record's present capsule; the chain has checked it, and its being there is proven.

    :raises Refused: ``record-erased``.
    """
    capsule = decoded_capsule(capsule_of(view, record.rid))
    return take_unchecked(capsule, record_aad(network, record.rid, record.scope))


class Reading:
    """Reads records for one terminal."""

    def __init__(self, nodes: Nodes, bodies: RecordBodies, directory: Path, random: Random) -> None:
        self._nodes = nodes
        self._bodies = bodies
        self._directory = directory
        self._random = random

    def open(self, view: StateView, record: Record, key: bytes, prove: Prove) -> Opened:
        """Fetch and open a record's sealed metadata (reading, steps 1 and 2).

        :raises Refused: ``bad-metadata``, ``not-granted``, ``not-found``: of the last one asked.
        """
        place = RecordPlace(self._nodes.network, record.rid, record.scope)
        failure: Refused | TransportError = Refused("not-found", "nobody keeps the record's sealed metadata")
        seats = [seat.name for seat in committee_of(view, current_epoch(view).epoch).seats]
        for party in (*seats, *record.clouds):
            try:
                sealed = self._sealed(party, prove(party), party in record.clouds)
                return Opened(record, place, key, open_metadata(sealed, record.metadata, key, place), prove)
            except (Refused, TransportError) as error:
                failure = error
        raise failure

    def _sealed(self, party: str, proof: ReadProof, cloud: bool) -> bytes:
        if cloud:
            return sm.RecordInfo.decode(self._nodes.call(party, sm.RECORD_INFO, sm.RecordInfoRequest(proof))).sealed
        return Metadata.decode(self._nodes.call(party, METADATA, MetadataRequest(proof))).data

    def write(self, opened: Opened, out: Path | None = None, progress: Progress = no_progress) -> Path:
        """Fetch, verify and decrypt a record; the file appears only when all of it is verified (reading, step 3).

        :param out: the file, or a directory; by default below ``received/``, named after the record.
        :raises Refused: ``bad-body``, ``missing-body``. :raises StorageError: it cannot be written, or exists already.
        """
        path = self._destination(opened, out)

        def read(source: RemoteBody) -> None:
            with _replacing(path) as sink:
                decrypt_record(source, opened.key, opened.place, opened.metadata, sink)

        self._bodies.fetch(opened.metadata, opened.prove, read, progress)
        return path

    def write_range(self, opened: Opened, start: int, stop: int, out: Path) -> Path:
        """Plaintext bytes ``start`` up to ``stop`` alone, in time independent of the record's size (ranges).

        :raises Refused: ``bad-range`` for a range outside the record; ``bad-body``, ``missing-body``.
        """
        size_bytes = opened.metadata.body.plain_bytes
        inside = 0 <= start < stop <= size_bytes
        refuse_unless(
            inside, "bad-range", f"the record has {size_bytes} bytes, counted from 0; {start}-{stop - 1} are not all there"
        )
        fetch = self._bodies.segments(opened.metadata, opened.prove)
        with _replacing(out) as sink:
            decrypt_record_bytes(fetch, opened.key, opened.place, opened.metadata, start, stop, sink)
        return out

    def export_crypt4gh(self, opened: Opened, recipient: bytes, out: Path, progress: Progress = no_progress) -> Path:
        """Write a standard Crypt4GH file for one recipient.

        :param recipient: X25519 public key, 32 bytes.
        """
        if out.exists():
            raise StorageError(f"{out} exists already; name a new file")

        def read(source: RemoteBody) -> None:
            with replacing(out) as sink:
                body, context = opened.metadata.body, opened.place.context
                export_crypt4gh(source, opened.key, context, body, recipient, sink, random=self._random)

        self._bodies.fetch(opened.metadata, opened.prove, read, progress)
        return out

    def _destination(self, opened: Opened, out: Path | None) -> Path:
        name = f"{opened.record.rid.hex()[:8]}-{safe_file_name(opened.metadata.file_name) or 'record'}"
        if out is None:
            make_private_directory(self._directory / RECEIVED)
            return self._directory / RECEIVED / name
        if out.is_dir():
            return out / name
        if out.exists():
            raise StorageError(f"{out} exists already; name a new file, or a directory")
        return out


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """:func:`salus.files.replacing`, after what a killed terminal left of the same file is overwritten and removed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid = left.name.removeprefix(f".{path.name}.").partition("-")[0]
        if pid.isdecimal() and not _runs(int(pid)):
            erase(left)
    with replacing(path) as sink:
        yield sink


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
