"""``salus policy check``: works without a network, points at the character, says who would satisfy a policy."""

from __future__ import annotations

from support.command_line import Terminal

TEXT = "role:doctor and (dept:cardiology or 2 of (site:a, site:b, cert:icu))"


def test_a_policy_is_written_canonically_and_explained(empty: Terminal) -> None:
    given = "role:doctor@2026,site:a@2026,cert:icu@2026"
    data = empty.good("policy", "check", f"({TEXT})", "--year", "2026", "--attributes", given)
    assert data["policy"] == "role:doctor@2026 and (dept:cardiology@2026 or 2 of (site:a@2026, site:b@2026, cert:icu@2026))"
    assert data["explanation"]["satisfied"]
    assert data["explanation"]["used"] == ["role:doctor@2026", "site:a@2026", "cert:icu@2026"]
    assert data["readable_on_ledger"]
    assert not empty.home.exists()


def test_attributes_without_a_year_are_named(empty: Terminal) -> None:
    assert empty.good("policy", "check", TEXT)["without_year"] == [
        "role:doctor", "dept:cardiology", "site:a", "site:b", "cert:icu",
    ]  # fmt: skip


def test_what_is_missing_is_said(empty: Terminal) -> None:
    done = empty("policy", "check", TEXT, "--attributes", "role:doctor,site:a", "--json")
    assert done.status == 1
    assert done.json["error"]["reason"] == "unsatisfied"
    assert done.json["explanation"]["missing"] == ["dept:cardiology"]
    assert "dept:cardiology" in done.error


def test_an_error_points_at_the_character(empty: Terminal) -> None:
    message = empty.bad("policy", "check", "role:doctor and dept:Cardiology", reason="bad-policy")
    assert "character 22" in message
    assert "role:doctor and dept: >>> Cardiology" in message


def test_the_owners_attribute_is_not_for_policies(empty: Terminal) -> None:
    assert "own:" in empty.bad("policy", "check", f"role:doctor or own:{'ab' * 32}", reason="own-in-policy")


def test_too_much_is_refused(empty: Terminal) -> None:
    empty.bad("policy", "check", " or ".join(f"site:s{i}" for i in range(129)), reason="too-large")
    empty.bad("policy", "check", "role:doctor", "--attributes", "Role:x", reason="bad-attribute")
