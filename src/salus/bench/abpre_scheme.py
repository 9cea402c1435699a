"""The scheme's operations beside their floors: counts that nobody can leave out, times the primitives of the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from salus import _native
from salus.abpre.capsules import Capsule, VerifiedCapsule, VerifiedDeltaCapsule
from salus.abpre.checking import check, check_batch
from salus.abpre.encapsulation import encapsulate
from salus.abpre.keys import SecretKey, key_gen, restrict
from salus.abpre.language import parse
from salus.abpre.opening import decapsulate, re_decrypt
from salus.abpre.parameters import MasterKey, PublicParameters, setup
from salus.abpre.policy import Policy
from salus.abpre.rekeys import Coins, ReKey, check_rekey, re_encrypt, rekey_gen
from salus.abpre.span import reconstruct
from salus.bench.bls_primitives import Prices, measure_bls_primitives, prices
from salus.bench.floors import describe, floor_ms
from salus.bench.model import Cell, Context, Part, Plot, Section, Target
from salus.bench.timing import best_ms
from salus.groups.bls12_381 import G1, G2, Fr, G1Comb, G2Comb, Gt, g1_msm_vartime, g1_mul_batch, g2_msm_vartime, random_fr
from salus.symmetric import Random

LIMITS: Final = {"encapsulate": 1.4, "check": 1.4, "decapsulate": 1.3, "re_encrypt": 1.3, "re_decrypt": 1.3}
"""Over the floor, at most."""
BATCH: Final = 64
BATCH_LIMIT: Final = 0.25
CORES_LIMIT: Final = 1.6
ROUNDS: Final = 5
FREE_CORE_GAIN: Final = 1.6
"""What a plain batch gains by a second core that nobody else uses, at least."""
ROUND_PAUSE_S: Final = 1.0
_SMALL_BITS: Final = 64
"""Coefficients below this are small: k of n among neighbours has such."""
_TERMS: Final = 64
AAD: Final = b"bench"


def conjunction(n: int) -> Policy:
    """An and of n attributes."""
    return parse(" and ".join(f"attr:x{i}" for i in range(n)))


POLICIES: Final[dict[str, tuple[Policy, slice]]] = {
    "AND of 10": (conjunction(10), slice(None)),
    "AND of 50": (conjunction(50), slice(None)),
    "AND of 100": (conjunction(100), slice(None)),
    "OR of 50": (parse(" or ".join(f"attr:x{i}" for i in range(50))), slice(None)),
    "25 of 50": (parse(f"25 of ({', '.join(f'attr:x{i}' for i in range(50))})"), slice(None, None, 2)),
}
"""Policy, and which of its attributes the reader has; every second one makes the coefficients of 25 of 50 as long as they get."""


@dataclass(frozen=True)
class Case:
    """Everything needed to run each operation on one policy."""

    name: str
    policy: Policy
    parameters: PublicParameters
    master: MasterKey
    key: SecretKey
    capsule: Capsule
    stored: VerifiedCapsule
    rekey: ReKey
    rk4: VerifiedDeltaCapsule
    A4: Gt

    @classmethod
    def make(cls, name: str, random: Random) -> Case:
        """The case of one of :data:`POLICIES`."""
        policy, held = POLICIES[name]
        parameters, master = setup(random)
        key = key_gen(master, policy.attributes[held], random)
        capsule = encapsulate(parameters, policy, random(32), AAD, random)
        stored = check(capsule, AAD)
        rekey = rekey_gen(parameters, restrict(key, key.attributes, random), policy, AAD, Coins.draw(random))
        return cls(
            name, policy, parameters, master, key, capsule, stored, rekey, check_rekey(rekey, AAD), re_encrypt(rekey, stored)
        )

    def operations(self, random: Random) -> dict[str, Callable[[], object]]:
        """Name -> one run."""
        names, k = self.key.attributes, random(32)
        encoded = self.capsule.encode()
        return {
            "key_gen": lambda: key_gen(self.master, names, random),
            "encapsulate": lambda: encapsulate(self.parameters, self.policy, k, AAD, random),
            "decode": lambda: Capsule.decode(encoded),
            "check": lambda: check(self.capsule, AAD),
            "decapsulate": lambda: decapsulate(self.parameters, self.key, self.stored),
            "re_encrypt": lambda: re_encrypt(self.rekey, self.stored),
            "re_decrypt": lambda: re_decrypt(self.parameters, self.key, self.stored, self.A4, self.rk4),
        }

    def floors(self) -> dict[str, Mapping[str, int]]:
        """Operations that nobody can leave out (docs/protocol/sharing-scheme.md, "Cost")."""
        n, distinct, held = len(self.policy.rows), len(self.policy.attributes), len(self.key.parts)
        weights = reconstruct(self.policy, self.key.parts) or {}
        m = len(weights)
        long = sum(abs(w) >= 1 << _SMALL_BITS for w in weights.values())
        exact = "of (" in self.policy.text
        multiples = {"g1_mul": long, "g1_term": long}
        match = {"g2_comb": 1, "g1_comb": 1, "g1_mul": 1, "gt_comb": 1}
        match2 = {"g2_comb": 1, "g1_mul": 1, "gt_comb": 1}
        opening = _sum({"miller_loop": m + 2, "final_exp": 1}, multiples)
        spread = len(set(self.policy.rows)) > 1 and " and " not in self.policy.text
        # With and alone all z are equal and 1, and no row is multiplied; the others have random z, and C_i one term each.
        rows = {"g1_term" if exact else "g1_short": n, "g2_term" if exact else "g2_short": n} if spread else {}
        return {
            "key_gen": {"g1_mul": held, "g1_comb": 1, "g2_comb": 1},
            "encapsulate": {"gt_comb": 1, "g2_comb": n + 1, "g1_comb": n + 1, "g1_mul": n + 1},
            "decode": {"g1_decode": n + 2, "g2_decode": n + 1},
            "check": _sum({"miller_loop": distinct + 2, "final_exp": 1, "g1_short": 4}, rows),
            "decapsulate": _sum(opening, match),
            "re_encrypt": _sum({"miller_loop": m + 3, "final_exp": 1}, multiples),
            "re_decrypt": _sum(opening, match2, {"gt_pow": 1}, match),
        }


def _sum(*counts: Mapping[str, int]) -> dict[str, int]:
    return {name: sum(c.get(name, 0) for c in counts) for name in dict.fromkeys(name for c in counts for name in c)}


@contextmanager
def _on_cores(count: int) -> Iterator[None]:
    wanted = _native.threads()
    _native.set_threads(count)
    try:
        yield
    finally:
        _native.set_threads(wanted)


def scheme(context: Context) -> Part:
    """Every operation on one core for each policy, batches of checks, and two cores; prices are taken before and after."""
    repeats = 2 if context.quick else 25
    first = _prices(context.random, repeats)
    measured: dict[tuple[str, str], float] = {}
    cases = [Case.make(name, context.random) for name in (list(POLICIES)[:1] if context.quick else POLICIES)]
    with _on_cores(1):
        # Several rounds: a load that comes and goes does not meet one operation in all of them.
        for _ in range(1 if context.quick else 3):
            for case in cases:
                for name, operation in case.operations(context.random).items():
                    best = best_ms(operation, max(2, repeats // 3))
                    measured[case.name, name] = min(best, measured.get((case.name, name), best))
    second = _prices(context.random, repeats)
    times = {name: min(ms, second[name]) for name, ms in first.items()}
    context.measured_ms.update({f"{case} {name}": ms for (case, name), ms in measured.items()})
    rows, targets = _beside_floors(cases, measured, times)
    columns = ("policy", "operation", "measured_ms", "floor_ms", "over_floor", "floor_of")
    notes = (
        "One core. Points H(x) and tables of the fixed bases are kept, as they are in a running party. Decoding takes a capsule's"
        " points in; check and opening start from decoded points.",
        "25 of 50: the reader has every second attribute, so that all coefficients are long.",
    )
    batch = _batches(context, cases, measured)
    cores = _cores(context, cases)
    table = Section("abpre-scheme", "The scheme on one core, beside its floors", columns, tuple(rows), notes)
    priced = Section(
        "abpre-prices", "Primitives of the floors", ("operation", "us"), tuple((n, 1000 * t) for n, t in times.items())
    )
    sections = (table, *batch.sections, *cores.sections, priced)
    return Part(sections, (*targets, *batch.targets, *cores.targets), (_plot(cases, measured),))


def _beside_floors(
    cases: Sequence[Case], measured: Mapping[tuple[str, str], float], times: Mapping[str, float]
) -> tuple[list[tuple[Cell, ...]], list[Target]]:
    rows: list[tuple[Cell, ...]] = []
    targets = []
    for case in cases:
        for name, counts in case.floors().items():
            ms, floor = measured[case.name, name], floor_ms(times, counts)
            rows.append((case.name, name, ms, floor, ms / floor, describe(counts)))
            if name in LIMITS:
                targets.append(Target(f"{name}, {case.name}, over its floor", ms / floor, LIMITS[name]))
    return rows, targets


def _prices(random: Random, repeats: int) -> dict[str, float]:
    """Milliseconds of each primitive: those of the groups' bench, and terms of sums with coefficients of 128 bits."""
    found: Prices = prices(measure_bls_primitives(random, repeats), repeats)
    times = {name: getattr(found, name) / 1000 for name in Prices.__struct_fields__}
    short = [Fr.from_int(int.from_bytes(random(16), "big")) for _ in range(_TERMS)]
    scalars = [random_fr(random) for _ in range(_TERMS)]
    p, q = G1Comb(G1.generator()).mul_batch(scalars), G2Comb(G2.generator()).mul_batch(scalars)
    with _on_cores(1):
        times["g1_short"] = best_ms(lambda: g1_msm_vartime(short, p), repeats) / _TERMS
        times["g2_short"] = best_ms(lambda: g2_msm_vartime(short, q), repeats) / _TERMS
    return times


