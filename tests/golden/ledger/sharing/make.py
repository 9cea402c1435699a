"""Make the golden files of a ledger that shares: ``python tests/golden/ledger/sharing/make.py`` from the checkout.

A release that changes a format keeps reading the files that are here; it adds its own beside them.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[2]))

from msgspec.structs import replace  # noqa: E402

from salus.ledger.access_proofs import fetch_access_log  # noqa: E402
from salus.ledger.export import write_export_stream  # noqa: E402
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope  # noqa: E402
from salus.ledger.kinds.sharing.messages.records import RecordErase, RecordRotate  # noqa: E402
from salus.ledger.kinds.sharing.scope_keys import ScopeKey  # noqa: E402
from support.audit_world import audit_file  # noqa: E402
from support.sharing_world import CLINIC, HOSPITAL, POLICY, SharingChain, SharingWorld, granted_world  # noqa: E402


def build() -> tuple[SharingChain, ScopeKey]:
    """A small chain with most kinds of sharing, always the same; and the owner's scope."""
    chain = SharingWorld("golden sharing 1").chain().set_up()
    granted_world(chain)
    owner = chain.owner()
    own_key = chain.key(owner)
    chain.key(chain.world.institution(HOSPITAL), "role:doctor@2025")
    rid, delegation = chain.put(owner, POLICY), chain.delegate(owner, own_key)
    (share,), _ = chain.judged(HOSPITAL, {rid: delegation})
    chain.commit(chain.grant_of(share))
    chain.judged(CLINIC, {rid: None})
    rotation = RecordRotate(rid, 2, replace(chain.content(owner, rid)), UNSIGNED)
    chain.commit(signed_by_scope(rotation, owner, chain.world.random))
    chain.commit(chain.revocation(owner, delegation), chain.deletion_receipt(delegation))
    chain.commit(chain.record(owner, POLICY, supersedes=rid))
    chain.commit(signed_by_scope(RecordErase(rid, 3, UNSIGNED), owner, chain.world.random))
    chain.later(1000)
    return chain, owner


def write(directory: Path) -> None:
    """Write all golden files."""
    chain, owner = build()
    world = chain.world
    (directory / "genesis.bin").write_bytes(world.genesis.encode())
    with (directory / "export.bin").open("wb") as file:
        write_export_stream(world.network, world.genesis.hash(), chain.records, file)
    (directory / "snapshot.bin").write_bytes(chain.application.snapshot())
    (directory / "access-log.bin").write_bytes(fetch_access_log(chain.application.query, owner.scope).encode())
    (directory / "access-export.bin").write_bytes(audit_file(chain, owner.scope).encode())
    info = chain.application.info()
    (directory / "head.txt").write_text(f"{info.height} {info.last_time_ms} {info.application_hash.hex()}\n")


if __name__ == "__main__":
    write(HERE)
