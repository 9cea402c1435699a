"""A body sensor's stream: in order, gaps noticed, duplicates dropped, forged frames refused, and valid FHIR at the end."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.errors import Refused
from salus.records.pairing import Paired
from salus.records.sensor import (
    HELD_MAX,
    End,
    Frame,
    Opening,
    Outcome,
    Samples,
    SensorDevice,
    SensorReceiver,
    _seal,
    _session_cipher,
    receive,
)
from support.sensor_world import PAIRED, Counting, Taken, in_order, session

from .conftest import seeded


def test_in_order() -> None:
    receiver, taken, frames = session()
    assert [receiver.take(frame) for frame in frames] == [Outcome.TAKEN] * 22
    counts = receiver.finish()
    assert taken.events == in_order(20)
    assert (counts.taken, counts.lost, counts.refused, counts.duplicates) == (22, 0, 0, 0)
    assert counts.received_bytes == sum(map(len, frames))


def test_out_of_order_is_put_in_order() -> None:
    receiver, taken, frames = session()
    assert receiver.take(frames[1]) is Outcome.HELD
    assert taken.events == []
    assert receiver.take(frames[0]) is Outcome.TAKEN
    assert taken.events == ["start", 0]
    receive(receiver, reversed(frames[2:]))
    assert taken.events == in_order(20)
    assert receiver.counts.lost == 0


def test_duplicates_are_dropped() -> None:
    receiver, taken, frames = session()
    receiver.take(frames[0])
    receiver.take(frames[2])
    assert receiver.take(frames[0]) is Outcome.DUPLICATE
    assert receiver.take(frames[2]) is Outcome.DUPLICATE
    receive(receiver, frames * 2)
    assert taken.events == in_order(20)
    assert receiver.counts.duplicates == 2 + 2 + 22


def test_gaps_are_noticed() -> None:
    receiver, taken, frames = session()
    receive(receiver, frames[:5] + frames[8:])
    assert taken.events == [event for event in in_order(20) if event not in (40, 50, 60)]
    assert receiver.counts.lost == 3


def test_a_long_gap_does_not_hold_for_ever() -> None:
    receiver, taken, frames = session(HELD_MAX + 40)
    receiver.take(frames[0])
    for number, frame in enumerate(frames[2:], 1):
        receiver.take(frame)
        assert len(receiver._held) <= HELD_MAX
        if number > HELD_MAX:
            break
    assert taken.events[:3] == ["start", 10, 20]
    assert receiver.take(frames[1]) is Outcome.DUPLICATE  # too late: the gap has been declared


def test_stream_that_breaks_off() -> None:
    receiver, taken, frames = session()
    receive(receiver, frames[:10])
    assert taken.events[-1] == "broken off"
    assert receiver.finish() is receiver.counts
    assert taken.events.count("broken off") == 1


def test_every_altered_byte_is_refused_and_changes_nothing() -> None:
    receiver, taken, frames = session(2)
    receiver.take(frames[0])
    before = list(taken.events)
    for position in range(len(frames[1])):
        altered = bytearray(frames[1])
        altered[position] ^= 1 << position % 8
        with pytest.raises(Refused) as refused:
            receiver.take(bytes(altered))
        assert refused.value.reason in ("bad-mac", "bad-encoding", "too-large")
    assert taken.events == before
    assert receiver.counts.refused == len(frames[1])
    receive(receiver, frames[1:])
    assert taken.events == in_order(2)


def test_renumbered_frames_are_refused() -> None:
    receiver, _, frames = session(4)
    receiver.take(frames[0])
    frame = Frame.decode(frames[2])
    with pytest.raises(Refused, match="bad-mac"):
        receiver.take(Frame(1, frame.sealed).encode())
    # With the repair taken out - frames sealed under one nonce, the number beside them unprotected - renumbering succeeds.
    cipher = _session_cipher(PAIRED, bytes(16), bytes(16))
    sealed = cipher.encrypt(bytes(12), b"second", None)
    assert cipher.decrypt(bytes(12), Frame.decode(Frame(1, sealed).encode()).sealed, None) == b"second"


def test_another_device_or_key_is_refused() -> None:
    receiver, _, _ = session()
    other = SensorReceiver(Paired("patch-7", bytes(32)), Taken(), seeded("terminal"))
    opening, frames = SensorDevice(PAIRED, Counting(1), seeded("x")).open(other.challenge())
    other.opened(opening)
    with pytest.raises(Refused, match="bad-mac"):
        other.take(next(frames))
    with pytest.raises(Refused, match="bad-mac"):
        receiver.opened(Opening("patch-8", Frame.KIND.encode()[:1] * 16, bytes(16)).encode())


def test_a_recorded_session_cannot_be_played_again() -> None:
    first = SensorReceiver(PAIRED, Taken())
    opening, sent = SensorDevice(PAIRED, Counting(3)).open(first.challenge())
    frames = list(sent)
    second = SensorReceiver(PAIRED, Taken())
    with pytest.raises(Refused, match="bad-mac"):
        second.opened(opening)
    fresh, _ = SensorDevice(PAIRED, Counting(3)).open(second.challenge())
    second.opened(fresh)
    with pytest.raises(Refused, match="bad-mac"):
        second.take(frames[0])


def test_frames_before_the_opening_are_refused() -> None:
    receiver = SensorReceiver(PAIRED, Taken())
    with pytest.raises(Refused, match="bad-mac"):
        receiver.take(Frame(0, bytes(20)).encode())


def test_a_paired_device_with_a_fault() -> None:
    """Contents that authenticate but make no sense: refused or left out, never a crash."""
    taken = Taken()
    receiver = SensorReceiver(PAIRED, taken, seeded("terminal"))
    receiver.opened(Opening("patch-7", seeded("terminal")(16), bytes(16)).encode())
    cipher = _session_cipher(PAIRED, seeded("terminal")(16), bytes(16))
    start = Counting(0).start()
    for sequence, content in enumerate(
        [start, start, Samples(0, bytes(8)), Samples(0, bytes(8)), Samples(9, bytes(6)), End(9, 0), End(9, 0)]
    ):
        receiver.take(_seal(cipher, sequence, content))
    assert taken.events == ["start", 0, "end"]
    assert receiver.counts.refused == 2
    with pytest.raises(Refused, match="bad-encoding"):
        receiver.take(Frame(7, cipher.encrypt((7).to_bytes(12, "big"), b"n", None)).encode())


@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from(["drop", "double", "delay", "forge", "pass", "pass", "pass"]), min_size=24, max_size=24),
)
@settings(max_examples=60, deadline=None)
def test_any_link(seed: int, faults: list[str]) -> None:
    """Whatever a link does: what is recorded is in order, without repetition, and what is missing is counted."""
    receiver, taken, frames = session(22)
    receive(receiver, _faulty(frames, faults, random.Random(seed)))
    ticks = [event for event in taken.events if isinstance(event, int)]
    assert ticks == sorted(set(ticks))
    sent_whole = "drop" not in faults
    if sent_whole:
        assert taken.events == in_order(22)
        assert receiver.counts.lost == 0
    if faults[0] != "drop":
        assert receiver.counts.taken + faults.count("drop") == 24
    assert receiver.counts.refused == faults.count("forge")


def _faulty(frames: list[bytes], faults: list[str], draw: random.Random) -> Iterable[bytes]:
    delayed: list[bytes] = []
    for frame, fault in zip(frames, faults, strict=True):
        if fault == "delay":
            delayed.append(frame)
            continue
        if fault == "forge":
            yield frame[:-1] + bytes([frame[-1] ^ 1])
        if fault != "drop":
            yield frame
        if fault == "double":
            yield frame
        if delayed and draw.random() < 0.5:
            yield delayed.pop(draw.randrange(len(delayed)))
    yield from delayed
