"""What an institution does as a reader: its attributes and their keys, requests to share, opening what was granted.

Steps: docs/protocol/sharing-ledger.md, "keys" and "shares"; docs/protocol/sharing-thresholds.md, "partial transformations".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from salus.abpre.attributes import with_year
from salus.abpre.explain import is_satisfied
from salus.abpre.keys import SecretKey
from salus.abpre.opening import decapsulate, open_delta
from salus.abpre.policy import Policy
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.groups import Z
from salus.abpre.threshold.key_issuing import REQUEST_ATTRIBUTES_MAX, KeyRequest
from salus.abpre.threshold.partials import PartialTransformation
from salus.abpre.threshold.transforming import Transformed, transform_and_open
from salus.consensus.block import transaction_hash
from salus.consultation.registration import MemberKey
from salus.errors import REASONS, Refused, TransportError, refuse_unless
from salus.ledger.kinds.sharing.attributes import HeldAttribute, held_attributes, holds
from salus.ledger.kinds.sharing.committee_state import committee_of, scalar_public
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.keys import KeyAsked
from salus.ledger.kinds.sharing.messages.shares import EMERGENCY, ITEMS_MAX, WAITING, ShareItem, ShareRequest
from salus.ledger.kinds.sharing.records import Record, find_record, sharing_policy
from salus.ledger.kinds.sharing.scopes import find_scope
from salus.ledger.kinds.sharing.share_state import (
    DENIED,
    GRANTED,
    SHARES,
    Share,
    check_servable,
    decide,
    find_share,
    share_id,
    target_of,
)
from salus.ledger.kinds.sharing.shares import seal_reason
from salus.ledger.reading import prove_reader
from salus.ledger.sharing_api import PARTIAL, PartialRequest
from salus.ledger.state import StateView
from salus.symmetric import Random
from salus.terminal.bodies import Progress, no_progress
from salus.terminal.sharing.access import Obstacle, delegations_of, obstacles, told
from salus.terminal.sharing.bodies import RecordBodies
from salus.terminal.sharing.entries import AttributeKey, ShareEntry
from salus.terminal.sharing.keys import KeyDesk
from salus.terminal.sharing.nodes import Nodes, raise_if_agreed
from salus.terminal.sharing.reading import Opened, Reading, verified_capsule
from salus.terminal.sharing.requests import Requests, one_time_name
from salus.terminal.sharing.shelf import Shelf
from salus.terminal.wallet import Wallet

_OPEN: Final = ("asked", "approved")
READING_TRIES: Final = 3
"""Readings of a record that its owner changes at the same time."""


class Received(msgspec.Struct, frozen=True):
    """A record that was shared and opened.

    :ivar transformed_by: nodes whose partials opened it; empty by policy. :ivar liars: nodes convicted of a false partial.
    """

    share: Share
    path: Path
    opened: Opened
    transformed_by: tuple[str, ...]
    liars: tuple[str, ...]


class InstitutionTerminal:
    """One institution as a reader.

    :param now_ms: clock, UTC milliseconds.
    """

    def __init__(
        self,
        wallet: Wallet,
        shelf: Shelf,
        nodes: Nodes,
        keys: KeyDesk,
        bodies: RecordBodies,
        member: MemberKey,
        now_ms: Callable[[], int],
        random: Random,
    ) -> None:
        self._wallet = wallet
        self._shelf = shelf
        self._nodes = nodes
        self._keys = keys
        self._member = member
        self._now_ms = now_ms
        self._random = random
        self.reading = Reading(nodes, bodies, wallet.directory, random)
        self.requests = Requests(wallet, shelf, nodes, keys, member.name, now_ms)

    @property
    def name(self) -> str:
        """Name on the ledger."""
        return self._member.name

    # --- attributes ---

    def attributes(self) -> tuple[HeldAttribute, ...]:
        """Live grants of this institution."""
        view = self._nodes.view()
        return held_attributes(view, self.name, self._nodes.ledger.time_ms)

    def attribute_keys(self) -> list[SecretKey]:
        """Keys of attributes that were issued, newest first."""
        found = sorted(self._shelf.all("key-", AttributeKey), key=lambda k: k.issued_ms, reverse=True)
        return [SecretKey.from_message(entry.key) for entry in found]

    def attributes_without_key(self) -> list[str]:
        """Attributes, with their years, that are granted and in none of the keys at hand."""
        held = {x for key in self.attribute_keys() for x in key.attributes}
        return [x for x in _all_of(self.attributes()) if x not in held]

    def request_key(self, attributes: Iterable[str] = ()) -> SecretKey:
        """Get a key of attributes, by default of every one that is granted, with every year that the grants cover.

        A key cannot be put together from two: what is to satisfy a policy together is asked for together.

        :raises Refused: ``no-attribute``, ``too-large``, ``limit``, ``no-quorum``.
        """
        wanted = sorted(set(attributes)) or _all_of(self.attributes())
        refuse_unless(bool(wanted), "no-attribute", f"the centre has granted {self.name} no attribute; see: salus attribute list")
        fits = len(wanted) <= REQUEST_ATTRIBUTES_MAX
        refuse_unless(fits, "too-large", f"{len(wanted)} attributes with their years; name at most {REQUEST_ATTRIBUTES_MAX}")

        def sign(core: KeyRequest) -> KeyAsked:
            return signed_by_member(self._nodes.network, KeyAsked(core, UNSIGNED), self._member, self._random)

        key = self._keys.ask(self.name, wanted, sign)
        number = self._shelf.count("key-")
        self._shelf.put(f"key-{number:06}", AttributeKey(key.message(), self._now_ms()))
        return key

    def key_for(self, policy: Policy) -> SecretKey:
        """A key that satisfies a policy; asked for if none at hand does and the grants would.

        :raises Refused: ``unsatisfied``.
        """
        for key in self.attribute_keys():
            if is_satisfied(policy, key.attributes):
                return key
        held = holds(self._nodes.view(), self.name, policy.attributes, self._nodes.ledger.time_ms)
        refuse_unless(is_satisfied(policy, held), "unsatisfied", f"{self.name} does not hold the attributes of the policy")
        granted = _all_of(self.attributes())
        return self.request_key(granted if len(granted) <= REQUEST_ATTRIBUTES_MAX else held)

    # --- asking ---

    def request(self, rids: Sequence[bytes], purpose: str, emergency: str = "", through: bytes | None = None) -> list[ShareEntry]:
        """Ask for records; each by its policy, else by a delegation that lets this institution through, else of the owner.

        :param emergency: reason; then an emergency delegation is taken, and the owner sees it at once.
        :param through: this delegation and nothing else: a definite answer, with its reason, in place of a question to the owner.
        :raises Refused: ``unknown-record``, ``record-erased``, ``bad-purpose``, ``suspended``, ``limit``.
        """
        refuse_unless(1 <= len(rids) <= ITEMS_MAX, "too-large", f"ask for 1 to {ITEMS_MAX} records at a time")
        view, box = self._nodes.view(), BoxKey.generate(self._random)
        items = tuple(self._item(view, rid, emergency, through) for rid in dict.fromkeys(rids))
        draft = ShareRequest(self.name, None, items, EMERGENCY if emergency else purpose, box.Er, UNSIGNED)
        message = signed_by_member(self._nodes.network, draft, self._member, self._random)
        request = transaction_hash(message.encode())
        # The one-time key is durable before the request leaves: partials are boxed to it.
        self._wallet.one_time.put(one_time_name(request), box.export_secret())
        entries = [
            ShareEntry(share_id(self._nodes.network, request, i), request, item.rid, draft.purpose, self._now_ms())
            for i, item in enumerate(items)
        ]
        for entry in entries:
            self._shelf.put(f"share-{entry.share.hex()}", entry)
        try:
            self._nodes.submit(message)
        except Refused:
            for entry in entries:
                self._shelf.remove(f"share-{entry.share.hex()}")
            self._wallet.one_time.erase(one_time_name(request))
            raise
        return entries

    def _item(self, view: StateView, rid: bytes, emergency: str, through: bytes | None) -> ShareItem:
        record = find_record(view, rid)
        reason = None
        if emergency:
            V = find_scope(view, record.scope).V
            reason = seal_reason(self._nodes.network, self.name, rid, V, emergency, self._random)
        return ShareItem(rid, self._way(view, rid, bool(emergency)) if through is None else through, reason)

    def _way(self, view: StateView, rid: bytes, emergency: bool) -> bytes | None:
        """The delegation through which to ask; None for by policy, or of the owner."""
        record, time_ms = find_record(view, rid), self._nodes.ledger.time_ms
        if not emergency and decide(view, time_ms, self.name, record, None, emergency=False) == "policy":
            return None
        for delegation, _ in delegations_of(view, record.scope):
            outcome = decide(view, time_ms, self.name, record, delegation, emergency=emergency)
            if outcome == (EMERGENCY if emergency else "delegation"):
                return delegation
        return None

    def ways(self, rid: bytes) -> list[bytes]:
        """Delegations of a record's scope, open to this institution or not, the newest first."""
        view = self._nodes.view()
        return [name for name, _ in delegations_of(view, find_record(view, rid).scope)]

    def obstacles(self, share: Share) -> tuple[Obstacle, ...]:
        """What stands between this institution and a share that was not granted, as the ledger is now."""
        emergency = bool(share.emergency)
        time_ms = self._nodes.ledger.time_ms
        return obstacles(self._nodes.view(), self.name, share.rid, time_ms, emergency=emergency, through=share.delegation)

    # --- looking and opening ---

    def shares(self) -> list[ShareEntry]:
        """Everything that was asked for, oldest first."""
        return self.requests.entries()

    def share(self, share: bytes) -> Share | None:
        """What the ledger says of a share, None if its request was never committed."""
        return SHARES.get(self._nodes.view(), share)

    def decided(self, share: bytes) -> Share:
        """Wait until a share is decided: granted, denied, or waiting for its owner.

        :raises TransportError: it is not, in time.
        """

        def look() -> Share | None:
            found = find_share(self._nodes.view(), share)
            return None if found.status in _OPEN else found

        return self._nodes.ledger.wait(look, "the decision on the share")

    def get(self, share: bytes, out: Path | None = None, progress: Progress = no_progress) -> Received:
        """Open a granted share: the record's key by policy or from t partials, then metadata and body.

        :raises Refused: ``not-granted`` with what it is instead, a denial's reason, ``unsatisfied``, ``erased`` (its one-time key
            is gone), ``no-quorum``, ``bad-delegation``, ``bad-body``.
        """
        found = self.decided(share)
        if found.status != GRANTED:
            raise _closed(found, self.obstacles(found))
        for tries_left in reversed(range(READING_TRIES)):
            view = self._nodes.view()
            check_servable(view, share, self.name, found.rid, self._nodes.ledger.time_ms)  # nodes and clouds would say no more
            record = find_record(view, found.rid)
            try:
                return self._read(view, share, found, record, out, progress)
            except Refused:
                # Its owner may have put it under another policy or rotated it in between: then it is read as it is now.
                changed = find_record(self._nodes.view(), found.rid).version != record.version
                if not tries_left or not changed:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    def _read(
        self, view: StateView, share: bytes, found: Share, record: Record, out: Path | None, progress: Progress
    ) -> Received:
        """Read a record as it is in one state of the ledger."""
        verified = verified_capsule(view, self._nodes.network, record)
        transformed_by: tuple[str, ...] = ()
        liars: tuple[str, ...] = ()
        if found.delegation is None:
            policy = sharing_policy(verified.capsule.message())
            refuse_unless(policy is not None, "unsatisfied", "the record has no sharing policy any more; ask again")
            key = decapsulate(self._nodes.parameters(view), self.key_for(verified.capsule.policy), verified)
        else:
            key, transformed_by, liars = self._transformed(view, share, found, record)
        reader = self.reading.open(
            view, record, key,
            lambda party: prove_reader(self._nodes.network, self._member, record.rid, share, party, self._now_ms(), self._random),
        )  # fmt: skip
        return Received(found, self.reading.write(reader, out, progress), reader, transformed_by, liars)

    def _transformed(
        self, view: StateView, share: bytes, found: Share, record: Record
    ) -> tuple[bytes, tuple[str, ...], tuple[str, ...]]:
        """k of a share through a delegation (partial transformations, steps 5 to 9)."""
        nodes, epoch = self._nodes, self._nodes.epoch(view)
        target = target_of(view, nodes.network, share, epoch)
        name = one_time_name(found.request)
        gone = "the request's one-time key is not in this wallet, nor in any backup; ask again: salus share request"
        refuse_unless(self._wallet.one_time.has(name), "erased", gone)
        box = BoxKey.from_secret(self._wallet.one_time.get(name))
        delta = open_delta(nodes.parameters(view), self.key_for(target.delegation.rk4.capsule.policy), target.delegation.rk4)
        committee, public = committee_of(view, epoch), scalar_public(view, epoch, Z)
        partials: dict[str, PartialTransformation] = {}
        refusals: list[Refused] = []

        def look() -> Transformed | None:
            refusals.clear()
            asked = PartialRequest(share)
            for name, partial in nodes.answers(view, PARTIAL, asked, PartialTransformation.decode, refusals):
                partials[name] = partial
            if len(partials) < committee.threshold:
                raise_if_agreed(refusals, committee)
                return None
            made = transform_and_open(
                committee, target, public, nodes.parameters(view), delta, box, list(partials.values()), self._random
            )
            self._keys.report(made.evidence)
            if made.key is None:
                same = find_record(nodes.view(), found.rid).capsule == record.capsule
                refuse_unless(same, "wrong-request", "the record has another capsule since")
            return made if made.key is not None else None

        try:
            made = nodes.ledger.wait(look, "partials of a quorum of nodes")
        except TransportError as error:
            silent = [seat.name for seat in committee.seats if seat.name not in partials]
            said = f"; false: {', '.join(sorted(self._keys.liars))}" if self._keys.liars else ""
            count = f"{len(partials)} of the {committee.threshold} nodes that are needed have transformed"
            raise Refused("no-quorum", f"{count}; silent: {', '.join(silent) or 'none'}{said}; {error}"[:4096]) from None
        assert made.key is not None
        used = tuple(committee.seat(index).name for index in made.used)
        return made.key, used, tuple(sorted({e.partial.node for e in made.evidence}))


def _all_of(held: Iterable[HeldAttribute]) -> list[str]:
    found: set[str] = set()
    for one in held:
        years = range(one.first_year, one.last_year + 1) if one.first_year else ()
        found.update((with_year(one.atom, year) for year in years) if one.first_year else (one.atom,))
    return sorted(found)


def _closed(share: Share, why: Sequence[Obstacle]) -> Refused:
    """Why a share cannot be opened."""
    said = "; ".join(told(obstacle) for obstacle in why)
    if share.status == DENIED and share.reason:
        about = f"the share was denied: {REASONS[share.reason]}" if share.reason in REASONS else "the share was denied"
        return Refused(share.reason if share.reason in REASONS else "not-granted", f"{about} {said}".strip())
    waits = "the request waits for its owner's consent" if share.status == WAITING else f"the share is {share.status}"
    return Refused("not-granted", f"{waits}; {said}" if said else waits)
