"""The stage on which every party is an operating-system process: nothing is shared but sockets and, for the person who
watches, the directory that the parties write to."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from salus.cloud import messages as cloud_api
from salus.errors import ConsensusError, Refused, SalusError, TransportError
from salus.ledger import node_api as api
from salus.ledger import sharing_api
from salus.ledger.client import LedgerClient
from salus.ledger.export import write_export
from salus.network.actors import Result
from salus.network.demonstration.destruction import destroy_cloud
from salus.network.demonstration.stage import CLOUDS, DAY_MS, DEMO_COST
from salus.network.embedded import system_ms
from salus.network.founding import found
from salus.network.home import Home, slug
from salus.network.launcher import Launcher, PartyProcess
from salus.network.memory import node_environment
from salus.network.processes import ADMIN, PERSON
from salus.network.sockets import SocketTransport
from salus.network.wallets import institution_wallets
from salus.symmetric import Random

START_S: Final = 120.0
"""How long a party may take to start, a committee to form, and one that was away to be back."""
END_S: Final = 5.0
_POLL_S: Final = 0.05


class ProcessStage:
    """Founds a network, then starts every party as a process.

    :param passphrase: of the wallets that are made.
    """

    def __init__(self, home: Path, nodes: int, passphrase: bytes, random: Random = os.urandom) -> None:
        self.home = home
        self._passphrase = passphrase
        founded = found(Home(home), nodes, system_ms() - 1, random, clouds=CLOUDS)
        self._genesis = founded.genesis
        institution_wallets(Home(home), founded, passphrase, random, DEMO_COST)
        self._services: dict[str, tuple[str, list[str]]] = {}
        """Name on the ledger -> name of the process, and what starts it."""
        self._directory = tempfile.TemporaryDirectory(prefix="salus-")
        self._sockets = Path(self._directory.name)
        self._transport = SocketTransport(self._sockets, timeout_s=120.0)
        self._processes: dict[str, PartyProcess] = {}
        self._launcher = Launcher("salus.network.processes", node_environment())
        try:
            self._start_services(nodes)
            self._await_committee()
        except BaseException:
            self.close()
            raise

    def _start_services(self, nodes: int) -> None:
        core = self._genesis.core
        for i, node in enumerate(core.nodes):
            party = ("node", i) if i < nodes else ("check", i - nodes)
            self._services[node.member.name] = (f"{party[0]}-{party[1]}", [party[0], "--index", str(party[1])])
        for i, cloud in enumerate(core.clouds):
            self._services[cloud.member.name] = (Home(self.home).cloud_of(i).name, ["cloud", "--index", str(i)])
        self._services[core.centre.name] = ("centre", ["centre"])
        for party_name, arguments in self._services.values():
            self._start(party_name, arguments)

    @property
    def process_ids(self) -> dict[str, int]:
        """Process id of every party that runs."""
        return {party: process.pid for party, process in self._processes.items()}

    def _start(self, party: str, arguments: list[str], first_line: bytes = b"") -> None:
        log = self._sockets / f"{party}.log"
        process = self._launcher.start([*arguments, "--home", str(self.home), "--sockets", str(self._sockets)], log)
        self._processes[party] = process
        if first_line:
            process.stdin.write(first_line + b"\n")
        if process.read_line(START_S) != b"ready\n":
            self._processes.pop(party).end(END_S)
            raise SalusError(f"{party} did not start: {log.read_text(errors='replace')[-2000:]}")

    def _client(self) -> LedgerClient:
        names = [m.name for m in self._genesis.validators().members]
        return LedgerClient(self._transport, names, self._genesis, system_ms, lambda ms: time.sleep(ms / 1000))

    def _await_committee(self) -> None:
        """Until envelopes can be sealed and every node holds its shares."""
        client = self._client()
        _until(lambda: bool(client.epoch()), "the nodes share a value")
        for member in self._genesis.validators().members:
            _until(lambda name=member.name: self._holds_shares(name), f"{member.name} holds its shares")  # type: ignore[misc]

    def _holds_shares(self, node: str) -> bool:
        asked = sharing_api.SharingStatusRequest().encode()
        status = sharing_api.SharingStatus.decode(self._transport.call(node, sharing_api.STATUS, asked))
        return bool(status.epoch) and any(h.epoch == status.epoch and "z" in h.kinds and "oprf" in h.kinds for h in status.held)

    # --- people ---

    def enter(self, role: str, name: str, display_name: str, *, cheating: bool = False) -> str:
        """Make a wallet and a terminal."""
        party = f"{role}-{slug(name)}"
        arguments = [PERSON, "--role", role, "--name", name, "--display-name", display_name]
        arguments += ["--memory-kib", str(DEMO_COST.memory_kib), *(["--cheating"] if cheating else [])]
        self._start(party, arguments, self._passphrase)
        return party

    def reenter(self, party: str, *, cheating: bool = False) -> None:
        """Somebody who was here before opens the wallet again."""
        arguments = [PERSON, "--open", party, *(["--cheating"] if cheating else [])]
        self._start(party, arguments, self._passphrase)

    def code(self, role: str, name: str, display_name: str) -> str:
        """The centre hands out an enrolment code."""
        code: str = self._call(ADMIN, "code", [role, name, display_name])
        return code

    def do(self, party: str, command: str, **arguments: Any) -> Result:
        """A person carries out a command."""
        result: Result = self._call(party, command, arguments)
        return result

    def leave(self, party: str) -> None:
        """The person closes the wallet."""
        self._processes.pop(party).end(END_S)

    def revoke_patient(self, identity: str) -> None:
        """The centre revokes a patient."""
        self._call(ADMIN, "revoke-patient", [identity])

    def grant_attributes(self, institution: str, atoms: tuple[str, ...], first_year: int, last_year: int, days: int) -> None:
        """The centre grants attributes for some days."""
        expires_ms = system_ms() + days * DAY_MS
        self._call(ADMIN, "grant-attributes", [institution, list(atoms), first_year, last_year, expires_ms])

    # --- what happens to parties ---

    @contextmanager
    def lying(self, node: str) -> Iterator[None]:
        """Inside, a node answers with false partials: it is started again as one that was tampered with."""
        self.switch_off(node)
        self.switch_on(node, "--lying")
        try:
            yield
        finally:
            self.switch_off(node)
            self.switch_on(node)

    def switch_off(self, party: str) -> None:
        """A node or a cloud goes down."""
        self._processes.pop(self._services[party][0]).end(END_S)

    def switch_on(self, party: str, *extra: str) -> None:
        """It comes back; a node catches up with the others."""
        process, arguments = self._services[party]
        self._start(process, [*arguments, *extra])
        if process.startswith("node-"):
            reached = max(self._status(m.name).height for m in self._genesis.validators().members)
            _until(lambda: self._status(party).height >= reached and self._holds_shares(party), f"{party} catches up")

    def destroy_cloud(self, cloud: str) -> int:
        """A cloud loses everything but its key."""
        self.switch_off(cloud)
        return destroy_cloud(self.home / self._services[cloud][0])

    def rebuild_cloud(self, cloud: str) -> None:
        """It starts again, follows the ledger anew, and fetches what it should have from other clouds."""
        self.switch_on(cloud)
        reached = self._client()
        reached.refresh()
        _until(lambda: self._rebuilt(cloud, reached.height), f"{cloud} has what the ledger names it for")

    def _rebuilt(self, cloud: str, height: int) -> bool:
        status = self._cloud_status(cloud)
        return status.height >= height and not status.records_missing

    # --- looking ---

    def node_status(self) -> list[dict[str, Any]]:
        """Once all nodes have reached the same height."""
        for _ in range(200):
            status = [self._status(m.name) for m in self._genesis.validators().members]
            if len({s.height for s in status}) == 1:
                break
            time.sleep(_POLL_S)
        return [{"name": s.name, "height": s.height, "application_hash": s.application_hash.hex()} for s in status]

    def cloud_status(self) -> list[dict[str, Any]]:
        """Name and number of records of every cloud that runs."""
        running = [c.member.name for c in self._genesis.core.clouds if self._services[c.member.name][0] in self._processes]
        return [{"name": s.name, "records": s.records} for s in map(self._cloud_status, running)]

    def _status(self, node: str) -> api.NodeStatus:
        return api.NodeStatus.decode(self._transport.call(node, api.STATUS, api.StatusRequest().encode()))

    def _cloud_status(self, cloud: str) -> cloud_api.CloudStatus:
        asked = cloud_api.StatusRequest().encode()
        return cloud_api.CloudStatus.decode(self._transport.call(cloud, cloud_api.STATUS, asked))

    def export(self, path: Path) -> None:
        """Write an export of the ledger."""
        client = self._client()
        write_export(client.network, self._genesis.hash(), client.encoded_blocks(), path)

    def close(self) -> None:
        """End all parties."""
        for process in reversed(self._processes.values()):
            process.end(END_S)
        self._processes.clear()
        self._launcher.close()
        self._directory.cleanup()

    def _call(self, party: str, method: str, arguments: Any) -> Any:
        return json.loads(self._transport.call(party, method, json.dumps(arguments).encode()))


def _until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds.

    :raises ConsensusError: it does not in time.
    """
    deadline = time.monotonic() + START_S
    last: Exception | None = None
    while True:
        try:
            if holds():
                return
        except (Refused, TransportError) as error:
            last = error
        if time.monotonic() > deadline:
            raise ConsensusError(f"waited {START_S:.0f} s in vain until {what}: {last or 'not yet'}") from None
        time.sleep(_POLL_S)
