"""Claim: a false accusation gives away no shared value that ever serves.

An accuser shows s_j*R and e_j*R. If the deal opens with them, the accuser lied; but then everyone computes beta from what was
shown, and with it theta, and could open the sender of every envelope of the epoch.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.consultation.shared_value import (
    Accusation,
    Deal,
    EpochSecret,
    accuse,
    acknowledge,
    beta,
    deal_context,
    evaluate,
    make_deal,
    publish_epoch_key,
)
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar, base_mul
from salus.ledger.epoch_state import Epoch, find_epoch, put_epoch
from salus.ledger.kinds import epochs
from salus.ledger.state import Overlay
from salus.ledger.transactions import BlockContext
from support.ledger_world import Chain, LedgerWorld

TURN_MS = 60_000


def theta_of_anybody(world: LedgerWorld, deal: Deal, accusation: Accusation) -> Scalar:
    """What a reader of the ledger computes."""
    context = deal_context(world.network, deal.epoch, deal.dealer)
    return evaluate(deal, beta(context, accusation.node, deal.R, accusation.X, accusation.Y))


def record(chain: Chain) -> Epoch:
    found = find_epoch(chain.application.view(), 1)
    assert found is not None
    return found


def lie(world: LedgerWorld, chain: Chain) -> tuple[Deal, Scalar, Accusation]:
    """An honest deal, and a node with a seat that accuses it."""
    constants = world.genesis.core.constants
    turn = record(chain).dealer(chain.time_ms + 1000, constants)
    dealer = next(n for n in world.nodes if n.member.name == turn)
    liar = next(n for n in world.nodes if n is not dealer)
    deal, theta = make_deal(world.network, 1, dealer.member, [s.seat() for s in record(chain).seats], world.random)
    chain.decide([deal.encode()])
    accusation = accuse(world.network, deal, liar.member, liar.epoch, world.random)
    chain.decide([accusation.encode()])
    return deal, theta, accusation


def acknowledgements(world: LedgerWorld, deal: Deal, liar: str) -> list[bytes]:
    nodes = [n.member for n in world.nodes if n.member.name != liar]
    return [acknowledge(world.network, n, deal, (), world.random).encode() for n in nodes]


def test_the_value_that_a_false_accusation_gave_away_never_serves() -> None:
    world = LedgerWorld("false accusation")
    chain = world.chain()
    deal, theta, accusation = lie(world, chain)
    assert theta_of_anybody(world, deal, accusation) == theta
    for ack in acknowledgements(world, deal, accusation.node):
        assert chain.application.check_transactions([ack], chain.time_ms + 1)[0].reason == "wrong-epoch"
    # Nor can the liar do the same to the next deal: it is out of this epoch, whatever key it posts.
    liar = next(n for n in world.nodes if n.member.name == accusation.node)
    key = publish_epoch_key(world.network, liar.member, EpochSecret.generate(1, world.random), world.random)
    open_again = replace(record(chain), quorum_ms=0, full_ms=0)
    state = Overlay(chain.application.view())
    put_epoch(state, open_again)
    context = BlockContext(world.network, world.domain.Pub_bytes, 3, chain.time_ms, "", 1, world.genesis.core.constants, [], [])
    tx = chain.application.transaction(key.encode())
    with pytest.raises(Refused, match="not-authorised"):
        epochs.KINDS[0].module.check(state, context, tx)


def test_where_the_deal_stays_on_the_table_everybody_opens_every_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    real = epochs.put_epoch

    def keeps_the_deal(state: Overlay, changed: Epoch) -> None:
        if changed.deal is not None:
            real(state, changed)

    monkeypatch.setattr(epochs, "put_epoch", keeps_the_deal)
    world = LedgerWorld("false accusation")
    chain = world.chain()
    deal, _, accusation = lie(world, chain)
    chain.decide(acknowledgements(world, deal, accusation.node))
    public = record(chain).pk_BC
    assert public == base_mul(theta_of_anybody(world, deal, accusation)).encode()
