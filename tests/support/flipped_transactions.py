"""A chain that tries every transaction of sharing with each byte flipped, at the moment at which it would be committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from salus.abpre.encapsulation import encapsulate
from salus.abpre.language import parse
from salus.abpre.policy import record_policy
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.approvals import approve_shares
from salus.abpre.threshold.epoch_keys import publish_sharing_key
from salus.abpre.threshold.groups import OPRF, Z
from salus.codec import Message
from salus.consultation.envelope import EnvelopeDraft, Topic
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar, base_mul
from salus.ledger.kinds.sharing import index_keys as ledger_index_keys
from salus.ledger.kinds.sharing import share_state as ss
from salus.ledger.kinds.sharing.committee_state import search_key
from salus.ledger.kinds.sharing.messages import keys as mk
from salus.ledger.kinds.sharing.messages import records as mr
from salus.ledger.kinds.sharing.messages import searches as me
from salus.ledger.kinds.sharing.messages import shares as ms
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member, signed_by_scope
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.node.admission import Admission
from salus.search import tokens as tk
from salus.search.index_keys import BY_POLICY, seal_index_key
from salus.search.keyword import Keyword
from support.consultation_world import flip
from support.sharing_world import CLINIC, FAST, HOSPITAL, HOUR_MS, POLICY, SharingChain, SharingWorld

OWN = tuple("own:" + rest for rest in ("", "zz", "Z" * 64, "0" * 64))
TEXTS = ("", "x", *OWN, "a:b@", "a:b@99999", "a:b@\u00b2", "role:x@2025", "\0", "(" * 60)
NUMBERS = (0, 1, 2, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


def twists(message: Any) -> Iterator[Any]:
    """The message with one field after the other, at any depth, replaced by values that its type can hold."""
    for name in message.__struct_fields__:
        for value in _twisted(getattr(message, name)):
            yield replace(message, **{name: value})


def _twisted(value: Any) -> Iterator[Any]:
    if isinstance(value, Message):
        yield from twists(value)
        yield None
    elif isinstance(value, bytes):
        yield from (bytes(len(value)), b"\xff" * len(value), value[:-1], value + b"\0", value[::-1], b"")
    elif isinstance(value, str):
        yield from TEXTS
    elif isinstance(value, int):
        yield from NUMBERS
    elif isinstance(value, tuple) and value:
        yield from ((), value + value, value[::-1], value[:-1])
        for other in _twisted(value[0]):
            yield (other, *value[1:])


class Flipped:
    """A chain that flips each byte of the first of each kind, where it would be committed."""

    def __init__(self) -> None:
        world = SharingWorld("flipped transactions")
        self.chain: SharingChain = world.chain(secrets=Admission(world.domain, world.secrets()))
        self.missed: dict[str, list[int]] = {}
        self.twisted: dict[str, int] = {}
        self.failed: list[str] = []
        self.owner: ScopeKey | None = None
        self.run()

    def commit(self, *messages: Any, time_ms: int | None = None) -> bytes:
        for message in messages:
            if message.KIND not in self.missed:
                self.flip(message, time_ms)
        return self.chain.commit(*messages, time_ms=time_ms)

    def flip(self, message: Any, time_ms: int | None = None) -> None:
        raw = message.encode()
        now = self.chain.time_ms + 1000 if time_ms is None else time_ms
        (honest,) = self.chain.application.check_transactions([raw], now)
        assert honest.accepted, (message.KIND, honest)
        spoilt = [flip(raw, i, i % 8) for i in range(len(raw))]
        results = self.chain.application.check_transactions(spoilt, now)
        self.twist(message, now)
        self.missed[message.KIND] = [i for i, result in enumerate(results) if result.accepted]

    def twist(self, message: Any, now: int) -> None:
        """Other values in each field: whatever a signature would cover, judging it refuses or accepts, and never fails."""
        before = self.chain.application.info()
        for twisted in self.variants(message):
            self.twisted[message.KIND] = self.twisted.get(message.KIND, 0) + 1
            try:
                self.chain.application.check_transactions([twisted.encode()], now)
            except Exception as error:  # noqa: BLE001 - whatever it is, a node would have stopped
                self.failed.append(f"{message.KIND}: {error!r} for {twisted!r}")
        assert self.chain.application.info() == before

    def variants(self, message: Any) -> Iterator[Any]:
        """What can be encoded; also signed by an owner who means it so, whose signature comes before the dear checks."""
        for twisted in twists(message):
            try:
                twisted.encode()
            except (Refused, TypeError, AttributeError):
                continue  # no field may hold that
            yield twisted
            if self.owner is not None and len(getattr(message, "signature", b"")) == len(UNSIGNED):
                yield signed_by_scope(twisted, self.owner, self.chain.world.random)

    def run(self) -> None:
        self.epochs()
        self.rights()
        self.keys()
        self.records()
        self.shares()
        self.orders()
        self.ends()

    def epochs(self) -> None:
        chain, world = self.chain, self.chain.world
        nodes = [node.member for node in world.nodes]
        network, random = world.network, world.random
        self.commit(*(publish_sharing_key(network, n.member, world.secret(n, 1), random) for n in world.nodes))
        committee = chain.committee()
        self.commit(*(al.make_alpha_deal(network, committee, node, random) for node in nodes[:3]))
        for purpose in (Z, OPRF):
            deals = [sd.make_scalar_deal(network, committee, purpose, node, random) for node in nodes]
            self.commit(*deals)
            self.commit(*(approve_shares(network, committee, purpose, [d.digest() for d in deals], n, random) for n in nodes))
        self.commit(mk.SharingFix(1, Z), mk.SharingFix(1, OPRF))
        chain.open_shares()

    def rights(self) -> None:
        """Attributes, suspension, scopes."""
        chain, world = self.chain, self.chain.world
        self.commit(world.grant(HOSPITAL, ["role:doctor", "dept:cardiology"], 1), world.grant(CLINIC, ["role:doctor"], 1))
        self.commit(world.grant(CLINIC, ["role:nurse"], 2))
        self.commit(world.revoke(CLINIC, ["role:nurse"], 3))
        self.commit(world.vote(world.nodes[0], CLINIC))
        chain.start_epoch()
        self.owner = owner = world.scope_key()
        self.commit(world.open_anonymously(owner, chain.time_ms))
        self.commit(world.open_by_institution(world.scope_key("board"), HOSPITAL))

    def keys(self) -> None:
        chain, world = self.chain, self.chain.world
        network, random, committee = world.network, world.random, chain.committee()
        asked, box = chain.ask_key(world.institution(HOSPITAL), "role:doctor@2025")
        self.commit(asked)
        first, second = [seat.name for seat in committee.seats[:2]]
        self.commit(*(ki.demand_partial(network, asked.core, name, box, random) for name in (first, second)))
        self.commit(chain.issue(asked.core, [first])[0])
        chain.later(FAST.demand_ms)
        self.commit(mk.KeyMissing(asked.core.digest(network), second))
        self.own_key = chain.key(self.owner)

    def records(self) -> None:
        chain, world, owner = self.chain, self.chain.world, self.owner
        network, random = world.network, world.random
        put = chain.record(owner, POLICY)
        self.commit(put)
        self.rid = rid = put.rid
        self.commit(signed_by_scope(mr.RecordRepolicy(rid, 2, chain.capsule(owner, rid, POLICY), UNSIGNED), owner, random))
        self.commit(signed_by_scope(mr.RecordRotate(rid, 3, chain.content(owner, rid, POLICY), UNSIGNED), owner, random))
        k = random(32)
        policy, aad = record_policy(owner.scope, parse(POLICY)), ledger_index_keys.index_aad(network, owner.scope)
        capsule = encapsulate(chain.parameters, policy, k, aad, random).message()
        about = ledger_index_keys.index_about(network, owner.scope, capsule)
        sealed = seal_index_key(network, owner.scope, random(32), BY_POLICY, about, k)
        self.commit(signed_by_scope(mr.IndexKeyPublication(owner.scope, capsule, sealed, UNSIGNED), owner, random))

    def shares(self) -> None:
        """Delegations, requests, verdicts, grants."""
        chain, world, owner, rid = self.chain, self.chain.world, self.owner, self.rid
        network, random = world.network, world.random
        made = chain.delegation(owner, self.own_key)
        self.commit(made)
        self.delegation = delegation = made.sealed.delegation
        request, _ = chain.share_request(HOSPITAL, {rid: delegation})
        tx = self.commit(request)
        false = chain.verdict(tx, outcomes=(ms.WAITING,))
        self.flip(ms.FalseVerdict(false, None))
        self.commit(chain.verdict(tx))
        self.commit(chain.grant_of(ss.share_id(network, tx, 0)))
        own = chain.rid(owner)
        self.own = own
        chain.put(owner, rid=own, content=chain.content(owner, own))
        (waits,), _ = chain.judged(HOSPITAL, {own: None})
        consent = signed_by_scope(ms.ShareConsent(waits, delegation, UNSIGNED), owner, random)
        self.flip(consent)
        self.commit(signed_by_scope(ms.ShareRefusal(waits, UNSIGNED), owner, random))
        (self.doomed,), _ = chain.judged(HOSPITAL, {own: delegation})

    def orders(self) -> None:
        """Of tokens."""
        chain, world = self.chain, self.chain.world
        network, random = world.network, world.random
        order = tk.TokenOrder(3, b"\1" * 32)
        self.commit(signed_by_member(network, me.TokenRequest(order, HOSPITAL, 1, UNSIGNED), world.institution(HOSPITAL), random))
        pk_BC = base_mul(world.thetas[1]).encode()
        topic = Topic(me.AnonymousTokenRequest.KIND, 1, pk_BC, chain.time_ms + HOUR_MS, me.own_fields(order))
        draft = EnvelopeDraft.begin(world.domain, world.credential(), topic, random)
        self.commit(me.AnonymousTokenRequest(order, draft.sign((), random)))
        self.commit(self.false_evaluation())

    def ends(self) -> None:
        """Revocation, denial, erasure."""
        chain, world, owner = self.chain, self.chain.world, self.owner
        self.commit(chain.revocation(owner, self.delegation))
        self.commit(chain.deletion_receipt(self.delegation))
        node = world.nodes[0].member
        denial = ms.ShareDenial(self.doomed, node.name, "delegation-revoked", UNSIGNED)
        self.commit(signed_by_member(world.network, denial, node, world.random))
        self.commit(signed_by_scope(mr.RecordErase(self.rid, 4, UNSIGNED), owner, world.random))

    def false_evaluation(self) -> Any:
        """Evidence of a node that evaluated a word under another key."""
        chain, world = self.chain, self.chain.world
        asked = tk.ask([Keyword("asthma")], world.random)
        draft = me.TokenRequest(asked.order, HOSPITAL, 2, UNSIGNED)
        tx = self.commit(signed_by_member(world.network, draft, world.institution(HOSPITAL), world.random))
        order = tk.check_order(tx, asked.order, asked.blinded)
        answers = []
        for seat in chain.committee().seats:
            k = chain.shares[OPRF, seat.name, 1].value + Scalar.from_int(int(seat.index == 1))
            node = world.node(seat.name).member
            answers.append(tk.evaluate(world.network, node, tk.KeyShare(1, seat.index, k), order, world.random))
        (shown,) = tk.gather(world.network, search_key(chain.view, 1), asked, tx, answers).evidence
        return shown
