"""Every party in an operating-system process of its own, talking over Unix-domain sockets.

``python -m salus.network.processes ROLE --home DIR --sockets DIR ..`` runs one party until its standard input closes:
a node, a check node, the cloud, the centre, or a person's terminal. The same code as in the embedded network; only the
transport differs.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from salus.centre.centre import Centre
from salus.errors import Refused, SalusError, TransportError
from salus.ledger import node_api as api
from salus.ledger.client import LedgerClient
from salus.ledger.genesis import Genesis
from salus.logging import setup_logging
from salus.network.actors import ACTORS, Actor, Surroundings
from salus.network.cloud_parties import start_cloud
from salus.network.demonstration.cheats import CHEATS
from salus.network.demonstration.sharing_cheats import tamper
from salus.network.embedded import system_ms
from salus.network.home import Home
from salus.network.memory import collect_rarely
from salus.network.sockets import SocketServer, SocketTransport, socket_path
from salus.network.wallets import new_content
from salus.node.node import Node
from salus.node.pruning import DAY_MS
from salus.node.sharing.checking import CheckNode
from salus.node.sharing.errands import Errand, Failure
from salus.terminal.sealed import Argon2Cost
from salus.terminal.wallet import Wallet
from salus.transport import Service

TICK_S: Final = 0.002
FOLLOW_S: Final = 0.02
MAINTAIN_S: Final = 60.0
REPAIR_S: Final = 0.2
"""Between two looks at what a cloud has lost; if other clouds are silent, each look asks them once."""
ERRAND_S: Final = 5.0
"""How long a node waits for the answer to an errand; then another party is asked."""
QUEUE_MAX: Final = 10_000
"""Batches waiting for one peer; beyond that they are dropped, and replicas repeat what matters."""
ADMIN: Final = "centre-admin"
PERSON: Final = "person"


class NodeProcess:
    """A node with threads around it: one that works, and one for each peer that carries messages."""

    def __init__(self, node: Node, sockets: Path) -> None:
        self._node = node
        self._lock = threading.RLock()
        self._sockets = sockets
        self._queues: dict[str, queue.Queue[bytes]] = {}
        for member in node.genesis.validators().members:
            if member.name != node.name:
                self._queues[member.name] = queue.Queue(QUEUE_MAX)
                threading.Thread(target=self._send, args=(member.name,), daemon=True).start()
        self._errands: dict[str, queue.Queue[Errand]] = {}
        threading.Thread(target=self._work, daemon=True).start()

    def handle(self, method: str, body: bytes) -> bytes:
        """See :class:`salus.transport.Service`."""
        with self._lock:
            return self._node.handle(method, body)

    def _work(self) -> None:
        attended_s = 0.0
        while True:
            with self._lock:
                if self._node.busy or self._node.runner.due(system_ms()):
                    self._node.work()
                if time.monotonic() - attended_s > 1.0:
                    attended_s = time.monotonic()
                    self._node.attend()
                while self._node.runner.outbox:
                    to, data = self._node.runner.outbox.popleft()
                    for peer in self._queues if to is None else [to]:
                        self._put(peer, data)
                while (errand := self._node.errands.take()) is not None:
                    self._send_errand(errand)
                busy = self._node.busy
            if not busy:
                time.sleep(TICK_S)

    def _send_errand(self, errand: Errand) -> None:
        """One thread for each party that is called: a silent one holds up nobody else's errands, and the node waits for none."""
        waiting = self._errands.get(errand.to)
        if waiting is None:
            waiting = self._errands[errand.to] = queue.Queue()  # bounded by what the node leaves at one time
            threading.Thread(target=self._run_errands, args=(waiting,), daemon=True).start()
        waiting.put(errand)

    def _run_errands(self, waiting: queue.Queue[Errand]) -> None:
        transport = SocketTransport(self._sockets, timeout_s=ERRAND_S)
        while True:
            errand = waiting.get()
            answer: bytes | None = None
            failure: Failure | None = None
            try:
                answer = transport.call(errand.to, errand.method, errand.body)
            except (TransportError, Refused) as error:
                failure = error
            with self._lock:
                errand.done(answer, failure)

    def _put(self, peer: str, data: bytes) -> None:
        waiting = self._queues.get(peer)
        if waiting is not None and not waiting.full():
            waiting.put(data)

    def _send(self, peer: str) -> None:
        transport = SocketTransport(self._sockets, timeout_s=10.0)
        waiting = self._queues[peer]
        while True:
            batch = [waiting.get()]
            while len(batch) < api.CONSENSUS_MAX and not waiting.empty():
                batch.append(waiting.get())
            try:
                for data in batch:
                    transport.call(peer, api.CONSENSUS, api.ConsensusBatch((data,)).encode())
            except (TransportError, Refused):
                time.sleep(0.05)  # the peer is down or starts: replicas repeat what matters


