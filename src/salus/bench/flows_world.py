"""An owner, a reader, clouds and nodes of one embedded network, for the bench of the two flows: each step timed where it is done.

Steps are those of docs/protocol/sharing-ledger.md; what the terminals add (files of their own, resuming) is left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from salus.abpre.capsules import take_unchecked
from salus.abpre.encapsulation import encapsulate
from salus.abpre.keys import SecretKey
from salus.abpre.language import parse
from salus.abpre.opening import decapsulate, open_delta
from salus.abpre.parameters import PublicParameters
from salus.abpre.policy import record_policy
from salus.abpre.rekeys import Coins
from salus.abpre.threshold import delegations as dg
from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.committee import Seat
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.partials import PartialTransformation
from salus.abpre.threshold.transforming import transform_and_open
from salus.cloud import messages as cm
from salus.cloud import sharing_messages as sm
from salus.codec import Message, decode
from salus.consensus.block import transaction_hash
from salus.consultation.registration import MemberKey
from salus.errors import Refused
from salus.ledger import sharing_api as m
from salus.ledger.handing_out import attach_delegation
from salus.ledger.kinds.parties import NODES
from salus.ledger.kinds.sharing import attachments, attributes, committee_state, records, scopes
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.messages import attributes as ma
from salus.ledger.kinds.sharing.messages import delegations as md
from salus.ledger.kinds.sharing.messages import keys as mk
from salus.ledger.kinds.sharing.messages import records as mr
from salus.ledger.kinds.sharing.messages import scopes as mc
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member, signed_by_scope
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.ledger.node_api import COMMITTED
from salus.ledger.reading import ProvenView, prove_reader
from salus.ledger.signatures import decoded_capsule
from salus.network.embedded import EmbeddedNetwork
from salus.records.record import (
    RecordMetadata,
    RecordPlace,
    decrypt_record,
    encrypt_record,
    metadata_hash,
    open_metadata,
    record_id,
    seal_metadata,
)
from salus.records.streams import Discard
from salus.search.index_keys import BY_DELEGATION, new_index_key, seal_index_key
from salus.search.tags import make_tags
from salus.terminal.cloud_client import CloudClient, RemoteBody
from salus.terminal.sealed import Argon2Cost
from salus.transport import PART_BYTES

OWNER: Final = "lakeside/board"
READER: Final = "st-anne/board"
KEYWORDS: Final = 20
_PASSPHRASE: Final = b"of a bench: guards nothing"
_CHEAP: Final = Argon2Cost(memory_kib=8 * 1024, iterations=1, lanes=1)
_YEAR: Final = 2025
_DAY_MS: Final = 24 * 3600 * 1000
_PATIENCE_S: Final = 60.0
"""Longer than any step takes; a network that gets stuck ends the bench."""
_IDLE_S: Final = 0.0005
"""Pause when nobody has anything to do until a timer ends."""

T = TypeVar("T")


@dataclass
class Stages:
    """Milliseconds of each step of one run, in order."""

    ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What runs inside is this step's; a step may come in parts."""
        start = time.perf_counter()
        yield
        self.ms[name] = self.ms.get(name, 0.0) + (time.perf_counter() - start) * 1000

    @property
    def total_ms(self) -> float:
        """The whole run."""
        return sum(self.ms.values())


@dataclass(frozen=True)
class Stored:
    """A record on the ledger, and its delegation for one policy."""

    rid: bytes
    k: bytes = field(repr=False)
    size_bytes: int
    body_bytes: int


def names_of(count: int) -> list[str]:
    """So many attributes of the reader, as a record of the year names them."""
    return [f"attr:x{i}@{_YEAR}" for i in range(count)]


