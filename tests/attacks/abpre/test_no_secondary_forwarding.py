"""Claim: what was passed on to somebody is not passed on by them: a delegation reaches one hop.

The delegatee makes a re-encryption key from its own key and turns rk4, the transformed capsule, or both into a third party's.
With rk4 of type 1, which has A3, that works and the third party reads the record.

What cannot be prevented, and is said: who opened a record has its key, and who knows delta and a re-encryption key can give
away both.
"""

from __future__ import annotations

import pytest

from salus.abpre import encapsulation, rekeys
from salus.abpre.capsules import VerifiedCapsule
from salus.abpre.checking import check
from salus.abpre.encapsulation import encapsulate_deterministic
from salus.abpre.hashing import h5, point_g_tilde
from salus.abpre.opening import open_delta, re_decrypt, re_decrypt_with
from salus.abpre.rekeys import Coins, check_rekey, re_encrypt, rekey_gen
from salus.groups.bls12_381 import G1, Fr, Gt, multi_pairing, pairing, random_fr
from support.abpre_world import Sharing, combine, outcome, own
from support.consultation_world import weaken

KEY = bytes(range(32))
RECORD = f"{own('p')} or role:doctor"


class Chain:
    """A record of p, delegated to h9, whose member delegates on to a vendor."""

    def __init__(self, seed: str) -> None:
        self.world = Sharing(seed)
        self.stored = self.world.stored(RECORD, KEY)
        self.owner, self.h9, self.vendor = self.world.key(own("p")), self.world.key("inst:h9"), self.world.key("vendor:acme")
        self.first = self.world.delegate(self.owner, [own("p")], "inst:h9", b"first")
        self.second = self.world.delegate(self.h9, ["inst:h9"], "vendor:acme", b"second")


def second_hop(chain: Chain, A3: G1) -> Gt:
    """ReEncrypt on rk4 with some point in the place of A3."""
    rk4, second = chain.first.rk4, chain.second
    return combine(second.rk1, second.rk3, {0: second.parts["inst:h9"]}, rk4, {0: 1}, [(-A3, second.rk2)])


def test_the_second_hop_finds_no_a3() -> None:
    chain = Chain("hops")
    world = chain.world
    rk4 = check_rekey(chain.first, b"first")
    A4 = re_encrypt(chain.first, chain.stored)
    assert re_decrypt(world.parameters, chain.h9, chain.stored, A4, rk4) == KEY
    assert outcome(lambda: re_encrypt(chain.second, chain.stored)) == "unsatisfied"
    assert not hasattr(chain.first.rk4, "A3")
    # The vendor knows the second delegation's delta, and needs Y^(s'*h) of rk4.
    inverse = h5(open_delta(world.parameters, chain.vendor, check_rekey(chain.second, b"second"))).invert()
    s = random_fr(world.random)
    for point in (
        G1.identity(),
        point_g_tilde(),
        chain.first.rk4.D,
        chain.stored.capsule.A3,
        point_g_tilde().mul(s),
        chain.first.rk1,
    ):
        assert world.matches_delta(rk4, second_hop(chain, point).pow(inverse)) == "bad-capsule"


def test_with_a3_in_rk4_the_record_reaches_a_third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(
        monkeypatch,
        encapsulation.encapsulate_delta_deterministic,
        lambda parameters, policy, delta, b, aad: encapsulate_deterministic(parameters, policy, delta, b, aad),
    )
    chain = Chain("hops")
    world = chain.world
    A4 = re_encrypt(chain.first, chain.stored)
    inner: VerifiedCapsule = check(chain.first.rk4, b"first")
    last: VerifiedCapsule = check(chain.second.rk4, b"second")
    assert world.opens(chain.vendor, inner) == "unsatisfied"
    B4 = re_encrypt(chain.second, inner)
    delta_2 = world.opens(chain.vendor, last)
    delta_1 = re_decrypt_with(world.parameters, inner, B4, delta_2)
    assert re_decrypt_with(world.parameters, chain.stored, A4, delta_1) == KEY


