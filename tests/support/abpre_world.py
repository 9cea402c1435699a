"""One authority, keys and capsules for tests of the scheme, and what an adversary computes without asking anybody's leave."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from salus.abpre.capsules import Capsule, DeltaCapsule, Rows, VerifiedCapsule, VerifiedDeltaCapsule
from salus.abpre.checking import check
from salus.abpre.encapsulation import encapsulate
from salus.abpre.hashing import attribute_points, point_a
from salus.abpre.keys import SecretKey, key_gen, restrict
from salus.abpre.language import parse
from salus.abpre.opening import decapsulate, open_and_match, open_and_match_delta
from salus.abpre.parameters import setup
from salus.abpre.policy import Policy
from salus.abpre.rekeys import Coins, ReKey, check_rekey, re_encrypt, rekey_gen
from salus.abpre.scalars import fr, shares
from salus.abpre.span import reconstruct, span_program
from salus.errors import Refused
from salus.groups.bls12_381 import G1, G2, Fr, Gt, fr_lagrange_coefficients, multi_pairing
from salus.symmetric import Random


class Seeded:
    """Bytes of SHAKE-256 over a name and a running number."""

    def __init__(self, name: str) -> None:
        self.name, self.calls = name, 0

    def __call__(self, count: int, /) -> bytes:
        self.calls += 1
        return hashlib.shake_256(f"{self.name}/{self.calls}".encode()).digest(count)


def make_rows(policy: Policy, s: Fr, scalars: Sequence[Fr]) -> Rows:
    """Step 3 of Encapsulate, row by row.

    :param scalars: the coefficients of the shares, then r_i of each row.
    """
    width = span_program(policy).width
    lambdas, blinds = shares(policy, [s, *scalars[: width - 1]]), scalars[width - 1 :]
    points = zip(lambdas, blinds, attribute_points(policy.rows), strict=True)
    B = [point_a().mul(lam) - H.mul(r) for lam, r, H in points]
    return Rows.of(B, [G2.generator().mul(r) for r in blinds])


def own(name: str) -> str:
    """The attribute of a scope named for a test."""
    return "own:" + hashlib.sha256(name.encode()).hexdigest()


class Sharing:
    """Setup, and everything that honest parties do."""

    def __init__(self, seed: str) -> None:
        self.random: Random = Seeded(seed)
        self.parameters, self.master = setup(self.random)

    def key(self, *attributes: str) -> SecretKey:
        return key_gen(self.master, attributes, self.random)

    def capsule(self, policy: str, key: bytes, aad: bytes = b"record") -> Capsule:
        return encapsulate(self.parameters, parse(policy), key, aad, self.random)

    def stored(self, policy: str, key: bytes, aad: bytes = b"record") -> VerifiedCapsule:
        """A capsule that the nodes have checked."""
        return check(self.capsule(policy, key, aad), aad)

    def delegate(self, key: SecretKey, attributes: Iterable[str], to: str, aad: bytes = b"delegation") -> ReKey:
        sub = restrict(key, attributes, self.random)
        return rekey_gen(self.parameters, sub, parse(to), aad, Coins.draw(self.random))

    def transformed(self, rekey: ReKey, stored: VerifiedCapsule, aad: bytes = b"delegation") -> tuple[Gt, VerifiedDeltaCapsule]:
        """What a delegatee gets: A4, and rk4 verified."""
        return re_encrypt(rekey, stored), check_rekey(rekey, aad)

    def opens(self, key: SecretKey, stored: VerifiedCapsule) -> bytes | str:
        """The key inside, or the code of the refusal."""
        return outcome(lambda: decapsulate(self.parameters, key, stored))

    def matches(self, stored: VerifiedCapsule, element: Gt) -> bytes | str:
        """What an adversary's guess at ``Y^s`` opens."""
        return outcome(lambda: open_and_match(self.parameters, stored, element, "bad-capsule"))

    def matches_delta(self, stored: VerifiedDeltaCapsule, element: Gt) -> bytes | str:
        return outcome(lambda: open_and_match_delta(self.parameters, stored, element))


