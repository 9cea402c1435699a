"""Scopes: opened once, by whoever holds the key."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.abpre.attributes import own_attribute
from salus.consultation.admission import admit_envelopes
from salus.consultation.envelope import VerifiedEnvelope
from salus.consultation.registration import Domain
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar
from salus.ledger.kinds.sharing import scopes
from salus.ledger.kinds.sharing.envelopes import statement_of
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.scopes import InstitutionScope
from salus.ledger.kinds.sharing.scope_keys import ScopeKey, scope_of_key
from support.sharing_world import CLINIC, DAY_MS, HOSPITAL, SharingChain, SharingWorld


@pytest.fixture
def chain() -> SharingChain:
    chain = SharingWorld().chain()
    chain.start_epoch()
    return chain


def test_a_scope_is_opened_anonymously_and_spends_one_credential(chain: SharingChain) -> None:
    world = chain.world
    key = world.scope_key()
    opening = world.open_anonymously(key)
    chain.commit(opening)
    found = scopes.find_scope(chain.view, key.scope)
    assert (found.V, found.institution) == (key.V, "")
    assert chain.reason(opening) == "used-credential"
    assert chain.reason(world.open_anonymously(key)) == "already-done"
    with pytest.raises(Refused, match="unknown-scope"):
        scopes.find_scope(chain.view, bytes(32))


def test_the_nodes_open_the_envelope_of_an_opening(chain: SharingChain) -> None:
    world = chain.world
    opening = world.open_anonymously(world.scope_key())
    domain = Domain(world.network, world.domain.Pub_bytes)

    def admitted(message: object) -> object:
        statement = statement_of(chain.view, domain, message, chain.time_ms)
        (result,) = admit_envelopes(domain, [(statement, world.thetas[1])])
        return result

    assert isinstance(admitted(opening), VerifiedEnvelope)
    # Whoever puts its own V, or another's possession, into a stranger's envelope is refused by the nodes.
    other = world.scope_key("thief")
    stolen = replace(opening, V=other.V, possession=scopes.possession_by_envelope(other, opening.sealed.nf, world.random))
    assert isinstance(admitted(stolen), Refused)
    assert isinstance(admitted(replace(opening, possession=bytes(64))), Refused)


def test_what_an_opening_needs(chain: SharingChain) -> None:
    world = chain.world
    key, other = world.scope_key(), world.scope_key("other")
    opening = world.open_anonymously(key)
    cases = [
        (replace(opening, possession=bytes(64)), "bad-signature"),
        (replace(opening, V=other.V), "bad-signature"),
        (replace(opening, V=bytes(32)), "bad-point"),
        (replace(opening, sealed=replace(opening.sealed, A=b"\xff" * 32)), "bad-point"),
        (replace(opening, sealed=replace(opening.sealed, epoch=7)), "wrong-epoch"),
        # A nullifier of another envelope: V signed for its own.
        (replace(opening, sealed=replace(opening.sealed, nf=bytes(32))), "bad-signature"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    assert chain.reason(opening, opening.sealed.valid_until_ms + 1) == "expired"
    assert chain.reason(world.open_anonymously(key, chain.time_ms + 8 * DAY_MS)) == "too-far-ahead"


def test_an_institution_opens_scopes_under_its_own_key(chain: SharingChain) -> None:
    world = chain.world
    key = world.scope_key("hospital")
    good = world.open_by_institution(key, HOSPITAL)
    stolen = InstitutionScope(key.V, good.possession, CLINIC, UNSIGNED)
    cases = [
        (replace(good, institution=CLINIC), "bad-signature"),
        (signed_by_member(world.network, stolen, world.institution(CLINIC), world.random), "bad-signature"),
        (replace(good, possession=bytes(64)), "bad-signature"),
        (replace(good, institution="hospital-9/board"), "unknown-party"),
    ]
    for message, expected in cases:
        assert chain.reason(message) == expected
    chain.commit(good)
    assert scopes.find_scope(chain.view, key.scope).institution == HOSPITAL
    assert chain.reason(good) == "already-done"


def test_scopes_of_one_owner_have_nothing_in_common(chain: SharingChain) -> None:
    network, secret = chain.world.network, b"s" * 32
    lab, same = (ScopeKey.derive(network, secret, "lab", "2025Q3") for _ in range(2))
    assert lab.V == same.V
    others = [
        ScopeKey.derive(network, secret, "lab", "2025Q4"),
        ScopeKey.derive(network, secret, "vitals", "2025Q3"),
        ScopeKey.derive(network, secret, "lab", "all"),
        ScopeKey.derive(bytes(32), secret, "lab", "2025Q3"),
        ScopeKey.derive(network, b"t" * 32, "lab", "2025Q3"),
    ]
    assert len({key.V for key in [lab, *others]}) == 6
    assert lab.attribute == own_attribute(scope_of_key(network, lab.V))
    for category, period, reason in (("blood", "2025Q3", "bad-category"), ("lab", "2025Q5", "bad-period")):
        with pytest.raises(Refused, match=reason):
            ScopeKey.derive(network, secret, category, period)
    with pytest.raises(Refused, match="bad-encoding"):
        ScopeKey.derive(network, b"short", "lab", "2025Q3")
    assert isinstance(lab.secret, Scalar)
    assert repr(lab.secret) not in repr(lab)
