"""Claim: a node that lied is convicted also when the record it lied about has another capsule by now, or none.

Evidence was judged against the ledger's present capsule: an owner who works with the node, or happens to erase, re-policy or
rotate, ends what could be brought against it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from salus.abpre.threshold import partials as pt
from salus.abpre.threshold import transforming as tf
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.scalar_deals import ScalarShare
from salus.groups.bls12_381 import Fr
from salus.ledger.kinds.misbehaviour import CONVICTIONS, conviction_key
from salus.ledger.kinds.sharing import evidence
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.kinds.sharing.messages.records import RecordErase, RecordRepolicy, RecordRotate
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from support.sharing_world import DAY_MS, FAST, HOSPITAL, POLICY, SharingChain


def lie(chain: SharingChain, owner: ScopeKey) -> tuple[tf.BadPartial, bytes]:
    """A granted share with one false partial in it, and what shows it; the delegation."""
    world, committee = chain.world, chain.committee()
    rid, delegation = chain.put(owner), chain.delegate(owner, chain.key(owner))
    (share,), box = chain.judged(HOSPITAL, {rid: delegation})
    target = ss.transformable(chain.view, world.network, share, 1, chain.time_ms)
    seat = committee.seats[0]
    other = ScalarShare(Z, 1, seat.index, chain.shares[Z, seat.name, 1].value + Fr.from_int(1))
    false = pt.make_partial(committee, target, other, chain.c[delegation], world.node(seat.name).member, world.random)
    chain.commit(chain.grant_of(share, [false, *chain.partials(share, 3)[1:]]))
    return tf.prove_bad_transformation(target, box, false, world.random), delegation


def repolicy(chain: SharingChain, owner: ScopeKey, rid: bytes, delegation: bytes) -> Any:
    return signed_by_scope(RecordRepolicy(rid, 2, chain.capsule(owner, rid, POLICY), UNSIGNED), owner, chain.world.random)


def rotate(chain: SharingChain, owner: ScopeKey, rid: bytes, delegation: bytes) -> Any:
    return signed_by_scope(RecordRotate(rid, 2, chain.content(owner, rid), UNSIGNED), owner, chain.world.random)


def erase(chain: SharingChain, owner: ScopeKey, rid: bytes, delegation: bytes) -> Any:
    return signed_by_scope(RecordErase(rid, 2, UNSIGNED), owner, chain.world.random)


def revoke(chain: SharingChain, owner: ScopeKey, rid: bytes, delegation: bytes) -> Any:
    return chain.revocation(owner, delegation)


CHANGES: list[tuple[Callable[..., Any], str]] = [
    (repolicy, "bad-evidence"), (rotate, "bad-evidence"), (erase, "record-erased"), (revoke, ""),
]  # fmt: skip


@pytest.mark.parametrize("repaired", [True, False])
@pytest.mark.parametrize(("change", "was"), CHANGES)
def test_a_liar_does_not_get_away_with_it(
    chain: SharingChain, monkeypatch: pytest.MonkeyPatch, change: Callable[..., Any], was: str, repaired: bool
) -> None:
    owner = chain.owner()
    shown, delegation = lie(chain, owner)
    share = shown.partial.share
    chain.commit(change(chain, owner, chain.share(share).rid, delegation))
    if not repaired:
        monkeypatch.setattr(evidence, "shown_target", lambda *about: ss.target_of(*about[:-1]))
        assert chain.reason(shown) == was
        return
    chain.commit(shown)
    assert CONVICTIONS.get(chain.view, conviction_key(shown.partial.node, evidence.FALSE_PARTIAL, share)) is not None


def test_it_is_heard_for_a_bounded_time(chain: SharingChain) -> None:
    owner = chain.owner()
    shown, _ = lie(chain, owner)
    over_ms = chain.share(shown.partial.share).asked_ms + FAST.request_ms + FAST.grant_ms
    over_ms += chain.world.genesis.core.constants.evidence_window_ms
    assert chain.reason(shown, over_ms - 1) == ""
    assert chain.reason(shown, over_ms) == "expired"
    assert over_ms - chain.time_ms > 21 * DAY_MS


def test_another_capsule_beside_the_partial_convicts_nobody(chain: SharingChain) -> None:
    """The signature names the capsule that the node transformed; any other makes every honest partial look false."""
    owner = chain.owner()
    world = chain.world
    rid, delegation = chain.put(owner), chain.delegate(owner, chain.key(owner))
    (share,), box = chain.judged(HOSPITAL, {rid: delegation})
    target = ss.transformable(chain.view, world.network, share, 1, chain.time_ms)
    honest = chain.partials(share)[0]
    shown = tf.prove_bad_transformation(target, box, honest, world.random)
    assert chain.reason(shown) == "bad-evidence"
    assert chain.reason(replace(shown, capsule=chain.capsule(owner, rid))) == "bad-evidence"
    chain.commit(repolicy(chain, owner, rid, delegation))
    assert chain.reason(shown) == "bad-evidence"
    assert chain.reason(replace(shown, capsule=chain.capsule(owner, rid))) == "bad-evidence"
