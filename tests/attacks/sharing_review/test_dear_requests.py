"""Claim: what a request to share costs every node does not grow with the capsules of the records that it names.

A request names 32 records, each with a capsule of up to 128 rows. To judge it nodes need the policies alone; with all points
decoded it costs each of them about a second, in every check before the block and in the block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from salus.abpre.capsules import Capsule, CapsuleMessage
from salus.abpre.policy import split_record_policy
from salus.ledger import signatures
from salus.ledger.kinds.sharing import share_state
from support.sharing_world import HOSPITAL, POLICY, SharingChain


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[CapsuleMessage]]:
    """Capsules whose points are decoded, from now on; nothing is remembered."""
    seen: list[CapsuleMessage] = []
    decode = Capsule.from_message
    signatures.decoded_capsule.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(Capsule, "from_message", lambda message: (seen.append(message), decode(message))[1])
        yield seen


@pytest.mark.parametrize("repaired", [True, False])
def test_judging_a_request_decodes_no_capsule(chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool) -> None:
    owner = chain.owner()
    rids = [chain.put(owner, POLICY) for _ in range(3)]
    if not repaired:
        old = lambda message: split_record_policy(signatures.decoded_capsule(message).policy)[1]  # noqa: E731
        monkeypatch.setattr(share_state, "sharing_policy", old)
    with counted(monkeypatch) as decoded:
        shares, _ = chain.judged(HOSPITAL, dict.fromkeys(rids))
    assert [chain.share(share).status for share in shares] == ["granted"] * 3
    assert bool(decoded) == (not repaired)
