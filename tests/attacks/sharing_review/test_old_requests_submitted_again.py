"""Claim: what an institution or owner asked for once is asked for once, however long ago it was.

Requests are public and name no time. What remembered them was forgotten with their evidence, and from then on anyone could submit
them again: a share of old is written anew under its own id, the log says that the reader came back, and its limits are used up.
"""

from __future__ import annotations

from types import ModuleType

import pytest

from salus.ledger.kinds.sharing import keys, limits, searches, shares
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.searches import TokenRequest
from salus.search.tokens import TokenOrder
from support.sharing_world import DAY_MS, FAST, HOSPITAL, POLICY, SharingChain


def forgotten_ms(chain: SharingChain) -> int:
    """When everything about what is committed now was forgotten."""
    return chain.time_ms + FAST.request_ms + chain.world.genesis.core.constants.evidence_window_ms + 2 * DAY_MS


def forget(monkeypatch: pytest.MonkeyPatch, chain: SharingChain, module: ModuleType) -> None:
    """Take the repair out: what was asked is remembered as long as evidence is heard."""
    monkeypatch.setattr(module, "NEVER_MS", forgotten_ms(chain) - DAY_MS)


@pytest.mark.parametrize("repaired", [True, False])
def test_an_old_request_to_share_is_not_the_readers_word_again(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    owner = chain.owner()
    rid = chain.put(owner, POLICY)
    if not repaired:
        forget(monkeypatch, chain, shares)
    asked, _ = chain.share_request(HOSPITAL, {rid: None})
    request = chain.commit(asked)
    chain.commit(chain.verdict(request))
    share = ss.share_id(chain.world.network, request, 0)
    granted = chain.share(share)
    assert granted.status == ss.GRANTED
    chain.later(forgotten_ms(chain) - chain.time_ms)
    assert chain.reason(asked) == ("used-key" if repaired else "")
    if not repaired:
        chain.commit(asked)  # by a stranger
        assert chain.share(share).status == ss.ASKED  # the grant is gone
        acts = [entry.act for entry in chain.log(owner.scope)]
        assert acts == ["put", "asked", "granted", "asked"]


@pytest.mark.parametrize("repaired", [True, False])
def test_an_old_request_for_a_key_does_not_use_up_the_requesters_limit(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    if not repaired:
        forget(monkeypatch, chain, keys)
    asked, _ = chain.ask_key(chain.world.institution(HOSPITAL), "role:doctor@2025")
    chain.commit(asked)
    chain.later(forgotten_ms(chain) - chain.time_ms)
    assert limits.used(chain.view, limits.KEYS, HOSPITAL, chain.time_ms) == 0
    assert chain.reason(asked) == ("used-key" if repaired else "")
    if not repaired:
        chain.commit(asked)
        assert limits.used(chain.view, limits.KEYS, HOSPITAL, chain.time_ms) == 1
        assert keys.issuable(chain.view, asked.core.digest(chain.world.network), chain.time_ms)  # nodes issue again


@pytest.mark.parametrize("repaired", [True, False])
def test_an_old_order_of_tokens_does_not_use_up_the_limit_of_words(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    world = chain.world
    if not repaired:
        forget(monkeypatch, chain, searches)
    draft = TokenRequest(TokenOrder(1024, b"\1" * 32), HOSPITAL, 1, UNSIGNED)
    order = signed_by_member(world.network, draft, world.institution(HOSPITAL), world.random)
    chain.commit(order)
    assert chain.reason(order) == "already-done"
    chain.later(forgotten_ms(chain) - chain.time_ms)
    assert chain.reason(order) == ("already-done" if repaired else "")
    if not repaired:
        chain.commit(order)
        assert limits.used(chain.view, limits.WORDS, HOSPITAL, chain.time_ms) == 1024
