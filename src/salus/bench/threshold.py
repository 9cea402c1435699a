"""Thresholds by committee size: issuing a key, a re-encryption end to end, the deals, and a hand-over with live delegations.

One core. "End to end" is the critical path: one node's work (nodes work side by side) and the requester's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from salus import _native
from salus.abpre.capsules import VerifiedCapsule
from salus.abpre.checking import check
from salus.abpre.encapsulation import encapsulate
from salus.abpre.hashing import table_g1
from salus.abpre.keys import SecretKey
from salus.abpre.language import parse
from salus.abpre.opening import open_delta
from salus.abpre.rekeys import Coins
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import delegations as dg
from salus.abpre.threshold import hand_over as ho
from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import partials as pt
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.groups import PURPOSES, Z
from salus.abpre.threshold.transforming import transform_and_open
from salus.bench.model import Cell, Context, Part, Plot, Section, Target
from salus.bench.threshold_world import NETWORK, Members
from salus.bench.timing import best_ms, best_of_fresh_ms
from salus.groups.bls12_381 import decode_g1_batch, g1_encode_batch, random_fr
from salus.symmetric import Random

SIZES: Final = (4, 7, 13, 31)
ATTRIBUTES: Final = tuple(f"attr:x{i}@2026" for i in range(10))
LIVE_DELEGATIONS: Final = 10_000
SCOPE: Final = "own:" + "5c" * 32
READER: Final = "inst:reader"
_EXPIRES_MS: Final = 2_000_000_000_000
_SAMPLE: Final = 3
"""Delegations of before a hand-over that are served after it, to see that they are."""
_ATTACHMENT_LIMIT: Final = 1.5
"""What a live delegation adds to a new member's work, over the decoding of its one point; the digest is the rest."""


_TABLES: Final = (
    (
        "threshold-issuing",
        f"Issuing a key of {len(ATTRIBUTES)} attributes",
        "nodes threshold node_ms requester_ms requester_each_checked_ms end_to_end_ms end_to_end_each_checked_ms received_bytes",
        "Requester: opens t boxes, combines, checks the result against Y and re-randomises; or checks every partial key too.",
    ),
    (
        "threshold-re-encryption",
        "A re-encryption",
        "nodes threshold owner_ms delegation_check_ms node_ms reader_ms reader_proofs_checked_ms end_to_end_ms"
        " end_to_end_proofs_checked_ms received_bytes",
        "Owner and check once for a delegation; node and reader for each record. The reader combines and trusts the match test,"
        " or checks every node's proof too. The record's policy is the scope alone; delta is opened already.",
    ),
    (
        "threshold-deals",
        "Deals",
        "nodes value deal_bytes deal_ms check_ms open_share_ms",
        "One dealer's deal; everyone's check of it; a node's share from t of them.",
    ),
    (
        "threshold-hand-over",
        f"Hand-over to a new committee of the same size with {LIVE_DELEGATIONS:,} live delegations",
        "nodes all_deals_bytes dealer_ms checks_ms combine_ms member_shares_ms attachments_bytes attachments_ms"
        " ms_for_each_delegation sampled_delegations_served",
        "alpha, z and the keyword key together: one old member's deals, everyone's check of those of t old members, their"
        " combination, a new member's shares. Attachments: what a new member fetches and checks, before it is active.",
    ),
)
"""Key, title, columns and note of each table."""


@contextmanager
def _one_core() -> Iterator[None]:
    wanted = _native.threads()
    _native.set_threads(1)
    try:
        yield
    finally:
        _native.set_threads(wanted)


def thresholds(context: Context) -> Part:
    """All figures; committees of 4 and 7 only in a quick run."""
    sizes = SIZES[:2] if context.quick else SIZES
    repeats = 1 if context.quick else 7
    with _one_core():
        members = {n: Members.seated(1, n, context.random).deal_all() for n in sizes}
        issued = [_issuing(members[n], n, repeats) for n in sizes]
        turned = [_re_encryption(members[n], n, repeats) for n in sizes]
        dealt = [row for n in sizes for row in _deals(members[n], n, 1 if n > SIZES[2] else repeats)]
        moved, targets = _hand_overs(context, members, sizes)
    sections = tuple(
        Section(key, title, tuple(columns.split()), tuple(rows), (note,))
        for (key, title, columns, note), rows in zip(_TABLES, (issued, turned, dealt, moved), strict=True)
    )
    return Part(sections, targets, (_plot(sizes, issued, turned),))


def _issuing(members: Members, n: int, repeats: int) -> tuple[Cell, ...]:
    request, key = members.request(ATTRIBUTES)
    node_ms = best_ms(lambda: members.issue(request, 0), repeats)
    partials = [members.issue(request, place) for place in range(members.t)]

    def collect(each: bool) -> kc.CollectedKey:
        made = kc.collect_key(NETWORK, members.committee, members.public, request, key, partials, members.random, check_each=each)
        assert made.key is not None
        return made

    fast_ms, each_ms = best_ms(lambda: collect(False), repeats), best_ms(lambda: collect(True), repeats)
    size = sum(len(p.encode()) for p in partials)
    return (n, members.t, node_ms, fast_ms, each_ms, node_ms + fast_ms, node_ms + each_ms, size)


