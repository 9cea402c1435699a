"""Claim: a scope has one name. What looks like one and is none is refused, and stops nobody.

A transaction is judged by every node before anybody's signature is looked at: a text that makes the judging fail, instead of
refuse, would stop every node that sees it in a block. And requests are counted by the requester's name: with two spellings of
one scope an owner would have two limits.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from salus.abpre import attributes
from salus.abpre.attributes import OWN
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold.box import BoxKey
from salus.errors import Refused
from salus.ledger.kinds.sharing import delegations, keys, limits
from salus.ledger.kinds.sharing.messages import keys as mk
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from support.sharing_world import SharingChain


def lenient(attribute: str) -> bytes | None:
    """What was there before: any spelling that gives the bytes."""
    return bytes.fromhex(attribute.removeprefix(OWN)) if attribute.startswith(OWN) else None


SPELLINGS: dict[str, Callable[[str], str]] = {
    "upper case": lambda x: OWN + x.upper(),
    "mixed case": lambda x: OWN + x[:32] + x[32:].upper(),
    "spaces": lambda x: OWN + x[:2] + " " + x[2:],
    "too short": lambda x: OWN + x[:-2],
    "no digits": lambda x: OWN + "z" * 64,
    "nothing": lambda x: OWN,
}


def request(chain: SharingChain, owner: ScopeKey, requester: str) -> mk.KeyAsked:
    box = BoxKey.generate(chain.world.random)
    core = ki.make_key_request(chain.epoch, owner.attribute, [owner.attribute], box)
    return signed_by_scope(mk.KeyAsked(replace(core, requester=requester), UNSIGNED), owner, chain.world.random)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_other_spelling_is_a_scope(chain: SharingChain, spelling: str) -> None:
    owner = chain.owner()
    text = SPELLINGS[spelling](owner.scope.hex())
    with pytest.raises(Refused, match="bad-attribute"):
        attributes.scope_of(text)
    assert chain.reason(request(chain, owner, text)) == "bad-attribute"
    made = chain.delegation(owner, chain.key(owner))
    assert chain.reason(replace(made, sealed=replace(made.sealed, scope=text))) == "bad-attribute"


def test_unrepaired_a_text_stops_every_node_that_judges_it(chain: SharingChain, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = chain.owner()
    asked = request(chain, owner, SPELLINGS["no digits"](owner.scope.hex()))
    monkeypatch.setattr(keys, "scope_of", lenient)
    with pytest.raises(ValueError, match="non-hexadecimal"):
        chain.application.check_transactions([asked.encode()], chain.time_ms + 1000)
    made = chain.delegation(owner, chain.key(owner))
    monkeypatch.setattr(delegations, "scope_of", lenient)
    spoilt = replace(made, sealed=replace(made.sealed, scope=OWN + "z" * 64))
    with pytest.raises(ValueError, match="non-hexadecimal"):
        chain.application.validate_proposal(chain.input([spoilt.encode()]), secret_checks=True)


def test_unrepaired_a_second_spelling_has_a_limit_of_its_own(chain: SharingChain, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = chain.owner()
    for name in (owner.attribute, SPELLINGS["upper case"](owner.scope.hex())):
        asked = request(chain, owner, name)
        if name != owner.attribute:
            assert chain.reason(asked) == "bad-attribute"
            monkeypatch.setattr(keys, "scope_of", lenient)
        assert chain.reason(asked) == ""
        chain.commit(asked)
    spelt = (owner.attribute, OWN + owner.scope.hex().upper())
    assert [limits.used(chain.view, limits.KEYS, name, chain.time_ms) for name in spelt] == [1, 1]
