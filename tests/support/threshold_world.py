"""A seeded committee with its shares, an owner, a requester and a record: the thresholds end to end, without a ledger.

``make_world(n)`` deals alpha, z and the keyword key. Every step goes through encoded messages, as on the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from msgspec.structs import replace

from salus.abpre.capsules import VerifiedCapsule
from salus.abpre.checking import check
from salus.abpre.encapsulation import encapsulate
from salus.abpre.keys import SecretKey
from salus.abpre.language import parse
from salus.abpre.opening import open_delta
from salus.abpre.parameters import PublicParameters
from salus.abpre.rekeys import Coins
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import delegations as dg
from salus.abpre.threshold import hand_over as ho
from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold import partials as pt
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.committee import Committee, make_committee
from salus.abpre.threshold.epoch_keys import SharingSecret, check_sharing_key, make_seat, publish_sharing_key
from salus.abpre.threshold.groups import OPRF, Z
from salus.codec import Message
from salus.consultation.node_record import BlsSecret
from salus.consultation.registration import NODE, MemberKey
from salus.groups.ristretto255 import random_scalar
from support.consultation_world import SeededRandom

NETWORK = bytes(range(32))
SCOPE = "own:" + "5c" * 32
HOSPITAL = "inst:st-mary"
EXPIRES_MS = 1_800_000_000_000


def sent(message: Any) -> Any:
    """A message as it arrives: encoded and decoded."""
    again = type(message).decode(message.encode())
    assert again == message
    return again


@dataclass
class Node:
    """A node with its long-term, BLS and epoch keys."""

    member: MemberKey
    bls: BlsSecret
    secret: SharingSecret

    @property
    def name(self) -> str:
        return self.member.name


@dataclass
class Holders:
    """A committee, its public values, and what each of its nodes holds."""

    world: World
    nodes: list[Node]
    committee: Committee
    alpha: al.AlphaPublic | None = None
    scalars: dict[str, sd.ScalarPublic] = field(default_factory=dict)
    points: dict[int, al.PointShare] = field(default_factory=dict)
    shares: dict[str, dict[int, sd.ScalarShare]] = field(default_factory=dict)

    @property
    def t(self) -> int:
        return self.committee.threshold

    def node(self, index: int) -> Node:
        return next(n for n in self.nodes if n.name == self.committee.seat(index).name)

    def alpha_deal(self, index: int) -> al.AlphaDeal:
        return sent(al.make_alpha_deal(NETWORK, self.committee, self.node(index).member, self.world.random))

    def check_alpha(self, deal: al.AlphaDeal) -> al.CheckedAlphaDeal:
        return al.check_alpha_deal(NETWORK, self.committee, deal)

    def fix_alpha(self, deals: Sequence[al.CheckedAlphaDeal]) -> None:
        self.hold_alpha(sent(al.fix_alpha(self.committee, deals)))

    def hold_alpha(self, sharing: al.AlphaSharing) -> None:
        self.alpha = al.AlphaPublic(sharing)
        for seat in self.committee.seats:
            secret = self.node(seat.index).secret
            self.points[seat.index] = al.open_point_share(self.committee, self.alpha, seat.name, secret)

    def scalar_deal(self, purpose: str, index: int) -> sd.ScalarDeal:
        return sent(sd.make_scalar_deal(NETWORK, self.committee, purpose, self.node(index).member, self.world.random))

    def check_scalar(self, deal: sd.ScalarDeal) -> None:
        sd.check_scalar_deal(NETWORK, self.committee, deal)

    def hold_scalar(self, sharing: sd.ScalarSharing, deals: Sequence[sd.ScalarDeal], skip: Iterable[int] = ()) -> None:
        public = self.scalars[sharing.purpose] = sd.ScalarPublic(sharing)
        self.shares[sharing.purpose] = {
            seat.index: ho.open_scalar_share(NETWORK, self.committee, public, deals, seat.name, self.node(seat.index).secret)
            for seat in self.committee.seats
            if seat.index not in set(skip)
        }

    def deal_all(self) -> Holders:
        """Alpha, z and the keyword key, dealt by the first t."""
        dealers = self.committee.indices()[: self.t]
        self.fix_alpha([self.check_alpha(self.alpha_deal(i)) for i in dealers])
        for purpose in (Z, OPRF):
            deals = [self.scalar_deal(purpose, i) for i in dealers]
            for deal in deals:
                self.check_scalar(deal)
            self.hold_scalar(sent(ho.fix_scalar(self.committee, deals)), deals)
        return self

    @property
    def parameters(self) -> PublicParameters:
        assert self.alpha is not None
        return PublicParameters(self.alpha.Y)

    # --- keys ---

    def request(self, attributes: Iterable[str], requester: str = "st-mary") -> tuple[ki.KeyRequest, BoxKey]:
        key = BoxKey.generate(self.world.random)
        return sent(ki.make_key_request(self.committee.epoch, requester, attributes, key)), key

    def issue(self, request: ki.KeyRequest, index: int) -> ki.IssuedPartial:
        node = self.node(index).member
        return sent(ki.issue_partial_key(NETWORK, self.committee, request, self.points[index], node, self.world.random))

    def collect(self, request: ki.KeyRequest, key: BoxKey, issued: Sequence[ki.IssuedPartial], **options: Any) -> kc.CollectedKey:
        assert self.alpha is not None
        return kc.collect_key(NETWORK, self.committee, self.alpha, request, key, issued, self.world.random, **options)

    def judge_key(self, request: ki.KeyRequest, evidence: kc.BadPartialKey) -> str:
        assert self.alpha is not None
        return kc.judge_partial_key(NETWORK, self.committee, self.alpha, request, sent(evidence))

    def key(self, *attributes: str) -> SecretKey:
        """A key issued by the first t nodes."""
        request, key = self.request(attributes)
        made = self.collect(request, key, [self.issue(request, i) for i in self.committee.indices()[: self.t]]).key
        assert made is not None
        return made

    # --- sharing ---

    def capsule(self, policy: str, k: bytes, aad: bytes = b"record") -> VerifiedCapsule:
        return check(encapsulate(self.parameters, parse(policy), k, aad, self.world.random), aad)

    def delegate(self, owner: SecretKey, policy: str = HOSPITAL, scope: str = SCOPE) -> tuple[dg.CheckedDelegation, bytes, Coins]:
        """An owner's delegation, checked; its c; and the coins, for tests that need delta."""
        random = self.world.random
        coins = Coins.draw(random)
        sealed, c = dg.seal_delegation(
            NETWORK, self.committee.epoch, self.parameters, self.scalars[Z].key, owner, scope, parse(policy),
            EXPIRES_MS, coins, random,
        )  # fmt: skip
        checked = dg.check_delegation(NETWORK, sent(sealed))
        dg.check_attachment(NETWORK, sealed, c)
        return checked, c, coins

    def target(
        self, delegation: dg.CheckedDelegation, capsule: VerifiedCapsule, key: BoxKey, share: bytes = b""
    ) -> pt.ShareTarget:
        return pt.make_target(NETWORK, self.committee.epoch, share or self.world.random(32), delegation, capsule, key.Er)

    def partial(self, target: pt.ShareTarget, index: int, c: bytes) -> pt.PartialTransformation:
        node = self.node(index).member
        return sent(pt.make_partial(self.committee, target, self.shares[Z][index], c, node, self.world.random))

    def delta(self, reader: SecretKey, delegation: dg.CheckedDelegation) -> bytes:
        return open_delta(self.parameters, reader, delegation.rk4)

    # --- hand-over ---

    def hand_over_to(self, new: Holders, dealers: Sequence[int] | None = None) -> Holders:
        """Alpha and both scalars to another committee, dealt by ``dealers`` (the first t_old)."""
        assert self.alpha is not None
        dealers = dealers or self.committee.indices()[: self.t]
        random = self.world.random
        checked = []
        for i in dealers:
            deal = sent(al.reshare_alpha(NETWORK, new.committee, self.node(i).member, self.points[i], self.alpha, random))
            checked.append(ho.check_alpha_hand_over(NETWORK, self.committee, self.alpha, new.committee, deal))
        new.hold_alpha(sent(ho.hand_over_alpha(self.committee, self.alpha, new.committee, checked)))
        for purpose, public in self.scalars.items():
            deals = []
            for i in dealers:
                share = self.shares[purpose][i]
                deal = sent(sd.reshare_scalar(NETWORK, new.committee, self.node(i).member, share, random))
                ho.check_scalar_hand_over(NETWORK, self.committee, public, new.committee, deal)
                deals.append(deal)
            new.hold_scalar(sent(ho.hand_over_scalar(self.committee, public, new.committee, deals)), deals)
        return new


