"""``salus party`` and ``salus doctor``: who takes part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from salus.cli.failures import CommandFailed
from salus.cli.options import command, group
from salus.cli.screen import Screen, day_and_time
from salus.cli.session import Result, Session, uninterrupted

if TYPE_CHECKING:
    from salus.network.actors import Actor
    from salus.network.embedded import EmbeddedNetwork

APP = group("party", "Enrol, list and revoke parties, as the centre's operator.")
DOCTORS = group("doctor", "Doctors who can be asked.")
FIRST_CREDENTIALS = 16
"""Credentials a patient gets at enrolment: one a visit."""
LISTED_ROLES = ("institution", "node", "cloud", "doctor")

Role = Literal["patient", "doctor", "institution"]
NAME = Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="E.g. st-anne/dr-lee; a patient's identity.")]


@command(
    APP,
    "enrol",
    (
        "--home clinic party enrol --role doctor st-anne/dr-lee --display-name 'Dr Lee'",
        "--home clinic party enrol --role patient alice",
    ),
)
def enrol(
    session: Session,
    name: NAME,
    role: Annotated[Role, typer.Option(help="What the party is.", show_default=False)],
    display_name: Annotated[str, typer.Option(metavar="TEXT", help="What people read.", show_default=False)] = "",
) -> Result:
    """Enrol a party: the centre hands out a code, the party's wallet uses it. A wallet is made if there is none.

    The recovery phrase of a new wallet is shown once and kept nowhere: write it down.
    """
    from salus.network.home import Home

    Home(session.home).genesis()
    check_subject(role, name)
    new = not (Home(session.home).person(role, name) / "wallet.sealed").is_file()
    passphrase = session.passphrase(f"{role} {name}", new=new)
    with session.network() as network:
        if new:
            refuse_taken(network, role, name)
            actor = make_wallet(session, network, role, name, display_name, passphrase)
        else:
            directory = network.home.person(role, name)
            actor = network.person(directory.name, passphrase)
        session.progress.stage("enrolling")
        shown = actor.show()
        if not shown["enrolled"]:
            actor.do("enrol", {"code": network.centre.new_code(role, name, display_name or name)})
        elif role != "patient" or shown["credentials_unused"]:
            raise CommandFailed("failed", f"{role} {name} is enrolled already; see: salus party list")
        data: dict[str, Any] = {"role": role, "name": name, "party": actor.directory.name, "enrolled": True}
        if role == "patient":
            session.progress.stage("getting credentials")
            data["credentials"] = actor.do("renew", {"count": FIRST_CREDENTIALS})["added"]

    def show(screen: Screen) -> None:
        got = f" with {data['credentials']} credentials" if role == "patient" else ""
        screen.line(f"Enrolled {role} {name}{got}; act with: --as {data['party']}")

    return Result(data, show)


def check_subject(role: str, name: str) -> None:
    """Refuse a name before anything is made.

    :raises Refused: ``bad-encoding``.
    """
    from salus.consultation.enrolment import ID_BYTES
    from salus.consultation.registration import check_name
    from salus.errors import refuse_unless

    if role == "patient":
        fits = 0 < len(name.encode()) <= ID_BYTES and name.isprintable() and name.strip() == name
        refuse_unless(fits, "bad-encoding", f"a patient's identity is 1 to {ID_BYTES} bytes of printable text")
    else:
        check_name(name)


def refuse_taken(network: EmbeddedNetwork, role: str, name: str) -> None:
    """Refuse a name that is in use, before a wallet is made for it.

    :raises Refused: ``already-registered``.
    """
    from salus.errors import Refused

    taken = False
    if role == "patient":
        taken = name in network.centre.patients()
    else:
        party = network.client().party(role, name)
        taken = party is not None and not party.revoked_ms
    if taken:
        hint = f"restore its wallet (salus wallet restore), or revoke it first: salus party revoke --role {role} {name}"
        raise Refused("already-registered", f"{role} {name} is enrolled, and its wallet is not in this home; {hint}")


def make_wallet(session: Session, network: EmbeddedNetwork, role: str, name: str, display_name: str, passphrase: bytes) -> Actor:
    """Make a wallet and show its recovery phrase, whatever happens next."""
    with uninterrupted():
        actor, phrase = network.create_person(role, name, passphrase, display_name)
        sentence = f"Recovery phrase of {role} {name}, shown this once; write it down: {phrase}"
        session.keep("recovery_phrase", phrase, sentence)
    return actor


@command(APP, "list", "--home clinic party list")
def list_parties(session: Session) -> Result:
    """List institutions, nodes, check nodes, clouds and doctors on the ledger, and the patients whom the centre has enrolled."""
    from salus.ledger.kinds.sharing.attributes import is_suspended
    from salus.ledger.kinds.sharing.check_nodes import check_nodes
    from salus.ledger.reading import ProvenView

    with session.network() as network:
        ledger = network.client()
        view = ProvenView(ledger)
        checks = set(check_nodes(view))
        parties: list[dict[str, Any]] = [
            {
                "role": p.role,
                "name": p.name,
                "display_name": p.display_name,
                "registered_ms": p.registered_ms,
                "revoked_ms": p.revoked_ms,
                "suspended": p.role == "institution" and is_suspended(view, p.name),
                "check_node": p.role == "node" and p.name in checks,
            }
            for role in LISTED_ROLES
            for p in ledger.parties(role)
        ]
        patients = network.centre.patients()

    def show(screen: Screen) -> None:
        rows = [
            (
                "check node" if p["check_node"] else p["role"], p["name"], p["display_name"], day_and_time(p["registered_ms"]),
                "suspended" if p["suspended"] and not p["revoked_ms"] else day_and_time(p["revoked_ms"]),
            )
            for p in parties
        ]  # fmt: skip
        screen.table(("role", "name", "display name", "registered", "revoked"), rows, "no parties")
        screen.line()
        screen.table(("patients (known to the centre alone)",), [(name,) for name in patients], "no patients")

    return Result({"parties": parties, "patients": patients}, show)


@command(APP, "revoke", ("--home clinic party revoke st-anne/dr-lee", "--home clinic party revoke --role patient alice"))
def revoke(
    session: Session,
    name: NAME,
    role: Annotated[
        Literal["patient", "doctor", "institution", "node", "cloud"] | None,
        typer.Option(help="Needed only if several roles have the name.", show_default=False),
    ] = None,
) -> Result:
    """Revoke a party, as the centre: nodes refuse it from the next block on."""
    with session.network() as network:
        found = role or _role_of(network, name)
        session.progress.stage("revoking")
        if found == "patient":
            heights = [done.height for done in network.centre.revoke_patient(name)] or [network.status()[0].height]
        else:
            heights = [network.centre.revoke_member(found, name).height]
    data = {"role": found, "name": name, "revoked": True, "height": max(heights)}
    return Result(data, lambda screen: screen.line(f"Revoked {found} {name} in block {data['height']}."))


NODES = Annotated[
    list[str] | None,
    typer.Option(
        "--node", metavar="NODE", show_default=False, help="Whose vote; again for more. Default: every node of this home."
    ),
]
INSTITUTION = Annotated[str, typer.Argument(metavar="INSTITUTION", show_default=False, help="E.g. st-anne/board.")]


@command(
    APP,
    "suspend",
    ("--home clinic party suspend st-anne/board", "--home clinic party suspend st-anne/board --node lakeside/node-3"),
)
def suspend(session: Session, institution: INSTITUTION, node: NODES = None) -> Result:
    """Sign against an institution, as the operator of nodes.

    While more than a third of the seats has signed, nodes and clouds refuse whatever it asks for, shares granted before included.
    """
    return _vote(session, institution, node, against=True)


@command(APP, "reinstate", "--home clinic party reinstate st-anne/board")
def reinstate(session: Session, institution: INSTITUTION, node: NODES = None) -> Result:
    """Take back what nodes of this home have signed against an institution, as their operator."""
    return _vote(session, institution, node, against=False)


def _vote(session: Session, institution: str, nodes: list[str] | None, *, against: bool) -> Result:
    from salus.network.suspending import vote

    with session.network() as network:
        session.progress.stage("voting")
        data = vote(network, institution, nodes or [], against=against)

    def show(screen: Screen) -> None:
        said = "against it" if against else "for it again"
        screen.line(f"{', '.join(data['voted'])} signed {said}." if data["voted"] else "These nodes have said so already.")
        state = "is suspended" if data["suspended"] else "is not suspended"
        screen.line(f"{institution} {state}: {len(data['against'])} of {data['seats']} seats have signed against it.")

    return Result(data, show)


def _role_of(network: EmbeddedNetwork, name: str) -> str:
    from salus.errors import Refused

    ledger = network.client()
    roles = ["patient"] if name in network.centre.patients() else []
    for role in LISTED_ROLES:
        if name.isascii():
            party = ledger.party(role, name)
            roles += [role] if party is not None and not party.revoked_ms else []
    if len(roles) == 1:
        return roles[0]
    if roles:
        raise Refused("unknown-party", f"{name} is the name of several parties: add --role {' or --role '.join(roles)}")
    raise Refused("unknown-party", f"nobody who is enrolled has the name {name}; see: salus party list")


@command(DOCTORS, "list", ("--home clinic doctor list",))
def list_doctors(session: Session) -> Result:
    """List doctors and their free slots by day."""
    with session.network() as network:
        ledger = network.client()
        doctors: list[dict[str, Any]] = [
            {"name": p.name, "display_name": p.display_name, "free_slots": dict(sorted(ledger.slot_days(p.name).items()))}
            for p in ledger.parties("doctor")
            if not p.revoked_ms
        ]

    def show(screen: Screen) -> None:
        rows = [
            (d["name"], d["display_name"], [f"{day}: {count}" for day, count in d["free_slots"].items()] or "none")
            for d in doctors
        ]
        screen.table(("doctor", "display name", "free slots"), rows, "no doctors are enrolled; see: salus party enrol --help")

    return Result({"doctors": doctors}, show)
