"""A body sensor's stream: frames from a paired device, authenticated, in order, gaps noticed.

A measuring session, steps:

1. Terminal sends a challenge (16 random bytes), so that no recorded session can be played again.
2. Device answers with its own 16 random bytes; ``k = KDF("device-session", pairing key; device, challenge, answer)``.
3. Frames ``(sequence, AEAD(k, nonce = sequence, content))``, sequence from 0: first :class:`Start`, then :class:`Samples` and
   :class:`Reading`, last :class:`End`. The AEAD's tag is the frame's MAC; measurements are private on the air too.

The terminal releases contents in the order of sequence. A frame that comes early is held (at most :data:`HELD_MAX`), one
that came before is dropped, one that does not authenticate is refused and changes nothing; numbers that never came are a gap.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from salus import labels
from salus.codec import Bytes16, Message, Size, decode
from salus.errors import CodecError, Refused, refuse_unless
from salus.records.pairing import DeviceId, Paired
from salus.symmetric import Random, kdf

HELD_MAX: Final = 32
"""Frames held while an earlier one is missing: at one frame a second, half a minute of radio trouble."""
CHANNELS_MAX: Final = 32
SAMPLE_BYTES: Final = 2
SAMPLES_BYTES_MAX: Final = 8 * 1024
"""Of one frame: keeps a frame, and what the terminal holds, small."""
FRAMES_MAX: Final = 1 << 32
MISSING: Final = -32768
"""A sample the device could not take (electrode off)."""

ShortText = Annotated[str, Size(0, 128)]
Decimal = Annotated[str, Size(1, 32)]


class Challenge(Message, frozen=True):
    """Step 1."""

    KIND = "sensor.challenge"

    challenge: Bytes16


class Opening(Message, frozen=True):
    """Step 2."""

    KIND = "sensor.opening"

    device: DeviceId
    challenge: Bytes16
    answer: Bytes16


class Frame(Message, frozen=True):
    """Step 3: one sealed content."""

    KIND = "sensor.frame"

    sequence: int
    sealed: Annotated[bytes, Size(16, SAMPLES_BYTES_MAX + 8 * 1024)]


class Concept(Message, frozen=True):
    """What is measured: code system (URI), code, words."""

    KIND = "sensor.concept"

    system: ShortText
    code: ShortText
    display: ShortText


class Channel(Message, frozen=True):
    """One signal: physical value = sample * factor, in ``unit`` (UCUM); the smallest and largest sample the device can give."""

    KIND = "sensor.channel"

    concept: Concept
    unit: ShortText
    factor: Decimal
    lowest: int
    highest: int


class Start(Message, frozen=True):
    """First content: what follows. ``rate`` in samples a second is the fraction numerator / denominator, 0 / 1 without channels.

    Samples of a channel lie in ``lowest - 2^15`` .. ``highest - 2^15`` (integers are unsigned in the encoding).
    """

    KIND = "sensor.start"

    model: ShortText
    concept: Concept
    start_ms: int
    rate_numerator: int
    rate_denominator: int
    channels: Annotated[tuple[Channel, ...], Size(0, CHANNELS_MAX)]


class Samples(Message, frozen=True):
    """Samples from tick ``first_tick`` on: 16-bit little-endian, channels interleaved; -32768: not taken."""

    KIND = "sensor.samples"

    first_tick: int
    data: Annotated[bytes, Size(SAMPLE_BYTES, SAMPLES_BYTES_MAX)]


class Reading(Message, frozen=True):
    """A single value, e.g. a blood pressure: time, what, decimal value, unit (UCUM)."""

    KIND = "sensor.reading"

    time_ms: int
    concept: Concept
    value: Decimal
    unit: ShortText


class End(Message, frozen=True):
    """Last content: how many ticks and readings the device sent."""

    KIND = "sensor.end"

    ticks: int
    readings: int


Content = Start | Samples | Reading | End
_CONTENTS: Final[dict[str, type[Content]]] = {kind.KIND: kind for kind in (Start, Samples, Reading, End)}


class Measurement(Protocol):
    """What a device plays: its first content, then samples and readings."""

    def start(self) -> Start:
        """What follows."""

    def contents(self) -> Iterator[Samples | Reading]:
        """Samples and readings in the order of time."""


class Recorder(Protocol):
    """Takes what a terminal received, in order (e.g. :class:`salus.records.observation.ObservationWriter`)."""

    def start(self, start: Start) -> None:
        """Called first, once."""

    def samples(self, samples: Samples) -> None:
        """Called with samples whose ``first_tick`` is at or after the last tick; what lies between is a gap."""

    def reading(self, reading: Reading) -> None:
        """Called with one reading."""

    def end(self, end: End | None) -> None:
        """Called last, once; None if the device's last frame never came."""