def outcome(run: Callable[[], Any]) -> Any:
    """What ``run`` gives, or the code of its refusal."""
    try:
        return run()
    except Refused as refusal:
        return refusal.reason


def rows_with(policy: Policy, attributes: Iterable[str]) -> list[int]:
    """Rows whose attribute is among those given."""
    held = set(attributes)
    return [row for row, x in enumerate(policy.rows) if x in held]


def combine(
    K: G1, L: G2, parts: Mapping[int, G1], capsule: Capsule | DeltaCapsule, weights: Mapping[int, int],
    extra: Iterable[tuple[G1, G2]] = (),
) -> Gt:  # fmt: skip
    """``e(K, A2) * e(-sum w_i*B_i, L) * prod e(-w_i*parts[i], C_i)`` with any points and any w: no policy is asked.

    :param parts: for each row the point that is paired with its C.
    """
    B = G1.identity()
    pairs = [(K, capsule.A2), *extra]
    for row, weight in weights.items():
        B = B + capsule.rows.B[row].mul(fr(weight))
        pairs.append((-parts[row].mul(fr(weight)), capsule.rows.C[row]))
    return multi_pairing([*pairs, (-B, L)])


def combine_key(key: SecretKey, capsule: Capsule | DeltaCapsule, weights: Mapping[int, int]) -> Gt:
    """:func:`combine` with the parts of one key, row by row, rows of attributes it lacks left out."""
    rows = {row: key.parts[x] for row, x in enumerate(capsule.policy.rows) if x in key.parts}
    return combine(key.K, key.L, rows, capsule, {row: w for row, w in weights.items() if row in rows})


def pooled_elements(keys: Sequence[SecretKey], stored: VerifiedCapsule) -> list[Gt]:
    """What keys put together can form: K and L each from any of them, each row's part from whoever has the attribute, one part
    in the place of all, and weighted sums of all keys, whose weights add up to one: they keep alpha and mix the t of all.
    """
    capsule = stored.capsule
    parts = {row: next(key.parts[x] for key in keys if x in key.parts) for row, x in enumerate(capsule.policy.rows)}
    ones = dict.fromkeys(parts, 1)
    found = [combine(a.K, b.L, parts, capsule, ones) for a in keys for b in keys]
    found += [combine(k.K, k.L, dict.fromkeys(parts, part), capsule, ones) for k in keys for part in k.parts.values()]
    indices = list(range(1, len(keys) + 1))
    for weights in ([*(fr(i) for i in indices[1:]), fr(1 - sum(indices[1:]))], fr_lagrange_coefficients(indices)):
        K, L = G1.identity(), G2.identity()
        for key, weight in zip(keys, weights, strict=True):
            K, L = K + key.K.mul(weight), L + key.L.mul(weight)
        found.append(combine(K, L, parts, capsule, ones))
        found.append(combine(K, L, {row: part.mul(weights[row % len(keys)]) for row, part in parts.items()}, capsule, ones))
    return found


def guesses_at_weights(policy: Policy, rows: list[int], random: Random, count: int = 12) -> list[dict[int, int]]:
    """Coefficients that an adversary may try: ones, single rows, those for other sets of attributes, random ones."""
    out: list[dict[int, int]] = [dict.fromkeys(rows, 1)] + [{row: 1} for row in rows] + [{row: 2} for row in rows]
    everything = reconstruct(policy, policy.attributes) or {}
    out.append({row: everything.get(row, 1) for row in rows})
    for size in range(1, len(policy.rows) + 1):
        some = reconstruct(policy, policy.rows[:size])
        if some:
            out.append({row: w for row, w in some.items() if row in rows} or dict.fromkeys(rows, 1))
    for _ in range(count):
        out.append({row: int.from_bytes(random(2), "big") - (1 << 15) for row in rows})
    return out
