"""Claim: encryption keys are proven and live for one epoch; shares dealt to them cannot be read later or compared."""

from __future__ import annotations

import pytest

from salus import labels
from salus.abpre.keys import key_gen
from salus.abpre.opening import decapsulate
from salus.abpre.parameters import MasterKey
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import epoch_keys as ek
from salus.abpre.threshold import g1_proofs
from salus.abpre.threshold.committee import Committee, Seat
from salus.groups import proofs
from salus.groups.bls12_381 import G1, G2, decode_g1, g1_interpolate, pairing, random_fr
from salus.groups.ristretto255 import base_mul, decode_point, random_scalar
from support.consultation_world import flip, refusal, weaken
from support.threshold_world import NETWORK, Holders, World, altered, make_holders, names, resigned, sent


@pytest.fixture
def holders() -> Holders:
    return make_holders(4, "keys")


def rogue_key(holders: Holders) -> tuple[ek.SharingKey, object, object]:
    """Node 2 posts E_2 = E_1 + x*g1 and Er_2 = Er_1 + y*P0: it knows neither logarithm, only the differences."""
    random, node = holders.world.random, holders.node(2).member
    x, y = random_fr(random), random_scalar(random)
    first = holders.committee.seats[0]
    honest = ek.publish_sharing_key(NETWORK, node, holders.node(2).secret, random)
    E = (decode_g1(first.E) + G1.generator().mul(x)).encode()
    Er = (decode_point(first.Er) + base_mul(y)).encode()
    return resigned(node, altered(honest, E=E, Er=Er), labels.SIG_SHARING_KEY, random), x, y


def test_a_key_relative_to_another_would_publish_a_difference_of_shares(holders, monkeypatch):
    message, x, _ = rogue_key(holders)
    second = holders.committee.seats[1]
    assert refusal(ek.check_sharing_key, NETWORK, message, second.W) == "bad-possession"

    weaken(monkeypatch, g1_proofs.verify_logarithm, lambda *parts: None)
    weaken(monkeypatch, proofs.schnorr_verify, lambda *parts: None)
    ek.check_sharing_key(NETWORK, message, second.W)
    monkeypatch.undo()
    seats = (holders.committee.seats[0], ek.make_seat(2, message, second.W), *holders.committee.seats[2:])
    committee = Committee(1, 4, seats)
    deals = [al.make_alpha_deal(NETWORK, committee, holders.node(i).member, holders.world.random) for i in (1, 3, 4)]
    sharing = al.fix_alpha(committee, [al.check_alpha_deal(NETWORK, committee, d) for d in deals])
    public = al.AlphaPublic(sharing)
    difference = decode_g1(sharing.c[1]) - decode_g1(sharing.c[0]) - decode_g1(sharing.R1).mul(x)
    assert pairing([(difference, G2.generator())]) == public.share(2) / public.share(1), "S_2 - S_1, by anyone who is told x"


@pytest.mark.parametrize("field", ["E_possession", "Er_possession", "E", "Er", "epoch", "node"])
def test_a_proof_of_possession_is_bound_to_key_node_and_epoch(holders, field):
    random, node = holders.world.random, holders.node(1).member
    message = ek.publish_sharing_key(NETWORK, node, holders.node(1).secret, random)
    other = ek.publish_sharing_key(NETWORK, node, ek.SharingSecret.generate(1, random), random)
    thief = holders.node(2).member
    changed = {"epoch": 2, "node": thief.name}.get(field, getattr(other, field))
    signer = thief if field == "node" else node
    lie = resigned(signer, altered(message, **{field: changed}), labels.SIG_SHARING_KEY, random)
    assert refusal(ek.check_sharing_key, NETWORK, lie, signer.W) == "bad-possession"
    assert refusal(ek.check_sharing_key, bytes(32), message, node.W) == "bad-possession"
    assert (
        refusal(ek.check_sharing_key, NETWORK, altered(message, signature=flip(message.signature, 40)), node.W) == "bad-signature"
    )


