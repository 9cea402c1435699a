"""Snapshots: the way back for a replica that needs blocks which everyone has pruned.

1. A replica asked for pruned blocks takes a snapshot of its state, and asks everyone to sign a checkpoint there.
2. With a stable checkpoint it offers the snapshot: anchor block, checkpoint, and the validator set changes on the way.
3. The asker checks all that from the set it knows, fetches the parts in order, checks the digest, keeps the anchor on disk,
   and hands the snapshot to the application, which checks it against the certified application hash.
"""

from __future__ import annotations

import hashlib
from typing import Final

from salus.consensus.block import ValidatorSet
from salus.consensus.pbft.checkpoints import want_checkpoint
from salus.consensus.pbft.checks import check_certificate, check_stable
from salus.consensus.pbft.events import Restored, RestoreSnapshot, SnapshotRestored, SnapshotTaken, TakeSnapshot
from salus.consensus.pbft.messages import (
    MAX_SET_LINKS,
    PART_BYTES,
    UNSIGNED,
    SetLink,
    SnapshotOffer,
    SnapshotPart,
    SnapshotRequest,
)
from salus.consensus.pbft.normal import begin_height
from salus.consensus.pbft.output import Out, complain, keep_then, send, set_hash
from salus.consensus.pbft.records import AnchorRecord
from salus.consensus.pbft.state import Fetching, LastBlock, Served, State
from salus.errors import Refused, refuse_unless

MAX_SNAPSHOT_BYTES: Final = 1 << 30
"""State of several million entries; beyond that a node is set up from a copy of another's files."""
KEEP_MS: Final = 60_000
"""A snapshot that nobody asked for this long is let go."""
GIVE_UP_MS: Final = 10_000
"""Silence of the offering replica after which another offer is taken."""
STALLED_MS: Final = 60_000
"""How long others have precedence over a replica that offered a snapshot and then fell silent."""
MAX_ASKING: Final = 128
"""Replicas waiting for one snapshot."""


def offer_snapshot(s: State, out: Out, peer: str, height: int) -> None:
    """Snapshots, step 1: ``peer`` needs ``height``, which is pruned here."""
    if s.served is not None and s.served.height < height:
        s.served = None
    if s.served is None:
        if s.last.decided is None:
            return
        s.served = Served(s.last.height, b"", b"", s.last, s.validators, s.next_validators, s.now_ms)
        out.append(TakeSnapshot(s.last.height))
    s.served.used_ms = s.now_ms
    if len(s.served.asked_by) < MAX_ASKING:
        s.served.asked_by.add((peer, height))
    if s.served.data and s.served.checkpoint is None:
        want_checkpoint(s, out, s.served.height)


def on_snapshot_taken(s: State, event: SnapshotTaken, out: Out) -> None:
    """Snapshots, step 1: here it is; now its checkpoint."""
    served = s.served
    if served is None or served.height != event.height or served.data:
        return
    if not event.data:
        s.served = None
        return
    served.data, served.digest = event.data, hashlib.sha256(event.data).digest()
    want_checkpoint(s, out, served.height)


def maybe_offer(s: State, out: Out) -> None:
    """Snapshots, step 2: send the offer to everyone who waits for it."""
    served = s.served
    if served is None or not served.data:
        return
    if served.checkpoint is None and s.stable is not None and s.stable.height == served.height:
        served.checkpoint = s.stable
    if served.checkpoint is None or served.last.decided is None:
        if s.now_ms - served.used_ms > KEEP_MS:
            s.served = None
        return
    for peer, height in sorted(served.asked_by):
        links = tuple(k for k in s.links if height <= k.decided.header.height < served.height)[:MAX_SET_LINKS]
        offer = SnapshotOffer(
            s.config.name,
            served.height,
            UNSIGNED,
            len(served.data),
            served.digest,
            served.last.decided,
            served.checkpoint,
            links,
            served.validators,
            served.next_validators,
        )
        send(s, out, peer, offer)
    served.asked_by.clear()
    if s.now_ms - served.used_ms > KEEP_MS:
        s.served = None


def on_snapshot_offer(s: State, message: SnapshotOffer, out: Out) -> None:
    """Snapshots, step 3: check the offer, then ask for the first part."""
    fetching = s.fetching
    silent = fetching is not None and not fetching.restoring and s.now_ms - fetching.heard_ms > GIVE_UP_MS
    if message.height < s.height or s.deciding is not None or (fetching is not None and not silent):
        return
    if silent:
        _give_up(s)
    if message.sender in s.liars or s.now_ms - s.stalled.get(message.sender, s.now_ms - STALLED_MS) < STALLED_MS:
        return
    try:
        own_set = check_offer(s, message)
    except Refused as refusal:
        complain(s, out, refusal.reason, f"the snapshot that {message.sender} offers: {refusal.detail}")
        return
    s.fetching = Fetching(message, own_set, [], 0, s.now_ms)
    send(s, out, message.sender, SnapshotRequest(s.config.name, message.height, UNSIGNED, 0))