class _Locked:
    """A service behind a lock that other threads of the party share."""

    def __init__(self, service: Service, lock: threading.Lock) -> None:
        self._service = service
        self._lock = lock

    def handle(self, method: str, body: bytes) -> bytes:
        with self._lock:
            return self._service.handle(method, body)


class CentreAdmin:
    """The centre's operator, on a socket of its own that only the operator's account can reach."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre

    def handle(self, method: str, body: bytes) -> bytes:
        """As JSON: ``code`` (role, subject, display name), ``revoke-patient`` (identity), ``grant-attributes`` (institution,
        atoms, first year, last year, expiry in UTC milliseconds)."""
        arguments = json.loads(body)
        if method == "code":
            return json.dumps(self._centre.new_code(*arguments)).encode()
        if method == "revoke-patient":
            self._centre.revoke_patient(*arguments)
            return b"null"
        if method == "grant-attributes":
            institution, atoms, *rest = arguments
            self._centre.grant_attributes(institution, tuple(atoms), *rest)
            return b"null"
        raise Refused("not-found", f"the centre's operator has no command {method}")


class PersonService:
    """A person's terminal, commanded by whoever sits in front of it."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def handle(self, method: str, body: bytes) -> bytes:
        """Carry out a command with JSON arguments."""
        return json.dumps(self._actor.do(method, json.loads(body))).encode()


def _client(genesis: Genesis, sockets: Path) -> LedgerClient:
    names = [member.name for member in genesis.validators().members]
    return LedgerClient(SocketTransport(sockets), names, genesis, system_ms, lambda wait_ms: time.sleep(wait_ms / 1000))


def run_node(home: Home, sockets: Path, index: int, keep_days: int = 0, *, lying: bool = False) -> SocketServer:
    """Run node ``index``; it drops bodies of blocks older than ``keep_days``, if that is not 0.

    :param lying: it was tampered with, and answers with false partials; for demonstrations.
    """
    genesis = home.genesis()
    keep_ms = keep_days * DAY_MS
    node = Node(home.node(index), genesis, SocketTransport(sockets, timeout_s=2.0), system_ms, os.urandom, keep_ms)
    if lying:
        tamper(node, os.urandom)
    return SocketServer(NodeProcess(node, sockets), socket_path(sockets, node.name))


def run_check(home: Home, sockets: Path, index: int) -> SocketServer:
    """Run check node ``index``."""
    genesis = home.genesis()
    check = CheckNode(home.check(index), genesis, _client(genesis, sockets), os.urandom)
    lock = threading.Lock()

    def follow() -> None:
        while True:
            with lock:
                check.attend(system_ms())
            time.sleep(FOLLOW_S)

    threading.Thread(target=follow, daemon=True).start()
    return SocketServer(_Locked(check, lock), socket_path(sockets, check.name))


def run_cloud(home: Home, sockets: Path, index: int) -> SocketServer:
    """Run cloud ``index``."""
    genesis = home.genesis()
    party = start_cloud(home, genesis, index, SocketTransport(sockets), _client(genesis, sockets), system_ms, os.urandom)
    lock = threading.Lock()

    def follow() -> None:
        maintained_s = time.monotonic()
        while True:
            with lock:
                party.follow()
                if time.monotonic() - maintained_s > MAINTAIN_S:
                    maintained_s = time.monotonic()
                    party.maintain()
            time.sleep(FOLLOW_S)

    def repair() -> None:
        """At once after a loss, else now and then; never under the lock, for other clouds may ask this one meanwhile."""
        looked_s = -MAINTAIN_S
        while True:
            if party.missing or time.monotonic() - looked_s > MAINTAIN_S:
                looked_s = time.monotonic()
                party.repair()
            time.sleep(REPAIR_S)

    for work in (follow, repair):
        threading.Thread(target=work, daemon=True).start()
    return SocketServer(_Locked(party, lock), socket_path(sockets, party.name))


