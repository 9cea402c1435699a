"""What the boundary to Python costs: every primitive, called from Python in batches, beside a loop over the bare library call.

Both run on one core and take turns, so that a busy machine slows them alike; the smallest time of each counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from salus import _native
from salus.bench.model import Context, Part, Section, Target
from salus.groups import bls12_381 as bls
from salus.groups import ristretto255 as ristretto
from salus.symmetric import Random

LIMIT: Final = 1.15
"""A primitive called from Python costs at most this much of the bare call."""
BATCH: Final = 512
_MSM_TERMS: Final = 5 * BATCH
_PAIRS: Final = 8
_SIGNATURES: Final = 64


class PrimitiveRow(msgspec.Struct, frozen=True):
    """One primitive, measured both ways.

    :ivar name: of the primitive, as :func:`salus._native.bench_native` knows it.
    :ivar library: what does the arithmetic.
    :ivar native_us, python_us: of one operation (one term, for multi-scalar multiplications), in microseconds.
    """

    name: str
    library: str
    native_us: float
    python_us: float

    @property
    def ratio(self) -> float:
        """Python's time over the bare call's."""
        return self.python_us / self.native_us


class Case(msgspec.Struct, frozen=True):
    """``prepare`` makes fresh inputs outside the time taken; ``call`` runs ``batch`` calls of ``units`` operations each."""

    name: str
    library: str
    call: Callable[[object], object]
    batch: int
    units: int = 1
    prepare: Callable[[], object] = lambda: None


def _ristretto_cases(random: Random) -> list[Case]:
    scalars = [ristretto.random_scalar(random) for _ in range(_MSM_TERMS)]
    points = ristretto.base_mul_batch(scalars)
    some, few = scalars[:BATCH], points[:BATCH]
    encoded = ristretto.encode_batch(few)
    uniform = [random(64) for _ in range(BATCH)]
    fixed = ristretto.FixedBase(few[0])
    dalek = "curve25519-dalek"

    def double_base(_: object) -> object:
        return [ristretto.double_base_mul_vartime(s, p, s) for s, p in zip(some, few, strict=True)]

    return [
        Case("base_mul", dalek, lambda _: ristretto.base_mul_batch(some), BATCH),
        Case("fixed_base_mul", dalek, lambda _: fixed.mul_batch(some), BATCH),
        Case("var_mul", dalek, lambda _: ristretto.mul_batch(some, few), BATCH),
        Case("double_base_mul", dalek, double_base, BATCH),
        Case("decode", dalek, lambda _: ristretto.decode_batch(encoded), BATCH),
        # A point remembers its encoding, so every run takes fresh ones.
        Case("encode", dalek, lambda p: ristretto.encode_batch(p), BATCH, 1, lambda: ristretto.from_uniform_batch(uniform)),  # type: ignore[arg-type]
        Case("hash_to_group", dalek, lambda _: ristretto.from_uniform_batch(uniform), BATCH),
        Case("msm_512", dalek, lambda _: ristretto.msm(some, few), 1, BATCH),
        Case("msm_vartime_512", dalek, lambda _: ristretto.msm_vartime(some, few), 1, BATCH),
        Case("msm_vartime_2560", dalek, lambda _: ristretto.msm_vartime(scalars, points), 1, _MSM_TERMS),
    ]


def _bls_cases(random: Random) -> list[Case]:
    multipliers = [bls.random_multiplier(random) for _ in range(_PAIRS)]
    first = [bls.G1.generator().mul(m) for m in multipliers]
    second = [bls.G2.generator().mul(m) for m in multipliers]
    encoded = [p.encode() for p in first]
    messages = [random(64) for _ in range(_PAIRS)]
    pairs = list(zip(first, second, strict=True))
    return [
        Case("g1_mul", "blst", lambda _: [p.mul(m) for p, m in zip(first, multipliers, strict=True)], _PAIRS),
        Case("g2_mul", "blst", lambda _: [q.mul(m) for q, m in zip(second, multipliers, strict=True)], _PAIRS),
        Case("g1_hash", "blst", lambda _: [bls.G1.hash(m, b"SALUS-BENCH") for m in messages], _PAIRS),
        Case("g1_decode", "blst", lambda _: [bls.G1.decode(e) for e in encoded], _PAIRS),
        Case("pairing", "blst", lambda _: [bls.pairing([pair]) for pair in pairs], _PAIRS),
        Case("pairing_8", "blst", lambda _: bls.pairing(pairs), 1),
    ]


def _ed25519_cases(random: Random) -> list[Case]:
    keys = [Ed25519PrivateKey.from_private_bytes(random(32)) for _ in range(_SIGNATURES)]
    messages = [random(64) for _ in range(_SIGNATURES)]
    items = [(k.public_key().public_bytes_raw(), m, k.sign(m)) for k, m in zip(keys, messages, strict=True)]
    single = Case("ed25519_verify", "ed25519-zebra", lambda _: [_native.ed25519_verify(*i) for i in items], _SIGNATURES)
    batch = Case("ed25519_batch_64", "ed25519-zebra", lambda _: _native.ed25519_verify_batch(items), 1, _SIGNATURES)
    return [single, batch]


def measure_primitives(random: Random, repeats: int = 15) -> list[PrimitiveRow]:
    """Measure every primitive both ways, on one core.

    :param repeats: turns of each; the smallest time counts, because a shared machine only ever adds time.
    """
    wanted = _native.threads()
    _native.set_threads(1)
    try:
        cases = _ristretto_cases(random) + _bls_cases(random) + _ed25519_cases(random)
        return [measure(case, repeats) for case in cases]
    finally:
        _native.set_threads(wanted)


def measure(case: Case, repeats: int) -> PrimitiveRow:
    """Time one primitive both ways in turns, the smallest of each, on the threads that are set."""
    native, python = float("inf"), float("inf")
    for _ in range(repeats):
        native = min(native, _native.bench_native(case.name, case.batch) / case.batch)
        argument = case.prepare()
        start = time.perf_counter()
        case.call(argument)
        python = min(python, (time.perf_counter() - start) / case.batch)
    return PrimitiveRow(case.name, case.library, native / case.units * 1e6, python / case.units * 1e6)


def native_primitives(context: Context) -> Part:
    """The part of a bench that compares the primitives with the bare libraries; one target for each."""
    rows = measure_primitives(context.random, 3 if context.quick else 15)
    cells = tuple((r.name, r.library, r.native_us, r.python_us, r.ratio) for r in rows)
    columns = ("primitive", "library", "bare_us", "from_python_us", "ratio")
    notes = (
        f"Batches of {BATCH} on one core (pairing groups {_PAIRS}, signatures {_SIGNATURES}); multi-scalar: per term.",
        "Bare: the library's function in a loop inside the extension; both take turns and the smallest time of each counts.",
    )
    section = Section("native-primitives", "Primitives from Python and bare", columns, cells, notes)
    targets = tuple(Target(f"{r.name}: from Python over bare {r.library}", r.ratio, LIMIT) for r in rows)
    return Part((section,), targets)
