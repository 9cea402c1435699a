"""The scheme once more, slow and obvious: dense matrices, Gaussian elimination, one operation at a time.

Shares nothing with the product but the hashes, the types and the single group operations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from salus import labels
from salus.abpre import capsules as cp
from salus.abpre import encapsulation as en
from salus.abpre import hashing
from salus.abpre.keys import SecretKey
from salus.abpre.parameters import PublicParameters
from salus.abpre.policy import Atom, Node, Policy
from salus.groups.bls12_381 import G1, G2, ORDER, Fr, Gt, pairing
from salus.symmetric import xor

Matrix = list[list[int]]


def scalar(value: int) -> Fr:
    return Fr.decode((value % ORDER).to_bytes(32, "big"))


def number(value: Fr) -> int:
    return int.from_bytes(value.encode(), "big")


def satisfied(node: Node, held: Collection[str]) -> bool:
    """The meaning of a policy."""
    if isinstance(node, Atom):
        return node.attribute in held
    return sum(satisfied(part, held) for part in node.parts) >= node.need


def shamir_matrix(policy: Policy) -> Matrix:
    """Another span program of the same policy: at every gate a polynomial in powers, also for and, or."""
    rows: list[dict[int, int]] = []
    width = 1

    def go(node: Node, vector: dict[int, int]) -> None:
        nonlocal width
        if isinstance(node, Atom):
            rows.append(vector)
            return
        first, width = width, width + node.need - 1
        for i, part in enumerate(node.parts, 1):
            go(part, vector | {first + d: pow(i, d + 1, ORDER) for d in range(node.need - 1)})

    go(policy.root, {0: 1})
    return [[row.get(column, 0) for column in range(width)] for row in rows]


def dense(width: int, rows: Sequence[Sequence[tuple[int, int]]]) -> Matrix:
    """The product's sparse rows written out."""
    return [[dict(row).get(column, 0) % ORDER for column in range(width)] for row in rows]


def solve(matrix: Matrix, rows: Sequence[int]) -> dict[int, int] | None:
    """w over ``rows`` with ``sum w_i * M_i = (1, 0, .., 0)``, by elimination; ``None`` if there is none."""
    width = len(matrix[0])
    system = [[matrix[row][column] % ORDER for row in rows] + [int(column == 0)] for column in range(width)]
    pivots: list[int] = []
    for column in range(len(rows)):
        at = next((i for i in range(len(pivots), width) if system[i][column]), None)
        if at is None:
            continue
        here = len(pivots)
        system[here], system[at] = system[at], system[here]
        inverse = pow(system[here][column], -1, ORDER)
        system[here] = [value * inverse % ORDER for value in system[here]]
        for i in range(width):
            if i != here and system[i][column]:
                factor = system[i][column]
                system[i] = [(a - factor * b) % ORDER for a, b in zip(system[i], system[here], strict=True)]
        pivots.append(column)
    if any(line[-1] for line in system[len(pivots) :]):
        return None
    return {rows[column]: system[i][-1] for i, column in enumerate(pivots) if system[i][-1]}


def left_product(z: Sequence[int], matrix: Matrix) -> list[int]:
    """``z^T M``."""
    return [sum(a * row[column] for a, row in zip(z, matrix, strict=True)) % ORDER for column in range(len(matrix[0]))]


def encapsulate(parameters: PublicParameters, policy: Policy, matrix: Matrix, key: bytes, b: bytes, aad: bytes) -> cp.Capsule:
    """Type 1, from the steps of the protocol page."""
    context = cp.context_of(policy, aad)
    s = en.secret_of(key + b, context)
    width = len(matrix[0])
    drawn = hashing.coins(labels.ABPRE_H7, [key, b], context, width - 1 + len(matrix))
    v = [number(s), *map(number, drawn[: width - 1])]
    B, C = [], []
    for row, x, r in zip(matrix, policy.rows, drawn[width - 1 :], strict=True):
        lam = scalar(sum(entry * value for entry, value in zip(row, v, strict=True)))
        B.append(hashing.point_a().mul(lam) - hashing.attribute_point(x).mul(r))
        C.append(G2.generator().mul(r))
    rows = b"".join(p.encode() + q.encode() for p, q in zip(B, C, strict=True))
    A1 = xor(key + b, en.mask(parameters.Y.pow(s)))
    A2, A3 = G2.generator().mul(s), hashing.point_g_tilde().mul(s)
    D = cp.h4(context, A1, A2.encode(), A3.encode(), rows).mul(s)
    return cp.Capsule(policy, A1, A2, A3, cp.Rows(B, C, rows), D)


def blinding(key: SecretKey, capsule: cp.Capsule | cp.DeltaCapsule, matrix: Matrix) -> Gt | None:
    """``Y^s`` by one pairing after the other."""
    held = [row for row, x in enumerate(capsule.policy.rows) if x in key.parts]
    weights = solve(matrix, held)
    if weights is None:
        return None
    result = pairing([(key.K, capsule.A2)])
    for row, w in weights.items():
        result = result / pairing([(capsule.rows.B[row].mul(scalar(w)), key.L)])
        result = result / pairing([(key.parts[capsule.policy.rows[row]].mul(scalar(w)), capsule.rows.C[row])])
    return result


def is_well_made(capsule: cp.Capsule, aad: bytes, matrix: Matrix, draw: Callable[[], int]) -> bool:
    """Check by its meaning: each of ``e(A3, g2) = e(g~, A2)`` and ``e(D, g2) = e(H4, A2)``, and the rows for one random z."""
    generator = G2.generator()
    H4 = cp.binding_point(capsule, aad)
    if pairing([(capsule.A3, generator)]) != pairing([(hashing.point_g_tilde(), capsule.A2)]):
        return False
    if pairing([(capsule.D, generator)]) != pairing([(H4, capsule.A2)]):
        return False
    z = random_kernel(matrix, draw)
    c = left_product(z, matrix)[0]
    left, B = Gt.one(), G1.identity()
    for value, x, b, C in zip(z, capsule.policy.rows, capsule.rows.B, capsule.rows.C, strict=True):
        B = B + b.mul(scalar(value))
        left = left * pairing([(hashing.attribute_point(x).mul(scalar(value)), C)])
    return left * pairing([(B, generator)]) == pairing([(hashing.point_a().mul(scalar(c)), capsule.A2)])


def random_kernel(matrix: Matrix, draw: Callable[[], int]) -> list[int]:
    """A random z with ``z^T M = (c, 0, .., 0)``, by elimination over the columns but the first."""
    count = len(matrix)
    system = [[row[column] % ORDER for row in matrix] for column in range(1, len(matrix[0]))]
    pivots: list[int] = []
    for column in range(count):
        here = len(pivots)
        at = next((i for i in range(here, len(system)) if system[i][column]), None)
        if at is None:
            continue
        system[here], system[at] = system[at], system[here]
        inverse = pow(system[here][column], -1, ORDER)
        system[here] = [value * inverse % ORDER for value in system[here]]
        for i in range(len(system)):
            if i != here and system[i][column]:
                factor = system[i][column]
                system[i] = [(a - factor * b) % ORDER for a, b in zip(system[i], system[here], strict=True)]
        pivots.append(column)
    free = [column for column in range(count) if column not in pivots]
    z = [0] * count
    for column in free:
        z[column] = draw()
    for i, column in enumerate(pivots):
        z[column] = -sum(system[i][other] * z[other] for other in free) % ORDER
    return z