def run_centre(home: Home, sockets: Path) -> list[SocketServer]:
    """Run the centre and its operator's socket."""
    genesis = home.genesis()
    centre = Centre(home.centre, genesis.core.centre.name, _client(genesis, sockets), system_ms, os.urandom)
    lock = threading.Lock()
    return [
        SocketServer(_Locked(centre, lock), socket_path(sockets, centre.name)),
        SocketServer(_Locked(CentreAdmin(centre), lock), socket_path(sockets, ADMIN)),
    ]


def run_person(
    home: Home, sockets: Path, role: str, name: str, display_name: str, passphrase: bytes, cost: Argon2Cost, *, cheating: bool
) -> SocketServer:
    """Run a person's terminal on a fresh wallet."""
    genesis = home.genesis()
    content = new_content(role, name, display_name, genesis)
    wallet, _ = Wallet.create(home.person(role, name), content, passphrase, cost=cost)
    return _serve_person(home, sockets, wallet, cheating=cheating)


def open_person(home: Home, sockets: Path, who: str, passphrase: bytes, *, cheating: bool) -> SocketServer:
    """Run a person's terminal on the wallet that is there, of the directory ``who``."""
    _, directory = home.find_person(who)
    wallet = Wallet.open(directory, passphrase, network=home.genesis().network())
    return _serve_person(home, sockets, wallet, cheating=cheating)


def _serve_person(home: Home, sockets: Path, wallet: Wallet, *, cheating: bool) -> SocketServer:
    genesis = home.genesis()
    centre, cloud = genesis.core.centre.name, genesis.core.clouds[0].member.name
    around = Surroundings(_client(genesis, sockets), SocketTransport(sockets), centre, cloud, system_ms, os.urandom)
    actor = (CHEATS if cheating else ACTORS)[wallet.content.role](wallet, around)
    return SocketServer(PersonService(actor), socket_path(sockets, wallet.directory.name))


def _person(home: Home, options: argparse.Namespace, passphrase: bytes) -> SocketServer:
    if options.open:
        return open_person(home, options.sockets, options.open, passphrase, cheating=options.cheating)
    cost, cheating = Argon2Cost(options.memory_kib, 1, 1), options.cheating
    return run_person(
        home, options.sockets, options.role, options.name, options.display_name, passphrase, cost, cheating=cheating
    )


def main(arguments: list[str]) -> int:
    """Run one party until standard input closes."""
    parser = argparse.ArgumentParser(prog="python -m salus.network.processes", description="Run one party of a home.")
    parser.add_argument("party", choices=("node", "check", "cloud", "centre", PERSON))
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--sockets", type=Path, required=True)
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--keep-days", type=int, default=0)
    parser.add_argument("--role", default="patient")
    parser.add_argument("--name", default="")
    parser.add_argument("--display-name", default="")
    parser.add_argument("--memory-kib", type=int, default=64 * 1024)
    parser.add_argument("--open", default="")
    parser.add_argument("--cheating", action="store_true")
    parser.add_argument("--lying", action="store_true")
    options = parser.parse_args(arguments)
    collect_rarely()
    setup_logging()  # to stderr: whoever started the party reads one line of stdout and no more
    home = Home(options.home)
    runs: dict[str, Callable[[], object]] = {
        "node": lambda: run_node(home, options.sockets, options.index, options.keep_days, lying=options.lying),
        "check": lambda: run_check(home, options.sockets, options.index),
        "cloud": lambda: run_cloud(home, options.sockets, options.index),
        "centre": lambda: run_centre(home, options.sockets),
        PERSON: lambda: _person(home, options, sys.stdin.buffer.readline().strip()),
    }
    try:
        running = runs[options.party]()
    except SalusError as error:
        print(error, file=sys.stderr)
        return 1
    print("ready", flush=True)
    sys.stdin.buffer.read()
    del running
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
