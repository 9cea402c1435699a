"""Lies told once and proven on the chain: wrong partials, false verdicts, false answers to blinded words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.abpre.keys import SecretKey
from salus.abpre.threshold import partials as pt
from salus.abpre.threshold.groups import OPRF, Z
from salus.abpre.threshold.scalar_deals import ScalarShare
from salus.abpre.threshold.transforming import transform_and_open
from salus.consultation.envelope import EnvelopeDraft, Topic
from salus.groups.bls12_381 import Fr
from salus.groups.ristretto255 import Scalar, base_mul
from salus.ledger.kinds.misbehaviour import CONVICTIONS, RECORDS, conviction_key
from salus.ledger.kinds.sharing import check_nodes, evidence, searches
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.committee_state import scalar_public, search_key
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.searches import AnonymousTokenRequest, TokenRequest, own_fields
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.search import tokens as tk
from salus.search.committee import KeyShare
from salus.search.keyword import word
from support.sharing_world import CLINIC, FAST, HOSPITAL, HOUR_MS, POLICY, SharingChain

Owned = tuple[ScopeKey, SecretKey]


@pytest.fixture
def owned(granted: SharingChain) -> Owned:
    owner = granted.owner()
    return owner, granted.key(owner)


def test_a_wrong_partial_convicts_its_node_and_the_reader_still_gets_the_record(granted: SharingChain, owned: Owned) -> None:
    chain, world, committee = granted, granted.world, granted.committee()
    owner, own_key = owned
    rid = chain.rid(owner)
    k = world.random(32)
    chain.put(owner, rid=rid, content=chain.content(owner, rid, k=k))
    delegation = chain.delegate(owner, own_key)
    (share,), box = chain.judged(HOSPITAL, {rid: delegation})
    good = chain.partials(share, 4)
    target = ss.transformable(chain.view, world.network, share, 1, chain.time_ms)
    seat = committee.seats[0]
    true = chain.shares[Z, seat.name, 1]
    liar = ScalarShare(Z, 1, seat.index, true.value + Fr.from_int(1))
    lie = pt.make_partial(committee, target, liar, chain.c[delegation], world.node(seat.name).member, world.random)
    # Its signature counts in the grant; only the reader can see that it is wrong.
    chain.commit(chain.grant_of(share, [lie, *good[1:3]]))
    public, delta = scalar_public(chain.view, 1, Z), chain.coins[delegation].delta
    done = transform_and_open(committee, target, public, chain.parameters, delta, box, [lie, *good[1:4]], world.random)
    assert done.key == k
    (shown,) = done.evidence
    assert (shown.attachment, chain.c[delegation] in shown.encode()) == (None, False)
    assert chain.reason(replace(shown, partial=good[1])) == "bad-evidence"
    assert chain.reason(replace(shown, capsule=chain.capsule(owner, rid))) == "bad-evidence"
    assert chain.reason(replace(shown, opening=None)) == "bad-evidence"
    assert chain.reason(replace(shown, partial=replace(lie, share=bytes(32)))) == "unknown-share"
    chain.commit(shown)
    assert chain.reason(shown) == "already-done"
    assert CONVICTIONS.get(chain.view, conviction_key(seat.name, evidence.FALSE_PARTIAL, share)) is not None
    assert RECORDS.need(chain.view, seat.name.encode()).convictions == 1


def test_a_false_verdict_convicts_its_check_node(granted: SharingChain, owned: Owned) -> None:
    chain = granted
    owner, _ = owned
    rid = chain.put(owner, POLICY)
    request, _ = chain.ask(HOSPITAL, {rid: None})
    false = chain.verdict(request, outcomes=(ms.WAITING,))
    true = chain.verdict(request)
    assert chain.reason(false) == "bad-verdict"
    cases = [
        (ms.FalseVerdict(true, None), "bad-evidence"),
        (ms.FalseVerdict(replace(false, outcomes=("unsatisfied",)), None), "bad-signature"),
        (ms.FalseVerdict(chain.verdict(request, outcomes=(ms.WAITING,), height=1), None), "bad-evidence"),
        (ms.FalseVerdict(replace(false, node="nobody/check"), None), "unknown-party"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    chain.commit(ms.FalseVerdict(false, None))
    assert chain.reason(ms.FalseVerdict(false, None)) == "already-done"
    assert RECORDS.need(chain.view, false.node.encode()).convictions == 1


def test_two_verdicts_on_one_transaction_convict(granted: SharingChain) -> None:
    """On a transaction that never came on the chain, such as a record that O asked about."""
    chain, world = granted, granted.world
    node, other = world.checks[0].member, world.checks[1].member

    def verdict(outcome: str, height: int = 5, who: object = node) -> ms.CheckVerdict:
        return check_nodes.sign_verdict(world.network, who, b"\7" * 32, height, (outcome,), world.random)  # type: ignore[arg-type]

    yes, no = verdict(ms.VALID), verdict("bad-capsule")
    cases = [
        (ms.FalseVerdict(yes, None), "bad-evidence"),
        (ms.FalseVerdict(yes, verdict(ms.VALID)), "bad-evidence"),
        (ms.FalseVerdict(yes, verdict("bad-capsule", 6)), "bad-evidence"),
        (ms.FalseVerdict(yes, verdict("bad-capsule", 5, other)), "bad-evidence"),
        (ms.FalseVerdict(yes, replace(yes, outcomes=("bad-capsule",))), "bad-signature"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    chain.commit(ms.FalseVerdict(yes, no))
    assert chain.reason(ms.FalseVerdict(no, yes)) == "already-done"
    assert RECORDS.need(chain.view, node.name.encode()).convictions == 1


def ordered(chain: SharingChain, order: tk.TokenOrder, institution: str = HOSPITAL, sequence: int = 1) -> TokenRequest:
    world = chain.world
    draft = TokenRequest(order, institution, sequence, UNSIGNED)
    return signed_by_member(world.network, draft, world.institution(institution), world.random)


def test_words_are_counted_on_the_chain_and_a_false_answer_convicts(granted: SharingChain) -> None:
    chain, world = granted, granted.world
    asked = tk.ask([word("asthma"), word("penicillin")], world.random)
    request = ordered(chain, asked.order)
    assert chain.reason(ordered(chain, tk.TokenOrder(0, bytes(32)))) == "too-large"
    assert chain.reason(ordered(chain, tk.TokenOrder(1025, bytes(32)))) == "too-large"
    assert chain.reason(replace(request, institution=CLINIC)) == "bad-signature"
    tx = chain.commit(request)
    assert chain.reason(request) == "already-done"
    order = tk.check_order(tx, searches.answerable(chain.view, tx, chain.time_ms), asked.blinded)
    key = search_key(chain.view, 1)
    answers = []
    for seat in chain.committee().seats:
        k = chain.shares[OPRF, seat.name, 1].value
        if seat.index == 1:
            k = k + Scalar.from_int(1)
        share = KeyShare(1, seat.index, k)
        answers.append(tk.evaluate(world.network, world.node(seat.name).member, share, order, world.random))
    gathered = tk.gather(world.network, key, asked, tx, answers)
    assert len(gathered.tokens) == 2
    (shown,) = gathered.evidence
    liar = chain.committee().seat(1).name
    assert list(gathered.liars) == [liar]
    assert chain.reason(replace(shown, evaluation=answers[1])) == "bad-evidence"
    chain.commit(shown)
    assert chain.reason(shown) == "already-done"
    assert CONVICTIONS.get(chain.view, conviction_key(liar, searches.FALSE_EVALUATION, tx)) is not None


def test_words_are_limited_by_period_and_suspension(granted: SharingChain) -> None:
    chain, world = granted, granted.world
    rounds = FAST.words_a_period // 1024
    for number in range(rounds):
        chain.commit(ordered(chain, tk.TokenOrder(1024, bytes(32)), sequence=number))
    assert chain.reason(ordered(chain, tk.TokenOrder(1, bytes(32)), sequence=rounds)) == "limit"
    assert chain.reason(ordered(chain, tk.TokenOrder(1, bytes(32)), CLINIC)) == ""
    tx = chain.commit(ordered(chain, tk.TokenOrder(1, bytes(32)), CLINIC))
    chain.commit(*(world.vote(n, CLINIC) for n in world.nodes[:2]))
    assert chain.reason(ordered(chain, tk.TokenOrder(2, bytes(32)), CLINIC)) == "suspended"
    with pytest.raises(Exception, match="suspended"):
        searches.answerable(chain.view, tx, chain.time_ms)
    with pytest.raises(Exception, match="unknown-request"):
        searches.answerable(chain.view, bytes(32), chain.time_ms)


def test_an_owner_orders_tokens_anonymously_and_spends_a_credential(granted: SharingChain) -> None:
    chain, world = granted, granted.world
    chain.start_epoch()
    order = tk.TokenOrder(3, b"\1" * 32)
    topic = Topic(AnonymousTokenRequest.KIND, 1, base_mul(world.thetas[1]).encode(), chain.time_ms + HOUR_MS, own_fields(order))
    draft = EnvelopeDraft.begin(world.domain, world.credential(), topic, world.random)
    request = AnonymousTokenRequest(order, draft.sign((), world.random))
    tx = chain.commit(request)
    assert searches.find_order(chain.view, tx, chain.time_ms).requester == ""
    assert searches.answerable(chain.view, tx, chain.time_ms) == order
    assert chain.reason(request) == "used-credential"
    with pytest.raises(Exception, match="expired"):
        searches.answerable(chain.view, tx, chain.time_ms + FAST.request_ms)
