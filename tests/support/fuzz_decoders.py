"""Coverage-guided fuzzing of every decoder, in a process of its own.

Run in `tests` as `python -m support.fuzz_decoders CORPUS`, with libFuzzer's options after it. Each input is two bytes that
choose a decoder, then the bytes to decode. A decoder may refuse with one of the project's
own errors; whatever it accepts must be the encoding of what it gave. Anything else ends the process with the input
written to a file, which replays as `python -m support.fuzz_decoders FILE`.
"""

from __future__ import annotations

import random
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["salus", "support"]):
    from salus.codec import Message, decode, encode
    from salus.errors import CodecError, Refused
    from support.decoders import OTHER_DECODERS
    from support.instances import all_message_types
    from support.smallest import smallest
    from support.twin_codec import Refusal, twin_decode

MAX_INPUT_BYTES = 4096
"""Encodings of the smallest instances are far shorter; longer inputs only slow the search."""
MEMORY_BYTES = 1 << 30
"""What the fuzzer may allocate; it needs about 140 MiB. A decoder that asks for more ends in a MemoryError, which is found."""

Decoder = Callable[[bytes], None]


def decode_value(data: bytes) -> None:
    """The native value codec against its twin, which is instrumented and so leads the search into nested values."""
    try:
        expected = twin_decode(data)
    except Refusal:
        expected = Refusal
    try:
        value = decode(data)
    except CodecError:
        value = Refusal
    if value != expected:
        raise AssertionError("native codec and twin disagree")


def message_decoder(cls: type[Message]) -> Decoder:
    def run(data: bytes) -> None:
        try:
            message = cls.decode(data)
        except Refused:
            return
        if message.encode() != data:
            raise AssertionError(f"{cls.__name__} accepts bytes that are not its encoding")

    return run


TYPES = all_message_types()
DECODERS: list[Decoder] = [decode_value, *[message_decoder(cls) for cls in TYPES], *[run for run, _ in OTHER_DECODERS.values()]]


def test_one_input(data: bytes) -> None:
    """Called by the fuzzer. Two bytes choose, for there may be more than 256 decoders."""
    if len(data) >= 2:
        DECODERS[int.from_bytes(data[:2], "big") % len(DECODERS)](data[2:])


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Half of the time change the bytes blindly; else change one place of the value they encode, so that the change gets
    past the value layer and reaches the checks of types, kinds and bounds."""
    draw = random.Random(seed)
    if draw.random() < 0.5:
        return bytes(atheris.Mutate(data, max_size))
    head, body = data[:2], data[2:]
    try:
        changed = encode(_change(decode(body), draw, 0))
    except CodecError:
        return bytes(atheris.Mutate(data, max_size))
    if draw.random() < 0.1:
        head = draw.randbytes(2)
    return (head + changed)[:max_size]


def _change(value: Any, draw: random.Random, depth: int) -> Any:
    if isinstance(value, tuple) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        action = draw.randrange(8)
        if action == 0:
            return value[:at] + value[at + 1 :]
        if action == 1:
            return (*value[:at], value[at], *value[at:])
        if action == 2:
            other = draw.randrange(len(value))
            return (*value[:at], value[other], *value[at + 1 :])
        return (*value[:at], _change(value[at], draw, depth + 1), *value[at + 1 :])
    if isinstance(value, bytes) and draw.random() < 0.6:
        grown = value + draw.randbytes(draw.choice([0, 1, 16, 32]))
        return grown[: draw.choice([len(value), 12, 16, 20, 32, 64, len(grown)])]
    if isinstance(value, str) and draw.random() < 0.6:
        return value + draw.choice(["a", "/", "é", "\0", "-" * 60])
    if isinstance(value, int) and draw.random() < 0.8:
        return draw.choice([0, 1, value + 1, max(0, value - 1), 2**32, 2**63, 2**64 - 1]) % 2**64
    return draw.choice(
        [None, 0, b"", "", (), draw.randbytes(32), bytes(64), "a", (b"",), smallest(draw.choice(TYPES)).to_value()]
    )


def write_corpus(directory: Path) -> None:
    """One valid input for every decoder to start from."""
    seeds = [b"t\x00\x00\x00\x02i" + bytes(8) + b"n", *[smallest(cls).encode() for cls in TYPES]]
    seeds += [seed for _, seed in OTHER_DECODERS.values()]
    for number, seed in enumerate(seeds):
        (directory / f"seed-{number:04}").write_bytes(number.to_bytes(2, "big") + seed)


def main() -> None:
    corpus = Path(sys.argv[1])
    if corpus.is_dir():
        write_corpus(corpus)
    print(f"decoders: {len(DECODERS)}", flush=True)
    # libFuzzer's own limit compares the peak that getrusage tells, and that starts at the peak of whoever started this process.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, hard))
    options = [f"-max_len={MAX_INPUT_BYTES}", "-rss_limit_mb=0"]
    atheris.Setup([sys.argv[0], *options, *sys.argv[1:]], test_one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
