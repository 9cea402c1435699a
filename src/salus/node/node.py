"""A running node: validation and bookkeeping role in one process, on one application and one replica.

The node answers calls and works; whoever runs it (the embedded network, or a process of its own) carries its messages
to the other nodes. One thread at a time.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from salus import labels
from salus.consensus.pbft.crypto import Ed25519Signer
from salus.consensus.pbft.durable import DirectoryDisk, VoteLog
from salus.consensus.pbft.events import Action, Answer, Committed, Complaint, Dropped, EvidenceFound, Halt, Receipt
from salus.consensus.pbft.runner import ReplicaRunner
from salus.consensus.pbft.state import Config
from salus.consultation.shared_value import ThetaBox
from salus.consultation.tracing import SealEvidence
from salus.errors import ConsensusError, Refused
from salus.files import HomeLock
from salus.ledger import node_api as m
from salus.ledger.answers import provable, pruned
from salus.ledger.application import LedgerApplication
from salus.ledger.genesis import Genesis
from salus.node.admission import Admission
from salus.node.duties import EpochDuties
from salus.node.history import History
from salus.node.pruning import BodyPruner
from salus.node.secrets import NodeSecrets
from salus.node.senders import show_sender
from salus.node.sharing.errands import Errands
from salus.node.sharing.role import SharingRole
from salus.symmetric import Random
from salus.transport import Transport

VOTES_DIRECTORY: Final = "votes"
LEDGER_DIRECTORY: Final = "ledger"
REMEMBERED_MAX: Final = 24_576
"""Refused transactions and pool receipts remembered for those who ask what became of them."""
SHARING_METHODS: Final = "sharing."
_NEEDS_REPLICA: Final = frozenset({m.SUBMIT, m.OUTCOME, m.QUERY, m.BLOCKS, m.THETA, m.SENDER, m.NEWEST})
"""What a node that has stopped does not answer: its state is old, and the others go on."""
_log = structlog.get_logger(__name__)


class Node:
    """One node of one network.

    :param directory: the node's own directory (``node.key``, ``epochs/``, ``votes/``, ``ledger/``).
    :param transport: reaches the other nodes (for boxed shared values).
    :param now_ms: clock, UTC milliseconds.
    :param keep_ms: bodies of blocks older than this (block time) are dropped as the node goes on; 0: it keeps all, as an archive.
    :raises ConfigError: they would be kept for less than the evidence window.
    :raises Busy: another process runs this node.
    """

    def __init__(
        self,
        directory: Path,
        genesis: Genesis,
        transport: Transport,
        now_ms: Callable[[], int],
        random: Random,
        keep_ms: int = 0,
    ) -> None:
        self.genesis = genesis
        self._now_ms = now_ms
        self._random = random
        self._transport = transport
        with contextlib.ExitStack() as closing:
            # two processes with one node's keys would sign two things where one is allowed
            closing.callback(HomeLock(directory).release)
            self._open(directory, closing)
            if keep_ms:
                self.application.listen(BodyPruner(self.application, keep_ms).after_commit)
            self._closing = closing.pop_all()

    def _open(self, directory: Path, closing: contextlib.ExitStack) -> None:
        genesis, random = self.genesis, self._random
        domain = genesis.domain()
        self.secrets = NodeSecrets(directory, domain.Pub)
        self.name = self.secrets.member.name
        self.application = LedgerApplication.open(directory / LEDGER_DIRECTORY, genesis, Admission(domain, self.secrets))
        closing.callback(self.application.close)
        self.duties = EpochDuties(self.secrets, domain.network, domain.Pub_bytes, genesis.core.constants, self._ask_theta, random)
        self.errands = Errands()
        self._answers: dict[int, Answer] = {}
        self._dropped: OrderedDict[bytes, tuple[str, str]] = OrderedDict()
        self._receipts: OrderedDict[bytes, set[str]] = OrderedDict()
        self._complaint = ""
        self._committed = False
        self.sharing = SharingRole(directory, genesis, self.secrets, self.application, self.errands, self._now_ms, random)
        closing.callback(self.sharing.close)
        self.history = History(self.application, self.errands, self.name)
        config = Config(domain.network, self.name, genesis.hash(), genesis.validators())
        signer = Ed25519Signer(self.secrets.consensus_seed)
        disk = DirectoryDisk(directory / VOTES_DIRECTORY)
        closing.callback(disk.close)
        self.runner = ReplicaRunner(config, signer, self.application, VoteLog(disk), self._now_ms, listener=self._hear)

    # --- answering ---

    def handle(self, method: str, body: bytes) -> bytes:
        """See :class:`salus.transport.Service` and :mod:`salus.ledger.node_api`."""
        if method == m.CONSENSUS:
            for data in m.ConsensusBatch.decode(body).messages:
                self.runner.deliver(data)
            return b""
        if self.runner.error and method in _NEEDS_REPLICA:
            raise Refused("unreachable", f"{self.name} has stopped: {self.runner.error}"[:4096])
        if method == m.SUBMIT:
            return self._submit(m.Submit.decode(body)).encode()
        if method == m.OUTCOME:
            return self.outcome(m.OutcomeRequest.decode(body).tx_hash).encode()
        if method == m.QUERY:
            query = m.Query.decode(body)
            return self.application.query(query.path, query.data)
        if method == m.BLOCKS:
            return self._blocks(m.BlocksRequest.decode(body)).encode()
        if method == m.THETA:
            asked = m.ThetaRequest.decode(body)
            return self.duties.box_for(self.application.view(), asked.epoch, asked.node).encode()
        if method == m.SENDER:
            evidence = SealEvidence.decode(body)
            return show_sender(self.genesis.domain(), self.secrets, self.application.view(), evidence).encode()
        if method == m.NEWEST:
            return self._newest(m.NewestRequest.decode(body).nonce).encode()
        if method.startswith(SHARING_METHODS):
            return self.sharing.handle(method, body)
        if method == m.STATUS:
            m.StatusRequest.decode(body)
            return self.status().encode()
        raise Refused("not-found", f"a node has no method {method[:64]!r}")

    def _submit(self, submit: m.Submit) -> m.Submission:
        number = self.runner.submit(submit.transactions)
        self.runner.work()
        answer = self._answers.pop(number, None)
        if answer is None:
            raise ConsensusError(f"{self.name} does not take transactions: {self.runner.error or 'it is not ready yet'}")
        return m.Submission(tuple(m.PoolAnswer(r.tx_hash, r.reason or None, r.detail[:4096]) for r in answer.results))

    def outcome(self, tx_hash: bytes) -> m.Outcome:
        """What became of a transaction, as far as this node knows."""
        receipts = len(self._receipts.get(tx_hash, ()))
        position = self.application.position(tx_hash)
        if position is not None:
            return m.Outcome(m.COMMITTED, position[0], None, "", receipts)
        if tx_hash in self.runner.state.pool:
            return m.Outcome(m.PENDING, 0, None, "", receipts)
        dropped = self._dropped.get(tx_hash)
        if dropped is not None:
            return m.Outcome(m.REFUSED, 0, dropped[0], dropped[1][:4096], receipts)
        return m.Outcome(m.UNKNOWN, 0, None, "", receipts)

    def _newest(self, nonce: bytes) -> m.Newest:
        certified = provable(self.application).certified
        signed = (nonce, certified.header.id())
        signature = self.secrets.member.sign(self.genesis.network(), labels.SIG_NEWEST, signed, self._random)
        return m.Newest(self.name, certified, signature)

    def _blocks(self, request: m.BlocksRequest) -> m.Blocks:
        found: list[m.BlockWithCertificate] = []
        size = 0
        for height in range(request.height, request.height + min(request.count, m.BLOCKS_MAX)):
            record = self.application.block_record(height)
            if record is None or (found and size + len(record[0]) > m.BLOCKS_BYTES_MAX // 2):
                break
            size += len(record[0])
            found.append(m.BlockWithCertificate(*record))
        if not found and request.count and 0 < request.height <= self.application.info().height:
            raise pruned(request.height)
        return m.Blocks(tuple(found))

    def status(self) -> m.NodeStatus:
        """How this node is."""
        info = self.application.info()
        held = tuple(e for e in self.secrets.epochs() if self.secrets.holds_theta(e))
        complaint = self.runner.error or self._complaint
        return m.NodeStatus(
            self.name, self.genesis.network(), info.height, info.last_time_ms, info.application_hash, len(self.runner.state.pool),
            held[-64:], complaint[:4096],
        )  # fmt: skip

    # --- working ---

    @property
    def busy(self) -> bool:
        """Whether there is something to do now."""
        if self.runner.error:
            return self.runner.busy or bool(self.runner.outbox)
        return self.runner.busy or bool(self.runner.outbox) or self._committed or self.sharing.waits

    def work(self) -> None:
        """Do everything there is to do now, duties included."""
        self.runner.work()
        self.follow_up()

    def follow_up(self) -> None:
        """What the replica's work leaves to do: duties, if a block was committed or something waits for this node."""
        if self._committed or (self.sharing.waits and not self.runner.error):
            self._committed = False
            self.attend()

    def attend(self) -> None:
        """Look after the epochs and what is open on the ledger: post what this node owes now, erase what is over."""
        info = self.application.info()
        now_ms = max(self._now_ms(), info.last_time_ms + 1)
        due = self.duties.due(self.application.view(), info.height, info.last_time_ms, now_ms)
        due += self.sharing.due(now_ms)
        self.history.attend(now_ms)
        if due:
            number = self.runner.submit(due)
            self.runner.work()
            self._answers.pop(number, None)  # whether it was taken shows in the next state

    def _ask_theta(self, holder: str, epoch: int) -> ThetaBox:
        return ThetaBox.decode(self._transport.call(holder, m.THETA, m.ThetaRequest(self.name, epoch).encode()))

    def _hear(self, action: Action) -> None:
        if isinstance(action, Answer):
            self._answers[action.request] = action
        elif isinstance(action, Committed):
            self._committed = True
            self._complaint = ""
        elif isinstance(action, Dropped):
            self._remember(self._dropped, action.tx_hash, (action.reason, action.detail))
        elif isinstance(action, Receipt):
            for tx_hash in action.receipt.tx_hashes:
                self._receipts.setdefault(tx_hash, set()).add(action.receipt.sender)
            while len(self._receipts) > REMEMBERED_MAX:
                self._receipts.popitem(last=False)
        elif isinstance(action, Complaint):
            self._complaint = f"{action.reason}: {action.detail}"
            _log.warning("complaint", node=self.name, reason=action.reason, detail=action.detail)
        elif isinstance(action, EvidenceFound):
            _log.warning("equivocation", node=self.name, by=action.evidence.name, height=action.evidence.height)
        elif isinstance(action, Halt):
            _log.error("halted", node=self.name, error=action.error)

    @staticmethod
    def _remember(store: OrderedDict[bytes, tuple[str, str]], key: bytes, value: tuple[str, str]) -> None:
        store[key] = value
        if len(store) > REMEMBERED_MAX:
            store.popitem(last=False)

    def close(self) -> None:
        """Close files; everything acknowledged is durable already."""
        self._closing.close()
