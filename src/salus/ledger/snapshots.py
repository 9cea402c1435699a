"""Snapshots: all leaves of the state and the log's (count, peaks), checked against a certified application hash.

A snapshot is a sequence of frames, each a length (4 bytes, big-endian) and that many bytes: a :class:`SnapshotHeader`,
then chunks of leaves, each the encoding of a tuple of (map key, value), keys ascending through all chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from salus._native import MerkleMap
from salus.codec import Bytes32, Message, decode, encode
from salus.errors import CodecError, refuse_unless
from salus.ledger.apply import application_hash
from salus.ledger.merkle_log import LogState
from salus.ledger.merkle_map import value_digest
from salus.ledger.storage.interface import Head

CHUNK_BYTES: Final = 1 << 20
"""Leaves are gathered into chunks of about this size, so that nothing large is encoded whole."""
FRAME_BYTES_MAX: Final = 8 * CHUNK_BYTES


class SnapshotHeader(Message, frozen=True):
    """What the leaves that follow are.

    :ivar application_hash: of the state after ``height``; what follows must give it.
    """

    KIND = "snapshot.header"
    network: Bytes32
    height: int
    time_ms: int
    application_hash: Bytes32
    log: LogState
    leaves: int


def write(network: bytes, head: Head, leaves: Iterator[list[tuple[bytes, bytes]]]) -> Iterator[bytes]:
    """The frames of a snapshot of the state after ``head``."""
    count = 0
    chunks: list[bytes] = []
    pending: list[tuple[bytes, bytes]] = []
    size = 0
    for part in leaves:
        for key, value in part:
            pending.append((key, value))
            size += len(value) + 48
            if size >= CHUNK_BYTES:
                chunks.append(frame(encode(tuple(pending))))
                count += len(pending)
                pending, size = [], 0
    if pending:
        chunks.append(frame(encode(tuple(pending))))
        count += len(pending)
    header = SnapshotHeader(network, head.height, head.time_ms, head.application_hash, head.log, count)
    yield frame(header.encode())
    yield from chunks


def check(snapshot: bytes, network: bytes, expected: bytes, height: int, time_ms: int) -> Head:
    """Check a snapshot's every byte against a certified application hash, height and time; returns its head.

    :raises Refused: ``bad-encoding``, ``bad-proof``.
    """
    header = read_header(snapshot)
    refuse_unless(header.network == network, "bad-proof", "a snapshot of another network")
    same = (header.height, header.time_ms) == (height, time_ms)
    detail = f"a snapshot of height {header.height} at {header.time_ms}, not of {height} at {time_ms}"
    refuse_unless(same, "bad-proof", detail)
    header.log.check()
    tree = MerkleMap(1)
    count, last = 0, b""
    root = tree.update(0, [])
    for number, chunk in enumerate(leaves(snapshot), 1):
        for key, _ in chunk:
            refuse_unless(key > last, "bad-encoding", "snapshot leaves are by ascending key")
            last = key
        root = tree.update(number, [(key, value_digest(value)) for key, value in chunk])
        count += len(chunk)
    refuse_unless(count == header.leaves, "bad-encoding", f"{count} snapshot leaves, {header.leaves} announced")
    found = application_hash(header.log.count, header.log.root(), root)
    same = found == expected == header.application_hash
    refuse_unless(same, "bad-proof", "the snapshot is not the state that the certified header names")
    return Head(header.height, header.time_ms, found, header.log)


def read_header(snapshot: bytes) -> SnapshotHeader:
    """The first frame.

    :raises Refused: ``bad-encoding``.
    """
    return SnapshotHeader.decode(next(frames(snapshot), b""))


def leaves(snapshot: bytes) -> Iterator[list[tuple[bytes, bytes]]]:
    """The chunks of leaves.

    :raises Refused: ``bad-encoding``.
    """
    for number, data in enumerate(frames(snapshot)):
        if number:
            chunk = [_leaf(item) for item in _tuple(decode(data))]
            refuse_unless(bool(chunk), "bad-encoding", "an empty chunk")
            yield chunk


def frame(data: bytes) -> bytes:
    """Length and content."""
    return len(data).to_bytes(4, "big") + data


def frames(data: bytes) -> Iterator[bytes]:
    """Contents of frames.

    :raises Refused: ``bad-encoding`` for a truncated or overlong frame.
    """
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        content = data[place + 4 : place + 4 + size]
        whole = len(data) >= place + 4 and len(content) == size and size <= FRAME_BYTES_MAX
        refuse_unless(whole, "bad-encoding", "a truncated frame")
        yield content
        place += 4 + size


def _tuple(value: object) -> tuple[object, ...]:
    if type(value) is not tuple:
        raise CodecError("a chunk of leaves is a tuple")
    return value


def _leaf(item: object) -> tuple[bytes, bytes]:
    if type(item) is not tuple or len(item) != 2 or type(item[0]) is not bytes or type(item[1]) is not bytes:
        raise CodecError("a leaf is a key and a value")
    if len(item[0]) != 32:
        raise CodecError("a map key has 32 bytes")
    return item
