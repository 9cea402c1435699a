"""The embedded network: all parties of one home in this process, each with its own state, exchanging encoded messages.

Like an embedded database: open a home, work through real consensus, close it. What a call acknowledged is durable.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from salus.centre.centre import Centre
from salus.cloud.party import CloudParty
from salus.errors import ConsensusError, Refused, TransportError
from salus.files import HomeLock, make_private_directory
from salus.ledger.asking import PATIENCE_MS
from salus.ledger.client import LedgerClient
from salus.ledger.constants import Constants
from salus.ledger.export import write_export
from salus.ledger.genesis import Genesis
from salus.ledger.kinds.sharing.committee_state import status as sharing_status
from salus.ledger.kinds.sharing.constants import SharingConstants
from salus.ledger.node_api import COMMITTED, PENDING, REFUSED, SUBMIT, SUBMIT_MAX, NodeStatus, Outcome, Submission, Submit
from salus.network.actors import ACTORS, Actor, Surroundings
from salus.network.check_parties import CheckParties
from salus.network.cloud_parties import CloudParties
from salus.network.founding import found
from salus.network.home import Home
from salus.network.local import LocalTransport
from salus.network.wallets import institution_wallets, new_content
from salus.network.workers import Workers
from salus.node.node import Node
from salus.symmetric import Random
from salus.terminal.bodies import Progress, no_progress
from salus.terminal.sealed import DEFAULT_COST, Argon2Cost
from salus.terminal.wallet import Wallet
from salus.transport import Service, Transport

ROUNDS_MAX: Final = 100_000
"""Rounds of message passing before the network is called stuck: a block takes about ten."""
CATCH_UP_MS: Final = 3_000
"""How long the opening waits for replicas that lag behind; the others serve without them."""
START_MS: Final = 60_000
"""How long a new network may take to share its first value."""


class Keeping(msgspec.Struct, frozen=True):
    """What the nodes keep of old blocks: all but the first ``archives`` drop bodies older than ``keep_ms``; 0: nobody does."""

    keep_ms: int = 0
    archives: int = 1


EVERYTHING: Final = Keeping()


def system_ms() -> int:
    """The system's clock, UTC milliseconds."""
    return time.time_ns() // 1_000_000


