"""Owners and readers on an embedded network that shares, in the fewest steps: each talks to nodes and clouds itself."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from salus.abpre.encapsulation import encapsulate
from salus.abpre.keys import SecretKey
from salus.abpre.language import parse
from salus.abpre.opening import open_delta
from salus.abpre.parameters import PublicParameters
from salus.abpre.policy import record_policy
from salus.abpre.rekeys import Coins
from salus.abpre.threshold import delegations as dg
from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.committee import Committee, Seat
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.partials import PartialTransformation
from salus.abpre.threshold.transforming import Transformed, transform_and_open
from salus.codec import Message
from salus.consensus.block import transaction_hash
from salus.consultation.registration import MemberKey
from salus.errors import Refused, TransportError
from salus.ledger import sharing_api as m
from salus.ledger.handing_out import attach_delegation
from salus.ledger.kinds.sharing import attachments, attributes, committee_state, delegations, records, scopes
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.messages import attributes as ma
from salus.ledger.kinds.sharing.messages import delegations as md
from salus.ledger.kinds.sharing.messages import keys as mk
from salus.ledger.kinds.sharing.messages import records as mr
from salus.ledger.kinds.sharing.messages import scopes as mc
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member, signed_by_scope
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.network.embedded import EmbeddedNetwork
from salus.node.node import Node
from salus.records.record import RecordMetadata, RecordPlace, metadata_hash, record_id, seal_metadata
from salus.search.index_keys import BY_DELEGATION, new_index_key, seal_index_key
from support.embedded import PASSPHRASE

HOUR_MS = 3600_000
DAY_MS = 24 * HOUR_MS
POLICY = "role:doctor@2025"


def wait(network: EmbeddedNetwork, done: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Let the network work until something is so.

    :raises AssertionError: it is not within the time.
    """
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, "it did not happen"
        for node in network.nodes:
            node.attend()
        network._wait_ms(2)
    return found