@dataclass
class World:
    """Nodes by name, and one source of randomness."""

    seed: str
    random: SeededRandom = field(init=False)
    members: dict[str, tuple[MemberKey, BlsSecret]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = SeededRandom(self.seed)

    def member(self, name: str) -> tuple[MemberKey, BlsSecret]:
        """A node's long-term keys; the same for the same name."""
        if name not in self.members:
            self.members[name] = (MemberKey(NODE, name, b"", b"", random_scalar(self.random)), BlsSecret.generate(self.random))
        return self.members[name]

    def holders(self, epoch: int, names: Sequence[str], absent: Iterable[int] = ()) -> Holders:
        """A committee of nodes with fresh epoch keys; ``absent`` indices post none."""
        nodes, seats = [], []
        for index, name in enumerate(names, 1):
            if index in set(absent):
                continue
            member, bls = self.member(name)
            node = Node(member, bls, SharingSecret.generate(epoch, self.random))
            message = sent(publish_sharing_key(NETWORK, member, node.secret, self.random))
            check_sharing_key(NETWORK, message, member.W)
            nodes.append(node)
            seats.append(make_seat(index, message, member.W_bytes))
        return Holders(self, nodes, sent(make_committee(epoch, len(names), seats)))


def names(count: int, first: int = 0) -> list[str]:
    """Names of nodes."""
    return [f"org{i}/node" for i in range(first, first + count)]


def make_holders(n: int = 4, seed: str = "thresholds") -> Holders:
    """A fresh committee of n with nothing dealt yet."""
    return World(f"{seed}/{n}").holders(1, names(n))


@cache
def dealt(n: int = 4) -> Holders:
    """A committee of n that holds everything; shared by tests that change nothing."""
    return make_holders(n, "dealt").deal_all()


def altered(message: Message, **parts: Any) -> Any:
    """The message with other fields."""
    return replace(message, **parts)


def resigned(node: MemberKey, message: Any, label: str, random: Callable[[int], bytes]) -> Any:
    """The message with a fresh signature of the node over everything before it."""
    return replace(message, signature=node.sign(NETWORK, label, message.to_value()[:-1], random))
