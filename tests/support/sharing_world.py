"""A network that shares, for tests of the ledger's half of it: owners, institutions, check nodes, a committee on the chain.

``SharingWorld()`` has four seats, three check nodes, four institutions, a cloud and a centre; :meth:`SharingChain.set_up` lets
the committee deal its keys on the chain, as nodes would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from salus.abpre.capsules import CapsuleMessage, VerifiedCapsule
from salus.abpre.checking import check
from salus.abpre.encapsulation import encapsulate
from salus.abpre.keys import SecretKey
from salus.abpre.language import parse
from salus.abpre.parameters import PublicParameters
from salus.abpre.policy import record_policy
from salus.abpre.rekeys import Coins
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import delegations as dg
from salus.abpre.threshold import hand_over as ho
from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold import partials as pt
from salus.abpre.threshold import receipts as rc
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.committee import Committee
from salus.abpre.threshold.epoch_keys import SharingSecret, publish_sharing_key
from salus.abpre.threshold.groups import OPRF, Z
from salus.consultation.envelope import EnvelopeDraft, Topic
from salus.consultation.node_record import BlsSecret, make_node_record
from salus.consultation.registration import NODE
from salus.consultation.shared_value import EpochSecret
from salus.groups.ristretto255 import base_mul
from salus.ledger.constants import Constants
from salus.ledger.genesis import (
    FIRST_EPOCH,
    Genesis,
    GenesisCloud,
    GenesisInstitution,
    GenesisNode,
    SharingGenesisCore,
    seal_genesis,
    sign_core,
)
from salus.ledger.kinds.sharing import access_log, attachments, attributes, check_nodes, committee_state, records, scopes
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.constants import SharingConstants
from salus.ledger.kinds.sharing.messages import attributes as ma
from salus.ledger.kinds.sharing.messages import delegations as md
from salus.ledger.kinds.sharing.messages import keys as mk
from salus.ledger.kinds.sharing.messages import records as mr
from salus.ledger.kinds.sharing.messages import scopes as mc
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member, signed_by_scope
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.ledger.kinds.sharing.shares import seal_reason
from salus.ledger.storage.interface import LedgerStore
from salus.ledger.storage.memory import MemoryStore
from salus.ledger.transactions import Registry
from salus.records.record import record_id
from salus.search.index_keys import BY_DELEGATION, seal_index_key
from support.ledger_world import GENESIS_MS, REGISTRY, Chain, LedgerWorld, NodeKeys

HOUR_MS = 3600_000
DAY_MS = 24 * HOUR_MS
FAST = SharingConstants(
    key_turn_ms=1000, deal_window_ms=5000, complaint_window_ms=5000, demand_ms=10_000, check_turn_ms=2000, request_ms=10 * DAY_MS
)
HOSPITAL = "hospital-0/board"
CLINIC = "hospital-1/board"
POLICY = "role:doctor@2025 and dept:cardiology@2025"


def check_name(place: int) -> str:
    """Name of a check node: one of each of four hospitals, then a second one of each."""
    return f"hospital-{place % 4}/check{place // 4 or ''}"


class SharingWorld(LedgerWorld):
    """Keys and a genesis with three check nodes, active in protocol version 2.

    :ivar checks: keys of the check nodes. :ivar secrets_of: each seat's encryption secrets, by (node, epoch).
    """

    def __init__(self, seed: str = "sharing", nodes: int = 4, sharing: SharingConstants = FAST, checks: int = 3) -> None:
        self._sharing = sharing
        self._checks = checks
        self.checks: list[NodeKeys] = []
        super().__init__(seed, nodes)
        self.secrets_of: dict[tuple[str, int], SharingSecret] = {}

    def _found(self, constants: Constants) -> Genesis:
        self.checks = [
            NodeKeys(
                self.member(NODE, check_name(i)),
                Ed25519PrivateKey.from_private_bytes(self.random(32)),
                BlsSecret.generate(self.random),
                EpochSecret.generate(FIRST_EPOCH, self.random),
            )
            for i in range(self._checks)
        ]
        everyone = [*self.nodes, *self.checks]
        names = [n.member.name for n in everyone]
        core = SharingGenesisCore(
            chain="test",
            time_ms=GENESIS_MS,
            protocol_version=2,
            centre=self.centre.record("salus/centre"),
            institutions=tuple(
                GenesisInstitution(
                    m.record(), f"Hospital {i}", "HL1", 1, tuple(n for n in names if n.startswith(f"hospital-{i}/"))
                )
                for i, m in enumerate(self.institutions)
            ),
            nodes=tuple(
                GenesisNode(n.member.record(), n.consensus.public_key().public_bytes_raw(), n.bls.public, n.epoch.E)
                for n in everyone
            ),
            validators=tuple(n.member.name for n in self.nodes),
            clouds=(GenesisCloud(self.cloud.record(), "Cloud"),),
            constants=constants,
            sharing=self._sharing,
        )
        network = core.network()
        made = [make_node_record(network, n.member, n.consensus, n.bls, n.epoch, self.random) for n in everyone]
        signatures = [sign_core(core, m, self.random) for m in self.institutions]
        return seal_genesis(core, made, signatures, [sign_core(core, self.cloud, self.random)], self.centre, self.random)

    def chain(self, store: LedgerStore | None = None, registry: Registry = REGISTRY, secrets: Any = None) -> SharingChain:
        return SharingChain(self, store or MemoryStore(), registry, secrets)

    def institution(self, name: str) -> Any:
        return next(m for m in self.institutions if m.name == name)

    def node(self, name: str) -> NodeKeys:
        return next(n for n in [*self.nodes, *self.checks] if n.member.name == name)

    def secret(self, node: NodeKeys, epoch: int) -> SharingSecret:
        """e and er of a node for an epoch."""
        place = (node.member.name, epoch)
        if place not in self.secrets_of:
            self.secrets_of[place] = SharingSecret.generate(epoch, self.random)
        return self.secrets_of[place]

    def scope_key(self, owner: str = "owner", category: str = "lab", period: str = "2025Q3") -> ScopeKey:
        return ScopeKey.derive(self.network, owner.encode().ljust(32, b"."), category, period)

    # --- transactions ---

    def grant(
        self, institution: str, atoms: Iterable[str], sequence: int, years: tuple[int, int] = (2024, 2026), days: int = 365
    ) -> ma.AttributeGrant:
        draft = ma.AttributeGrant(institution, tuple(sorted(atoms)), *years, GENESIS_MS + days * DAY_MS, sequence, UNSIGNED)
        return attributes.grant_attributes(self.network, "salus/centre", self.centre, draft, self.random)

    def revoke(self, institution: str, atoms: Iterable[str], sequence: int) -> ma.AttributeRevocation:
        draft = ma.AttributeRevocation(institution, tuple(sorted(atoms)), sequence, UNSIGNED)
        return attributes.revoke_attributes(self.network, "salus/centre", self.centre, draft, self.random)

    def vote(self, node: NodeKeys, institution: str, against: int = 1, sequence: int = 1) -> ma.SuspensionVote:
        draft = ma.SuspensionVote(institution, node.member.name, against, sequence, UNSIGNED)
        return signed_by_member(self.network, draft, node.member, self.random)

    def open_anonymously(self, key: ScopeKey, time_ms: int = GENESIS_MS, epoch: int = FIRST_EPOCH) -> mc.ScopeOpening:
        """The first use of V in an envelope, as a terminal makes it."""
        pk_BC = base_mul(self.thetas[epoch]).encode()
        topic = Topic(mc.ScopeOpening.KIND, epoch, pk_BC, time_ms + HOUR_MS, mc.own_fields(key.V))
        draft = EnvelopeDraft.begin(self.domain, self.credential(time_ms), topic, self.random)
        possession = scopes.possession_by_envelope(key, draft.nf, self.random)
        return mc.ScopeOpening(key.V, possession, draft.sign((possession,), self.random))

    def open_by_institution(self, key: ScopeKey, name: str) -> mc.InstitutionScope:
        possession = scopes.possession_by_institution(key, name, self.random)
        draft = mc.InstitutionScope(key.V, possession, name, UNSIGNED)
        return signed_by_member(self.network, draft, self.institution(name), self.random)


class SharingChain(Chain):
    """A chain with what its parties hold in secret: shares of nodes, keys of owners and readers.

    :ivar points, shares: by (node's name, epoch), and by (purpose, name, epoch). :ivar c: attachments of delegations.
    :ivar salts: of records' names.
    """

    world: SharingWorld

    def __init__(self, world: SharingWorld, store: LedgerStore, registry: Registry = REGISTRY, secrets: Any = None) -> None:
        super().__init__(world, store, registry, secrets)
        self.points: dict[tuple[str, int], al.PointShare] = {}
        self.shares: dict[tuple[str, str, int], sd.ScalarShare] = {}
        self.c: dict[bytes, bytes] = {}
        self.coins: dict[bytes, Coins] = {}
        self.salts: dict[bytes, bytes] = {}

    @property
    def view(self) -> Any:
        return self.application.view()

    def reason(self, transaction: Any, time_ms: int | None = None) -> str:
        """Reason code with which pool and voters refuse a transaction; empty if it is good."""
        raw = transaction if isinstance(transaction, bytes) else transaction.encode()
        now = self.time_ms + 1000 if time_ms is None else time_ms
        (result,) = self.application.check_transactions([raw], now)
        verdict = self.application.validate_proposal(self.input([raw], now), secret_checks=True)
        assert verdict.valid == result.accepted, (verdict, result)
        assert verdict.reason == result.reason or verdict.valid
        return result.reason

    def commit(self, *messages: Any, time_ms: int | None = None) -> bytes:
        """Commit messages in one block; returns the hash of the last one's transaction."""
        raws = [m.encode() for m in messages]
        self.decide(raws, time_ms)
        return self.application.transaction(raws[-1]).hash

    def later(self, duration_ms: int) -> None:
        """An empty block, so much later."""
        self.decide([], self.time_ms + duration_ms)

    # --- the committee ---

    def committee(self, epoch: int = 1) -> Committee:
        return committee_state.committee_of(self.view, epoch)

    def post_keys(self, epoch: int = 1, nodes: Sequence[NodeKeys] | None = None) -> None:
        world = self.world
        self.commit(
            *(
                publish_sharing_key(world.network, n.member, world.secret(n, epoch), world.random)
                for n in (world.nodes if nodes is None else nodes)
            )
        )

    def set_up(self, dealers: int = 4) -> SharingChain:
        """Keys, deals and the end of all windows of the first epoch; every node opens its shares."""
        world = self.world
        self.post_keys()
        committee = self.committee()
        chosen = world.nodes[:dealers]
        self.commit(
            *(al.make_alpha_deal(world.network, committee, n.member, world.random) for n in chosen[: committee.threshold])
        )
        for purpose in (Z, OPRF):
            self.commit(*(sd.make_scalar_deal(world.network, committee, purpose, n.member, world.random) for n in chosen))
        self.fix()
        self.open_shares()
        return self

    def fix(self, epoch: int = 1) -> None:
        """The windows pass, and somebody says so."""
        self.later(FAST.deal_window_ms + FAST.complaint_window_ms)
        self.commit(mk.SharingFix(epoch, Z), mk.SharingFix(epoch, OPRF))

    def open_shares(self, epoch: int = 1) -> None:
        """Every seat reads its shares from the chain."""
        world, committee = self.world, self.committee(epoch)
        public = committee_state.alpha_public(self.view, epoch)
        for seat in committee.seats:
            secret = world.secret(world.node(seat.name), epoch)
            self.points[seat.name, epoch] = al.open_point_share(committee, public, seat.name, secret)
            for purpose in (Z, OPRF):
                scalar = committee_state.scalar_public(self.view, epoch, purpose)
                deals = committee_state.scalar_deals(self.view, epoch, purpose)
                share = ho.open_scalar_share(world.network, committee, scalar, deals, seat.name, secret)
                self.shares[purpose, seat.name, epoch] = share

    @property
    def epoch(self) -> int:
        return committee_state.current_epoch(self.view).epoch

    @property
    def parameters(self) -> PublicParameters:
        return PublicParameters(committee_state.alpha_public(self.view, self.epoch).Y)

    def issue(self, core: ki.KeyRequest, names: Iterable[str]) -> list[ki.IssuedPartial]:
        world, committee = self.world, self.committee(core.epoch)
        return [
            ki.issue_partial_key(world.network, committee, core, self.points[n, core.epoch], world.node(n).member, world.random)
            for n in names
        ]

    def ask_key(self, requester: Any, *names: str) -> tuple[mk.KeyAsked, BoxKey]:
        """A request for a key, by an institution's key or a scope's."""
        world, box = self.world, BoxKey.generate(self.world.random)
        if isinstance(requester, ScopeKey):
            core = ki.make_key_request(self.epoch, requester.attribute, [requester.attribute], box)
            return signed_by_scope(mk.KeyAsked(core, UNSIGNED), requester, world.random), box
        core = ki.make_key_request(self.epoch, requester.name, names, box)
        return signed_by_member(world.network, mk.KeyAsked(core, UNSIGNED), requester, world.random), box

    def key(self, requester: Any, *names: str) -> SecretKey:
        """A key issued by t nodes on a committed request."""
        asked, box = self.ask_key(requester, *names)
        self.commit(asked)
        committee = self.committee(self.epoch)
        issued = self.issue(asked.core, [s.name for s in committee.seats[: committee.threshold]])
        public = committee_state.alpha_public(self.view, self.epoch)
        made = kc.collect_key(self.world.network, committee, public, asked.core, box, issued, self.world.random).key
        assert made is not None
        return made

    # --- owners ---

    def kept(self, kind: str, object_id: bytes, digest: bytes, count: int | None = None) -> Any:
        """Receipts of the first ``count`` seats for an attachment (t by default)."""
        world, committee = self.world, self.committee(self.epoch)
        nodes = {s.name: world.node(s.name).bls for s in committee.seats[: count or committee.threshold]}
        signed = {
            name: attachments.sign_attachment(world.network, self.epoch, bls.export_secret(), kind, object_id, digest)
            for name, bls in nodes.items()
        }
        keys = {name: bls.public for name, bls in nodes.items()}
        return attachments.gather_receipts(world.network, committee, keys, kind, object_id, digest, signed)

    def capsule(self, key: ScopeKey, rid: bytes, policy: str = "", k: bytes = b"k" * 32) -> CapsuleMessage:
        sharing = parse(policy) if policy else None
        aad = records.record_aad(self.world.network, rid, key.scope)
        return encapsulate(self.parameters, record_policy(key.scope, sharing), k, aad, self.world.random).message()

    def content(self, key: ScopeKey, rid: bytes, policy: str = "", k: bytes = b"k" * 32) -> mr.RecordContent:
        """Capsule, sealed metadata and receipts of a body that exists only as a digest."""
        world = self.world
        metadata, tag = world.random(32), records.digest_tag(world.network, world.random(32))
        keep_until = self.time_ms + DAY_MS
        upload = records.sign_record_upload(world.network, world.cloud, rid, tag, metadata, keep_until, world.random)
        kept = self.kept(attachments.METADATA, rid, metadata)
        return mr.RecordContent(self.capsule(key, rid, policy, k), metadata, kept, tag, (upload,))

    def record(self, key: ScopeKey, policy: str = "", **parts: Any) -> mr.RecordPut:
        """A TX block, signed by the scope's key; ``parts`` replace fields of the draft."""
        world = self.world
        rid = parts.pop("rid", None) or self.rid(key)
        salt = parts.pop("salt", self.salts.get(rid, bytes(16)))
        tags = b"".join(sorted(world.random(16) for _ in range(8)))
        content = parts.pop("content", None) or self.content(key, rid, policy)
        draft = mr.RecordPut(rid, salt, key.scope, content, tags, None, self.epoch, 1, UNSIGNED)
        return signed_by_scope(replace(draft, **parts), key, world.random)

    def rid(self, key: ScopeKey) -> bytes:
        """The name of a record of a scope, whose salt is kept for :meth:`record`."""
        salt = self.world.random(16)
        rid = record_id(self.world.network, key.scope, salt)
        self.salts[rid] = salt
        return rid

    def put(self, key: ScopeKey, policy: str = "", **parts: Any) -> bytes:
        """Commit a record; returns its rid."""
        made = self.record(key, policy, **parts)
        self.commit(made)
        return made.rid

    def owner(self, name: str = "owner", category: str = "lab", period: str = "2025Q3") -> ScopeKey:
        """An opened scope of an anonymous owner."""
        if not self.world.thetas:
            self.start_epoch()
        key = self.world.scope_key(name, category, period)
        self.commit(self.world.open_anonymously(key, self.time_ms))
        return key

    def delegation(
        self, owner: ScopeKey, own_key: SecretKey, policy: str = POLICY, days: int = 30, **parts: Any
    ) -> md.DelegationCreation:
        """A signed delegation; c and coins are kept under its id."""
        world, random = self.world, self.world.random
        coins = Coins.draw(random)
        z = committee_state.scalar_public(self.view, self.epoch, Z)
        sealed, c = dg.seal_delegation(
            world.network, self.epoch, self.parameters, z.key, own_key, owner.attribute, parse(policy),
            self.time_ms + days * DAY_MS, coins, random,
        )  # fmt: skip
        name = sealed.delegation
        self.c[name], self.coins[name] = c, coins
        index = seal_index_key(world.network, owner.scope, random(32), BY_DELEGATION, name, coins.delta)
        kept = self.kept(attachments.DELEGATION_C, name, sealed.c_digest)
        draft = md.DelegationCreation(sealed, index, kept, UNSIGNED)
        return signed_by_scope(replace(draft, **parts), owner, random)

    def delegate(self, owner: ScopeKey, own_key: SecretKey, policy: str = POLICY, days: int = 30) -> bytes:
        made = self.delegation(owner, own_key, policy, days)
        self.commit(made)
        return made.sealed.delegation

    def revocation(self, owner: ScopeKey, delegation: bytes) -> md.DelegationRevocation:
        return signed_by_scope(md.DelegationRevocation(delegation, UNSIGNED), owner, self.world.random)

    def deletion_receipt(self, delegation: bytes, count: int | None = None) -> rc.RevocationReceipt:
        world, committee = self.world, self.committee(self.epoch)
        digest = dg.digest_of_c(world.network, delegation, self.c[delegation])
        nodes = [world.node(s.name) for s in committee.seats[: count or committee.threshold]]
        signed = [
            rc.sign_deletion(world.network, self.epoch, n.member.name, n.bls.export_secret(), delegation, digest) for n in nodes
        ]
        return rc.make_receipt(world.network, committee, {n.member.name: n.bls.public for n in nodes}, signed)

    # --- readers ---

    def share_request(
        self,
        institution: str,
        items: Mapping[bytes, bytes | None],
        *,
        purpose: str = "treatment",
        emergency: str = "",
        owner: ScopeKey | None = None,
        box: BoxKey | None = None,
    ) -> tuple[ms.ShareRequest, BoxKey]:
        """A request for records: rid -> delegation or None."""
        world, box = self.world, box or BoxKey.generate(self.world.random)
        made = []
        for rid, delegation in items.items():
            reason = None
            if emergency and owner is not None:
                reason = seal_reason(world.network, institution, rid, owner.V, emergency, world.random)
            made.append(ms.ShareItem(rid, delegation, reason))
        chosen = ms.EMERGENCY if emergency else purpose
        draft = ms.ShareRequest(institution, None, tuple(made), chosen, box.Er, UNSIGNED)
        return signed_by_member(world.network, draft, world.institution(institution), world.random), box

    def ask(self, institution: str, items: Mapping[bytes, bytes | None], **options: Any) -> tuple[bytes, BoxKey]:
        """Commit a request; returns the transaction's hash."""
        request, box = self.share_request(institution, items, **options)
        return self.commit(request), box

    def verdict(self, request: bytes, rank: int = 0, **parts: Any) -> ms.CheckVerdict:
        """The verdict of the check node whose turn is the ``rank``-th."""
        world = self.world
        asked = ss.SHARE_REQUESTS.need(self.view, request)
        order = check_nodes.check_order(self.view, world.network, asked.epoch, request)
        node = world.node(order[rank]).member
        height = parts.get("height", asked.height)
        return check_nodes.sign_verdict(world.network, node, request, height, parts.get("outcomes", asked.outcomes), world.random)

    def judged(self, institution: str, items: Mapping[bytes, bytes | None], **options: Any) -> tuple[list[bytes], BoxKey]:
        """Ask and let a check node judge; returns the ids of the shares."""
        request, box = self.ask(institution, items, **options)
        self.commit(self.verdict(request))
        return [ss.share_id(self.world.network, request, i) for i in range(len(items))], box

    def share(self, share: bytes) -> ss.Share:
        return ss.find_share(self.view, share)

    def partials(self, share: bytes, count: int | None = None) -> list[pt.PartialTransformation]:
        """Partials of the first ``count`` seats (t by default)."""
        world, committee = self.world, self.committee(self.epoch)
        target = ss.transformable(self.view, world.network, share, self.epoch, self.time_ms)
        c = self.c[target.delegation.message.delegation]
        return [
            pt.make_partial(committee, target, self.shares[Z, s.name, self.epoch], c, world.node(s.name).member, world.random)
            for s in committee.seats[: count or committee.threshold]
        ]

    def grant_of(self, share: bytes, partials: Sequence[pt.PartialTransformation] | None = None) -> ms.ShareGrant:
        chosen = self.partials(share) if partials is None else partials
        return ms.ShareGrant(share, tuple(sorted((p.claim() for p in chosen), key=lambda claim: claim.node)))

    def verified_capsule(self, rid: bytes) -> VerifiedCapsule:
        record = records.find_record(self.view, rid)
        aad = records.record_aad(self.world.network, rid, record.scope)
        return check(ss.decoded_capsule(records.capsule_of(self.view, rid)), aad)

    def log(self, scope: bytes) -> list[access_log.AccessEntry]:
        return access_log.read_entries(self.view, scope)


def granted_world(chain: SharingChain) -> None:
    """The attributes that most tests ask for."""
    world = chain.world
    chain.commit(
        world.grant(HOSPITAL, ["role:doctor", "dept:cardiology"], 1), world.grant(CLINIC, ["role:doctor", "role:emergency"], 1)
    )
