"""Tables 2 to 5 of the paper, measured again and added up again, beside the printed figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from salus import labels
from salus._native import G1, G2, Point, pairing
from salus.bench import abs_scheme, paper
from salus.bench.model import Cell, Context, Part, Plot, Section
from salus.bench.timing import average_ms
from salus.groups.ristretto255 import random_scalar
from salus.symmetric import seal, unseal

SYMMETRIC_BYTES: Final = 64
"""Plaintext of t_se and t_sd: the paper's "encryption value" of 512 bits."""
T_SM_G1: Final = "t_sm_g1"
"""t_sm on the pairing curve, for the schemes that need pairings; ``t_sm`` is ristretto255's."""
_HASH_DST: Final = b"SALUS-BENCH_BLS12381G1_XMD:SHA-256_SSWU_RO_"
_NOT_PRIMITIVES = "Comparison with the paper's machine only: the ratios between schemes are what carries over."


def table_2(context: Context) -> Part:
    """Table 2: each primitive's time by the paper's averaging, in one run."""
    operations = _operations(context)
    measured = {name: average_ms(operation, quick=context.quick) for name, (_, operation) in operations.items()}
    context.measured_ms.update(measured)
    rows: list[tuple[Cell, ...]] = []
    for name, (how, _) in operations.items():
        printed = paper.TABLE_2_MS.get(name)
        meaning = paper.TABLE_2_MEANING.get(name, paper.TABLE_2_MEANING["t_sm"])
        rows.append((name, meaning, printed, measured[name], printed / measured[name] if printed else None, how))
    notes = (
        "Averaged as the paper does: t_avg = (t_10 + t_20 + .. + t_100) / (10 + 20 + .. + 100), the smallest of three series.",
        "The paper's pairing is on a supersingular curve with a 1024-bit field; ours is BLS12-381.",
    )
    columns = ("operation", "meaning", "paper_ms", "measured_ms", "paper_over_measured", "measured_on")
    return Part((Section("table-2", "Table 2: primitives", columns, tuple(rows), notes),))


def tables_3_and_4(context: Context) -> Part:
    """Tables 3 and 4: the formulas as printed and corrected, over the paper's times and over ours."""
    return Part((_table_3(context.measured_ms), _table_4(context.measured_ms), _misprints()))


def figure_4a(context: Context) -> Part:
    """Figure 4(a): the formulas at measured times, and mbpa-r1's phases as measured, if an earlier part did."""
    return Part(plots=(_figure_4a(context.measured_ms),))


def table_5(_context: Context) -> Part:
    """Table 5: message sizes by the paper's element counts, as printed and corrected, for both element sizes; figure 4(b)."""
    rows: list[tuple[Cell, ...]] = []
    for cost in paper.TABLE_5:
        rows.append(
            (
                cost.scheme,
                _factors(cost.printed),
                cost.printed_bits,
                cost.bits(corrected=False),
                cost.bits(corrected=True),
                cost.bits(corrected=True, element_bits=256),
            )
        )
    columns = ("scheme", "formula", "printed_bits", "formula_as_printed_bits", "corrected_bits", "corrected_element_256_bits")
    notes = (
        "The last column takes group elements of 256 bits (ristretto255) for the paper's 1024; the rest as the paper says.",
        "These are counts of elements. What our messages really measure is in the table of message sizes.",
    )
    section = Section("table-5", "Table 5: communication cost by the paper's counting", columns, tuple(rows), notes)
    schemes = tuple(cost.scheme for cost in paper.TABLE_5)
    plot = Plot(
        "figure-4b",
        "Communication cost by the paper's counting",
        "bits",
        (
            ("printed", tuple(float(cost.printed_bits) for cost in paper.TABLE_5)),
            ("corrected", tuple(float(cost.bits(corrected=True)) for cost in paper.TABLE_5)),
            ("corrected, 256-bit elements", tuple(float(cost.bits(corrected=True, element_bits=256)) for cost in paper.TABLE_5)),
        ),
        labels=schemes,
    )
    return Part((section,), plots=(plot,))


def _operations(context: Context) -> dict[str, tuple[str, Callable[[], object]]]:
    random = context.random
    g1, g2 = G1.hash(b"a", _HASH_DST), G2.generator().mul(_below_order(random(64)))
    factor = _below_order(random(64))
    point, scalar = Point.from_uniform(random(64)), random_scalar(random)
    public, authority = abs_scheme.setup(random)
    names = ("doctor", "cardiology", "radiology")
    attributes = [abs_scheme.attribute(name) for name in names]
    policy = abs_scheme.SpanProgram(((1, 1), (0, -1), (0, -1)), tuple(attributes))
    key = abs_scheme.generate(authority, attributes[:2], random)
    message, plaintext = random(32), random(SYMMETRIC_BYTES)
    signature = abs_scheme.sign(public, key, message, policy, random)
    secret, aad = random(32), (labels.SUITE_2019,)
    sealed = seal(secret, plaintext, aad)
    abs_how = "Maji-Prabhakaran-Rosulek 2011 (generic-group form), policy of 3 rows and 2 columns, BLS12-381"
    return {
        "t_bp": ("BLS12-381", lambda: pairing([(g1, g2)])),
        "t_sm": ("ristretto255, any point", lambda: point.mul(scalar)),
        T_SM_G1: ("BLS12-381 G1, any point", lambda: g1.mul(factor)),
        "t_sg": (abs_how, lambda: abs_scheme.sign(public, key, message, policy, random)),
        "t_sv": (abs_how, lambda: abs_scheme.verify(public, message, policy, signature)),
        "t_se": ("ChaCha20-Poly1305, 64 bytes", lambda: seal(secret, plaintext, aad)),
        "t_sd": ("ChaCha20-Poly1305, 64 bytes", lambda: unseal(secret, sealed, aad, "bad-seal")),
        "t_hp": ("BLS12-381 G1, RFC 9380", lambda: G1.hash(message, _HASH_DST)),
    }