def stolen_shares(before: Holders, secrets: dict[int, ek.SharingSecret]) -> list[G1]:
    """What a thief of encryption keys reads from the chain: S_i of each."""
    sharing = before.alpha.sharing
    places = {index: place for place, index in enumerate(before.committee.indices())}
    return [decode_g1(sharing.c[places[i]]) - decode_g1(sharing.R1).mul(secret.e) for i, secret in secrets.items()]


def test_lasting_keys_would_reopen_old_shares_from_the_chain():
    """t nodes are broken into after a hand-over that was to heal them. Old shares are shares of the same alpha."""
    world = World("lasting")
    before = world.holders(1, names(4)).deal_all()
    kept = {i: before.node(i).secret for i in (1, 3, 4)}
    after = before.hand_over_to(world.holders(2, names(4)))
    # Without erasure: t keys and the chain give alpha*g1.
    whole = g1_interpolate(list(kept), stolen_shares(before, kept))
    k = bytes(range(32))
    capsule = after.capsule("role:x", k)
    assert decapsulate(after.parameters, key_gen(MasterKey(whole), ["role:x"], world.random), capsule) == k
    # With it: each node has erased e, er and its old shares when the epoch's grace ended; the new keys open nothing old.
    for node in before.nodes:
        node.secret.wipe()
    assert refusal(stolen_shares, before, kept) == "erased"
    new = {i: after.node(i).secret for i in (1, 3, 4)}
    wrong = g1_interpolate(list(new), stolen_shares(before, new))
    assert pairing([(wrong, G2.generator())]) != after.alpha.Y


def test_the_secrets_of_an_epoch_are_kept_and_erased(holders):
    secret = holders.node(1).secret
    again = ek.SharingSecret.from_secret(1, secret.export_secret())
    assert (again.E, again.Er) == (secret.E, secret.Er)
    assert refusal(ek.SharingSecret.from_secret, 1, secret.export_secret()[:-1]) == "bad-encoding"
    again.wipe()
    for use in (lambda: again.e, lambda: again.er, again.export_secret):
        assert refusal(use) == "erased"
    assert secret.export_secret().hex() not in repr(secret)


BAD_COMMITTEES = {
    "five seats": lambda c: (5, c.seats),
    "too few keys": lambda c: (4, c.seats[:2]),
    "one seat": lambda c: (1, c.seats[:1]),
    "indices not ascending": lambda c: (4, (c.seats[1], c.seats[0], *c.seats[2:])),
    "an index over the size": lambda c: (4, (*c.seats[:3], altered(c.seats[3], index=5))),
    "index 0": lambda c: (4, (altered(c.seats[0], index=0), *c.seats[1:])),
    "a name twice": lambda c: (4, (*c.seats[:3], altered(c.seats[3], name=c.seats[0].name))),
    "a key twice": lambda c: (4, (*c.seats[:3], altered(c.seats[3], E=c.seats[0].E))),
}


@pytest.mark.parametrize("make", BAD_COMMITTEES.values(), ids=BAD_COMMITTEES)
def test_what_is_no_committee(holders, make):
    size, seats = make(holders.committee)
    assert refusal(Committee(1, size, seats).check) == "bad-committee"


def test_a_committee_with_an_absent_member_serves():
    """It posted no key and has no share; t of the others do everything, and its index stays free."""
    world = World("absent")
    holders = world.holders(1, names(7), absent=[2, 5]).deal_all()
    assert holders.committee.indices() == [1, 3, 4, 6, 7]
    k = bytes(32)
    assert decapsulate(holders.parameters, holders.key("role:x"), holders.capsule("role:x", k)) == k
    assert refusal(holders.committee.seat, 2) == "not-a-member"
    after = holders.hand_over_to(world.holders(2, names(4)), [1, 3, 4, 6, 7])
    assert after.alpha.Y == holders.alpha.Y
    assert isinstance(sent(after.committee).seats[0], Seat)
