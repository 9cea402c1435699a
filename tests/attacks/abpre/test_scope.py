"""Claim: a delegation turns the records of its scope and nothing outside it, whoever writes what into a record's policy.

Other scopes of the same owner, other owners' re-encryption keys, and records whose sharing policy smuggles in the attribute of a
victim. Where a sharing policy may name own:, the victim's delegation turns the attacker's record and the other way round.
"""

from __future__ import annotations

import pytest

from salus.abpre.checking import check
from salus.abpre.encapsulation import encapsulate
from salus.abpre.language import parse
from salus.abpre.opening import re_decrypt
from salus.abpre.policy import Policy, PolicyError, any_of, attribute, record_policy, split_record_policy
from salus.abpre.rekeys import ReKey, re_encrypt
from salus.groups.bls12_381 import Gt
from support.abpre_world import Sharing, combine, guesses_at_weights, outcome, own
from support.consultation_world import weaken

KEY = bytes(range(32))
LAB, GENOMICS, OTHER = (bytes.fromhex(own(name)[4:]) for name in ("p lab 2025Q3", "p genomics 2025Q3", "other"))


def transformed_by_any_means(world: Sharing, rekey: ReKey, stored) -> list[Gt]:
    """ReEncrypt with the key's parts on whatever row, whatever w."""
    capsule = stored.capsule
    rows = list(range(len(capsule.policy.rows)))
    out = []
    for weights in guesses_at_weights(capsule.policy, rows, world.random, 4):
        for part in rekey.parts.values():
            parts = dict.fromkeys(rows, part)
            out.append(combine(rekey.rk1, rekey.rk3, parts, capsule, weights, [(-capsule.A3, rekey.rk2)]))
    return out


def records(world: Sharing) -> dict[str, Policy]:
    return {
        "the delegated scope": record_policy(LAB, parse("role:doctor and dept:icu")),
        "another category": record_policy(GENOMICS, parse("role:doctor and dept:icu")),
        "another owner": record_policy(OTHER, parse("role:doctor")),
        "another owner, no sharing policy": record_policy(OTHER, None),
        "a threshold": record_policy(OTHER, parse("2 of (a:x, b:y, c:z)")),
    }


def test_a_delegation_turns_its_scope_and_nothing_else() -> None:
    world = Sharing("scope")
    owner = world.key(own("p lab 2025Q3"), own("p genomics 2025Q3"))
    rekey = world.delegate(owner, [own("p lab 2025Q3")], "inst:h9")
    reader = world.key("inst:h9")
    for name, policy in records(world).items():
        stored = check(encapsulate(world.parameters, policy, KEY, b"record", world.random), b"record")
        if name == "the delegated scope":
            A4, rk4 = world.transformed(rekey, stored)
            assert re_decrypt(world.parameters, reader, stored, A4, rk4) == KEY
            continue
        assert outcome(lambda stored=stored: re_encrypt(rekey, stored)) == "unsatisfied"
        rk4 = world.transformed(rekey, world.stored(own("p lab 2025Q3"), KEY))[1]
        results = {
            outcome(lambda s=stored, A4=A4, rk4=rk4: re_decrypt(world.parameters, reader, s, A4, rk4))
            for A4 in transformed_by_any_means(world, rekey, stored)
        }
        assert results == {"bad-transformation"}, name


def smuggled() -> list[Policy]:
    """Sharing policies in which the victim's scope stands."""
    victim = own("p lab 2025Q3")
    return [
        parse(victim),
        parse(f"role:doctor or {victim}"),
        parse(f"2 of (a:x, {victim}, b:y)"),
        parse(f"a:x and (b:y or {victim})"),
    ]


def test_no_record_names_a_second_scope() -> None:
    for sharing in smuggled():
        with pytest.raises(PolicyError, match="own-in-policy"):
            record_policy(OTHER, sharing)
        # Nor by putting the text together by hand: nodes take every record's policy apart again.
        by_hand = any_of(attribute(own("other")), sharing)
        with pytest.raises(PolicyError, match="own-in-policy"):
            split_record_policy(by_hand)


def test_where_it_may_scopes_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attacker puts the victim's scope into a record; the victim's delegation turns it, and opens another's record."""
    weaken(monkeypatch, record_policy, lambda scope, sharing: any_of(attribute(f"own:{scope.hex()}"), sharing))
    monkeypatch.setattr(Policy, "require_no_owner", lambda self: self)
    world = Sharing("escape")
    rekey = world.delegate(world.key(own("p lab 2025Q3")), [own("p lab 2025Q3")], "inst:h9")
    escaping = any_of(attribute(own("other")), parse(f"role:doctor or {own('p lab 2025Q3')}"))
    assert split_record_policy(escaping)[0] == OTHER
    stored = check(encapsulate(world.parameters, escaping, KEY, b"record", world.random), b"record")
    A4, rk4 = world.transformed(rekey, stored)
    assert re_decrypt(world.parameters, world.key("inst:h9"), stored, A4, rk4) == KEY


def test_relabelling_a_re_encryption_key_does_not_move_it() -> None:
    """R_x given out as R_y satisfies the policy in words; the algebra and the nodes' check notice."""
    world = Sharing("relabelled")
    rekey = world.delegate(world.key(own("other")), [own("other")], "inst:h9")
    moved = ReKey(rekey.rk1, rekey.rk2, rekey.rk3, {own("p lab 2025Q3"): rekey.parts[own("other")]}, rekey.rk4)
    stored = world.stored(own("p lab 2025Q3"), KEY)
    rk4 = world.transformed(rekey, world.stored(own("other"), KEY))[1]
    A4 = re_encrypt(moved, stored)
    assert outcome(lambda: re_decrypt(world.parameters, world.key("inst:h9"), stored, A4, rk4)) == "bad-transformation"
    assert outcome(lambda: world.transformed(moved, stored)) == "bad-rekey"