def _table_3(measured: Mapping[str, float]) -> Section:
    rows: list[tuple[Cell, ...]] = []
    on_g1 = _on_g1(measured)
    for cost in paper.TABLE_3:
        counted = paper.COUNTED_BY_ALGORITHM[cost.phase]
        rows.append(
            (
                cost.phase,
                paper.formula(cost.printed, nodes=cost.nodes),
                paper.formula(counted),
                cost.printed_ms,
                cost.sum_ms(paper.TABLE_2_MS),
                cost.sum_ms(paper.TABLE_2_MS, counted),
                cost.sum_ms(on_g1),
                cost.sum_ms(measured, counted),
                cost.sum_ms(on_g1, counted),
            )
        )
    columns = (
        "phase",
        "formula_printed",
        "formula_of_the_algorithm",
        "printed_ms",
        "formula_summed_ms",
        "algorithm_at_paper_times_ms",
        "formula_at_measured_times_ms",
        "algorithm_at_measured_times_ms",
        "algorithm_on_pairing_curve_ms",
    )
    notes = (
        "Chain transactions: the printed figures add 2.862 ms for each of the t nodes, for what is a multiplication of scalars.",
        "Printed sums that do not follow from the printed formulas are in the table of misprints.",
        "The printed formula is summed on the pairing curve, where its t_hp is measured; the algorithm on ristretto255 too.",
        "These are formulas times primitives; the phases themselves are timed in the table of phases.",
    )
    return Section("table-3", "Table 3: MBPA as printed", columns, tuple(rows), notes)


def _table_4(measured: Mapping[str, float]) -> Section:
    on_g1 = _on_g1(measured)
    rows: list[tuple[Cell, ...]] = []
    for cost in paper.TABLE_4:
        rows.append(
            (
                cost.scheme,
                cost.phase,
                paper.formula(cost.printed),
                paper.formula(cost.meant),
                cost.printed_ms,
                cost.sum_ms(paper.TABLE_2_MS),
                cost.sum_ms(on_g1),
            )
        )
    columns = ("scheme", "phase", "formula_printed", "formula_meant", "printed_ms", "formula_summed_ms", "at_measured_times_ms")
    notes = (
        "[12] Cheng et al. 2017, [13] Li et al. 2018, [2] Liu and Ma 2018, by the operation counts the paper gives for them.",
        "Scalar multiplications of these schemes are on the pairing curve, where they have to be.",
        _NOT_PRIMITIVES,
    )
    return Section("table-4", "Table 4: related schemes", columns, tuple(rows), notes)


def _misprints() -> Section:
    rows = tuple((m.place, m.printed, m.corrected, m.why) for m in paper.MISPRINTS)
    return Section("misprints", "Misprints of the paper's tables", ("place", "printed", "corrected", "why"), rows)


def _figure_4a(measured: Mapping[str, float]) -> Plot:
    on_g1 = _on_g1(measured)
    series = []
    for scheme in ("[12]", "[13]", "[2]"):
        costs = {cost.phase: cost for cost in paper.TABLE_4 if cost.scheme == scheme}
        series.append((scheme, tuple(costs[phase].sum_ms(on_g1) for phase in paper.TERMINAL_PHASES)))
    ours = {cost.phase: cost for cost in paper.TABLE_3}
    for name, times in (("MBPA, pairing curve", on_g1), ("MBPA, ristretto255", measured)):
        values = tuple(ours[phase].sum_ms(times, paper.COUNTED_BY_ALGORITHM[phase]) for phase in paper.TERMINAL_PHASES)
        series.append((name, values))
    names = [f"mbpa-r1: {phase}" for phase in paper.TERMINAL_PHASES]
    if all(name in measured for name in names):
        series.append(("mbpa-r1, as measured", tuple(measured[name] for name in names)))
    return Plot(
        "figure-4a",
        "Computation at the terminals: formulas at measured times",
        "ms",
        tuple(series),
        labels=paper.TERMINAL_PHASES,
        logarithmic=True,
    )


def _on_g1(measured: Mapping[str, float]) -> dict[str, float]:
    return {**measured, "t_sm": measured[T_SM_G1]}


def _factors(factors: tuple[tuple[str, int, int], ...]) -> str:
    return " + ".join(f"{n}*{bits} ({kind})" for kind, n, bits in factors)


def _below_order(data: bytes) -> bytes:
    return (int.from_bytes(data, "big") % (abs_scheme.ORDER - 1) + 1).to_bytes(32, "big")