class FlowWorld:
    """One network with an owner's open scope and a reader that holds ``attributes_max`` attributes.

    :param nodes: of the committee. :param attributes_max: 1 to 128.
    """

    def __init__(self, home: Path, nodes: int, attributes_max: int, random: Callable[[int], bytes]) -> None:
        self.network = EmbeddedNetwork.create(home, _PASSPHRASE, nodes=nodes, cost=_CHEAP, random=random)
        self.random = random
        self.id = self.network.genesis.network()
        self.client = self.network.client(self.network.local)
        self.transport = self.network.local  # nodes work when :meth:`wait` lets them, so that stages can be told apart
        self.nodes = [node.name for node in self.network.nodes]
        self.owner_member, self.reader = self._member(OWNER), self._member(READER)
        self.owner = self._open_scope()
        self._grant(attributes_max)
        self.own_key = self._key(self.owner, [self.owner.attribute])
        self.reader_key = self._key(self.reader, names_of(attributes_max))
        self.index_key = new_index_key(random)

    # --- what is there before a record ---

    def _member(self, name: str) -> MemberKey:
        actor = self.network.person(f"institution-{name.replace('/', '.')}", _PASSPHRASE)
        content = actor._wallet.content
        self.network.dismiss(actor)
        assert content.member is not None
        return MemberKey.from_secret(content.member.record, content.member.secret, self.network.genesis.domain().Pub)

    def _open_scope(self) -> ScopeKey:
        key = ScopeKey.derive(self.id, self.random(32), "lab", f"{_YEAR}Q3")
        possession = scopes.possession_by_institution(key, OWNER, self.random)
        draft = mc.InstitutionScope(key.V, possession, OWNER, UNSIGNED)
        self.commit(signed_by_member(self.id, draft, self.owner_member, self.random))
        return key

    def _grant(self, count: int) -> None:
        centre = self.network.centre
        atoms = sorted(name.partition("@")[0] for name in names_of(count))
        for start in range(0, count, ma.ATOMS_MAX):
            sequence = attributes.next_sequence(self.view(), READER)
            until = self.network.now_ms() + 300 * _DAY_MS
            draft = ma.AttributeGrant(READER, tuple(atoms[start : start + ma.ATOMS_MAX]), _YEAR, _YEAR, until, sequence, UNSIGNED)
            self.commit(attributes.grant_attributes(self.id, centre.name, centre._key, draft, self.random))

    def _key(self, asker: ScopeKey | MemberKey, names: Sequence[str]) -> SecretKey:
        box, view = BoxKey.generate(self.random), self.view()
        name = asker.attribute if isinstance(asker, ScopeKey) else asker.name
        core = ki.make_key_request(self.epoch(view), name, names, box)
        draft = mk.KeyAsked(core, UNSIGNED)
        if isinstance(asker, ScopeKey):
            self.commit(signed_by_scope(draft, asker, self.random))
        else:
            self.commit(signed_by_member(self.id, draft, asker, self.random))
        issued = self.everyone(m.PARTIAL_KEY, m.PartialKeyRequest(core.digest(self.id)), ki.IssuedPartial.decode)
        public = committee_state.alpha_public(view, core.epoch)
        committee = committee_state.committee_of(view, core.epoch)
        made = kc.collect_key(self.id, committee, public, core, box, list(issued.values()), self.random).key
        assert made is not None
        return made

    # --- the ledger ---

    def view(self) -> ProvenView:
        """The state as of now; what is read of it is proven."""
        self.client.refresh()
        return ProvenView(self.client)

    def epoch(self, view: Any) -> int:
        """The committee's epoch."""
        return committee_state.current_epoch(view).epoch

    def parameters(self, view: Any) -> PublicParameters:
        """Public parameters of the scheme."""
        return PublicParameters(committee_state.alpha_public(view, self.epoch(view)).Y)

    def commit(self, message: Message, stages: Stages | None = None, prefix: str = "") -> bytes:
        """Judged by a check node, promised by nodes, committed, inclusion proven; the transaction's hash."""
        raw, timed = message.encode(), stages or Stages()
        tx_hash = transaction_hash(raw)
        with timed.stage(prefix + "check and promise"):
            self.transport.call(self.nodes[0], m.ACCEPT, m.AcceptRequest(raw).encode())
            self.wait(lambda: self._accepted(tx_hash))
        with timed.stage(prefix + "consensus"):
            self.wait(lambda: all(node.outcome(tx_hash).state == COMMITTED for node in self.network.nodes))
        with timed.stage(prefix + "proof of inclusion"):
            self.wait(lambda: self.client.find(tx_hash) is not None)
        return tx_hash

    def _accepted(self, tx_hash: bytes) -> bool:
        try:
            data = self.transport.call(self.nodes[0], m.ACCEPTANCE, m.AcceptanceRequest(tx_hash).encode())
        except Refused:
            return True  # it is committed and no longer pending
        now = m.Acceptance.decode(data)
        return now.certificate is not None and now.verdict is not None

    def wait(self, done: Callable[[], T]) -> T:
        """Let the network work, a turn at a time, until something is so.

        :raises AssertionError: it is not, for a minute.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while not (found := done()):
            assert time.monotonic() < deadline, "the network is stuck"
            if not self.network.turn():
                for node in self.network.nodes:
                    node.attend()
                time.sleep(_IDLE_S)
        return found

    def everyone(self, method: str, message: Message, kind: Callable[[bytes], T]) -> dict[str, T]:
        """Answers of all nodes."""
        return {name: kind(self.transport.call(name, method, message.encode())) for name in self.nodes}

    def attach(
        self, view: Any, sort: str, about: bytes, digest: bytes, method: str, message: Message | Callable[[Seat], Message]
    ) -> Any:
        """Hand an attachment to all nodes; their receipts added up."""
        committee = committee_state.committee_of(view, self.epoch(view))
        got = {}
        for seat in committee.seats:
            body = message if isinstance(message, Message) else message(seat)
            got[seat.name] = m.AttachmentReceipt.decode(self.transport.call(seat.name, method, body.encode()))
        keys = {name: record.record.bls_key for name in got if (record := NODES.get(view, name.encode())) is not None}
        signed = {name: receipt.signature for name, receipt in got.items()}
        return attachments.gather_receipts(self.id, committee, keys, sort, about, digest, signed)

    # --- the owner ---

    def store(self, source: Path, policy: str, stages: Stages) -> Stored:
        """The first flow: a file under ``own:<x> or (policy)``."""
        salt, k, cloud, random = self.random(16), self.random(32), self.network.cloud_name, self.random
        rid = record_id(self.id, self.owner.scope, salt)
        place, until = RecordPlace(self.id, rid, self.owner.scope), self.network.now_ms() + _DAY_MS
        encrypted = source.with_suffix(".encrypted")
        with stages.stage("encrypt and digest"), source.open("rb") as plain, encrypted.open("wb") as sink:
            body = encrypt_record(plain, k, place, sink, random=random)
        with stages.stage("upload"), encrypted.open("rb") as upload:
            CloudClient(self.transport, cloud, random=random).upload(upload, body.digest, body.size_bytes, until)
        encrypted.unlink()
        with stages.stage("metadata and receipts"):
            view = self.view()
            now, quarter = self.network.now_ms(), f"{_YEAR}Q3"
            made = RecordMetadata((cloud,), body.digest, body.size_bytes, body.suite, now, "lab", quarter, "text/plain", "note")
            sealed = seal_metadata(made, k, place, random)
            hashed, tag = metadata_hash(self.id, rid, sealed), records.digest_tag(self.id, body.digest)
            message = m.AttachMetadata(rid, sealed)
            kept = self.attach(view, attachments.METADATA, rid, hashed, m.ATTACH_METADATA, message)
            keep = sm.RecordKeep(rid, body.digest, sealed, until)
            upload_receipt = mr.RecordUpload.decode(self.transport.call(cloud, sm.RECORD_KEEP, keep.encode()))
        with stages.stage("encapsulate"):
            aad = records.record_aad(self.id, rid, self.owner.scope)
            whole = record_policy(self.owner.scope, parse(policy))
            capsule = encapsulate(self.parameters(view), whole, k, aad, random).message()
        with stages.stage("tags and signature"):
            words = [random(64) for _ in range(KEYWORDS)]
            tags = make_tags(self.id, self.owner.scope, rid, self.index_key, words, False, random)
            content = mr.RecordContent(capsule, hashed, kept, tag, (upload_receipt,))
            version = committee_state.key_version(view)
            draft = mr.RecordPut(rid, salt, self.owner.scope, content, tags, None, self.epoch(view), version, UNSIGNED)
            signed = signed_by_scope(draft, self.owner, random)
        self.commit(signed, stages)
        return Stored(rid, k, source.stat().st_size, body.size_bytes)

    def delegate(self, policy: str, stages: Stages) -> bytes:
        """A delegation of the scope to a policy; its id."""
        with stages.stage("delegate"):
            view, coins = self.view(), Coins.draw(self.random)
            epoch = self.epoch(view)
            z, until = committee_state.scalar_public(view, epoch, Z), self.network.now_ms() + 30 * _DAY_MS
            sealed, c = dg.seal_delegation(
                self.id, epoch, self.parameters(view), z.key, self.own_key, self.owner.attribute, parse(policy), until,
                coins, self.random,
            )  # fmt: skip
            name = sealed.delegation
            made = lambda seat: attach_delegation(self.id, epoch, seat, sealed, c, self.owner, self.random)  # noqa: E731
            kept = self.attach(view, attachments.DELEGATION_C, name, sealed.c_digest, m.ATTACH_DELEGATION, made)
            index = seal_index_key(self.id, self.owner.scope, self.index_key, BY_DELEGATION, name, coins.delta)
            self.commit(signed_by_scope(md.DelegationCreation(sealed, index, kept, UNSIGNED), self.owner, self.random))
        return name

    # --- the reader ---

    def share(self, stored: Stored, delegation: bytes | None, stages: Stages) -> None:
        """The second flow: ask, wait for the grant, open, fetch, verify; by policy without a delegation.

        :raises AssertionError: the key that comes out is not the owner's.
        """
        box = BoxKey.generate(self.random)
        item = ms.ShareItem(stored.rid, delegation, None)
        draft = ms.ShareRequest(READER, None, (item,), "treatment", box.Er, UNSIGNED)
        request = self.commit(signed_by_member(self.id, draft, self.reader, self.random), stages, "ask: ")
        share = ss.share_id(self.id, request, 0)
        with stages.stage("verdict, partials, grant"):
            self.wait(lambda: all(_granted(node.application.view(), share) for node in self.network.nodes))
        with stages.stage("proof of the grant"):
            self.wait(lambda: _granted(self.view(), share))
            self.network.settle()  # the cloud may ask the slowest node
        view = self.view()
        k: bytes | None
        if delegation is None:
            with stages.stage("open the capsule"):
                aad = records.record_aad(self.id, stored.rid, self.owner.scope)
                capsule = take_unchecked(decoded_capsule(records.capsule_of(view, stored.rid)), aad)  # the chain has checked it
                k = decapsulate(self.parameters(view), self.reader_key, capsule)
        else:
            k = self._transformed(view, share, box, stages)
        assert k == stored.k, "another key came out"
        self._fetch(view, share, stored, stages)

    def _transformed(self, view: ProvenView, share: bytes, box: BoxKey, stages: Stages) -> bytes | None:
        with stages.stage("fetch the partials"):
            partials = self.everyone(m.PARTIAL, m.PartialRequest(share), PartialTransformation.decode)
        with stages.stage("open the capsule"):
            epoch = self.epoch(view)
            committee, public = committee_state.committee_of(view, epoch), committee_state.scalar_public(view, epoch, Z)
            target = ss.target_of(view, self.id, share, epoch)
            delta = open_delta(self.parameters(view), self.reader_key, target.delegation.rk4)
            found = list(partials.values())
            return transform_and_open(committee, target, public, self.parameters(view), delta, box, found, self.random).key

    def _fetch(self, view: ProvenView, share: bytes, stored: Stored, stages: Stages) -> None:
        cloud, now = self.network.cloud_name, self.network.now_ms()
        with stages.stage("fetch metadata"):
            record = records.find_record(view, stored.rid)
            proof = prove_reader(self.id, self.reader, stored.rid, share, cloud, now, self.random)
            answer = sm.RecordInfo.decode(self.transport.call(cloud, sm.RECORD_INFO, sm.RecordInfoRequest(proof).encode()))
            place = RecordPlace(self.id, stored.rid, self.owner.scope)
            metadata = open_metadata(answer.sealed, record.metadata, stored.k, place)
        fetching = Stages()

        def ranges() -> Iterator[bytes]:
            for offset in range(0, metadata.size_bytes, PART_BYTES):
                with fetching.stage("fetch the body"):
                    asked = sm.RecordRange(proof, offset, min(PART_BYTES, metadata.size_bytes - offset))
                    data = cm.BodyRange.decode(self.transport.call(cloud, sm.RECORD_RANGE, asked.encode())).data
                yield data

        start = time.perf_counter()
        decrypt_record(RemoteBody(ranges()), stored.k, place, metadata, Discard())
        whole_ms = (time.perf_counter() - start) * 1000
        stages.ms["fetch the body"] = fetching.total_ms
        stages.ms["verify and decrypt"] = whole_ms - fetching.total_ms

    # --- what is on the chain ---

    @property
    def height(self) -> int:
        """Of the chain, now that nobody has anything to do."""
        self.network.settle()
        self.client.refresh()
        return self.network.nodes[0].runner.height

    def bytes_since(self, height: int) -> tuple[dict[str, int], int]:
        """Encoded transactions by kind, and what blocks and certificates add to them, after ``height``."""
        self.network.settle()
        kinds: dict[str, int] = {}
        frame = 0
        for verified in self.client.follow(height):
            size = 0
            for raw in verified.block.transactions:
                kind = str(decode(raw)[0])
                kinds[kind] = kinds.get(kind, 0) + len(raw)
                size += len(raw)
            frame += len(verified.block.encode()) - size
        return kinds, frame

    def close(self) -> None:
        """End the network."""
        self.network.close()


def _granted(view: Any, share: bytes) -> bool:
    found = ss.SHARES.get(view, share)
    return found is not None and found.status == ss.GRANTED