def _batches(context: Context, cases: Sequence[Case], measured: Mapping[tuple[str, str], float]) -> Part:
    """Check of 64 capsules over the same attributes, beside single ones."""
    rows: list[tuple[Cell, ...]] = []
    targets = []
    for case in cases:
        items = [(encapsulate(case.parameters, case.policy, context.random(32), AAD, context.random), AAD) for _ in range(BATCH)]
        single, batch = measured[case.name, "check"], float("inf")
        with _on_cores(1):
            # In turns, so that a load meets both alike.
            for _ in range(1 if context.quick else 4):
                single = min(single, best_ms(lambda case=case: check(case.capsule, AAD), 4))  # type: ignore[misc]
                batch = min(batch, best_ms(lambda items=items: check_batch(items), 1 if context.quick else 3) / BATCH)  # type: ignore[misc]
        rows.append((case.name, BATCH, batch, single, batch / single))
        targets.append(Target(f"check in batches of {BATCH}, {case.name}, over single ones", batch / single, BATCH_LIMIT))
    columns = ("policy", "capsules", "batch_ms_per_capsule", "single_ms", "batch_over_single")
    return Part((Section("abpre-batches", "Checks in batches, on one core", columns, tuple(rows)),), tuple(targets))


def _cores(context: Context, cases: Sequence[Case]) -> Part:
    """Encapsulate and Check on one core and on two, in turns; again while the second core is busy with something else."""
    scalars = [random_fr(context.random) for _ in range(_TERMS)]
    points = G1Comb(G1.generator()).mul_batch(scalars)
    rows: list[tuple[Cell, ...]] = []
    targets = []
    gains = []
    for case in cases:
        operations = case.operations(context.random)
        for name in ("encapsulate", "check"):
            times, plain = dict.fromkeys((1, 2), float("inf")), dict.fromkeys((1, 2), float("inf"))
            for _ in range(1 if context.quick else ROUNDS):
                # The shorter an operation, the more runs it takes to meet neither core's interruptions.
                _by_cores(operations[name], times, 1 if context.quick else max(4, 200 // len(case.policy.rows)))
                _by_cores(lambda: g1_mul_batch(scalars, points), plain, 2)
                if plain[1] / plain[2] > FREE_CORE_GAIN:
                    break
                time.sleep(ROUND_PAUSE_S)
            rows.append((case.name, name, times[1], times[2], times[1] / times[2]))
            gains.append(plain[1] / plain[2])
            what = f"{name}, {case.name}, faster on two cores"
            targets.append(Target(what, times[1] / times[2], CORES_LIMIT, at_least=True))
    columns = ("policy", "operation", "one_core_ms", "two_cores_ms", "faster")
    notes = (
        f"For comparison, plain multiplications gain {min(gains):.2f} to {max(gains):.2f} by a second core in this run.",
        "The final exponentiation of a check, a seventh of it at ten attributes, is a chain that no second core shortens.",
        *(() if min(gains) > FREE_CORE_GAIN else ("The second core was not free all the time: some gains say nothing.",)),
    )
    return Part((Section("abpre-cores", "On two cores", columns, tuple(rows), notes),), tuple(targets))


def _by_cores(operation: Callable[[], object], times: dict[int, float], repeats: int) -> None:
    """Lower ``times`` to the best run on as many cores, in turns, so that a load meets both alike.

    Several runs a turn: threads start with the first one, and a running party has them.
    """
    for _ in range(repeats):
        for cores in times:
            with _on_cores(cores):
                times[cores] = min(times[cores], best_ms(operation, 4))


def _plot(cases: Sequence[Case], measured: Mapping[tuple[str, str], float]) -> Plot:
    names = ("key_gen", "encapsulate", "check", "decapsulate", "re_encrypt", "re_decrypt")
    series = tuple((name, tuple(measured[case.name, name] for case in cases)) for name in names)
    labels = tuple(case.name for case in cases)
    return Plot("abpre-scheme", "Operations by policy, one core", "ms", series, labels=labels)


def sizes(context: Context) -> Part:
    """Bytes of what is stored and sent."""
    rows: list[tuple[Cell, ...]] = []
    for name in POLICIES:
        case = Case.make(name, context.random)
        rows.append(
            (name, len(case.policy.text), len(case.capsule.encode()), len(case.key.encode()), len(case.rekey.encode()),
             len(case.rekey.rk4.encode()))
        )  # fmt: skip
    columns = ("policy", "policy_bytes", "capsule_bytes", "key_bytes", "rekey_bytes", "delta_capsule_bytes")
    return Part((Section("abpre-sizes", "Sizes", columns, tuple(rows)),))
