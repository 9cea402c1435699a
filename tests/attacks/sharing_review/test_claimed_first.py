"""Known and open: receipts for a record name its id and its body, but not its scope.

Who sees a put before it is committed (a node, a check node) and owns a scope may claim the id and the receipts for a record of
its own. This is what it gains: the owner has to put again, under a fresh id. The claimed record opens nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from salus.abpre.opening import decapsulate
from support.sharing_world import SharingChain


def test_who_claims_a_record_first_delays_its_owner_and_reads_nothing(chain: SharingChain) -> None:
    victim, thief = chain.owner("victim"), chain.owner("thief")
    content = chain.content(victim, b"r" * 16, k=b"v" * 32)
    put = chain.record(victim, rid=b"r" * 16, content=content)
    assert chain.reason(put) == ""
    moved = chain.record(thief, rid=put.rid, content=content)
    assert chain.reason(moved) == "wrong-scope"  # the capsule is bound to its scope
    claimed = replace(content, capsule=chain.capsule(thief, put.rid, k=b"t" * 32))
    chain.commit(chain.record(thief, rid=put.rid, content=claimed))
    assert chain.reason(put) == "duplicate-record"
    opened = decapsulate(chain.parameters, chain.key(thief), chain.verified_capsule(put.rid))
    assert opened == b"t" * 32  # the thief's own key, which is not the body's
    again = chain.put(victim)
    assert opened != decapsulate(chain.parameters, chain.key(victim), chain.verified_capsule(again))
