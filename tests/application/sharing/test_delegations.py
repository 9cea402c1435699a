"""Delegations: created by their scope, ended by time or word, and the receipt of a revocation."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.abpre.keys import SecretKey
from salus.errors import Refused
from salus.ledger.kinds.sharing import attachments, delegations, lists
from salus.ledger.kinds.sharing.messages.common import signed_by_scope
from salus.ledger.kinds.sharing.messages.delegations import DelegationCreation
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from support.sharing_world import DAY_MS, POLICY, SharingChain

Owned = tuple[ScopeKey, SecretKey]


@pytest.fixture
def owned(chain: SharingChain) -> Owned:
    owner = chain.owner()
    return owner, chain.key(owner)


def resigned(chain: SharingChain, key: ScopeKey, message: DelegationCreation, **parts: object) -> DelegationCreation:
    return signed_by_scope(replace(message, **parts), key, chain.world.random)


def test_a_delegation_lives_until_it_expires(chain: SharingChain, owned: Owned) -> None:
    made = chain.delegation(*owned, days=10)
    chain.commit(made)
    name = made.sealed.delegation
    found = delegations.live_delegation(chain.view, name, chain.time_ms)
    assert (found.scope, found.sealed, found.policy().text) == (owned[0].scope, made.sealed, POLICY)
    assert list(lists.items(chain.view, lists.SCOPE_DELEGATIONS, owned[0].scope)) == [name]
    assert not found.is_emergency()
    with pytest.raises(Refused, match="delegation-expired"):
        delegations.live_delegation(chain.view, name, made.sealed.expires_ms)
    with pytest.raises(Refused, match="unknown-delegation"):
        delegations.find_delegation(chain.view, bytes(32))
    assert chain.reason(made) == "duplicate-delegation"


def test_what_a_delegation_needs(chain: SharingChain, owned: Owned) -> None:
    owner, _ = owned
    attacker = chain.owner("attacker")
    good, other = chain.delegation(*owned), chain.delegation(*owned)
    sealed = good.sealed

    def with_sealed(**parts: object) -> DelegationCreation:
        return resigned(chain, owner, good, sealed=replace(sealed, **parts))

    cases = [
        (replace(good, signature=other.signature), "bad-signature"),
        (with_sealed(P=other.sealed.P), "bad-delegation"),
        (with_sealed(rk2=other.sealed.rk2), "bad-delegation"),
        (with_sealed(rk3=other.sealed.rk3), "bad-delegation"),
        (with_sealed(R=other.sealed.R), "bad-delegation"),
        (with_sealed(rk4=other.sealed.rk4), "bad-delegation"),
        (with_sealed(expires_ms=sealed.expires_ms + 1), "bad-delegation"),
        (with_sealed(proof=other.sealed.proof), "bad-delegation"),
        (with_sealed(P=bytes(48)), "bad-point"),
        (with_sealed(epoch=2), "wrong-epoch"),
        (with_sealed(scope="role:doctor@2025"), "bad-attribute"),
        (with_sealed(scope="own:" + "00" * 32), "unknown-scope"),
        (with_sealed(expires_ms=chain.time_ms), "delegation-expired"),
        (with_sealed(expires_ms=chain.time_ms + 6 * 366 * DAY_MS), "too-far-ahead"),
        (with_sealed(c_digest=bytes(32)), "bad-delegation"),
        (resigned(chain, owner, good, c_kept=other.c_kept), "bad-certificate"),
        (resigned(chain, owner, good, index_key=replace(other.index_key, scope=attacker.scope)), "wrong-scope"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    metadata = chain.kept(attachments.METADATA, sealed.delegation, sealed.c_digest)
    assert chain.reason(resigned(chain, owner, good, c_kept=metadata)) == "bad-certificate"
    assert chain.reason(resigned(chain, owner, good, index_key=None)) == ""


def test_nobody_delegates_anothers_scope(chain: SharingChain, owned: Owned, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delegatee, or anyone with a key that opens a record, signs a delegation of the owner's scope with a key of its own."""
    owner, own_key = owned
    attacker = chain.owner("attacker")
    attack = resigned(chain, attacker, chain.delegation(owner, own_key))
    assert chain.reason(attack) == "bad-signature"
    require = delegations.require_scope_signature
    monkeypatch.setattr(delegations, "require_scope_signature", lambda context, _, message: require(context, attacker.V, message))
    assert chain.reason(attack) == ""


def test_no_delegation_is_for_somebodys_scope(chain: SharingChain, owned: Owned) -> None:
    victim = chain.owner("victim")
    assert chain.reason(chain.delegation(*owned, policy=f"role:doctor@2025 or {victim.attribute}")) == "own-in-policy"


def test_an_emergency_delegation_is_known_by_its_policy(chain: SharingChain, owned: Owned) -> None:
    name = chain.delegate(*owned, policy="role:emergency@2025")
    assert delegations.find_delegation(chain.view, name).is_emergency()
    assert chain.log(owned[0].scope)[-1].via == "emergency"


def test_a_revoked_delegation_is_dead_and_its_receipt_says_that_c_is_gone(chain: SharingChain, owned: Owned) -> None:
    owner, _ = owned
    name, other = chain.delegate(*owned), chain.delegate(*owned)
    receipt = chain.deletion_receipt(name)
    assert chain.reason(receipt) == "not-started"
    revocation = chain.revocation(owner, name)
    assert chain.reason(chain.revocation(chain.owner("attacker"), name)) == "bad-signature"
    assert chain.reason(replace(revocation, delegation=other)) == "bad-signature"
    chain.commit(revocation)
    assert chain.reason(revocation) == "already-done"
    with pytest.raises(Refused, match="delegation-revoked"):
        delegations.live_delegation(chain.view, name, chain.time_ms)
    delegations.live_delegation(chain.view, other, chain.time_ms)
    cases = [
        (replace(receipt, c_digest=bytes(32)), "bad-delegation"),
        (replace(receipt, delegation=other), "not-started"),
        (replace(receipt, signers=b"\xc0"), "no-quorum"),
        (replace(receipt, signers=b"\xf0"), "bad-signature"),
        (replace(receipt, epoch=2), "wrong-epoch"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    chain.commit(receipt)
    assert delegations.find_delegation(chain.view, name).receipt == receipt
    assert chain.reason(chain.deletion_receipt(name, 4)) == "already-done"
    assert [e.act for e in chain.log(owner.scope)] == ["delegated", "delegated", "revoked"]


def test_too_few_nodes_make_no_receipt(chain: SharingChain, owned: Owned) -> None:
    name = chain.delegate(*owned)
    with pytest.raises(Refused, match="no-quorum"):
        chain.deletion_receipt(name, 2)
    with pytest.raises(Refused, match="no-quorum"):
        chain.kept(attachments.DELEGATION_C, name, bytes(32), 2)
