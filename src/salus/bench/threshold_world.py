"""A committee with everything dealt, for the bench of thresholds: the parties' own functions, without ledger or transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from salus.abpre.keys import SecretKey
from salus.abpre.parameters import PublicParameters
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import hand_over as ho
from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.committee import Committee, make_committee
from salus.abpre.threshold.epoch_keys import SharingSecret, make_seat, publish_sharing_key
from salus.abpre.threshold.groups import PURPOSES
from salus.consultation.registration import NODE, MemberKey
from salus.groups.ristretto255 import random_scalar
from salus.symmetric import Random

NETWORK = bytes(32)


@dataclass
class Members:
    """A committee, its nodes' keys and shares."""

    epoch: int
    random: Random
    nodes: list[MemberKey]
    secrets: list[SharingSecret]
    committee: Committee
    alpha: al.AlphaPublic | None = None
    points: list[al.PointShare] = field(default_factory=list)
    scalars: dict[str, sd.ScalarPublic] = field(default_factory=dict)
    shares: dict[str, list[sd.ScalarShare]] = field(default_factory=dict)

    @classmethod
    def seated(cls, epoch: int, n: int, random: Random) -> Members:
        """n nodes that have posted their encryption keys."""
        nodes = [MemberKey(NODE, f"org{i}/node-{epoch}", b"", b"", random_scalar(random)) for i in range(n)]
        secrets = [SharingSecret.generate(epoch, random) for _ in nodes]
        seats = [
            make_seat(i, publish_sharing_key(NETWORK, node, secret, random), node.W_bytes)
            for i, (node, secret) in enumerate(zip(nodes, secrets, strict=True), 1)
        ]
        return cls(epoch, random, nodes, secrets, make_committee(epoch, n, seats))

    @property
    def t(self) -> int:
        """The threshold."""
        return self.committee.threshold

    @property
    def public(self) -> al.AlphaPublic:
        """The sharing of alpha, which has been dealt."""
        assert self.alpha is not None
        return self.alpha

    @property
    def parameters(self) -> PublicParameters:
        """What encrypting needs."""
        return PublicParameters(self.public.Y)

    def deal_all(self) -> Members:
        """Alpha and the scalars, dealt by the first t."""
        deals = [al.make_alpha_deal(NETWORK, self.committee, node, self.random) for node in self.nodes[: self.t]]
        self.hold_alpha(al.fix_alpha(self.committee, [al.CheckedAlphaDeal.decode_unchecked(d) for d in deals]))
        for purpose in PURPOSES:
            dealt = [sd.make_scalar_deal(NETWORK, self.committee, purpose, node, self.random) for node in self.nodes[: self.t]]
            self.hold_scalar(ho.fix_scalar(self.committee, dealt), dealt)
        return self

    def hold_alpha(self, sharing: al.AlphaSharing) -> None:
        """Every node reads its share of alpha."""
        self.alpha = al.AlphaPublic(sharing)
        self.points = [
            al.open_point_share(self.committee, self.alpha, node.name, secret)
            for node, secret in zip(self.nodes, self.secrets, strict=True)
        ]

    def hold_scalar(self, sharing: sd.ScalarSharing, deals: Sequence[sd.ScalarDeal]) -> None:
        """Every node puts its share of a scalar together."""
        public = self.scalars[sharing.purpose] = sd.ScalarPublic(sharing)
        self.shares[sharing.purpose] = [
            ho.open_scalar_share(NETWORK, self.committee, public, deals, node.name, secret)
            for node, secret in zip(self.nodes, self.secrets, strict=True)
        ]

    def request(self, attributes: Sequence[str]) -> tuple[ki.KeyRequest, BoxKey]:
        """A request for a key."""
        key = BoxKey.generate(self.random)
        return ki.make_key_request(self.epoch, "org/reader", attributes, key), key

    def issue(self, request: ki.KeyRequest, place: int) -> ki.IssuedPartial:
        """One node's partial key."""
        return ki.issue_partial_key(NETWORK, self.committee, request, self.points[place], self.nodes[place], self.random)

    def key(self, *attributes: str) -> SecretKey:
        """A key issued by the first t."""
        request, key = self.request(attributes)
        issued = [self.issue(request, place) for place in range(self.t)]
        made = kc.collect_key(NETWORK, self.committee, self.public, request, key, issued, self.random).key
        assert made is not None
        return made
