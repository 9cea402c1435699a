"""Where the demonstration plays: all parties in this process, or each in a process of its own. One script runs on both."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from salus.network.actors import Result
from salus.network.demonstration.cheats import CHEATS
from salus.network.embedded import EmbeddedNetwork
from salus.network.home import slug
from salus.terminal.sealed import Argon2Cost

DEMO_COST = Argon2Cost(memory_kib=8 * 1024, iterations=1, lanes=1)
"""The demonstration opens a wallet for every record, on a passphrase that it drew itself and throws away."""


class Stage(Protocol):
    """What the script needs of a network with people."""

    home: Path

    def enter(self, role: str, name: str, display_name: str, *, cheating: bool = False) -> str:
        """Make a wallet and a terminal; returns the name of the party's directory."""

    def code(self, role: str, name: str, display_name: str) -> str:
        """The centre hands out an enrolment code."""

    def do(self, party: str, command: str, **arguments: Any) -> Result:
        """A person carries out a command."""

    def leave(self, party: str) -> None:
        """The person closes the wallet."""

    def revoke_patient(self, identity: str) -> None:
        """The centre revokes a patient."""

    def node_status(self) -> list[dict[str, Any]]:
        """Name, height and application hash of every node."""

    def export(self, path: Path) -> None:
        """Write an export of the ledger that proves itself."""

    def close(self) -> None:
        """End all parties."""


class LocalStage:
    """Everybody in this process, each with its own state, exchanging encoded messages."""

    def __init__(self, network: EmbeddedNetwork, passphrase: bytes) -> None:
        self._network = network
        self._passphrase = passphrase
        self._actors: dict[str, Any] = {}
        self.home = network.home.directory

    def enter(self, role: str, name: str, display_name: str, *, cheating: bool = False) -> str:
        """Make a wallet and a terminal."""
        party = f"{role}-{slug(name)}"
        actors = CHEATS if cheating else None
        actor, _ = self._network.create_person(role, name, self._passphrase, display_name, cost=DEMO_COST, actors=actors)
        self._actors[party] = actor
        return party

    def code(self, role: str, name: str, display_name: str) -> str:
        """The centre hands out an enrolment code."""
        return self._network.centre.new_code(role, name, display_name)

    def do(self, party: str, command: str, **arguments: Any) -> Result:
        """A person carries out a command."""
        result: Result = self._actors[party].do(command, arguments)
        return result

    def leave(self, party: str) -> None:
        """The person closes the wallet."""
        self._network.dismiss(self._actors.pop(party))

    def revoke_patient(self, identity: str) -> None:
        """The centre revokes a patient."""
        self._network.centre.revoke_patient(identity)

    def node_status(self) -> list[dict[str, Any]]:
        """Name, height and application hash of every node."""
        return [
            {"name": s.name, "height": s.height, "application_hash": s.application_hash.hex()} for s in self._network.status()
        ]

    def export(self, path: Path) -> None:
        """Write an export of the ledger."""
        self._network.export(path)

    def close(self) -> None:
        """End all parties."""
        self._network.close()