@dataclass
class _Share:
    """A record, a delegation of its scope, and what its reader has."""

    k: bytes
    capsule: VerifiedCapsule
    delegation: dg.CheckedDelegation
    c: bytes
    delta: bytes
    key: BoxKey

    @classmethod
    def make(cls, members: Members, random: Random) -> _Share:
        """A fresh one of a committee."""
        k, owner, reader = random(32), members.key(SCOPE), members.key(READER)
        capsule = check(encapsulate(members.parameters, parse(SCOPE), k, b"", random), b"")
        sealed, c = _delegate(members, owner)
        delegation = dg.check_delegation(NETWORK, sealed)
        delta = open_delta(members.parameters, reader, delegation.rk4)
        return cls(k, capsule, delegation, c, delta, BoxKey.generate(random))

    def target(self, members: Members) -> pt.ShareTarget:
        """What the share is about, for a committee."""
        return pt.make_target(NETWORK, members.epoch, bytes(32), self.delegation, self.capsule, self.key.Er)

    def partial(self, members: Members, place: int) -> pt.PartialTransformation:
        """A node's part."""
        share, node = members.shares[Z][place], members.nodes[place]
        return pt.make_partial(members.committee, self.target(members), share, self.c, node, members.random)

    def open(self, members: Members, partials: Sequence[pt.PartialTransformation], each: bool) -> bytes | None:
        """What the reader gets."""
        public, random = members.scalars[Z], members.random
        done = transform_and_open(
            members.committee,
            self.target(members),
            public,
            members.parameters,
            self.delta,
            self.key,
            partials,
            random,
            check_each=each,
        )
        return done.key


def _delegate(members: Members, owner: SecretKey) -> tuple[dg.SealedDelegation, bytes]:
    random = members.random
    coins, Z_ = Coins.draw(random), members.scalars[Z].key
    return dg.seal_delegation(NETWORK, 1, members.parameters, Z_, owner, SCOPE, parse(READER), _EXPIRES_MS, coins, random)


def _re_encryption(members: Members, n: int, repeats: int) -> tuple[Cell, ...]:
    share, owner = _Share.make(members, members.random), members.key(SCOPE)
    owner_ms = best_ms(lambda: _delegate(members, owner), repeats)
    check_ms = best_ms(lambda: dg.check_delegation(NETWORK, share.delegation.message), repeats)
    node_ms = best_ms(lambda: share.partial(members, 0), repeats)
    partials = [share.partial(members, place) for place in range(members.t)]
    fast_ms = best_ms(lambda: share.open(members, partials, False), repeats)
    each_ms = best_ms(lambda: share.open(members, partials, True), repeats)
    size = sum(len(p.encode()) for p in partials)
    return (n, members.t, owner_ms, check_ms, node_ms, fast_ms, each_ms, node_ms + fast_ms, node_ms + each_ms, size)


def _deals(members: Members, n: int, repeats: int) -> list[tuple[Cell, ...]]:
    committee, node, secret, random = members.committee, members.nodes[0], members.secrets[0], members.random
    deal = al.make_alpha_deal(NETWORK, committee, node, random)
    rows: list[tuple[Cell, ...]] = [
        (
            n,
            "alpha",
            len(deal.encode()),
            best_ms(lambda: al.make_alpha_deal(NETWORK, committee, node, random), repeats),
            best_ms(lambda: al.check_alpha_deal(NETWORK, committee, deal), repeats),
            best_of_fresh_ms(
                lambda: al.AlphaPublic(members.public.sharing),
                lambda public: al.open_point_share(committee, public, node.name, secret),
                repeats,
            ),
        )
    ]
    for purpose in PURPOSES:
        dealt = [sd.make_scalar_deal(NETWORK, committee, purpose, dealer, random) for dealer in members.nodes[: members.t]]
        sharing = ho.fix_scalar(committee, dealt)
        rows.append(
            (
                n,
                purpose,
                len(dealt[0].encode()),
                best_ms(lambda p=purpose: sd.make_scalar_deal(NETWORK, committee, p, node, random), repeats),  # type: ignore[misc]
                best_ms(lambda d=dealt[0]: sd.check_scalar_deal(NETWORK, committee, d), repeats),  # type: ignore[misc]
                best_of_fresh_ms(
                    lambda s=sharing: sd.ScalarPublic(s),  # type: ignore[misc]
                    lambda public, d=dealt: ho.open_scalar_share(NETWORK, committee, public, d, node.name, secret),  # type: ignore[misc]
                    repeats,
                ),
            )
        )
    return rows


