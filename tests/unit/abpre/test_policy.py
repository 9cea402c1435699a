"""The policy language: canonical text, bounds, errors that point at the character, years, owners."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.abpre import attributes as at
from salus.abpre.explain import explain, is_satisfied, missing_attributes
from salus.abpre.language import parse, parse_canonical
from salus.abpre.policy import (
    DEPTH_MAX,
    ROWS_MAX,
    TEXT_CHARACTERS_MAX,
    Gate,
    Policy,
    PolicyError,
    all_of,
    any_of,
    at_least,
    attribute,
    record_policy,
    split_record_policy,
)
from salus.errors import Refused
from support.abpre_policies import held, policies, spellings
from support.abpre_twin import satisfied
from support.abpre_world import own

EXAMPLE = "(role:doctor@2026 and dept:cardiology@2026) or 2 of (site:a@2026, site:b@2026, cert:icu@2026)"


def test_the_example_is_canonical() -> None:
    policy = parse(EXAMPLE)
    assert policy.text == EXAMPLE == str(policy)
    assert policy.rows == ("role:doctor@2026", "dept:cardiology@2026", "site:a@2026", "site:b@2026", "cert:icu@2026")
    assert parse_canonical(EXAMPLE) == policy


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("((a:x))", "a:x"),
        ("a:x and (b:y and c:z)", "a:x and b:y and c:z"),
        ("a:x or (b:y or c:z) or 1 of (d:u, e:v)", "a:x or b:y or c:z or d:u or e:v"),
        ("3 of (a:x,b:y , c:z)", "a:x and b:y and c:z"),
        ("1 of (a:x)", "a:x"),
        ("a:x and b:y or c:z and d:u", "(a:x and b:y) or (c:z and d:u)"),
        ("a:x and (b:y or c:z)", "a:x and (b:y or c:z)"),
        ("2 of (a:x or b:y, c:z and d:u, 2 of (e:v, f:w, g:t))", "2 of (a:x or b:y, c:z and d:u, 2 of (e:v, f:w, g:t))"),
        ("2 of (a:x, b:y, c:z) and 2 of(a:x,b:y,c:z)", "2 of (a:x, b:y, c:z) and 2 of (a:x, b:y, c:z)"),
        ("a:x\n\tor b:y ", "a:x or b:y"),
    ],
)
def test_spellings_have_one_canonical_text(written: str, canonical: str) -> None:
    assert parse(written).text == canonical
    if written != canonical:
        with pytest.raises(PolicyError, match="canonical"):
            parse_canonical(written)


@given(data=st.data(), policy=policies())
def test_every_spelling_reads_as_the_policy(data: st.DataObject, policy: Policy) -> None:
    assert parse(policy.text) == policy
    assert parse(policy.text).root == policy.root
    assert parse(data.draw(spellings(policy.root))).text == policy.text


FAULTS = [
    ("", 0, "empty"),
    ("   ", 3, "empty"),
    ("a:x or", 6, "ends where"),
    ("a:x b:y", 4, "'and' or 'or'"),
    ("a:x and and b:y", 8, "'and' stands where"),
    ("or a:x", 0, "'or' stands where"),
    ("(a:x", 4, "')' is missing"),
    ("(a:x or b:y c:z)", 12, "'and' or 'or'"),
    ("a:x)", 3, "closes nothing"),
    ("a:x, b:y", 3, "only separates"),
    ("()", 1, "')' stands where"),
    ("(a:x, b:y)", 4, "only separates"),
    ("2 (a:x, b:y)", 2, "'of' should follow"),
    ("2 of a:x", 5, "'(' should follow"),
    ("2 of", 4, "'(' should follow"),
    ("3 of (a:x, b:y)", 0, "1 to 2"),
    ("0 of (a:x, b:y)", 0, "1 to 2"),
    ("02 of (a:x, b:y)", 0, "begin with 0"),
    ("99999999999999999999999999 of (a:x)", 0, "1 to 1"),
    ("2 of (a:x, , b:y)", 11, "',' stands where"),
    ("doctor", 6, "colon is missing"),
    ("a:x or Role:doctor", 7, "lower-case"),
    ("a:x or role:Doctor", 12, "lower-case"),
    ("role:doc/tor", 8, "lower-case"),
    ("1a:x", 0, "begins with a letter"),
    ("a:", 2, "1 to 64"),
    (":x", 0, "1 to 16"),
    ("a:x@26", 6, "four digits"),
    ("a:x@20266", 8, "four digits"),
    ("a:x@1066", 4, "1900..2199"),
    ("a:x@2026@2027", 8, "four digits"),
    ("own:abc", 4, "64 hexadecimal"),
    (f"{own('p')}@2026", 68, "no year"),
    ("a:\u0661", 2, "lower-case"),
    ("\u0661 of (a:x)", 1, "colon is missing"),
    (f"{'a' * 17}:x", 16, "1 to 16"),
    (f"a:{'x' * 65}", 66, "1 to 64"),
]


@pytest.mark.parametrize(("text", "position", "says"), FAULTS, ids=[text[:24] for text, _, _ in FAULTS])
def test_errors_point_at_the_character(text: str, position: int, says: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    assert caught.value.reason == "bad-policy"
    assert caught.value.position == position
    assert says in caught.value.message
    line, caret = caught.value.pointed().split("\n")
    assert caret == " " * (len(caret) - 1) + "^"
    if len(text) <= 71:
        assert len(line) == len(text)
        assert len(caret) == position + 1


def test_the_caret_stands_under_the_character_of_a_long_text() -> None:
    text = " or ".join(f"a:x{i}" for i in range(40)) + " or B:y or " + " or ".join(f"a:x{i}" for i in range(40))
    with pytest.raises(PolicyError) as caught:
        parse(text)
    line, caret = caught.value.pointed(40).split("\n")
    assert len(line) == 40
    assert line[len(caret) - 1] == "B"
    with pytest.raises(PolicyError) as caught:
        parse("a:x or \u4f60\n:y")
    assert caught.value.pointed() == "a:x or ??:y\n        ^"


def test_bounds() -> None:
    rows = [f"a:x{i}" for i in range(ROWS_MAX)]
    assert len(parse(" or ".join(rows)).rows) == ROWS_MAX
    with pytest.raises(PolicyError, match="at most 128") as caught:
        parse(" or ".join([*rows, "a:y"]))
    assert caught.value.reason == "too-large"
    assert caught.value.text[caught.value.position :] == "a:y"
    with pytest.raises(Refused, match="too-large"):
        all_of(*[attribute(x) for x in [*rows, "a:y"]])

    assert parse("(" * DEPTH_MAX + "a:x" + ")" * DEPTH_MAX).text == "a:x"
    with pytest.raises(PolicyError, match="32 deep") as caught:
        parse("(" * (DEPTH_MAX + 1) + "a:x" + ")" * (DEPTH_MAX + 1))
    assert caught.value.position == DEPTH_MAX

    longest = " or ".join(f"a:{'x' * 60}{i:04d}@2026" for i in range(ROWS_MAX))
    assert len(longest) < TEXT_CHARACTERS_MAX
    assert parse(longest).text == longest
    with pytest.raises(PolicyError, match="16384"):
        parse("a:x" + " " * TEXT_CHARACTERS_MAX)


def nested(depth: int) -> Policy:
    policy = attribute("a:x")
    for level in range(depth):
        policy = (all_of if level % 2 else any_of)(policy, attribute("b:y"))
    return policy


def test_depth_of_trees_made_by_hand() -> None:
    deepest = nested(DEPTH_MAX)
    assert parse(deepest.text) == deepest
    with pytest.raises(Refused, match="32 deep"):
        nested(DEPTH_MAX + 1)


def test_policies_made_by_hand_are_canonical() -> None:
    a, b, c = (attribute(x) for x in ("a:x", "b:y", "c:z"))
    assert any_of(a, any_of(b, c)).text == "a:x or b:y or c:z"
    assert at_least(2, a, b, c).text == "2 of (a:x, b:y, c:z)"
    assert at_least(3, a, b, c) == all_of(a, b, c)
    assert hash(at_least(1, a, b)) == hash(any_of(a, b))
    assert repr(a) == "Policy('a:x')"
    for need in (0, 4):
        with pytest.raises(Refused, match="bad-policy"):
            at_least(need, a, b, c)
    for text in ("A:x", "", "a:x or b:y", "a:x "):
        with pytest.raises(Refused, match="bad-attribute"):
            attribute(text)


def test_years() -> None:
    policy = parse(f"{own('p')} or (role:doctor and site:a@2025)")
    assert policy.in_year(2026).text == f"{own('p')} or (role:doctor@2026 and site:a@2025)"
    assert policy.in_year(2026).in_year(2027) == policy.in_year(2026)
    assert at.year_of("role:doctor@2026") == 2026
    assert at.year_of("role:doctor") is None
    for year in (1899, 2200, -1):
        with pytest.raises(Refused, match="bad-attribute"):
            policy.in_year(year)


def test_a_records_policy_names_its_scope_first_and_only_there() -> None:
    scope = bytes(range(32))
    sharing = parse("role:doctor@2026 and 2 of (a:x, b:y, c:z)")
    for rest in (sharing, parse("a:x or b:y"), parse("a:x"), None):
        policy = record_policy(scope, rest)
        assert policy.rows[0] == "own:" + scope.hex()
        assert split_record_policy(parse(policy.text)) == (scope, rest)
    assert at.scope_of(at.own_attribute(scope)) == scope
    assert at.scope_of("role:doctor") is None
    with pytest.raises(Refused, match="32 bytes"):
        at.own_attribute(bytes(31))


@pytest.mark.parametrize("inside", ["a:x or {0}", "{0}", "2 of (a:x, b:y, {0})", "a:x and (b:y or {0})"])
def test_a_sharing_policy_names_no_scope(inside: str) -> None:
    sharing = parse(inside.format(own("victim")))
    with pytest.raises(PolicyError) as caught:
        record_policy(bytes(32), sharing)
    assert caught.value.reason == "own-in-policy"
    assert caught.value.text[caught.value.position :].startswith("own:")
    assert parse("down:x or known:own-x").require_no_owner()


@pytest.mark.parametrize("text", ["a:x", "a:x or {0}", "{0} and a:x", "2 of ({0}, a:x, b:y)", "({0} and a:x) or b:y"])
def test_what_is_no_records_policy(text: str) -> None:
    with pytest.raises(Refused, match=r"bad-policy|own-in-policy"):
        split_record_policy(parse(text.format(own("p"))))


def test_two_scopes_are_no_records_policy() -> None:
    with pytest.raises(PolicyError, match="own-in-policy"):
        split_record_policy(parse(f"{own('p')} or {own('q')}"))


@given(policy=policies(), attributes=held())
def test_explanations_say_what_is_missing(policy: Policy, attributes: frozenset[str]) -> None:
    found = explain(policy, attributes)
    means = satisfied(policy.root, attributes)
    assert found.satisfied == means == is_satisfied(policy, attributes)
    assert found.held == tuple(x for x in policy.attributes if x in attributes)
    assert found.parts[0].satisfied == means
    assert sum(part.text in policy.attributes for part in found.parts) == len(policy.rows)
    if means:
        assert found.missing == () == missing_attributes(policy, attributes)
        assert satisfied(policy.root, found.used)
        assert set(found.used) <= attributes
    else:
        assert found.used == ()
        assert attributes.isdisjoint(found.missing)
        assert satisfied(policy.root, attributes | set(found.missing))


def test_an_explanation_names_the_fewest() -> None:
    policy = parse("(a:x and b:y and c:z) or 2 of (d:u, e:v, f:w)")
    assert explain(policy, {"a:x", "b:y"}).missing == ("c:z",)
    assert explain(policy, {"e:v"}).missing == ("d:u",)
    assert explain(policy, {"f:w", "d:u"}).used == ("d:u", "f:w")
    assert [(part.depth, part.text) for part in explain(policy, ()).parts][:3] == [
        (0, "one of these 2"), (1, "all of these 3"), (2, "a:x"),
    ]  # fmt: skip
    assert isinstance(policy.root, Gate)