class SensorDevice:
    """A simulated body sensor: plays a measurement to a terminal it is paired with."""

    def __init__(self, paired: Paired, measurement: Measurement, random: Random = os.urandom) -> None:
        self._paired = paired
        self._measurement = measurement
        self._random = random

    def open(self, challenge: bytes) -> tuple[bytes, Iterator[bytes]]:
        """Step 2: the opening and the frames of one session.

        :raises Refused: ``bad-encoding`` for a malformed challenge.
        """
        message = Challenge.decode(challenge)
        answer = self._random(16)
        cipher = _session_cipher(self._paired, message.challenge, answer)
        return Opening(self._paired.device, message.challenge, answer).encode(), self._frames(cipher)

    def _frames(self, cipher: ChaCha20Poly1305) -> Iterator[bytes]:
        start = self._measurement.start()
        sequence = ticks = readings = 0
        yield _seal(cipher, sequence, start)
        for content in self._measurement.contents():
            if isinstance(content, Samples):
                ticks = content.first_tick + len(content.data) // (SAMPLE_BYTES * len(start.channels))
            else:
                readings += 1
            sequence += 1
            yield _seal(cipher, sequence, content)
        yield _seal(cipher, sequence + 1, End(ticks, readings))


class Outcome(enum.Enum):
    """What became of a frame that authenticated."""

    TAKEN = "taken"
    HELD = "held"
    DUPLICATE = "duplicate"


class SensorCounts(msgspec.Struct):
    """Frames of a session by what became of them, and bytes received."""

    taken: int = 0
    held: int = 0
    duplicates: int = 0
    refused: int = 0
    lost: int = 0
    received_bytes: int = 0


