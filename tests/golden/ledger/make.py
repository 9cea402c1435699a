"""Make the golden files of the ledger's stored formats: ``python tests/golden/ledger/make.py`` from the checkout.

A release that changes a format keeps reading the files that are here; it adds its own beside them.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent.parent))

from salus.ledger.export import write_export_stream  # noqa: E402
from salus.ledger.storage.interface import LedgerStore  # noqa: E402
from salus.ledger.storage.sqlite import FILE_NAME, SqliteStore  # noqa: E402
from support.ledger_world import Chain, LedgerWorld  # noqa: E402


def build(store: LedgerStore | None = None) -> Chain:
    """A small chain with most kinds of transactions, always the same."""
    world = LedgerWorld("golden ledger 1")
    chain = world.chain(store)
    doctor = chain.ready(4)
    requests = [world.request(doctor, sn, time_ms=chain.time_ms)[0] for sn in range(3)]
    chain.decide([r.encode() for r in requests])
    chain.decide([world.reply(doctor, requests[0], chain.time_ms).encode(), world.decline(doctor, requests[1])], view=1)
    chain.decide([])
    return chain


def write(directory: Path) -> None:
    """Write all golden files."""
    database = directory / FILE_NAME
    for leftover in directory.glob(FILE_NAME + "*"):
        leftover.unlink()
    chain = build(SqliteStore.open_or_create(directory))
    world = chain.world
    (directory / "genesis.bin").write_bytes(world.genesis.encode())
    with (directory / "export.bin").open("wb") as file:
        write_export_stream(world.network, world.genesis.hash(), chain.records, file)
    (directory / "snapshot.bin").write_bytes(chain.application.snapshot())
    info = chain.application.info()
    (directory / "head.txt").write_text(f"{info.height} {info.last_time_ms} {info.application_hash.hex()}\n")
    chain.application.close()
    shutil.move(database, directory / "ledger-1.sqlite")


if __name__ == "__main__":
    write(HERE)