class Sharing:
    """One network, seen by its parties.

    :ivar view: the state as the first running node has it.
    """

    def __init__(self, network: EmbeddedNetwork) -> None:
        self.network = network
        self.id = network.genesis.network()
        self.random = network.random

    @property
    def view(self) -> Any:
        return self.network.nodes[0].application.view()

    @property
    def epoch(self) -> int:
        return committee_state.current_epoch(self.view).epoch

    @property
    def committee(self) -> Committee:
        return committee_state.committee_of(self.view, self.epoch)

    @property
    def parameters(self) -> PublicParameters:
        return PublicParameters(committee_state.alpha_public(self.view, self.epoch).Y)

    @property
    def bls_keys(self) -> dict[str, bytes]:
        return {n.member.name: n.bls_key for n in self.network.genesis.core.nodes}

    def node(self, place: int) -> Node:
        return self.network.nodes[place]

    def institution(self, name: str = "st-anne/board") -> MemberKey:
        """The key in an institution's wallet."""
        actor = self.network.person(f"institution-{name.replace('/', '.')}", PASSPHRASE)
        member = actor._wallet.content.member
        assert member is not None
        key = MemberKey.from_secret(member.record, member.secret, self.network.genesis.domain().Pub)
        self.network.dismiss(actor)
        return key

    def commit(self, *messages: Message | bytes) -> bytes:
        """Commit transactions one after the other; returns the hash of the last."""
        raw = b""
        for message in messages:
            raw = message if isinstance(message, bytes) else message.encode()
            self.network.client().submit(raw)
        return transaction_hash(raw)

    def call(self, party: str, method: str, message: Message) -> bytes:
        return self.network.transport.call(party, method, message.encode())

    def everyone(self, method: str, message: Message | Callable[[Seat], Message]) -> dict[str, bytes]:
        """Answers of all nodes that answer."""
        answers = {}
        for seat in self.committee.seats:
            name = seat.name
            try:
                answers[name] = self.call(name, method, message if isinstance(message, Message) else message(seat))
            except (Refused, TransportError):
                continue
        return answers

    # --- centre ---

    def grant(self, institution: str, *atoms: str, years: tuple[int, int] = (2024, 2026)) -> None:
        centre = self.network.centre
        expires = self.network.now_ms() + 300 * DAY_MS
        sequence = attributes.next_sequence(self.view, institution)
        draft = ma.AttributeGrant(institution, tuple(sorted(atoms)), *years, expires, sequence, UNSIGNED)
        self.commit(attributes.grant_attributes(self.id, centre.name, centre._key, draft, self.random))

    # --- keys ---

    def ask_key(self, requester: Any, *names: str) -> tuple[ki.KeyRequest, BoxKey]:
        """Commit a request for a key."""
        box = BoxKey.generate(self.random)
        if isinstance(requester, ScopeKey):
            core = ki.make_key_request(self.epoch, requester.attribute, [requester.attribute], box)
            self.commit(signed_by_scope(mk.KeyAsked(core, UNSIGNED), requester, self.random))
        else:
            core = ki.make_key_request(self.epoch, requester.name, names, box)
            self.commit(signed_by_member(self.id, mk.KeyAsked(core, UNSIGNED), requester, self.random))
        return core, box

    def issued(self, core: ki.KeyRequest) -> list[ki.IssuedPartial]:
        """Partial keys of all nodes that answer."""
        answers = self.everyone(m.PARTIAL_KEY, m.PartialKeyRequest(core.digest(self.id)))
        return [ki.IssuedPartial.decode(data) for data in answers.values()]

    def collect(self, core: ki.KeyRequest, box: BoxKey, issued: Sequence[ki.IssuedPartial]) -> kc.CollectedKey:
        public = committee_state.alpha_public(self.view, core.epoch)
        committee = committee_state.committee_of(self.view, core.epoch)
        return kc.collect_key(self.id, committee, public, core, box, issued, self.random)

    def key(self, requester: Any, *names: str) -> SecretKey:
        core, box = self.ask_key(requester, *names)
        made = self.collect(core, box, self.issued(core)).key
        assert made is not None
        return made

    # --- owners ---

    def owner(self, institution: str = "lakeside/board", category: str = "lab", period: str = "2025Q3") -> ScopeKey:
        """An opened scope of an institution."""
        secret = hashlib.sha256(institution.encode()).digest()
        key = ScopeKey.derive(self.id, secret, category, period)
        possession = scopes.possession_by_institution(key, institution, self.random)
        draft = mc.InstitutionScope(key.V, possession, institution, UNSIGNED)
        self.commit(signed_by_member(self.id, draft, self.institution(institution), self.random))
        return key

    def attach(self, kind: str, about: bytes, digest: bytes, method: str, message: Message | Callable[[Seat], Message]) -> Any:
        """Hand an attachment to all nodes; their receipts added up."""
        answers = self.everyone(method, message)
        signed = {name: m.AttachmentReceipt.decode(data).signature for name, data in answers.items()}
        return attachments.gather_receipts(self.id, self.committee, self.bls_keys, kind, about, digest, signed)

    def metadata(self, key: ScopeKey, rid: bytes, k: bytes, digest: bytes, size_bytes: int, text: str = "note.txt") -> bytes:
        cloud = self.network.cloud_name
        made = RecordMetadata(
            (cloud,), digest, size_bytes, "records-2", self.network.now_ms(), "lab", "2025Q3", "text/plain", text
        )
        return seal_metadata(made, k, RecordPlace(self.id, rid, key.scope), self.random)

    def content(self, key: ScopeKey, rid: bytes, policy: str, k: bytes) -> mr.RecordContent:
        """A body that exists only as a digest; its metadata is with the nodes."""
        digest = self.random(32)
        sealed = self.metadata(key, rid, k, digest, 1000)
        hashed, tag = metadata_hash(self.id, rid, sealed), records.digest_tag(self.id, digest)
        kept = self.attach(attachments.METADATA, rid, hashed, m.ATTACH_METADATA, m.AttachMetadata(rid, sealed))
        until = self.network.now_ms() + DAY_MS
        cloud = self.network.cloud.gateway._key
        upload = records.sign_record_upload(self.id, cloud, rid, tag, hashed, until, self.random)
        sharing = parse(policy) if policy else None
        aad = records.record_aad(self.id, rid, key.scope)
        capsule = encapsulate(self.parameters, record_policy(key.scope, sharing), k, aad, self.random).message()
        return mr.RecordContent(capsule, hashed, kept, tag, (upload,))

    def record(self, key: ScopeKey, policy: str = "", k: bytes = b"k" * 32, tags: bytes = b"") -> mr.RecordPut:
        salt = self.random(16)
        rid = record_id(self.id, key.scope, salt)
        chosen = tags or b"".join(sorted(self.random(16) for _ in range(8)))
        version = committee_state.key_version(self.view)
        draft = mr.RecordPut(rid, salt, key.scope, self.content(key, rid, policy, k), chosen, None, self.epoch, version, UNSIGNED)
        return signed_by_scope(draft, key, self.random)

    def put(self, key: ScopeKey, policy: str = "", k: bytes = b"k" * 32) -> bytes:
        made = self.record(key, policy, k)
        self.commit(made)
        return made.rid

    def delegate(self, owner: ScopeKey, own_key: SecretKey, policy: str = POLICY, days: int = 30) -> bytes:
        """Commit a delegation; returns its id."""
        coins = Coins.draw(self.random)
        z = committee_state.scalar_public(self.view, self.epoch, Z)
        sealed, c = dg.seal_delegation(
            self.id, self.epoch, self.parameters, z.key, own_key, owner.attribute, parse(policy),
            self.network.now_ms() + days * DAY_MS, coins, self.random,
        )  # fmt: skip
        name = sealed.delegation
        made = lambda seat: attach_delegation(self.id, self.epoch, seat, sealed, c, owner, self.random)  # noqa: E731
        kept = self.attach(attachments.DELEGATION_C, name, sealed.c_digest, m.ATTACH_DELEGATION, made)
        index = seal_index_key(self.id, owner.scope, new_index_key(self.random), BY_DELEGATION, name, coins.delta)
        draft = md.DelegationCreation(sealed, index, kept, UNSIGNED)
        self.commit(signed_by_scope(draft, owner, self.random))
        return name

    def revoke(self, owner: ScopeKey, delegation: bytes) -> None:
        self.commit(signed_by_scope(md.DelegationRevocation(delegation, UNSIGNED), owner, self.random))

    # --- readers ---

    def request(self, reader: MemberKey, items: Iterable[tuple[bytes, bytes | None]]) -> tuple[list[bytes], BoxKey]:
        """Commit a request for records; returns the ids of its shares."""
        box = BoxKey.generate(self.random)
        made = tuple(ms.ShareItem(rid, delegation, None) for rid, delegation in items)
        draft = ms.ShareRequest(reader.name, None, made, "treatment", box.Er, UNSIGNED)
        tx_hash = self.commit(signed_by_member(self.id, draft, reader, self.random))
        return [ss.share_id(self.id, tx_hash, number) for number in range(len(made))], box

    def share(self, share: bytes) -> ss.Share:
        return ss.find_share(self.view, share)

    def granted(self, share: bytes) -> ss.Share:
        wait(self.network, lambda: self.share(share).status == ss.GRANTED)
        return self.share(share)

    def partials(self, share: bytes) -> list[PartialTransformation]:
        return [PartialTransformation.decode(data) for data in self.everyone(m.PARTIAL, m.PartialRequest(share)).values()]

    def open(self, share: bytes, box: BoxKey, key: SecretKey, partials: Sequence[PartialTransformation] = ()) -> Transformed:
        """The requester combines what the nodes have sealed to it."""
        target = ss.target_of(self.view, self.id, share, self.epoch)
        delta = open_delta(self.parameters, key, target.delegation.rk4)
        public = committee_state.scalar_public(self.view, self.epoch, Z)
        found = list(partials) or self.partials(share)
        return transform_and_open(self.committee, target, public, self.parameters, delta, box, found, self.random)

    def delegation(self, name: bytes) -> delegations.Delegation:
        return delegations.find_delegation(self.view, name)


def altered(message: Any, **parts: Any) -> Any:
    """A message with other fields."""
    return replace(message, **parts)
