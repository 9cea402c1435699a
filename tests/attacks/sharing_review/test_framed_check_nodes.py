"""Claim: nobody gets an honest check node to sign what convicts it.

A check node tells anyone what it thinks of a transaction as of its height, and posts verdicts on committed requests; both are
signed the same way, and two that differ convict.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.kinds.misbehaviour import CONVICTIONS, conviction_key
from salus.ledger.kinds.sharing import evidence
from salus.ledger.kinds.sharing.messages.shares import FalseVerdict
from salus.node.sharing import checking
from salus.node.sharing.checking import CheckNode
from support.sharing_world import HOSPITAL, POLICY, SharingChain


def honest(chain: SharingChain) -> CheckNode:
    """A check node that has followed the chain to its end."""
    node = object.__new__(CheckNode)
    node._network = chain.world.network
    node._random = chain.world.random
    node.secrets = SimpleNamespace(member=chain.world.checks[0].member)  # type: ignore[assignment]
    node.name = node.secrets.member.name
    node.follower = SimpleNamespace(application=chain.application, height=chain.application.info().height)  # type: ignore[assignment]
    return node


def no_care(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the repair out: a verdict on whatever is shown, under 32 zero bytes if it has no hash."""
    signed = CheckNode.sign
    monkeypatch.setattr(checking, "require_judgeable", lambda *_: None)
    monkeypatch.setattr(CheckNode, "sign", lambda self, tx_hash, *rest: signed(self, tx_hash or bytes(32), *rest))


def convicted(chain: SharingChain, shown: FalseVerdict) -> bool:
    chain.commit(shown)
    verdict = shown.verdict
    subject = verdict.tx_hash + verdict.height.to_bytes(8, "big")
    return CONVICTIONS.get(chain.view, conviction_key(verdict.node, evidence.FALSE_VERDICT, subject)) is not None


def test_a_committed_request_shown_again_does_not_convict(chain: SharingChain, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = chain.owner()
    rid = chain.put(owner, POLICY)
    asked, _ = chain.share_request(HOSPITAL, {rid: None})
    chain.commit(asked)
    shown = m.VerdictRequest(asked.encode(), 1)
    with pytest.raises(Refused, match="already-done"):
        honest(chain).judge(shown)
    no_care(monkeypatch)
    verdict = honest(chain).judge(shown)
    assert verdict.outcomes == ("used-key",)  # true, and the ledger holds ("policy",) as of the same height
    assert convicted(chain, FalseVerdict(verdict, None))


def test_two_things_that_are_no_transactions_do_not_convict(chain: SharingChain, monkeypatch: pytest.MonkeyPatch) -> None:
    rubbish = [m.VerdictRequest(b"rubbish", 1), m.VerdictRequest(m.VerdictRequest(b"no transaction", 1).encode(), 1)]
    for shown in rubbish:
        with pytest.raises(Refused, match=r"bad-encoding|unknown-kind"):
            honest(chain).judge(shown)
    no_care(monkeypatch)
    first, second = (honest(chain).judge(shown) for shown in rubbish)
    assert (first.tx_hash, first.outcomes, second.outcomes) == (second.tx_hash, ("bad-encoding",), ("unknown-kind",))
    assert convicted(chain, FalseVerdict(first, second))


def test_a_verdict_before_the_commit_stands_beside_the_one_after_it(chain: SharingChain) -> None:
    owner = chain.owner()
    rid = chain.put(owner, POLICY)
    asked, _ = chain.share_request(HOSPITAL, {rid: None})
    before = honest(chain).judge(m.VerdictRequest(asked.encode(), 1))
    assert before.outcomes == ("valid",)
    request = chain.commit(asked)
    assert chain.reason(FalseVerdict(before, None)) == "bad-evidence"
    posted = next(v for v in (chain.verdict(request, rank) for rank in range(3)) if v.node == before.node)
    assert chain.reason(FalseVerdict(before, posted)) == "bad-evidence"
