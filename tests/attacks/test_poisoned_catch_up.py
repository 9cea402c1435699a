"""Claim: one liar does not keep a replica that was away from catching up.

Whoever is behind takes decided blocks from anyone, for a certificate proves them. It looks at the certificate of a later height
only when that height's turn comes, so a liar can be first with rubbish for many heights, again and again.
"""

from __future__ import annotations

import msgspec
import pytest

from salus.consensus.block import Certificate
from salus.consensus.pbft import catch_up
from salus.consensus.pbft.messages import UNSIGNED, BlockRequest, Decided, Signed, decode_message
from salus.consensus.pbft.state import BLOCKS_AHEAD
from support.pbft_cluster import Cluster, put

LIAR, AWAY = 0, 3


def behind(blocks: int) -> Cluster:
    c = Cluster()
    c.stop(AWAY)
    for i in range(blocks):
        c.submit(1, put(f"k{i}"))
        c.wait(1100)
    return c


def forged(c: Cluster, height: int) -> bytes:
    """A block of that height with a certificate that nobody signed."""
    record = c.applications[1].block_record(min(height, c.runner(1).height))
    assert record is not None
    certificate = Certificate.decode(record[1])
    nobody = tuple(msgspec.structs.replace(x, signature=bytes(64)) for x in certificate.signatures)
    false = msgspec.structs.replace(certificate, height=height, signatures=nobody)
    return c.sign(LIAR, Decided(c.names[LIAR], height, UNSIGNED, record[0], false))


def poison(c: Cluster, rounds: int) -> None:
    """Let time pass; what reaches the replica that is behind comes together with the liar's rubbish, and after it."""
    for _ in range(rounds):
        held: list[bytes] = []

        def passes(source: int, target: int, message: Signed, held: list[bytes] = held) -> bool:
            if target == AWAY and isinstance(message, Decided):
                held.append(message.encode())
                return False
            return source != LIAR or not isinstance(message, BlockRequest)

        c.wait(100, passes)
        height = c.runner(AWAY).height + 1
        c.deliver(AWAY, *(forged(c, h) for h in range(height + 1, height + BLOCKS_AHEAD)), *held)
        while c.runner(AWAY).busy:
            c.work(AWAY)


def test_a_liar_is_found_out_once_and_not_believed_again() -> None:
    c = behind(20)
    top = c.runner(1).height
    c.start(AWAY)
    poison(c, 40)
    assert c.runner(AWAY).height == top
    assert c.complaints(AWAY).count("bad-signature") == 1


def test_a_liar_who_is_believed_again_costs_a_wait_for_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "found_out", lambda s, sender: None)
    c = behind(20)
    top = c.runner(1).height
    c.start(AWAY)
    poison(c, 40)
    assert c.runner(AWAY).height < 2 * top // 3, "a wait for every block: slower than the others go on, it never arrives"


def test_nobody_on_the_way_makes_a_liar_of_an_honest_replica() -> None:
    """What is inside is covered by the sender's signature: altered on the way, the message is nobody's."""
    c = behind(3)
    record = c.applications[1].block_record(1)
    assert record is not None
    certificate = Certificate.decode(record[1])
    honest = c.sign(1, Decided(c.names[1], 1, UNSIGNED, record[0], certificate))
    altered = msgspec.structs.replace(decode_message(honest), block=record[0][:-1] + b"\0")
    c.start(AWAY)
    c.deliver(AWAY, altered.encode())
    assert c.complaints(AWAY) == []
    c.deliver(AWAY, honest)
    assert c.runner(AWAY).height >= 1
