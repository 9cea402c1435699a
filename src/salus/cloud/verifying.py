"""Whether a cloud's files hold what the ledger says that they hold, and nothing that it says is erased.

Reads files alone: no gateway runs, nothing is changed. Steps: docs/operating.md, "verifying".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from salus.cloud.index import Index
from salus.cloud.objects import DirectoryStore
from salus.cloud.outlines import OUTLINES_DIRECTORY, Outlines
from salus.cloud.sharing_records import ENTRY_BYTES_MAX, RECORDS_DIRECTORY, RecordEntry
from salus.cloud.shelf import hash_body
from salus.errors import Refused, SalusError
from salus.files import read_bounded
from salus.ledger.kinds.sharing.records import digest_tag
from salus.records.record import metadata_hash

Tell = Callable[[str, int, int], None]
"""(what, done, total): progress."""


class ExpectedBody(msgspec.Struct, frozen=True):
    """A body that a committed transaction names.

    :ivar keep_until_ms: past this block time it may be gone.
    """

    height: int
    digest: bytes
    size_bytes: int
    keep_until_ms: int


class ExpectedRecord(msgspec.Struct, frozen=True):
    """What a live record consists of. :ivar height: of the block that put it, or rotated it last."""

    height: int
    rid: bytes
    metadata: bytes
    digest_tag: bytes


class Expected(msgspec.Struct):
    """What the ledger says of one cloud.

    :ivar time_ms: of its last block.
    :ivar dead: digest tags of bodies that were erased or replaced, and the height at which.
    :ivar dead_metadata: the same of (rid, hash of sealed metadata).
    """

    time_ms: int
    bodies: list[ExpectedBody]
    records: list[ExpectedRecord]
    dead: dict[bytes, int]
    dead_metadata: dict[tuple[bytes, bytes], int]


class CloudFindings(msgspec.Struct):
    """What was found.

    :ivar height: of the last block that the cloud has followed; what later ones erase may still be there.
    :ivar bodies, size_bytes: hashed and right. :ivar expired: past their time, and gone.
    """

    height: int
    bodies: int
    size_bytes: int
    expired: int
    records: int
    problems: list[str]


def verify_cloud(directory: Path, network: bytes, expected: Expected, tell: Tell) -> CloudFindings:
    """Hash every body that is to be there, compare sealed metadata, and look for what should be gone."""
    found = CloudFindings(0, 0, 0, 0, 0, [])
    found.height = _followed(directory, network, found)
    if not directory.is_dir():
        found.problems.append(f"{directory} is missing")
        return found
    store = DirectoryStore(directory)
    for done, body in enumerate(expected.bodies):
        tell("hashing bodies", done, len(expected.bodies))
        _check_body(store, body, expected.time_ms, found)
    entries = dict(_entries(directory / RECORDS_DIRECTORY, found))
    for done, record in enumerate(expected.records):
        tell("hashing bodies of records", done, len(expected.records))
        _check_record(store, network, record, entries.get((record.rid, record.metadata)), found)
    _check_erased(directory, store, network, expected, entries, found)
    return found


def _followed(directory: Path, network: bytes, found: CloudFindings) -> int:
    try:
        index = Index.in_directory(directory, network)
    except SalusError as error:
        found.problems.append(str(error))
        return 0
    try:
        return index.followed()[0]
    finally:
        index.close()


def _check_body(store: DirectoryStore, body: ExpectedBody, time_ms: int, found: CloudFindings) -> None:
    what = f"body {body.digest.hex()[:16]}.. of block {body.height}"
    if store.size(body.digest) is None and body.keep_until_ms < time_ms:
        found.expired += 1
    elif problem := _hashed(store, body.digest, body.size_bytes):
        found.problems.append(f"{what}: {problem}")
    else:
        found.bodies += 1
        found.size_bytes += body.size_bytes


def _check_record(
    store: DirectoryStore, network: bytes, record: ExpectedRecord, entry: RecordEntry | None, found: CloudFindings
) -> None:
    what = f"record {record.rid.hex()} of block {record.height}"
    if entry is None:
        found.problems.append(f"{what}: nothing of it is here")
    elif metadata_hash(network, entry.rid, entry.sealed) != record.metadata:
        found.problems.append(f"{what}: its sealed metadata were altered")
    elif digest_tag(network, entry.digest) != record.digest_tag:
        found.problems.append(f"{what}: it is kept under another digest than the ledger names")
    elif problem := _hashed(store, entry.digest, entry.size_bytes):
        found.problems.append(f"{what}: {problem}")
    else:
        found.records += 1
        found.bodies += 1
        found.size_bytes += entry.size_bytes


def _hashed(store: DirectoryStore, digest: bytes, size_bytes: int) -> str:
    """What is wrong with a body; empty if nothing is."""
    try:
        if hash_body(lambda: store.open(digest), digest) == (digest, size_bytes):
            return ""
    except Refused as refused:
        return str(refused)
    except SalusError as error:
        return f"its body cannot be read: {error}"
    return "bad-body: the cloud holds other bytes"


def _entries(directory: Path, found: CloudFindings) -> Iterator[tuple[tuple[bytes, bytes], RecordEntry]]:
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if path.name.startswith("."):
            continue  # a killed process left it half written
        try:
            entry = RecordEntry.decode(read_bounded(path, ENTRY_BYTES_MAX, "a record's entry"))
        except SalusError as error:
            found.problems.append(f"{path}: {error}")
            continue
        if path.name == f"{entry.rid.hex()}.{entry.metadata.hex()}":
            yield (entry.rid, entry.metadata), entry
        else:
            found.problems.append(f"{path}: it is another record's entry")


def _check_erased(
    directory: Path,
    store: DirectoryStore,
    network: bytes,
    expected: Expected,
    entries: dict[tuple[bytes, bytes], RecordEntry],
    found: CloudFindings,
) -> None:
    """Nothing is left of what was erased or replaced up to the height that the cloud has followed."""
    for (rid, metadata), height in expected.dead_metadata.items():
        if height <= found.height and (rid, metadata) in entries:
            found.problems.append(f"record {rid.hex()}: sealed metadata that block {height} erased are still here")
    outlines = Outlines(directory / OUTLINES_DIRECTORY)
    for digest in store.digests():
        height = expected.dead.get(digest_tag(network, digest), 0)
        if 0 < height <= found.height:
            found.problems.append(f"the body {digest.hex()[:16]}.., which block {height} erased, is still here")
    for digest in outlines.digests():
        height = expected.dead.get(digest_tag(network, digest), 0)
        if 0 < height <= found.height:
            found.problems.append(f"the outline of the body {digest.hex()[:16]}.., which block {height} erased, is still here")
