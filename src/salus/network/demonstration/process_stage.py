"""The stage on which every party is an operating-system process: nothing is shared but sockets and, for the person who
watches, the directory that the parties write to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from salus.errors import ConsensusError, Refused, SalusError, TransportError
from salus.ledger import node_api as api
from salus.ledger.client import LedgerClient
from salus.ledger.export import write_export
from salus.network.actors import Result
from salus.network.demonstration.stage import DEMO_COST
from salus.network.embedded import system_ms
from salus.network.founding import found
from salus.network.home import Home, slug
from salus.network.memory import node_environment
from salus.network.processes import ADMIN, PERSON
from salus.network.sockets import SocketTransport
from salus.symmetric import Random

START_S: Final = 60.0


class ProcessStage:
    """Founds a network, then starts every party as a process.

    :param passphrase: of the wallets that are made.
    """

    def __init__(self, home: Path, nodes: int, passphrase: bytes, random: Random = os.urandom) -> None:
        self.home = home
        self._passphrase = passphrase
        founded = found(Home(home), nodes, system_ms() - 1, random)
        self._genesis = founded.genesis
        self._directory = tempfile.TemporaryDirectory(prefix="salus-")
        self._sockets = Path(self._directory.name)
        self._transport = SocketTransport(self._sockets, timeout_s=120.0)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for i in range(nodes):
                self._start(f"node-{i}", ["node", "--index", str(i)])
            for i in range(len(Home(home).checks())):
                self._start(f"check-{i}", ["check", "--index", str(i)])
            self._start("cloud", ["cloud"])
            self._start("centre", ["centre"])
            self._await_epoch()
        except BaseException:
            self.close()
            raise

    @property
    def process_ids(self) -> dict[str, int]:
        """Process id of every party that runs."""
        return {party: process.pid for party, process in self._processes.items()}

    def _start(self, party: str, arguments: list[str], first_line: bytes = b"") -> None:
        command = [sys.executable, "-m", "salus.network.processes", *arguments]
        command += ["--home", str(self.home), "--sockets", str(self._sockets)]
        log = self._sockets / f"{party}.log"
        with log.open("wb") as stderr:
            environment = node_environment()
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment)  # noqa: S603
        self._processes[party] = process
        assert process.stdin is not None
        assert process.stdout is not None
        if first_line:
            process.stdin.write(first_line + b"\n")
            process.stdin.flush()
        if process.stdout.readline() != b"ready\n":
            process.wait(5)
            raise SalusError(f"{party} did not start: {log.read_text(errors='replace')[-2000:]}")

    def _await_epoch(self) -> None:
        names = [m.name for m in self._genesis.validators().members]
        client = LedgerClient(self._transport, names, self._genesis, system_ms, lambda ms: time.sleep(ms / 1000))
        deadline = time.monotonic() + START_S
        while True:
            try:
                client.epoch()
            except (Refused, TransportError) as error:
                if time.monotonic() > deadline:
                    raise ConsensusError(f"the nodes do not share a value within {START_S:.0f} s: {error}") from None
                time.sleep(0.05)
            else:
                return

    def enter(self, role: str, name: str, display_name: str, *, cheating: bool = False) -> str:
        """Make a wallet and a terminal."""
        party = f"{role}-{slug(name)}"
        arguments = [PERSON, "--role", role, "--name", name, "--display-name", display_name]
        arguments += ["--memory-kib", str(DEMO_COST.memory_kib), *(["--cheating"] if cheating else [])]
        self._start(party, arguments, self._passphrase)
        return party

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
        self._end(self._processes.pop(party))

    def revoke_patient(self, identity: str) -> None:
        """The centre revokes a patient."""
        self._call(ADMIN, "revoke-patient", [identity])

    def node_status(self) -> list[dict[str, Any]]:
        """Once all nodes have reached the same height."""
        for _ in range(200):
            status = [
                api.NodeStatus.decode(self._transport.call(m.name, api.STATUS, api.StatusRequest().encode()))
                for m in self._genesis.validators().members
            ]
            if len({s.height for s in status}) == 1:
                break
            time.sleep(0.05)
        return [{"name": s.name, "height": s.height, "application_hash": s.application_hash.hex()} for s in status]

    def export(self, path: Path) -> None:
        """Write an export of the ledger."""
        names = [m.name for m in self._genesis.validators().members]
        client = LedgerClient(self._transport, names, self._genesis, system_ms, lambda ms: time.sleep(ms / 1000))
        write_export(client.network, self._genesis.hash(), client.encoded_blocks(), path)

    def close(self) -> None:
        """End all parties."""
        for process in reversed(self._processes.values()):
            self._end(process)
        self._processes.clear()
        self._directory.cleanup()

    def _call(self, party: str, method: str, arguments: Any) -> Any:
        return json.loads(self._transport.call(party, method, json.dumps(arguments).encode()))

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        """Closing its standard input asks a party to end."""
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
