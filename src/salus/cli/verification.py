"""Going through a whole ledger, and through everything that the cloud holds for it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from salus.cli.progress import ProgressDisplay
from salus.errors import Refused, SalusError, refuse_unless

if TYPE_CHECKING:
    from salus.ledger.client import LedgerClient
    from salus.ledger.export import Record
    from salus.ledger.genesis import Genesis
    from salus.ledger.verify import LedgerReport
    from salus.network.embedded import EmbeddedNetwork
    from salus.node.node import Node
    from salus.records.digest import BodyDigester
    from salus.records.streams import Buffer

BODY_KINDS: Final = ("consultation.request", "consultation.reply")
PROBLEMS_MAX: Final = 100
"""Problems named; more of the same say nothing new."""
_NAMES: Final = ("doctor", "ID_D", "asker", "institution", "node", "dealer", "accuser", "name", "centre")
"""Fields that name who is behind a transaction, where the ledger knows that at all."""


def transactions(ledger: LedgerClient, after: int, progress: ProgressDisplay) -> Iterator[dict[str, Any]]:
    """Every committed transaction above a height, from blocks whose certificates are verified."""
    from salus.consensus.block import transaction_hash
    from salus.ledger.kinds.all import REGISTRY

    ledger.refresh()
    for verified in ledger.follow(after):
        header = verified.block.header
        progress.counted("reading blocks", header.height - after, ledger.height - after)
        for index, raw in enumerate(verified.block.transactions):
            message = REGISTRY.decode(raw).message
            yield {
                "height": header.height,
                "index": index,
                "time_ms": header.time_ms,
                "kind": message.KIND,
                "hash": transaction_hash(raw).hex(),
                "who": _who(message),
                "bytes": len(raw),
            }


def _who(message: Any) -> str:
    member = getattr(message, "member", None)
    if member is not None:
        return str(getattr(member, "name", member))
    for name in _NAMES:
        value = getattr(message, name, None)
        if isinstance(value, str):
            return value
    return ""


def verify_file(genesis: Genesis, file: BinaryIO, size_bytes: int, progress: ProgressDisplay, what: str) -> LedgerReport:
    """Verify an export from its genesis.

    :raises Refused, DamagedFile: what does not hold.
    """
    from salus.ledger.verify import verify_export

    watched = _Watched(file, lambda done: progress.in_bytes(what, done, size_bytes))
    return verify_export(genesis, watched)  # type: ignore[arg-type]


def verify_blocks(genesis: Genesis, records: Iterable[Record], progress: ProgressDisplay, what: str) -> LedgerReport:
    """Verify blocks as an export of them would be verified: through the same file."""
    from salus.ledger.export import write_export_stream

    with tempfile.TemporaryFile() as file:
        progress.stage(what)
        write_export_stream(genesis.network(), genesis.hash(), records, file)
        size_bytes = file.tell()
        file.seek(0)
        return verify_file(genesis, file, size_bytes, progress, what)


class _Watched:
    """A file that tells how far it was read."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell
        self._done = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._done += len(data)
        self._tell(self._done)
        return data


def verify_node(network: EmbeddedNetwork, node: Node, progress: ProgressDisplay) -> dict[str, Any]:
    """One node's own copy of the ledger, from genesis by signatures and replay, against the state that it stands at.

    One that has pruned cannot be replayed: its state is compared with the others'.
    """
    from salus.ledger.export import records_of

    status = node.status()
    kept_from = node.application.kept_from()
    records = records_of(node.application.block_record, status.height)
    result = {"name": node.name, "height": status.height, "transactions": 0, "application_hash": status.application_hash.hex()}
    result["kept_from"] = kept_from
    if kept_from > 1:
        return {**result, "problem": ""}
    try:
        proven = verify_blocks(network.genesis, records, progress, f"verifying {node.name}")
    except SalusError as error:
        return {**result, "problem": str(error)}
    same = proven.application_hash == status.application_hash
    problem = "" if same else "its state is not the one that replay gives"
    return {**result, "transactions": sum(proven.transactions.values()), "problem": problem}


def verify_bodies(network: EmbeddedNetwork, progress: ProgressDisplay) -> dict[str, Any]:
    """Fetch and hash every body that a committed request or reply names; those past their time may be gone."""
    from salus.records.digest import BodyDigester
    from salus.terminal.cloud_client import CloudClient

    ledger = network.client()
    cloud = CloudClient(network.transport, network.cloud_name, random=network.random)
    checked = size_bytes = expired = 0
    problems: list[str] = []
    for height, message in _with_bodies(ledger):
        progress.in_bytes("hashing bodies", size_bytes, 0)
        try:
            held = _Digesting(BodyDigester())
            cloud.download(message.digest, message.size_bytes, held)
            refuse_unless(held.digester.finish().digest == message.digest, "bad-body", "the cloud holds other bytes")
        except Refused as refused:
            if refused.reason == "missing-body" and message.U.keep_until_ms < ledger.time_ms:
                expired += 1
            elif len(problems) < PROBLEMS_MAX:
                problems.append(f"body {message.digest.hex()[:16]}.. of block {height}: {refused}")
            continue
        checked, size_bytes = checked + 1, size_bytes + message.size_bytes
    return {"checked": checked, "bytes": size_bytes, "expired": expired, "problems": problems}


class _Digesting:
    """A sink that keeps nothing but the digest."""

    def __init__(self, digester: BodyDigester) -> None:
        self.digester = digester

    def write(self, data: Buffer, /) -> int:
        self.digester.update(data)
        return len(data)


def _with_bodies(ledger: LedgerClient) -> Iterator[tuple[int, Any]]:
    from salus.ledger.kinds.all import REGISTRY

    ledger.refresh()
    for verified in ledger.follow(0):
        for raw in verified.block.transactions:
            message = REGISTRY.decode(raw).message
            if message.KIND in BODY_KINDS:
                yield verified.block.header.height, message
