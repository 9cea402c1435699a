"""Verifying a whole home from its files alone: nodes, check nodes and clouds, without any of them running.

Steps (docs/operating.md, "verifying"):

1. The first node that keeps every block is replayed from genesis: signatures, and every public check of every transaction.
2. Every other node and check node has the same blocks with good certificates, as far as it has them, and stands at the state
   that the replay gives for its height; a node that has pruned stands at it, too.
3. Keys can be read; votes are whole; shares are those that the ledger's public values name; attachments have their digests.
4. Every committed verdict of a check node is what the replay says.
5. Every body that the ledger says is live is at its clouds, and has its digest; what it says is erased is gone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from salus.abpre.threshold.delegations import check_attachment
from salus.cloud.key import KEY_FILE as CLOUD_KEY_FILE
from salus.cloud.key import load_cloud_key
from salus.cloud.verifying import CloudFindings, Expected, ExpectedBody, ExpectedRecord, Tell, verify_cloud
from salus.consensus.block import Block, Certificate, verify_decided
from salus.consensus.pbft.durable import LOG_NAME, read_records
from salus.consultation.node_record import BlsSecret
from salus.consultation.reply import ConsultationReply
from salus.consultation.request import ConsultationRequest
from salus.errors import Refused, SalusError, StorageError, refuse_unless
from salus.files import HomeLock
from salus.ledger.application import LedgerApplication
from salus.ledger.genesis import Genesis
from salus.ledger.kinds.all import REGISTRY
from salus.ledger.kinds.sharing import lists
from salus.ledger.kinds.sharing.committee_state import SCALAR_PURPOSES, alpha_public, committee_of, scalar_public
from salus.ledger.kinds.sharing.delegations import DELEGATIONS
from salus.ledger.kinds.sharing.messages.records import RecordErase, RecordPut, RecordRotate
from salus.ledger.kinds.sharing.messages.shares import CheckVerdict
from salus.ledger.kinds.sharing.records import RECORDS
from salus.ledger.sharing_api import SEALED_METADATA_MAX
from salus.ledger.verify import verify_records
from salus.network.home import GENESIS_FILE, Home, read_genesis
from salus.node.node import LEDGER_DIRECTORY, VOTES_DIRECTORY
from salus.node.secrets import NodeSecrets
from salus.node.sharing.attachments import AttachmentStore
from salus.node.sharing.role import SHARING_DIRECTORY
from salus.node.sharing.shares import ShareStore
from salus.records.record import metadata_hash

PROBLEMS_MAX: Final = 100
"""Problems named of one party; more of the same say nothing new."""
C_BYTES: Final = 48


class PartyFindings(msgspec.Struct):
    """What was found of a node or check node.

    :ivar kept_from: lowest height whose block it has whole. :ivar replayed: whether it was replayed, or compared with who was.
    :ivar verdicts: of a check node, committed and right. :ivar problems: in the order in which they were found.
    """

    name: str
    height: int
    application_hash: str
    kept_from: int
    transactions: int
    replayed: bool
    verdicts: int
    problems: list[str]


class HomeFindings(msgspec.Struct):
    """What was found in a home. :ivar problems: of all parties, each after its name."""

    nodes: list[PartyFindings]
    check_nodes: list[PartyFindings]
    clouds: dict[str, CloudFindings]
    problems: list[str]


def verify_home(home: Home, tell: Tell) -> HomeFindings:
    """Verify everything that the parties of a home keep for the network; wallets are their owners' own.

    :raises Busy: a process works on the home. :raises DamagedFile, StorageError: there is no network that could be verified.
    """
    with contextlib.ExitStack() as closing:
        closing.callback(HomeLock(home.directory).release)
        verifier = _Verifier(home, home.genesis(), tell)
        closing.callback(verifier.close)
        nodes = [verifier.party(path) for path in home.nodes()]
        checks = [verifier.party(path) for path in home.checks()]
        clouds = verifier.clouds()
    problems = [f"{party.name}: {problem}" for party in (*nodes, *checks) for problem in party.problems]
    problems += [f"{name}: {problem}" for name, cloud in clouds.items() for problem in cloud.problems]
    if verifier.reference is None and not problems:
        problems.append("no node keeps every block: what it replays to cannot be told; an archive would")
    return HomeFindings(nodes, checks, clouds, problems)


class _Verifier:
    """:ivar reference: a replayed ledger that has every block."""

    def __init__(self, home: Home, genesis: Genesis, tell: Tell) -> None:
        self._home = home
        self._genesis = genesis
        self._tell = tell
        self._validators = genesis.validators()
        self.reference: LedgerApplication | None = None
        self._newest: LedgerApplication | None = None
        self._hashes: dict[int, bytes] = {}
        self._others: list[LedgerApplication] = []
        self._verdicts: dict[str, int] = {}

    def close(self) -> None:
        """Close all files."""
        for application in self._others:
            application.close()

    # --- nodes and check nodes ---

    def party(self, directory: Path) -> PartyFindings:
        """One node or check node: steps 1 to 4."""
        found = PartyFindings(directory.name, 0, "", 1, 0, replayed=False, verdicts=0, problems=[])
        secrets = self._step(found, lambda: NodeSecrets(directory, self._genesis.domain().Pub))
        if secrets is not None:
            found.name = secrets.member.name
            self._step(found, partial(self._check_keys, secrets))
        self._step(found, lambda: self._same_genesis(directory))
        application = self._step(found, lambda: LedgerApplication.open(directory / LEDGER_DIRECTORY, self._genesis))
        if application is None:
            return found
        self._others.append(application)
        info = application.info()
        found.height, found.application_hash = info.height, info.application_hash.hex()
        kept = self._step(found, application.kept_from)
        found.kept_from = 1 if kept is None else kept
        if kept is not None:
            self._step(found, lambda: self._ledger(application, found))
        if self._newest is None or info.height > self._newest.info().height:
            self._newest = application
        if (directory / VOTES_DIRECTORY).is_dir():
            self._step(found, lambda: _votes(directory / VOTES_DIRECTORY))
        if secrets is not None and (directory / SHARING_DIRECTORY).is_dir():
            self._sharing(directory / SHARING_DIRECTORY, application, found)
        found.verdicts = self._verdicts.get(found.name, 0)
        return found

    def _step(self, found: PartyFindings, work: Callable[[], Any]) -> Any:
        """One thing that may be wrong; what is, is written down."""
        try:
            return work()
        except SalusError as error:
            found.problems.append(str(error))
            return None

    def _check_keys(self, secrets: NodeSecrets) -> None:
        """Consensus and BLS key are those that genesis names; the member key was compared when it was read."""
        for node in self._genesis.core.nodes:
            if node.member.name == secrets.member.name:
                consensus = Ed25519PrivateKey.from_private_bytes(secrets.consensus_seed).public_key().public_bytes_raw()
                same = (consensus, BlsSecret(secrets.bls_secret).public) == (node.consensus_key, node.bls_key)
                refuse_unless(same, "bad-proof", "its key file holds other keys than the network knows")

    def _same_genesis(self, directory: Path) -> None:
        path = directory / GENESIS_FILE
        if path.exists():
            same = read_genesis(path).hash() == self._genesis.hash()
            refuse_unless(same, "bad-proof", f"{path} is another network's genesis")

    def _ledger(self, application: LedgerApplication, found: PartyFindings) -> None:
        if self.reference is None and found.kept_from == 1:
            records = self._told(application, f"replaying {found.name}")
            report = verify_records(self._genesis, (record for _, record in records))
            found.transactions = sum(report.transactions.values())
            same = report.application_hash == application.info().application_hash
            refuse_unless(same, "bad-proof", "its state is not the one that replay gives")
            self._adopt(application)
            found.replayed = True
            return
        self._compare(application, found)

    def _told(self, application: LedgerApplication, what: str) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
        height = application.info().height
        for at in range(application.kept_from(), height + 1):
            self._tell(what, at, height)
            record = application.block_record(at)
            if record is None:
                raise Refused("bad-proof", f"block {at} is missing, though one before it is there")
            yield at, record

    def _adopt(self, application: LedgerApplication) -> None:
        """Take a replayed ledger as what all others are compared with."""
        self.reference = application
        before = 0
        for height, (record, _) in self._told(application, "reading the ledger"):
            block = Block.decode(record)
            self._hashes[before] = block.header.application_hash
            before = height
            for raw in block.transactions:
                message = REGISTRY.decode(raw).message
                if isinstance(message, CheckVerdict):
                    self._verdicts[message.node] = self._verdicts.get(message.node, 0) + 1
        self._hashes[before] = application.info().application_hash

    def _compare(self, application: LedgerApplication, found: PartyFindings) -> None:
        """Step 2: block by block with the replayed ledger, as far as both reach."""
        for height, (record, certificate) in self._told(application, f"comparing {found.name}"):
            block = Block.decode(record)
            other = None if self.reference is None else self.reference.block_record(height)
            if other is not None:
                refuse_unless(record == other[0], "bad-proof", f"block {height} is another one than was replayed")
            proof = Certificate.decode(certificate)
            if other is None or certificate != other[1]:
                verify_decided(block.header, proof, self._genesis.network(), self._validators)
            found.transactions += len(block.transactions) if found.kept_from == 1 else 0
        known = self._hashes.get(application.info().height)
        if known is not None:
            same = known == application.info().application_hash
            refuse_unless(same, "bad-proof", "its state is not the one that replay gives for its height")

    # --- sharing ---

    def _sharing(self, directory: Path, application: LedgerApplication, found: PartyFindings) -> None:
        """Step 3: shares and attachments, against the state that this node stands at."""
        shares = self._step(found, lambda: ShareStore(directory / "shares"))
        if shares is not None:
            for epoch in shares.epochs():
                self._step(found, partial(_check_shares, shares, epoch, application, found.name))
        problems: list[str] = []
        for name, size, check in (("delegations", C_BYTES, self._check_c), ("metadata", SEALED_METADATA_MAX, self._check_sealed)):
            store = self._step(found, partial(AttachmentStore, directory / name, size))
            if store is None:
                continue
            for about, digest in store.held():
                try:
                    check(application, store, about, digest)
                except SalusError as error:
                    problems.append(f"{directory / name}/{about.hex()}.{digest.hex()}: {error}")
        found.problems += problems[:PROBLEMS_MAX]

    def _check_c(self, application: LedgerApplication, store: AttachmentStore, about: bytes, digest: bytes) -> None:
        delegation = DELEGATIONS.get(application.view(), about)
        data = store.read(about, digest)
        if delegation is not None and delegation.sealed.c_digest == digest:
            check_attachment(self._genesis.network(), delegation.sealed, data)
            refuse_unless(delegation.revoked_ms == 0, "delegation-revoked", "c of a revoked delegation is still here")

    def _check_sealed(self, application: LedgerApplication, store: AttachmentStore, about: bytes, digest: bytes) -> None:
        same = metadata_hash(self._genesis.network(), about, store.read(about, digest)) == digest
        refuse_unless(same, "bad-metadata", "not what it was signed as")
        record = RECORDS.get(application.view(), about)
        gone = record is not None and record.erased_ms != 0
        refuse_unless(not gone, "record-erased", "sealed metadata of an erased record are still here")

    # --- clouds ---

    def clouds(self) -> dict[str, CloudFindings]:
        """Step 5."""
        found = {}
        for index, cloud in enumerate(self._genesis.core.clouds):
            name = cloud.member.name
            directory = self._home.cloud_of(index)
            application = self.reference or self._newest
            if application is None:
                found[name] = CloudFindings(0, 0, 0, 0, 0, ["no node's ledger can be read: what it should hold cannot be told"])
                continue
            expected = expected_of(application, name, self._genesis.network())
            found[name] = verify_cloud(directory, self._genesis.network(), expected, self._tell)
            found[name].problems = found[name].problems[:PROBLEMS_MAX]
            try:
                load_cloud_key(directory / CLOUD_KEY_FILE, self._genesis.domain().Pub)
            except SalusError as error:
                found[name].problems.insert(0, str(error))
        return found


def _votes(directory: Path) -> None:
    """Votes are read as a replica reads them, and nothing is repaired; records cut short by a crash are none.

    :raises DamagedFile: they were altered. :raises StorageError: they cannot be read.
    """
    path = directory / LOG_NAME
    try:
        read_records(path.read_bytes())
    except FileNotFoundError:
        return  # a node that has not voted yet
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from None


def _check_shares(shares: ShareStore, epoch: int, application: LedgerApplication, name: str) -> None:
    """Each share that is kept is the one that the ledger's public values name.

    :raises DamagedFile: it is not.
    """
    view, held = application.view(), shares.holds(epoch)
    if held == ("keys",):
        return
    index = committee_of(view, epoch).seat_of(name).index
    if "alpha" in held:
        shares.alpha(alpha_public(view, epoch), index)
    for purpose in SCALAR_PURPOSES:
        if purpose in held:
            shares.scalar(scalar_public(view, epoch, purpose), index)


def expected_of(application: LedgerApplication, cloud: str, network: bytes) -> Expected:
    """What a ledger says that one cloud holds: of consultations from the blocks, of records from blocks and state."""
    expected = Expected(application.info().last_time_ms, [], [], {}, {})
    contents: dict[bytes, tuple[int, Any]] = {}
    for height, message in _messages(application):
        if isinstance(message, ConsultationRequest | ConsultationReply):
            if message.U.cloud == cloud:
                expected.bodies.append(ExpectedBody(height, message.digest, message.size_bytes, message.U.keep_until_ms))
        elif isinstance(message, RecordPut | RecordRotate | RecordErase):
            before = contents.pop(message.rid, None)
            if before is not None:
                expected.dead[before[1].digest_tag] = height
                expected.dead_metadata[message.rid, before[1].metadata] = height
            if not isinstance(message, RecordErase):
                contents[message.rid] = (height, message.content)
    for rid in lists.items(application.view(), lists.RECORDS, b""):
        record = RECORDS.need(application.view(), rid)
        if record.erased_ms == 0 and cloud in record.clouds:
            height = contents[rid][0] if rid in contents else 0
            expected.records.append(ExpectedRecord(height, rid, record.metadata, record.digest_tag))
    for _, content in contents.values():
        expected.dead.pop(content.digest_tag, None)  # the same body again
    return expected


def _messages(application: LedgerApplication) -> Iterable[tuple[int, Any]]:
    for height in range(application.kept_from(), application.info().height + 1):
        record = application.block_record(height)
        if record is not None:
            for raw in Block.decode(record[0]).transactions:
                yield height, REGISTRY.decode(raw).message
