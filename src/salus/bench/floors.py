"""What the primitives alone would cost: the floor that a phase is compared with.

Each primitive is called the cheapest way that Python has, in batches on one core; a floor is the phase's operation counts times
these.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from salus import _native
from salus.bench.model import Cell, Context, Part, Section
from salus.bench.timing import best_ms, best_of_fresh_ms
from salus.groups.ristretto255 import (
    base_mul_batch,
    decode_batch,
    encode_batch,
    from_uniform_batch,
    msm_vartime,
    mul_batch,
    random_scalar,
)

BATCH: Final = 512
MSM_TERMS: Final = 5 * BATCH
"""Terms of one multi-scalar multiplication over a batch of requests."""
FLOORS: Final[dict[str, Mapping[str, int]]] = {
    "patient": {"fixed_base": 3, "variable_base": 5, "hash_to_group": 1},
    "node": {"variable_base": 1, "msm_term": 5, "decode": 6, "encode": 1, "hash_to_group": 1, "hkdf": 2, "aead": 2},
    "doctor": {"variable_base": 5, "hash_to_group": 1},
}
"""Operations that nobody can leave out, for each request of suite r1 and each side (protocol page, "cost")."""
COUNTED: Final[dict[str, str]] = {
    "base_mul": "fixed_base",
    "var_mul": "variable_base",
    "msm_term": "msm_term",
    "decode": "decode",
    "encode": "encode",
    "hash_to_group": "hash_to_group",
}
"""Counters of the extension and the primitive that each is charged with."""
_MEANING: Final[dict[str, str]] = {
    "fixed_base": "multiplication of the base point",
    "variable_base": "multiplication of any point",
    "msm_term": f"term of a multi-scalar multiplication of {MSM_TERMS:,}",
    "decode": "decoding a point",
    "encode": "encoding a point",
    "hash_to_group": "one-way map of RFC 9496 on 64 bytes",
    "hkdf": "HKDF-SHA512: two HMAC over 400 bytes",
    "aead": "ChaCha20-Poly1305 of 136 bytes",
}


def floor_primitives(context: Context) -> Part:
    """Measure the primitives of the floors, on one core; later parts find them in ``context.measured_ms``."""
    random, repeats = context.random, 2 if context.quick else 9
    scalars = [random_scalar(random) for _ in range(BATCH)]
    points = base_mul_batch(scalars)
    encoded, uniform = encode_batch(points), [random(64) for _ in range(BATCH)]
    msm_points = from_uniform_batch([random(64) for _ in range(MSM_TERMS)])
    msm_scalars = [random_scalar(random) for _ in range(MSM_TERMS)]
    key, message, info = random(32), random(136), random(400)
    cipher = ChaCha20Poly1305(key)
    operations = {
        "fixed_base": (BATCH, lambda: base_mul_batch(scalars)),
        "variable_base": (BATCH, lambda: mul_batch(scalars, points)),
        "msm_term": (MSM_TERMS, lambda: msm_vartime(msm_scalars, msm_points)),
        "decode": (BATCH, lambda: decode_batch(encoded)),
        "hash_to_group": (BATCH, lambda: from_uniform_batch(uniform)),
        "hkdf": (BATCH, lambda: [hmac.digest(hmac.digest(key, message, "sha512"), info, "sha512") for _ in range(BATCH)]),
        "aead": (BATCH, lambda: [cipher.encrypt(bytes(12), message, info) for _ in range(BATCH)]),
    }
    threads = _native.threads()
    _native.set_threads(1)
    try:
        times = {name: best_ms(operation, repeats) / count for name, (count, operation) in operations.items()}
        # A point remembers its encoding, so each run needs fresh ones.
        times["encode"] = best_of_fresh_ms(lambda: from_uniform_batch(uniform), encode_batch, repeats) / BATCH
    finally:
        _native.set_threads(threads)
    context.measured_ms.update(times)
    rows: list[tuple[Cell, ...]] = [(name, _MEANING[name], ms * 1000) for name, ms in times.items()]
    rows += [(f"floor: {side}", describe(counts), floor_ms(times, counts) * 1000) for side, counts in FLOORS.items()]
    notes = ("Batches on one core; the smallest of several runs, because a shared machine only ever adds time.",)
    return Part((Section("floors", "Floor: what the primitives alone cost", ("primitive", "meaning", "us"), tuple(rows), notes),))


def floor_ms(times_ms: Mapping[str, float], counts: Mapping[str, int]) -> float:
    """Counts times primitives, in milliseconds."""
    return sum(times_ms[name] * count for name, count in counts.items())


def counted_floor_ms(times_ms: Mapping[str, float], counted: Mapping[str, int]) -> float:
    """The floor of operations counted by the extension."""
    return sum(times_ms[primitive] * counted.get(counter, 0) for counter, primitive in COUNTED.items())


def describe(counts: Mapping[str, int]) -> str:
    """Counts in words: ``3 fixed_base, 5 variable_base``."""
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
