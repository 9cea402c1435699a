"""Catch-up: whoever is behind is answered with decided blocks and their certificates, which prove themselves.

Steps are those of docs/protocol/consensus.md, "Catch-up".
"""

from __future__ import annotations

from typing import Final

from salus.consensus.block import Certificate
from salus.consensus.pbft.checks import check_certificate, decode_block
from salus.consensus.pbft.events import BlocksRead, ReadBlocks
from salus.consensus.pbft.messages import MAX_BLOCK_MESSAGE_BYTES, UNSIGNED, BlockRequest, Decided, Status
from salus.consensus.pbft.normal import decide
from salus.consensus.pbft.output import Out, broadcast, complain, send
from salus.consensus.pbft.snapshots import found_out, offer_snapshot
from salus.consensus.pbft.state import BLOCKS_AHEAD, State
from salus.errors import Refused

BLOCKS_PER_ANSWER: Final = 16
"""Decided blocks sent at once; the asker comes back for more."""
MAX_AHEAD_BYTES: Final = 16 * 1024 * 1024
"""Decided blocks of later heights that wait; they are sent again when their turn comes."""


def send_status(s: State, out: Out) -> None:
    """Catch-up, step 1: tell everyone where this replica stands."""
    broadcast(s, out, Status(s.config.name, s.height, UNSIGNED, s.view, s.last.block_id))
    s.status_at_ms = s.now_ms + s.config.status_ms


def on_status(s: State, message: Status, out: Out) -> None:
    """Catch-up, step 2: answer who is behind; notice who is ahead.

    One height of difference is normal while a block is on its way, so it is answered only after a while.
    """
    if message.height < s.height:
        settled = s.now_ms - s.last.stored_at_ms >= s.config.resend_ms // 2
        if message.height + 1 < s.height or settled:
            answer(s, out, message.sender, message.height)
    elif message.height > s.height:
        note_ahead(s, message.sender, message.height)


def on_block_request(s: State, message: BlockRequest, out: Out) -> None:
    """Decided blocks from the height asked for on."""
    if message.height < s.height:
        answer(s, out, message.sender, message.height)


def answer(s: State, out: Out, peer: str, height: int) -> None:
    """Read blocks for ``peer``; the same question again only after a pause."""
    before = s.answered.get(peer)
    if height < 1 or (before is not None and before[0] >= height and s.now_ms - before[1] < s.config.resend_ms // 2):
        return
    s.answered[peer] = (height, s.now_ms)
    count = min(BLOCKS_PER_ANSWER, s.height - height)
    out.append(ReadBlocks(peer, height, count, MAX_BLOCK_MESSAGE_BYTES))


def on_blocks_read(s: State, event: BlocksRead, out: Out) -> None:
    """Send what was read; who needs pruned blocks is offered a snapshot."""
    for offset, (record, certificate) in enumerate(event.blocks):
        message = Decided(s.config.name, event.height + offset, UNSIGNED, record, Certificate.decode(certificate))
        send(s, out, event.peer, message)
    if not event.blocks:
        offer_snapshot(s, out, event.peer, event.height)


def note_ahead(s: State, peer: str, height: int) -> None:
    """``peer`` says it works on ``height``, which is beyond this replica's."""
    s.ahead[peer] = max(height, s.ahead.get(peer, 0))


def on_decided(s: State, message: Decided, out: Out) -> None:
    """A decided block of this height is applied once its certificate is checked; later ones wait for their turn."""
    if message.height < s.height or message.height > s.height + BLOCKS_AHEAD or message.sender in s.liars:
        return
    note_ahead(s, message.sender, message.height)
    kept = sum(len(block) for block, _certificate, _sender in s.future.values())
    if message.height == s.height or kept + len(message.block) <= MAX_AHEAD_BYTES:
        s.future.setdefault(message.height, (message.block, message.certificate, message.sender))


def maybe_import(s: State, out: Out) -> None:
    """Catch-up, step 3: import the decided block of this height if it is here."""
    if s.deciding is not None or (s.fetching is not None and s.fetching.restoring):
        return
    for height in [h for h in s.future if h < s.height]:
        del s.future[height]
    if s.height not in s.future:
        return
    encoded, certificate, sender = s.future.pop(s.height)
    try:
        check_certificate(s, certificate, s.validators, s.height, certificate.block_id)
        block = decode_block(encoded, certificate.block_id, s.height)
    except Refused as refusal:
        complain(s, out, refusal.reason, f"a block of height {s.height} that {sender} sent as decided: {refusal.detail}")
        found_out(s, sender)
        return
    decide(s, out, block, encoded, certificate, imported=True)


def maybe_request(s: State, out: Out) -> None:
    """Ask one of the replicas that are ahead for blocks, another one each time."""
    behind = [(peer, height) for peer, height in s.ahead.items() if height > s.height]
    waiting = s.deciding is not None or s.height in s.future or s.fetching is not None
    if not behind or waiting or s.now_ms - s.requested_at_ms < s.config.resend_ms:
        return
    # One height ahead is where the others are for a moment with every block: the votes on their way settle that.
    far = [peer for peer, height in behind if height > s.height + 1]
    late = s.now_ms - s.last.stored_at_ms >= s.config.resend_ms
    if not far and not late:
        return
    peer = far[0] if far else behind[0][0]
    del s.ahead[peer]
    s.requested_at_ms = s.now_ms
    send(s, out, peer, BlockRequest(s.config.name, s.height, UNSIGNED))