def check_offer(s: State, offer: SnapshotOffer) -> ValidatorSet:
    """The set of the offer's height, reached from the set of this height; everything else in the offer is borne out by it."""
    refuse_unless(0 < offer.size <= MAX_SNAPSHOT_BYTES, "too-large", f"a snapshot of {offer.size} bytes")
    validators = s.validators
    for link in offer.links:
        header, certificate = link.decided.header, link.decided.certificate
        refuse_unless(header.validators_hash == set_hash(validators), "bad-signature", "a set change of another set")
        check_certificate(s, certificate, validators, header.height, header.id())
        refuse_unless(header.next_validators_hash == set_hash(link.next_validators), "bad-signature", "another next set")
        validators = link.next_validators
    header, point = offer.anchor.header, offer.checkpoint
    refuse_unless(header.height == offer.height == point.height, "bad-encoding", "anchor and checkpoint of different heights")
    refuse_unless(header.validators_hash == set_hash(validators), "bad-signature", "the anchor is of another validator set")
    check_certificate(s, offer.anchor.certificate, validators, header.height, header.id())
    refuse_unless(point.block_id == header.id(), "bad-signature", "the checkpoint is of another block")
    check_stable(s, point, validators)
    refuse_unless(point.validators_hash == set_hash(offer.validators), "bad-signature", "another validator set")
    refuse_unless(point.next_validators_hash == set_hash(offer.next_validators), "bad-signature", "another next validator set")
    return validators


def on_snapshot_request(s: State, message: SnapshotRequest, out: Out) -> None:
    """Send one part."""
    served = s.served
    if served is None or served.height != message.height or message.offset >= len(served.data):
        return
    served.used_ms = s.now_ms
    part = served.data[message.offset : message.offset + PART_BYTES]
    send(s, out, message.sender, SnapshotPart(s.config.name, served.height, UNSIGNED, message.offset, part))


def on_snapshot_part(s: State, message: SnapshotPart, out: Out) -> None:
    """Snapshots, step 3: the next part; with the last one, keep the anchor and restore."""
    fetching = s.fetching
    if fetching is None or fetching.restoring or message.sender != fetching.offer.sender or s.deciding is not None:
        return
    offer = fetching.offer
    if (
        message.height != offer.height
        or message.offset != fetching.received
        or fetching.received + len(message.data) > offer.size
    ):
        return
    fetching.parts.append(message.data)
    fetching.received += len(message.data)
    fetching.heard_ms = s.now_ms
    if fetching.received < offer.size:
        send(s, out, message.sender, SnapshotRequest(s.config.name, offer.height, UNSIGNED, fetching.received))
        return
    data = b"".join(fetching.parts)
    if hashlib.sha256(data).digest() != offer.digest or offer.height < s.height:
        s.fetching = None
        if offer.height >= s.height:
            complain(s, out, "bad-body", f"the snapshot that {message.sender} sent is not the one it offered")
            found_out(s, message.sender)
        return
    fetching.restoring = True
    fetching.parts.clear()
    record = AnchorRecord(offer.anchor, fetching.own_set, offer.validators, offer.next_validators)
    action = RestoreSnapshot(offer.height, offer.anchor.header.time_ms, data, offer.checkpoint.application_hash)
    keep_then(s, out, record, [action])


def maybe_fetch_again(s: State, out: Out) -> None:
    """Ask again for a part that did not come; give up an offer whose sender is silent."""
    fetching = s.fetching
    if fetching is None or fetching.restoring:
        return
    if fetching.offer.height < s.height:
        s.fetching = None
    elif s.now_ms - fetching.heard_ms > GIVE_UP_MS:
        _give_up(s)
    elif s.now_ms - fetching.heard_ms > s.config.resend_ms:
        send(s, out, fetching.offer.sender, SnapshotRequest(s.config.name, fetching.offer.height, UNSIGNED, fetching.received))


def found_out(s: State, sender: str) -> None:
    """Who sent what is not decided is not believed again before a restart: else it is first with rubbish for every height."""
    s.liars.add(sender)
    s.requested_at_ms = min(s.requested_at_ms, s.now_ms - s.config.resend_ms)  # another one is asked at once
    s.ahead.pop(sender, None)
    for height in [h for h, kept in s.future.items() if kept[2] == sender]:
        del s.future[height]


def _give_up(s: State) -> None:
    """The offering replica is silent: it may be down, or waste everyone's time; others first, for a while."""
    fetching, s.fetching = s.fetching, None
    if fetching is not None:
        s.stalled[fetching.offer.sender] = s.now_ms


def on_restored(s: State, event: Restored, out: Out) -> None:
    """The state is the snapshot's: go on at the height after it."""
    fetching, s.fetching = s.fetching, None
    if fetching is None or fetching.offer.height != event.height:
        return
    if event.error:
        complain(s, out, "bad-body", f"the snapshot that {fetching.offer.sender} sent: {event.error}")
        found_out(s, fetching.offer.sender)
        return
    offer = fetching.offer
    header = offer.anchor.header
    fresh = [link for link in offer.links if link not in s.links]
    s.links = [*s.links, *fresh][-MAX_SET_LINKS:]
    s.last = LastBlock(
        header.height,
        offer.checkpoint.block_id,
        header.time_ms,
        offer.anchor.certificate,
        offer.checkpoint.application_hash,
        offer.anchor,
        offer.checkpoint.application_hash != header.application_hash,
        s.now_ms,
    )
    s.previous_validators, s.validators, s.next_validators = fetching.own_set, offer.validators, offer.next_validators
    if offer.validators != fetching.own_set:
        s.links.append(SetLink(offer.anchor, offer.validators))
    begin_height(s)
    s.old_votes = {}
    out.append(SnapshotRestored(header.height))
