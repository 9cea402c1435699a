"""What an institution does as a reader: its attributes and their keys, requests to share, opening what was granted.

Steps: docs/protocol/sharing-ledger.md, "keys" and "shares"; docs/protocol/sharing-thresholds.md, "partial transformations".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from salus.abpre.attributes import own_attribute, with_year
from salus.abpre.explain import explain, is_satisfied
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
from salus.errors import Refused, TransportError, refuse_unless
from salus.ledger.kinds.sharing import lists
from salus.ledger.kinds.sharing.attributes import HeldAttribute, held_attributes, holds
from salus.ledger.kinds.sharing.committee_state import committee_of, scalar_public
from salus.ledger.kinds.sharing.delegations import DELEGATIONS, Delegation
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member
from salus.ledger.kinds.sharing.messages.keys import KeyAsked
from salus.ledger.kinds.sharing.messages.shares import EMERGENCY, ITEMS_MAX, ShareItem, ShareRequest
from salus.ledger.kinds.sharing.records import capsule_of, find_record, sharing_policy
from salus.ledger.kinds.sharing.scopes import find_scope
from salus.ledger.kinds.sharing.share_state import GRANTED, SHARES, Share, decide, find_share, share_id, target_of
from salus.ledger.kinds.sharing.shares import seal_reason
from salus.ledger.reading import prove_reader
from salus.ledger.sharing_api import PARTIAL, PartialRequest
from salus.ledger.state import StateView
from salus.symmetric import Random
from salus.terminal.bodies import Progress, no_progress
from salus.terminal.sharing.bodies import RecordBodies
from salus.terminal.sharing.entries import AttributeKey, ShareEntry
from salus.terminal.sharing.keys import KeyDesk
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.reading import Opened, Reading, verified_capsule
from salus.terminal.sharing.shelf import Shelf
from salus.terminal.wallet import Wallet

CANDIDATES_MAX: Final = 4096
"""Newest delegations of a scope that are looked at for one that lets this reader through."""
_OPEN: Final = ("asked", "approved")


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

    def request(self, rids: Sequence[bytes], purpose: str, emergency: str = "") -> list[ShareEntry]:
        """Ask for records; each by its policy, else by a delegation that lets this institution through, else of the owner.

        :param emergency: reason; then an emergency delegation is taken, and the owner sees it at once.
        :raises Refused: ``unknown-record``, ``bad-purpose``, ``suspended``, ``limit``.
        """
        refuse_unless(1 <= len(rids) <= ITEMS_MAX, "too-large", f"ask for 1 to {ITEMS_MAX} records at a time")
        view, box = self._nodes.view(), BoxKey.generate(self._random)
        items = tuple(self._item(view, rid, emergency) for rid in dict.fromkeys(rids))
        draft = ShareRequest(self.name, None, items, EMERGENCY if emergency else purpose, box.Er, UNSIGNED)
        message = signed_by_member(self._nodes.network, draft, self._member, self._random)
        request = transaction_hash(message.encode())
        # The one-time key is durable before the request leaves: partials are boxed to it.
        self._wallet.one_time.put(_one_time(request), box.export_secret())
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
            self._wallet.one_time.erase(_one_time(request))
            raise
        return entries

    def _item(self, view: StateView, rid: bytes, emergency: str) -> ShareItem:
        record = find_record(view, rid)
        reason = None
        if emergency:
            V = find_scope(view, record.scope).V
            reason = seal_reason(self._nodes.network, self.name, rid, V, emergency, self._random)
        return ShareItem(rid, self._way(view, rid, bool(emergency)), reason)

    def _way(self, view: StateView, rid: bytes, emergency: bool) -> bytes | None:
        """The delegation through which to ask, None for by policy or of the owner.

        If no delegation lets this institution through, one that once did or misses little is named: the denial then says why.
        """
        record, time_ms = find_record(view, rid), self._nodes.ledger.time_ms
        if not emergency and decide(view, time_ms, self.name, record, None, emergency=False) == "policy":
            return None
        count = lists.length(view, lists.SCOPE_DELEGATIONS, record.scope)
        start = max(0, count - CANDIDATES_MAX)
        for delegation in reversed(list(lists.items(view, lists.SCOPE_DELEGATIONS, record.scope, start, count))):
            outcome = decide(view, time_ms, self.name, record, delegation, emergency=emergency)
            if outcome == (EMERGENCY if emergency else "delegation"):
                return delegation
        return None

    # --- looking and opening ---

    def shares(self) -> list[ShareEntry]:
        """Everything that was asked for, oldest first."""
        return sorted(self._shelf.all("share-", ShareEntry), key=lambda s: (s.asked_ms, s.share))

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
            _refuse(found)
        view = self._nodes.view()
        record = find_record(view, found.rid)
        verified = verified_capsule(view, self._nodes.network, record)
        transformed_by: tuple[str, ...] = ()
        liars: tuple[str, ...] = ()
        if found.delegation is None:
            policy = sharing_policy(verified.capsule.message())
            refuse_unless(policy is not None, "unsatisfied", "the record has no sharing policy any more; ask again")
            key = decapsulate(self._nodes.parameters(view), self.key_for(verified.capsule.policy), verified)
        else:
            opened, transformed_by, liars = self._transformed(view, share, found)
            key = opened
        reader = self.reading.open(
            view, record, key,
            lambda party: prove_reader(self._nodes.network, self._member, record.rid, share, party, self._now_ms(), self._random),
        )  # fmt: skip
        return Received(found, self.reading.write(reader, out, progress), reader, transformed_by, liars)

    def _transformed(self, view: StateView, share: bytes, found: Share) -> tuple[bytes, tuple[str, ...], tuple[str, ...]]:
        """k of a share through a delegation (partial transformations, steps 5 to 9)."""
        nodes, epoch = self._nodes, self._nodes.epoch(view)
        target = target_of(view, nodes.network, share, epoch)
        delta = open_delta(nodes.parameters(view), self.key_for(target.delegation.rk4.capsule.policy), target.delegation.rk4)
        box = BoxKey.from_secret(self._wallet.one_time.get(_one_time(found.request)))
        committee, public = committee_of(view, epoch), scalar_public(view, epoch, Z)
        partials: dict[str, PartialTransformation] = {}
        liars: set[str] = set()

        def look() -> Transformed | None:
            asked = PartialRequest(share)
            for name, partial in nodes.answers(view, PARTIAL, asked, PartialTransformation.decode):
                partials[name] = partial
            if len(partials) < committee.threshold:
                return None
            made = transform_and_open(
                committee, target, public, nodes.parameters(view), delta, box, list(partials.values()), self._random
            )
            liars.update(e.partial.node for e in made.evidence)
            with contextlib.suppress(Refused, TransportError):
                self._keys.report(made.evidence)
            return made if made.key is not None else None

        made = nodes.ledger.wait(look, "partials of a quorum of nodes")
        assert made.key is not None
        return made.key, tuple(committee.seat(index).name for index in made.used), tuple(sorted(liars))

    def resume(self) -> list[ShareEntry]:
        """Forget requests that were interrupted before they were committed."""
        view = self._nodes.view()
        for entry in self.shares():
            if SHARES.get(view, entry.share) is None and self._now_ms() - entry.asked_ms > FORGET_MS:
                self._shelf.remove(f"share-{entry.share.hex()}")
                self._wallet.one_time.erase(_one_time(entry.request))
        return []


FORGET_MS: Final = 3600 * 1000
"""After so long a request that is not on the ledger was never committed."""


def delegations_of(view: StateView, scope: bytes) -> list[tuple[bytes, Delegation]]:
    """The newest delegations of a scope, with their ids."""
    count = lists.length(view, lists.SCOPE_DELEGATIONS, scope)
    found: list[tuple[bytes, Delegation]] = []
    for name in lists.items(view, lists.SCOPE_DELEGATIONS, scope, max(0, count - CANDIDATES_MAX), count):
        record = DELEGATIONS.get(view, name)
        if record is not None:
            found.append((name, record))
    return found


def access_of(view: StateView, institution: str, rid: bytes, time_ms: int) -> dict[str, Any]:
    """Who may open a record, as one institution: by policy, through which delegations, or what is missing."""
    record = find_record(view, rid)
    policy = sharing_policy_of(view, record.rid)
    held = holds(view, institution, policy.attributes, time_ms) if policy is not None else set()
    ways = []
    for name, delegation in delegations_of(view, record.scope):
        outcome = decide(view, time_ms, institution, record, name, emergency=delegation.is_emergency())
        wanted = delegation.policy()
        found = explain(wanted, holds(view, institution, wanted.attributes, time_ms))
        ways.append((name, delegation, outcome, found))
    return {
        "scope": own_attribute(record.scope),
        "policy": policy,
        "by_policy": None if policy is None else explain(policy, held),
        "outcome": decide(view, time_ms, institution, record, None, emergency=False),
        "ways": ways,
    }


def sharing_policy_of(view: StateView, rid: bytes) -> Policy | None:
    """The sharing policy of a record that is not erased."""
    return sharing_policy(capsule_of(view, rid))


def _all_of(held: Iterable[HeldAttribute]) -> list[str]:
    found: set[str] = set()
    for one in held:
        years = range(one.first_year, one.last_year + 1) if one.first_year else ()
        found.update((with_year(one.atom, year) for year in years) if one.first_year else (one.atom,))
    return sorted(found)


def _one_time(request: bytes) -> str:
    return f"share-{request.hex()[:32]}"


def _refuse(share: Share) -> None:
    if share.status == "denied":
        raise Refused(share.reason or "not-granted", "the share was denied")
    raise Refused("not-granted", f"the share is {share.status}: the owner has not consented yet")
