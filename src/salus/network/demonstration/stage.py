"""Where the demonstration plays: all parties in this process, or each in a process of its own. One script runs on both."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from salus.cloud.messages import STATUS, CloudStatus, StatusRequest
from salus.errors import SalusError
from salus.network.actors import Result
from salus.network.demonstration.cheats import CHEATS
from salus.network.demonstration.destruction import destroy_cloud
from salus.network.demonstration.sharing_cheats import lying
from salus.network.embedded import EmbeddedNetwork
from salus.network.home import slug
from salus.terminal.sealed import Argon2Cost

DAY_MS = 24 * 3600 * 1000
CLOUDS = 2
"""Clouds of the demonstration: one of them is destroyed."""
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


@runtime_checkable
class SharingStage(Stage, Protocol):
    """What the script of the sharing half needs besides."""

    def reenter(self, party: str, *, cheating: bool = False) -> None:
        """Somebody who was here before opens the wallet again."""

    def grant_attributes(self, institution: str, atoms: tuple[str, ...], first_year: int, last_year: int, days: int) -> None:
        """The centre grants attributes for some days."""

    def lying(self, node: str) -> AbstractContextManager[None]:
        """Inside, a node answers with false partials."""

    def switch_off(self, party: str) -> None:
        """A node or a cloud goes down."""

    def switch_on(self, party: str) -> None:
        """It comes back."""

    def destroy_cloud(self, cloud: str) -> int:
        """A cloud's medium is lost: it holds nothing any more but its key; returns how many files went."""

    def rebuild_cloud(self, cloud: str) -> None:
        """It starts with its key alone, follows the ledger anew, and fetches from other clouds what it should have."""

    def cloud_status(self) -> list[dict[str, Any]]:
        """Name and number of records of every cloud that runs."""


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

    def reenter(self, party: str, *, cheating: bool = False) -> None:
        """Somebody who was here before opens the wallet again."""
        self._actors[party] = self._network.person(party, self._passphrase, actors=CHEATS if cheating else None)

    def grant_attributes(self, institution: str, atoms: tuple[str, ...], first_year: int, last_year: int, days: int) -> None:
        """The centre grants attributes for some days."""
        expires_ms = self._network.now_ms() + days * DAY_MS
        self._network.centre.grant_attributes(institution, atoms, first_year, last_year, expires_ms)

    def lying(self, node: str) -> AbstractContextManager[None]:
        """Inside, a node answers with false partials."""
        return lying(self._network.node(node), self._network.random)

    def switch_off(self, party: str) -> None:
        """A node or a cloud goes down."""
        if party in self._network.cloud_parties.names:
            self._network.cloud_parties.stop(party)
        else:
            self._network.stop_node(party)

    def switch_on(self, party: str) -> None:
        """It comes back, and catches up."""
        if party in self._network.cloud_parties.names:
            self._network.cloud_parties.start(party)
        else:
            self._network.start_node(party)
            self._network.start()

    def destroy_cloud(self, cloud: str) -> int:
        """A cloud loses everything but its key."""
        self._network.cloud_parties.stop(cloud)
        return destroy_cloud(self._network.cloud_parties.directory(cloud))

    def rebuild_cloud(self, cloud: str) -> None:
        """It follows the ledger anew, and fetches what it should have from other clouds."""
        rebuilt = self._network.cloud_parties.start(cloud)
        rebuilt.follow()
        while rebuilt.missing and rebuilt.repair():
            pass
        if rebuilt.missing:
            raise SalusError(f"{cloud} lacks {rebuilt.missing} records, and no other cloud gives them")

    def cloud_status(self) -> list[dict[str, Any]]:
        """Name and number of records of every cloud that runs."""
        asked = StatusRequest().encode()
        answers = [CloudStatus.decode(cloud.handle(STATUS, asked)) for cloud in self._network.clouds]
        return [{"name": s.name, "records": s.records} for s in answers]

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
