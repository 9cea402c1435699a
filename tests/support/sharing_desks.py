"""Owners and institutions at their terminals, for tests over the embedded network."""

from __future__ import annotations

from pathlib import Path

from salus.network.actors import Actor
from salus.network.embedded import EmbeddedNetwork
from salus.terminal.sharing.desk import SharingDesk
from salus.terminal.sharing.entries import RecordEntry
from salus.terminal.sharing.owner import Putting
from support.embedded import PASSPHRASE

HOSPITAL = "st-anne/board"
QUARTER = "2025Q3"


def desk(actor: Actor) -> SharingDesk:
    """The sharing half of a person's terminal."""
    around = actor._around
    return SharingDesk(actor._wallet, around.ledger, around.transport, around.centre(), around.now_ms, around.random)


def institution_desk(network: EmbeddedNetwork, *attributes: str, name: str = HOSPITAL) -> SharingDesk:
    """An institution with some attributes for the years 2024 to 2026."""
    if attributes:
        expires_ms = network.now_ms() + 300 * 24 * 3600 * 1000
        network.centre.grant_attributes(name, attributes, 2024, 2026, expires_ms)
    return desk(network.person(f"institution-{name.replace('/', '.')}", PASSPHRASE))


def put(owner: SharingDesk, path: Path, **wanted: object) -> RecordEntry:
    """Put one file; vitals of one quarter unless something else is wanted."""
    (entry,) = owner.owner.put([path], Putting(**{"category": "vitals", "period": QUARTER, **wanted}))  # type: ignore[arg-type]
    return entry


def in_days(owner: SharingDesk, days: int) -> int:
    """Block time so many days from now."""
    return owner.nodes.ledger.time_ms + days * 24 * 3600 * 1000