def _hand_overs(
    context: Context, members: dict[int, Members], sizes: Sequence[int]
) -> tuple[list[tuple[Cell, ...]], tuple[Target, ...]]:
    count = LIVE_DELEGATIONS // 100 if context.quick else LIVE_DELEGATIONS
    random = context.random
    # Of a live delegation a new member needs id, digest and c, nothing else; no deal has anything to do with one.
    c = g1_encode_batch(table_g1().mul_batch([random_fr(random) for _ in range(count)]))
    ids = [random(32) for _ in range(count)]
    live = [(i, dg.digest_of_c(NETWORK, i, one), one) for i, one in zip(ids, c, strict=True)]
    attachments_ms = best_ms(lambda: dg.check_attachments(NETWORK, live), 1 if context.quick else 3)
    decoding_ms = best_ms(lambda: decode_g1_batch(c), 1 if context.quick else 3)
    rows: list[tuple[Cell, ...]] = []
    for n in sizes:
        *costs, served = _hand_over(members[n], n)
        rows.append((*costs, 48 * count, attachments_ms, attachments_ms / count, f"{served} of {_SAMPLE}"))
    name = "a new member's work for a live delegation, over decoding one point"
    return rows, (Target(name, attachments_ms / decoding_ms, _ATTACHMENT_LIMIT),)


def _hand_over(old: Members, n: int) -> tuple[int, int, float, float, float, float, int]:
    """(nodes, bytes, one dealer, all checks, combination, one member's shares), alpha and the scalars together; then how many
    delegations of before are served after.
    """
    new, random = Members.seated(2, n, old.random), old.random
    shares = [_Share.make(old, random) for _ in range(_SAMPLE)]
    dealers = range(old.t)

    def deal_alpha(place: int) -> al.AlphaDeal:
        return al.reshare_alpha(NETWORK, new.committee, old.nodes[place], old.points[place], old.public, random)

    def deal_scalars(place: int) -> list[sd.ScalarDeal]:
        return [sd.reshare_scalar(NETWORK, new.committee, old.nodes[place], old.shares[p][place], random) for p in PURPOSES]

    dealer_ms = best_ms(lambda: (deal_alpha(0), deal_scalars(0)), 1)
    alpha, scalars = [deal_alpha(i) for i in dealers], [deal_scalars(i) for i in dealers]

    def check_all() -> list[al.CheckedAlphaDeal]:
        for place in dealers:
            for purpose, deal in zip(PURPOSES, scalars[place], strict=True):
                ho.check_scalar_hand_over(NETWORK, old.committee, old.scalars[purpose], new.committee, deal)
        return [ho.check_alpha_hand_over(NETWORK, old.committee, old.public, new.committee, deal) for deal in alpha]

    by_purpose = [[dealt[i] for dealt in scalars] for i in range(len(PURPOSES))]

    def combine() -> tuple[al.AlphaSharing, list[sd.ScalarSharing]]:
        fixed = [
            ho.hand_over_scalar(old.committee, old.scalars[p], new.committee, d)
            for p, d in zip(PURPOSES, by_purpose, strict=True)
        ]
        return ho.hand_over_alpha(old.committee, old.public, new.committee, checked), fixed

    checks_ms = best_ms(check_all, 1)
    checked = check_all()
    combine_ms = best_ms(combine, 1)
    sharing, fixed = combine()

    def read() -> None:
        name, secret = new.nodes[0].name, new.secrets[0]
        al.open_point_share(new.committee, al.AlphaPublic(sharing), name, secret)
        for one, deals in zip(fixed, by_purpose, strict=True):
            ho.open_scalar_share(NETWORK, new.committee, sd.ScalarPublic(one), deals, name, secret)

    size = sum(len(d.encode()) for d in alpha) + sum(len(d.encode()) for dealt in scalars for d in dealt)
    read_ms = best_ms(read, 1)
    new.hold_alpha(sharing)
    for one, deals in zip(fixed, by_purpose, strict=True):
        new.hold_scalar(one, deals)
    served = sum(share.open(new, [share.partial(new, place) for place in range(new.t)], False) == share.k for share in shares)
    return (n, size, dealer_ms, checks_ms, combine_ms, read_ms, served)


def _plot(sizes: Sequence[int], issued: Sequence[tuple[Cell, ...]], turned: Sequence[tuple[Cell, ...]]) -> Plot:
    def column(rows: Sequence[tuple[Cell, ...]], at: int) -> tuple[float, ...]:
        return tuple(float(row[at] or 0) for row in rows)

    series = (
        ("a key", column(issued, 5)),
        ("a key, every partial checked", column(issued, 6)),
        ("a re-encryption", column(turned, 7)),
        ("a re-encryption, every proof checked", column(turned, 8)),
    )
    return Plot(
        "threshold", "End to end by committee size, one core", "ms", series, "lines", x=tuple(map(float, sizes)), x_label="nodes"
    )
