"""Going through a whole ledger."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from salus.cli.progress import ProgressDisplay

if TYPE_CHECKING:
    from salus.ledger.client import LedgerClient
    from salus.ledger.export import Record
    from salus.ledger.genesis import Genesis
    from salus.ledger.verify import LedgerReport

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
