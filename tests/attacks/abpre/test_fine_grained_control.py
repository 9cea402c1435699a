"""Claim: access follows the policy's attributes, year by year, and a delegation the delegated policy: nobody gets more or
less.
"""

from __future__ import annotations

from itertools import chain, combinations

import pytest

from salus.abpre.explain import explain, is_satisfied
from salus.abpre.language import parse
from salus.abpre.opening import re_decrypt
from salus.abpre.policy import record_policy
from support.abpre_world import Sharing, outcome, own

KEY = bytes(range(32))
NAMES = ("role:doctor@2026", "dept:icu@2026", "site:a@2026", "role:doctor@2025")


def subsets() -> list[tuple[str, ...]]:
    return list(chain.from_iterable(combinations(NAMES, size) for size in range(1, len(NAMES) + 1)))


@pytest.mark.parametrize(
    "text",
    ["role:doctor and dept:icu", "2 of (role:doctor, dept:icu, site:a)", "role:doctor and (dept:icu or site:a)", "role:doctor"],
)
def test_every_set_of_attributes_gets_what_the_policy_says(text: str) -> None:
    world = Sharing("fine")
    policy = record_policy(bytes.fromhex(own("p")[4:]), parse(text)).in_year(2026)
    stored = world.stored(policy.text, KEY)
    rekey = world.delegate(world.key(own("p")), [own("p")], parse(text).in_year(2026).text)
    A4, rk4 = world.transformed(rekey, stored)
    for held in subsets():
        key = world.key(*held)
        expected = KEY if is_satisfied(policy, held) else "unsatisfied"
        assert world.opens(key, stored) == expected
        assert outcome(lambda key=key: re_decrypt(world.parameters, key, stored, A4, rk4)) == expected
        assert explain(policy, held).satisfied == (expected == KEY)


def test_a_key_of_last_year_opens_nothing_of_this_one() -> None:
    world = Sharing("years")
    stored = world.stored("role:doctor@2026", KEY)
    assert world.opens(world.key("role:doctor@2025"), stored) == "unsatisfied"
    assert world.opens(world.key("role:doctor@2025", "role:doctor@2026"), stored) == KEY
    assert world.opens(world.key("role:doctor"), stored) == "unsatisfied"