class EmbeddedNetwork:
    """An open home. Use :meth:`create` or :meth:`open`, and close it (or use ``with``).

    :ivar home: where the parties live. :ivar genesis: what they started from. :ivar centre: the centre's operator side.
    """

    def __init__(
        self, home: Home, lock: HomeLock, now_ms: Callable[[], int], random: Random, keeping: Keeping = EVERYTHING
    ) -> None:
        """Use :meth:`create` or :meth:`open`."""
        self.home = home
        self._keeping = keeping
        self._lock = lock
        self.now_ms = now_ms
        self.random = random
        self.genesis: Genesis = home.genesis()
        self._services: dict[str, Service] = {}
        self.local = LocalTransport(self._services)
        self.transport: Transport = _Pumping(self)
        self._actors: list[Actor] = []
        self.nodes: list[Node] = []
        self._workers = Workers()
        self._settling = False
        self.patience_ms = PATIENCE_MS
        self._node_names: list[str] = []
        self._closing = contextlib.ExitStack()
        self._closing.callback(lock.release)
        try:
            self._run_parties()
        except BaseException:
            self._release()
            raise

    def _run_parties(self) -> None:
        self._closing.callback(self._close_nodes)
        self._closing.callback(self._workers.close)
        for directory in self.home.nodes():
            self._node_names.append(self._run_node(directory).name)
        self.checks = CheckParties(self.home, self.genesis, self._services, lambda: self.client(self.local), self.random)
        self._closing.callback(self.checks.close)
        self.checks.start_all()
        self.cloud_parties = CloudParties(
            self.home, self.genesis, self._services, self.local, lambda: self.client(self.local), self.now_ms, self.random
        )
        self._closing.callback(self.cloud_parties.close)
        self.cloud_parties.start_all()
        self.cloud_name = self.cloud_parties.names[0]
        self.centre = Centre(self.home.centre, self.genesis.core.centre.name, self.client(), self.now_ms, self.random)
        self._closing.callback(self.centre.close)
        self._services[self.centre.name] = self.centre

    # --- opening and closing ---

    @classmethod
    def create(
        cls,
        directory: Path,
        passphrase: bytes,
        *,
        nodes: int = 4,
        constants: Constants | None = None,
        sharing: SharingConstants | None = None,
        clouds: int = 1,
        now_ms: Callable[[], int] = system_ms,
        random: Random | None = None,
        cost: Argon2Cost = DEFAULT_COST,
    ) -> EmbeddedNetwork:
        """Found a network below ``directory``, make the institutions' wallets, and start its first epoch.

        :param passphrase: of the institutions' wallets.
        :raises StorageError: there is a network already, or it cannot be written.
        """
        import os

        draw = random or os.urandom
        home = Home(directory)
        make_private_directory(directory)
        lock = HomeLock(directory)
        try:
            if home.founded:
                raise Refused("already-done", f"there is a network in {directory}; use it, or choose another --home")
            with home.founding():
                founded = found(home, nodes, now_ms() - 1, draw, constants, sharing, clouds=clouds)
                institution_wallets(home, founded, passphrase, draw, cost)
        except BaseException:
            lock.release()
            raise
        return cls(home, lock, now_ms, draw)._started()

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        now_ms: Callable[[], int] = system_ms,
        random: Random | None = None,
        keeping: Keeping = EVERYTHING,
    ) -> EmbeddedNetwork:
        """Open the network of a home.

        :raises ConfigError: bodies would be kept for less than the evidence window.
        :raises StorageError: there is none, or something is damaged. :raises Busy: another process works on it.
        """
        import os

        home = Home(directory)
        home.genesis()
        return cls(home, HomeLock(directory), now_ms, random or os.urandom, keeping)._started()

    def _started(self) -> EmbeddedNetwork:
        try:
            self.start()
        except BaseException:
            self._release()
            raise
        return self

    def start(self) -> None:
        """Let the nodes meet, look after their epochs, and wait until envelopes can be sealed."""
        deadline = time.monotonic() + START_MS / 1000
        soon = time.monotonic() + CATCH_UP_MS / 1000
        while True:
            for node in self.nodes:
                node.attend()
            self.settle()
            if self._ready() and (self._together() or time.monotonic() > soon):
                return
            if time.monotonic() > deadline:
                complaints = "; ".join(f"{n.name}: {n.status().complaint or 'waits'}" for n in self.nodes)
                raise ConsensusError(f"the network in {self.home.directory} does not start: {complaints}")
            time.sleep(0.005)

    def _together(self) -> bool:
        """Whether all running replicas are at one height."""
        return len({node.runner.height for node in self.nodes if not node.runner.error}) == 1

    def _ready(self) -> bool:
        """Whether envelopes can be sealed, and the committee holds its keys if this network shares."""
        try:
            self.client(self.local).epoch()
        except (Refused, TransportError):
            return False
        shares = [node.sharing.around for node in self.nodes if node.sharing.around.active]
        return all(sharing_status(around.view).current for around in shares)

    def close(self) -> None:
        """Close every party's files and release the home; the cloud first files what is committed."""
        try:
            self.cloud_parties.maintain()
        finally:
            self._release()

    def _release(self) -> None:
        """Close the files; everything acknowledged is durable already. One that fails keeps no other one open."""
        for actor in self._actors:
            self._closing.callback(actor.close)
        self._actors = []
        self._closing.close()

    def _close_nodes(self) -> None:
        with contextlib.ExitStack() as closing:
            for node in self.nodes:
                closing.callback(node.close)

    def __enter__(self) -> EmbeddedNetwork:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None and not issubclass(kind, Exception):
            # Ctrl-C anywhere: no more work on what may be half-changed in memory; the next opening finds what is on disk
            self._release()
        else:
            self.close()

    def _run_node(self, directory: Path) -> Node:
        archive = directory in self.home.nodes()[: self._keeping.archives]
        keep_ms = 0 if archive else self._keeping.keep_ms
        node = Node(directory, self.genesis, self.local, self.now_ms, self.random, keep_ms)
        self.nodes.append(node)
        self._services[node.name] = node
        return node

    def stop_node(self, name: str) -> None:
        """Stop one node, as if its machine were switched off; the others go on while they are more than two thirds.

        :raises Refused: ``unknown-party`` if no such node runs.
        """
        node = self.node(name)
        self.nodes.remove(node)
        del self._services[name]
        node.close()

    def start_node(self, name: str) -> Node:
        """Start a stopped node again; it catches up from its peers.

        :raises Refused: ``unknown-party`` if no such node is stopped.
        """
        running = {node.name for node in self.nodes}
        for number, directory in zip(self._node_names, self.home.nodes(), strict=True):
            if number == name and name not in running:
                node = self._run_node(directory)
                self.nodes.sort(key=lambda n: self._node_names.index(n.name))
                return node
        raise Refused("unknown-party", f"{name} is no stopped node of this network")

    def node(self, name: str) -> Node:
        """A running node.

        :raises Refused: ``unknown-party``.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise Refused("unknown-party", f"no node {name} runs in {self.home.directory}")

    @property
    def clouds(self) -> list[CloudParty]:
        """The clouds that run, in the order of the genesis."""
        return self.cloud_parties.running

    @property
    def cloud(self) -> CloudParty:
        """The first cloud that runs."""
        return self.cloud_parties.running[0]

    # --- working ---

    def settle(self) -> None:
        """Carry messages and work until nobody has anything to do."""
        if self._settling:
            return
        self._settling = True
        try:
            self._pump()
        finally:
            self._settling = False

    def _pump(self) -> None:
        """Until no node has anything to do now; what waits for a timer is done when somebody waits for it."""
        for _ in range(ROUNDS_MAX):
            if not self.turn():
                return
        raise ConsensusError("the replicas exchange messages without end; see their logs")

    def turn(self) -> bool:
        """Let every node that has something to do now work once, and carry its messages; False if none had."""
        now = self.now_ms()
        working = [n for n in self.nodes if n.busy or n.runner.due(now)]
        self._workers.work([node.runner for node in working if node.runner.busy or node.runner.due(now)])
        for node in working:
            node.follow_up()
            self._carry(node)
            self._run_errands(node)
        if working:
            return True
        wanted = max((node.sharing.transforming.asked_height for node in self.nodes), default=0)
        return self.checks.attend(now, wanted)

    def submit_many(self, transactions: Sequence[bytes], patience_ms: int = PATIENCE_MS) -> list[Outcome]:
        """Submit transactions to one node after the other and work until each is committed or refused.

        :param transactions: encoded; bodies that they speak of are with the cloud already.
        :return: for each the node's word: ``committed`` at a height, or ``refused`` with a reason; still ``pending`` if the
            network does not get on within ``patience_ms``. Submitting the same bytes again is safe.
        """
        outcomes: list[Outcome] = []
        for start in range(0, len(transactions), SUBMIT_MAX):
            part = tuple(transactions[start : start + SUBMIT_MAX])
            node = self.nodes[start // SUBMIT_MAX % len(self.nodes)]
            answers = Submission.decode(self.local.call(node.name, SUBMIT, Submit(part).encode())).answers
            self.settle()
            deadline = time.monotonic() + patience_ms / 1000
            for answer in answers:
                outcome = node.outcome(answer.tx_hash)
                while outcome.state == PENDING and time.monotonic() < deadline:
                    self._wait_ms(1)
                    outcome = node.outcome(answer.tx_hash)
                if answer.reason is not None and outcome.state != COMMITTED:
                    outcome = Outcome(REFUSED, 0, answer.reason, answer.detail, 0)
                outcomes.append(outcome)
        return outcomes

    def _carry(self, node: Node) -> None:
        outbox = node.runner.outbox
        while outbox:
            to, data = outbox.popleft()
            for peer in self.nodes:
                if peer is not node and to in (None, peer.name):
                    peer.runner.deliver(data)

    def _run_errands(self, node: Node) -> None:
        while (errand := node.errands.take()) is not None:
            try:
                answer = self.local.call(errand.to, errand.method, errand.body)
            except (Refused, TransportError) as failure:
                errand.done(None, failure)
            else:
                errand.done(answer, None)

    # --- parties ---

    def client(self, transport: Transport | None = None) -> LedgerClient:
        """A client of the ledger for one party."""
        carrier = transport or self.transport
        return LedgerClient(carrier, self._node_names, self.genesis, self.now_ms, self._wait_ms, self.patience_ms)

    def _wait_ms(self, wait_ms: int) -> None:
        self.settle()
        stopped = [node for node in self.nodes if node.runner.error]
        if stopped and len(self.nodes) - len(stopped) < self.genesis.validators().quorum:
            # they do not come back in this process: whoever waits need not wait until the end of its patience
            raise ConsensusError(f"{len(stopped)} of {len(self.nodes)} nodes have stopped: {stopped[0].runner.error}")
        time.sleep(min(wait_ms, 5) / 1000)

    def surroundings(self, transport: Transport | None = None) -> Surroundings:
        """What an actor of this home reaches the world through."""
        carrier = transport or self.transport
        return Surroundings(self.client(carrier), carrier, self.centre.name, self.cloud_name, self.now_ms, self.random)

    def create_person(
        self, role: str, name: str, passphrase: bytes, display_name: str = "", *, cost: Argon2Cost = DEFAULT_COST,
        actors: Mapping[str, type[Actor]] | None = None, transport: Transport | None = None,
    ) -> tuple[Actor, str]:  # fmt: skip
        """Make a wallet for a patient, doctor or institution; returns its actor and the recovery phrase (shown once).

        :param actors: terminals other than the product's own, by role. :param transport: another way to the parties.
        """
        directory = self.home.person(role, name)
        content = new_content(role, name, display_name, self.genesis)
        wallet, phrase = Wallet.create(directory, content, passphrase, random=self.random, cost=cost)
        return self._actor(wallet, no_progress, actors or ACTORS, transport), phrase

    def person(
        self, who: str, passphrase: bytes, progress: Progress = no_progress, actors: Mapping[str, type[Actor]] | None = None
    ) -> Actor:
        """Open the wallet of a person of this home.

        :param who: directory name (``patient-alice``) or a name that only one person has.
        :param actors: terminals other than the product's own, by role.
        :raises WrongPassphrase: and the other errors of :meth:`Wallet.open`.
        """
        _, directory = self.home.find_person(who)
        wallet = Wallet.open(directory, passphrase, network=self.genesis.network(), random=self.random)
        return self._actor(wallet, progress, actors or ACTORS)

    def dismiss(self, actor: Actor) -> None:
        """Close one person's wallet."""
        self._actors.remove(actor)
        actor.close()

    def _actor(
        self, wallet: Wallet, progress: Progress, actors: Mapping[str, type[Actor]], transport: Transport | None = None
    ) -> Actor:
        actor = actors[wallet.content.role](wallet, self.surroundings(transport), progress)
        self._actors.append(actor)
        return actor

    def export(self, path: Path) -> int:
        """Write an export of the ledger that proves itself; returns the number of blocks."""
        self.settle()
        records = self.client(self.local).encoded_blocks()
        return write_export(self.genesis.network(), self.genesis.hash(), records, path)

    def status(self) -> list[NodeStatus]:
        """How every node is."""
        return [node.status() for node in self.nodes]


class _Pumping:
    """Transport of the embedded network: after each call the nodes work until they have nothing to do."""

    def __init__(self, network: EmbeddedNetwork) -> None:
        self._network = network

    def call(self, party: str, method: str, body: bytes) -> bytes:
        answer = self._network.local.call(party, method, body)
        self._network.settle()
        return answer