def test_a_transformed_capsule_is_not_transformed_again() -> None:
    """A4 is one element of GT and has nothing to pair; put in the place of Y^s it opens nothing."""
    chain = Chain("again")
    world = chain.world
    A4 = re_encrypt(chain.first, chain.stored)
    second = chain.second
    capsule = chain.stored.capsule
    inverse = h5(open_delta(world.parameters, chain.vendor, check_rekey(second, b"second"))).invert()
    tried = [A4, A4.pow(inverse), A4 * multi_pairing([(second.rk1, capsule.A2), (-capsule.A3, second.rk2)])]
    tried += [tried[-1].pow(inverse), A4 / pairing([(second.rk1, capsule.A2)])]
    for weight in (1, -1, 2):
        element = combine(second.rk1, second.rk3, {0: second.parts["inst:h9"]}, capsule, {0: weight}, [(-capsule.A3, second.rk2)])
        tried += [element, element * A4, element.pow(inverse), (element * A4).pow(inverse)]
    assert {world.matches(chain.stored, element) for element in tried} == {"bad-capsule"}


def test_the_delegatee_cannot_delegate_the_owners_scope() -> None:
    """A re-encryption key for the owner's scope needs the owner's K; from rk1 and delta only K + theta/h*g~ comes out, which
    turns nothing.
    """
    chain = Chain("redelegation")
    world = chain.world
    delta = open_delta(world.parameters, chain.h9, check_rekey(chain.first, b"first"))
    h = h5(delta)
    inverse = h.invert()
    first = chain.first
    K, L, part = first.rk1.mul(inverse), first.rk3.mul(inverse), first.parts[own("p")].mul(inverse)
    # As a key it opens no record of the scope ..
    element = combine(K, L, {0: part}, chain.stored.capsule, {0: 1})
    assert world.matches(chain.stored, element) == "bad-capsule"
    # .. nor what is delegated to the owner (type 2, for the owner's own attribute).
    to_owner = world.delegate(world.key("a:x"), ["a:x"], own("p"), b"to p")
    rk4 = check_rekey(to_owner, b"to p")
    assert world.matches_delta(rk4, combine(K, L, {0: part}, to_owner.rk4, {0: 1})) == "bad-capsule"
    assert len(open_delta(world.parameters, chain.owner, rk4)) == 32
    # What it has is what it was given: with rk2 it transforms and opens this scope's records, as the page says.
    known = combine(K, L, {0: part}, chain.stored.capsule, {0: 1}, [(-chain.stored.capsule.A3, first.rk2.mul(inverse))])
    assert world.matches(chain.stored, known) == KEY


def test_where_rk1_hides_k_by_nothing_the_delegatee_is_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without theta (rk1 = h*K) delta gives the owner's sub-key itself, which opens type 2 as well and delegates on."""

    def bare(parameters, key, policy, aad, coins):
        return rekey_gen(parameters, key, policy, aad, Coins(coins.delta, coins.b, Fr.from_int(0)))

    monkeypatch.setattr("support.abpre_world.rekey_gen", bare)
    chain = Chain("bare")
    world = chain.world
    inverse = h5(open_delta(world.parameters, chain.h9, rekeys.check2(chain.first.rk4, b"first"))).invert()
    K, L = chain.first.rk1.mul(inverse), chain.first.rk3.mul(inverse)
    part = chain.first.parts[own("p")].mul(inverse)
    to_owner = world.delegate(world.key("a:x"), ["a:x"], own("p"), b"to p")
    rk4 = check_rekey(to_owner, b"to p")
    assert world.matches_delta(rk4, combine(K, L, {0: part}, to_owner.rk4, {0: 1})) != "bad-capsule"
    assert world.matches(chain.stored, combine(K, L, {0: part}, chain.stored.capsule, {0: 1})) == KEY
