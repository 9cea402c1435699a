"""``salus policy``: what a policy says, before anything is put under it. Needs no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from salus.cli.failures import CommandFailed
from salus.cli.options import command, group
from salus.cli.screen import Screen
from salus.cli.session import Result, Session

if TYPE_CHECKING:
    from salus.abpre.explain import Explanation
    from salus.abpre.policy import Policy

APP = group("policy", "What an attribute policy says, and who would satisfy it.")
ATTRIBUTES_MAX = 1024
"""Attributes of one ``--attributes``; an institution holds a few dozen."""
PUBLIC = (
    "Policies are readable on the ledger: who reads 'dept:oncology' beside a record learns something about its owner. If that is "
    "too much, leave the record's policy away (it is then under own: alone) and put the policy on a delegation."
)
TEXT = Annotated[
    str, typer.Argument(metavar="TEXT", show_default=False, help="E.g. 'role:doctor and 2 of (site:a, site:b, cert:icu)'.")
]


@command(
    APP,
    "check",
    (
        "policy check 'role:doctor and dept:cardiology'",
        "policy check 'role:doctor or 2 of (site:a, site:b, cert:icu)' --attributes role:nurse,site:a,cert:icu",
    ),
)
def check(
    session: Session,
    text: TEXT,
    attributes: Annotated[
        str, typer.Option(metavar="A,B,..", show_default=False, help="Would these satisfy it, and what is missing?")
    ] = "",
    year: Annotated[
        int | None,
        typer.Option(min=1900, max=2199, metavar="YEAR", show_default=False, help="Clinical year for attributes without one."),
    ] = None,
) -> Result:
    """Check a policy: its canonical text, its size, who would satisfy it.

    Exit status 1: it is malformed (the message points at the character), or the attributes given do not satisfy it.
    """
    policy = read_policy(text)
    named = policy.in_year(year) if year else policy
    data: dict[str, Any] = {
        "policy": named.text,
        "rows": len(named.rows),
        "attributes": list(named.attributes),
        "without_year": [a for a in named.attributes if "@" not in a],
        "readable_on_ledger": True,
    }
    failure = None
    if attributes:
        data["explanation"] = explained(explain_to(named, attributes, year))
        if not data["explanation"]["satisfied"]:
            missing = ", ".join(data["explanation"]["missing"])
            failure = ("unsatisfied", f"these attributes do not satisfy the policy; missing: {missing}")

    def show(screen: Screen) -> None:
        screen.facts({"policy": data["policy"], "rows": data["rows"], "attributes": data["attributes"]})
        if data["without_year"]:
            screen.line("The terminal adds the record's clinical year to: " + ", ".join(data["without_year"]))
        screen.line(PUBLIC)
        if attributes:
            show_explanation(screen, data["explanation"])

    return Result(data, show, failure)


def read_policy(text: str) -> Policy:
    """A policy that records and delegations may carry.

    :raises CommandFailed: ``bad-policy`` and the like, with the text around the character and a caret below it.
    """
    from salus.abpre.language import parse
    from salus.abpre.policy import PolicyError

    try:
        return parse(text).require_no_owner()
    except PolicyError as error:
        line = error.pointed().splitlines()[0]
        marked = f"{line[: _column(error)]} >>> {line[_column(error) :]}"
        raise CommandFailed(error.reason, f"{error.message} (character {error.position + 1}): {marked.strip()}") from None


def _column(error: Any) -> int:
    caret: str = error.pointed().splitlines()[1]
    return len(caret) - 1


def explain_to(policy: Policy, attributes: str, year: int | None = None) -> Explanation:
    """Explain a policy to the holder of attributes, written side by side.

    :raises Refused: ``bad-attribute``, ``too-large``.
    """
    from salus.abpre.attributes import canonical_attribute, with_year
    from salus.abpre.explain import explain
    from salus.errors import refuse_unless

    held = [a.strip() for a in attributes.split(",") if a.strip()]
    refuse_unless(len(held) <= ATTRIBUTES_MAX, "too-large", f"at most {ATTRIBUTES_MAX} attributes")
    canonical = [canonical_attribute(a) for a in held]
    return explain(policy, [with_year(a, year) for a in canonical] if year else canonical)


def explained(found: Explanation) -> dict[str, Any]:
    """An explanation as JSON."""
    return {
        "satisfied": found.satisfied,
        "used": list(found.used),
        "held": list(found.held),
        "missing": list(found.missing),
        "parts": [{"depth": p.depth, "text": p.text, "satisfied": p.satisfied} for p in found.parts],
    }


def show_explanation(screen: Screen, found: dict[str, Any]) -> None:
    """An explanation for people: the policy part by part."""
    for part in found["parts"]:
        screen.line(f"{'yes' if part['satisfied'] else 'no ':3} {'. ' * part['depth']}{part['text']}")
    if found["satisfied"]:
        screen.line("Satisfied, by: " + (", ".join(found["used"]) or "nothing"))
    else:
        screen.line("Not satisfied; these would be enough beside what is there: " + ", ".join(found["missing"]))
