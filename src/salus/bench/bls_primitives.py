"""The pairing groups' primitives from Python beside bare blst, and the prices that the floors of record sharing are made of.

Measured as in :mod:`salus.bench.primitives`: one core, in turns, the smallest time of each.
"""

from __future__ import annotations

from typing import Final

import msgspec

from salus import _native
from salus.bench.model import Context, Part, Section, Target
from salus.bench.primitives import LIMIT, Case, PrimitiveRow, measure
from salus.groups import bls12_381 as bls
from salus.symmetric import Random

BATCH: Final = 64
_FEW: Final = 8
_LIBRARY: Final = "blst"
_DST: Final = b"SALUS-BENCH"


class Prices(msgspec.Struct, frozen=True):
    """Microseconds of one operation on one core, the cheaper of blst's and ours: what floors count with.

    :ivar g1_mul, g2_mul: any point, secret scalar. :ivar g1_comb, g2_comb, gt_comb: a base with a table, secret scalar.
    :ivar gt_pow: any element. :ivar g1_term, g2_term: of a sum of 64 public multiples of 255 bits.
    :ivar miller_loop: one of 64 in a product. :ivar miller_prepared: one of 8 with known lines. :ivar final_exp: once a product.
    """

    g1_mul: float
    g2_mul: float
    g1_comb: float
    g2_comb: float
    gt_comb: float
    gt_pow: float
    g1_hash: float
    g1_decode: float
    g2_decode: float
    gt_decode: float
    g1_term: float
    g2_term: float
    miller_loop: float
    miller_prepared: float
    final_exp: float


def _curve_cases(random: Random) -> list[Case]:
    scalars = [bls.random_fr(random) for _ in range(BATCH)]
    first, second = bls.G1Comb(bls.G1.generator()), bls.G2Comb(bls.G2.generator())
    p, q = first.mul_batch(scalars), second.mul_batch(scalars)
    encoded_p, encoded_q = bls.g1_encode_batch(p), bls.g2_encode_batch(q)
    messages = [random(64) for _ in range(BATCH)]
    return [
        Case("g1_mul", _LIBRARY, lambda _: bls.g1_mul_batch(scalars, p), BATCH),
        Case("g2_mul", _LIBRARY, lambda _: bls.g2_mul_batch(scalars, q), BATCH),
        Case("g1_comb", _LIBRARY, lambda _: first.mul_batch(scalars), BATCH),
        Case("g2_comb", _LIBRARY, lambda _: second.mul_batch(scalars), BATCH),
        Case("g1_msm_64", _LIBRARY, lambda _: bls.g1_msm_vartime(scalars, p), 1, BATCH),
        Case("g2_msm_64", _LIBRARY, lambda _: bls.g2_msm_vartime(scalars, q), 1, BATCH),
        Case("g1_hash", _LIBRARY, lambda _: bls.g1_hash_batch(messages, _DST), BATCH),
        Case("g1_decode", _LIBRARY, lambda _: bls.g1_decode_batch(encoded_p), BATCH),
        Case("g2_decode", _LIBRARY, lambda _: bls.g2_decode_batch(encoded_q), BATCH),
    ]


def _pairing_cases(random: Random) -> list[Case]:
    scalars = [bls.random_fr(random) for _ in range(BATCH)]
    p = bls.G1Comb(bls.G1.generator()).mul_batch(scalars)
    q = bls.G2Comb(bls.G2.generator()).mul_batch(scalars)
    pairs = list(zip(p, q, strict=True))
    prepared = [(a, bls.G2Prepared(b)) for a, b in pairs[:_FEW]]
    element = bls.multi_pairing(pairs[:1])
    table = bls.GtComb(element)
    encoded = [element.encode()] * _FEW
    few = scalars[:_FEW]
    return [
        Case("pairing", _LIBRARY, lambda _: [bls.multi_pairing([pair]) for pair in pairs[:_FEW]], _FEW),
        Case("pairing_8", _LIBRARY, lambda _: bls.multi_pairing(pairs[:_FEW]), 1),
        Case("pairing_64", _LIBRARY, lambda _: bls.multi_pairing(pairs), 1),
        Case("pairing_prepared_8", _LIBRARY, lambda _: bls.multi_pairing(prepared), 1),
        Case("g2_prepare", _LIBRARY, lambda _: [bls.G2Prepared(b) for _, b in pairs[:_FEW]], _FEW),
        Case("gt_pow", _LIBRARY, lambda _: [element.pow(scalar) for scalar in few], _FEW),
        Case("gt_comb", _LIBRARY, lambda _: table.pow_batch(few), _FEW),
        Case("gt_decode", _LIBRARY, lambda _: bls.gt_decode_batch(encoded), _FEW),
    ]


def measure_bls_primitives(random: Random, repeats: int = 15) -> list[PrimitiveRow]:
    """Measure every primitive both ways, on one core.

    :param repeats: turns of each; the smallest time counts.
    """
    wanted = _native.threads()
    _native.set_threads(1)
    try:
        return [measure(case, repeats) for case in _curve_cases(random) + _pairing_cases(random)]
    finally:
        _native.set_threads(wanted)


def prices(rows: list[PrimitiveRow], repeats: int = 15) -> Prices:
    """The prices of one run.

    :param rows: of :func:`measure_bls_primitives`.
    :param repeats: turns of the two that Python cannot call alone, Miller loop and final exponentiation.
    """
    cheapest = {row.name: min(row.native_us, row.python_us) for row in rows}
    final_exp = min(_native.bench_native("final_exp", _FEW) for _ in range(repeats)) / _FEW * 1e6
    product = min(_native.bench_native("miller_loop_64", 1) for _ in range(repeats)) / BATCH * 1e6
    direct = {name: cheapest[name] for name in Prices.__struct_fields__ if name in cheapest}
    return Prices(
        **direct,
        g1_term=cheapest["g1_msm_64"],
        g2_term=cheapest["g2_msm_64"],
        miller_loop=min(product, (cheapest["pairing_64"] - final_exp) / BATCH),
        miller_prepared=(cheapest["pairing_prepared_8"] - final_exp) / _FEW,
        final_exp=final_exp,
    )


def bls_primitives(context: Context) -> Part:
    """The part of a bench that compares the pairing groups' primitives with bare blst; one target for each."""
    repeats = 3 if context.quick else 15
    rows = measure_bls_primitives(context.random, repeats)
    cells = tuple((r.name, r.library, r.native_us, r.python_us, r.ratio) for r in rows)
    columns = ("primitive", "library", "bare_us", "from_python_us", "ratio")
    notes = (
        f"Batches of {BATCH} (pairings and powers {_FEW}) on one core; msm: per term, bare by blst's bucket method.",
        "g1_comb, g2_comb: ours is constant time, blst's table look-up is not. blst has no power in the target group: bare is"
        " square and multiply with its functions, without a table.",
        "Bare: the library's function in a loop inside the extension; both take turns and the smallest time of each counts.",
    )
    found = prices(rows, repeats)
    price_cells = tuple((name, getattr(found, name)) for name in Prices.__struct_fields__)
    sections = (
        Section("bls-primitives", "Pairing groups from Python and bare", columns, cells, notes),
        Section("bls-prices", "Prices of the floors", ("operation", "us"), price_cells, ("The cheaper of blst's and ours.",)),
    )
    return Part(sections, tuple(Target(f"{r.name}: from Python over bare {r.library}", r.ratio, LIMIT) for r in rows))