class SensorReceiver:
    """The terminal's side of a session: memory is bounded by :data:`HELD_MAX` frames and the recorder's own.

    :param recorder: is called in the order of the device's sequence.
    """

    def __init__(self, paired: Paired, recorder: Recorder, random: Random = os.urandom) -> None:
        self.counts = SensorCounts()
        self._paired = paired
        self._recorder = recorder
        self._challenge = random(16)
        self._cipher: ChaCha20Poly1305 | None = None
        self._next = 0
        self._held: dict[int, Content] = {}
        self._start: Start | None = None
        self._tick = 0
        self._finished = False

    def challenge(self) -> bytes:
        """Step 1."""
        return Challenge(self._challenge).encode()

    def opened(self, opening: bytes) -> None:
        """Take the device's opening (step 2). A false one leads to keys that no frame authenticates under.

        :raises Refused: ``bad-encoding``, ``bad-mac`` for another device's or another session's.
        """
        message = Opening.decode(opening)
        ours = message.device == self._paired.device and message.challenge == self._challenge
        refuse_unless(ours and self._cipher is None, "bad-mac", "the opening belongs to another device or session")
        self._cipher = _session_cipher(self._paired, self._challenge, message.answer)

    def take(self, frame: bytes) -> Outcome:
        """Take one frame from the air.

        :raises Refused: ``bad-encoding`` or ``too-large`` if malformed, ``bad-mac`` if forged: counted, nothing changes.
        """
        self.counts.received_bytes += len(frame)
        try:
            sequence, content = self._open(frame)
        except Refused:
            self.counts.refused += 1
            raise
        if sequence < self._next or sequence in self._held:
            self.counts.duplicates += 1
            return Outcome.DUPLICATE
        self._held[sequence] = content
        if sequence > self._next:
            self.counts.held += 1
        while self._next in self._held:
            self._release()
        if len(self._held) > HELD_MAX:
            self._skip()
        return Outcome.TAKEN if sequence < self._next else Outcome.HELD

    @property
    def started(self) -> bool:
        """Whether the device's first content came; without it there is nothing to record."""
        return self._start is not None

    def finish(self) -> SensorCounts:
        """End of the link: what is held is released, what never came is a gap."""
        if self._finished:
            return self.counts
        while self._held and not self._finished:
            self._skip()
        if not self._finished:
            self._finished = True
            if self._start is not None:
                self._recorder.end(None)
        return self.counts

    def _open(self, frame: bytes) -> tuple[int, Content]:
        message = Frame.decode(frame)
        refuse_unless(self._cipher is not None and message.sequence < FRAMES_MAX, "bad-mac", "a frame outside a session")
        assert self._cipher is not None
        try:
            plaintext = self._cipher.decrypt(_nonce(message.sequence), message.sealed, None)
        except InvalidTag:
            raise Refused("bad-mac", "a frame does not authenticate: forged, altered, or of another session") from None
        value = decode(plaintext)
        kind = _CONTENTS.get(value[0]) if type(value) is tuple and value and type(value[0]) is str else None
        if kind is None:
            raise CodecError("a frame without a known content")
        return message.sequence, kind.from_value(value)

    def _skip(self) -> None:
        """Give up on the frames before the earliest held one."""
        earliest = min(self._held)
        self.counts.lost += earliest - self._next
        self._next = earliest
        while self._next in self._held:
            self._release()

    def _release(self) -> None:
        content = self._held.pop(self._next)
        self._next += 1
        self.counts.taken += 1
        if self._finished:
            return
        if isinstance(content, Start):
            if self._start is None and self._next == 1:
                self._start = content
                self._recorder.start(content)
        elif self._start is None:
            self.counts.lost += 1  # without the first frame nothing tells what the numbers mean
        elif isinstance(content, Samples):
            self._samples(content, len(self._start.channels))
        elif isinstance(content, Reading):
            self._recorder.reading(content)
        else:
            self._finished = True
            self._recorder.end(content)

    def _samples(self, content: Samples, channels: int) -> None:
        width = SAMPLE_BYTES * channels
        if not channels or len(content.data) % width or content.first_tick < self._tick:
            self.counts.refused += 1  # an authentic device with a fault: its samples fit nowhere
            return
        self._tick = content.first_tick + len(content.data) // width
        self._recorder.samples(content)


def receive(receiver: SensorReceiver, frames: Iterable[bytes]) -> SensorCounts:
    """Take all frames of a link to its end; forged ones are counted and skipped."""
    for frame in frames:
        try:
            receiver.take(frame)
        except Refused:
            continue
    return receiver.finish()


def _session_cipher(paired: Paired, challenge: bytes, answer: bytes) -> ChaCha20Poly1305:
    context = (paired.device, challenge, answer)
    return ChaCha20Poly1305(kdf(labels.DEVICE_SESSION, labels.SUITE_RECORDS, [paired.key], context))


def _seal(cipher: ChaCha20Poly1305, sequence: int, content: Content) -> bytes:
    return Frame(sequence, cipher.encrypt(_nonce(sequence), content.encode(), None)).encode()


def _nonce(sequence: int) -> bytes:
    return sequence.to_bytes(12, "big")
