"""ristretto255 (RFC 9496), Shamir sharing and polynomials in plain integers: the slow, obvious twin of the extension.

For tests and for reading. It takes no care of time, memory or secrets: never feed it a real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ORDER: Final = 2**252 + 27742317777372353535851937790883648493
FIELD: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, FIELD) % FIELD
_SQRT_M1: Final = pow(2, (FIELD - 1) // 4, FIELD)

Affine = tuple[int, int]
"""A point (x, y) of the curve -x^2 + y^2 = 1 + d x^2 y^2; a group element is a coset of four of them."""


def _is_negative(x: int) -> bool:
    return x % FIELD % 2 == 1


def _absolute(x: int) -> int:
    return -x % FIELD if _is_negative(x) else x % FIELD


def sqrt_ratio_m1(u: int, v: int) -> tuple[bool, int]:
    """RFC 9496, section 4.2: (True, sqrt(u/v)), or (False, sqrt(sqrt(-1) * u/v)) if u/v is no square; the non-negative root."""
    ratio = u * pow(v, FIELD - 2, FIELD) % FIELD
    if ratio != 0 and pow(ratio, (FIELD - 1) // 2, FIELD) != 1:
        return False, _absolute(_sqrt(_SQRT_M1 * ratio % FIELD))
    return u % FIELD == 0 or v % FIELD != 0, _absolute(_sqrt(ratio))


def _sqrt(square: int) -> int:
    root = pow(square, (FIELD + 3) // 8, FIELD)
    return root if root * root % FIELD == square else root * _SQRT_M1 % FIELD


_SQRT_AD_MINUS_ONE: Final = 25063068953384623474111414158702152701244531502492656460079210482610430750235
_INVSQRT_A_MINUS_D: Final = sqrt_ratio_m1(1, -1 - _D)[1]


def add(a: Affine, b: Affine) -> Affine:
    """The complete addition law of the curve."""
    (x1, y1), (x2, y2) = a, b
    product = _D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, FIELD)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, FIELD)
    return x % FIELD, y % FIELD


def negate(a: Affine) -> Affine:
    """The inverse."""
    return -a[0] % FIELD, a[1]


IDENTITY: Final[Affine] = (0, 1)


def multiply(scalar: int, point: Affine) -> Affine:
    """Double and add."""
    result = IDENTITY
    for bit in f"{scalar % ORDER:b}":
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def multi_multiply(scalars: Sequence[int], points: Sequence[Affine]) -> Affine:
    """The sum of all ``scalars[i] * points[i]``, one by one."""
    result = IDENTITY
    for scalar, point in zip(scalars, points, strict=True):
        result = add(result, multiply(scalar, point))
    return result


def equal(a: Affine, b: Affine) -> bool:
    """Whether two points stand for one element: x1*y2 = y1*x2 or y1*y2 = x1*x2 (RFC 9496, section 4.5)."""
    return (a[0] * b[1] - a[1] * b[0]) % FIELD == 0 or (a[1] * b[1] - a[0] * b[0]) % FIELD == 0


def decode(data: bytes) -> Affine:
    """RFC 9496, section 4.3.1; the identity's encoding is allowed.

    :raises ValueError: for anything but the canonical encoding of an element.
    """
    s = int.from_bytes(data, "little")
    if len(data) != 32 or s >= FIELD or _is_negative(s):
        raise ValueError("not a canonical field element")
    u1, u2 = (1 - s * s) % FIELD, (1 + s * s) % FIELD
    v = (-_D * u1 * u1 - u2 * u2) % FIELD
    was_square, root = sqrt_ratio_m1(1, v * u2 * u2)
    den_x = root * u2
    x = _absolute(2 * s * den_x)
    y = u1 * root * den_x * v % FIELD
    if not was_square or _is_negative(x * y) or y == 0:
        raise ValueError("not an element")
    return x, y


def encode(point: Affine) -> bytes:
    """RFC 9496, section 4.3.2, with Z = 1."""
    x, y = point
    t = x * y % FIELD
    u1, u2 = (1 + y) * (1 - y), t
    root = sqrt_ratio_m1(1, u1 * u2 * u2)[1]
    den1, den2 = root * u1, root * u2
    z_inv = den1 * den2 * t % FIELD
    if _is_negative(t * z_inv):
        x, y, den = y * _SQRT_M1, x * _SQRT_M1, den1 * _INVSQRT_A_MINUS_D
    else:
        den = den2
    if _is_negative(x * z_inv):
        y = -y
    return _absolute(den * (1 - y)).to_bytes(32, "little")


def _map(t: int) -> Affine:
    """RFC 9496, section 4.3.4: the map of one field element."""
    r = _SQRT_M1 * t * t % FIELD
    u = (r + 1) * (1 - _D * _D)
    v = (-1 - r * _D) * (r + _D) % FIELD
    was_square, s = sqrt_ratio_m1(u, v)
    if not was_square:
        s = -_absolute(s * t) % FIELD
    c = -1 if was_square else r
    n = c * (r - 1) * (_D - 1) ** 2 - v
    w0, w1, w2, w3 = 2 * s * v, n * _SQRT_AD_MINUS_ONE, 1 - s * s, 1 + s * s
    return w0 * pow(w1, -1, FIELD) % FIELD, w2 * pow(w3, -1, FIELD) % FIELD


def from_uniform(data: bytes) -> Affine:
    """The one-way map of 64 bytes: the sum of the maps of its halves, top bits ignored."""
    halves = (int.from_bytes(data[i : i + 32], "little") % 2**255 for i in (0, 32))
    first, second = (_map(t % FIELD) for t in halves)
    return add(first, second)


GENERATOR: Final[Affine] = decode(bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"))


def evaluate(coefficients: Sequence[int], at: int) -> int:
    """``coefficients[0] + coefficients[1]*at + ..`` modulo the group order."""
    return sum(a * pow(at, k, ORDER) for k, a in enumerate(coefficients)) % ORDER


def lagrange(indices: Sequence[int], at: int = 0) -> list[int]:
    """The coefficient of each index for interpolation at ``at``, by the definition."""
    result = []
    for i in indices:
        value = 1
        for j in indices:
            if j != i:
                value = value * (at - j) * pow(i - j, -1, ORDER) % ORDER
        result.append(value)
    return result


def from_roots(roots: Sequence[int], constant: int) -> list[int]:
    """Coefficients of ``prod(x - root) + constant`` from the constant term up, the leading 1 left out."""
    result = [1]
    for root in roots:
        shifted = [0, *result]
        result = [(high - root * low) % ORDER for high, low in zip(shifted, [*result, 0], strict=True)]
    result[0] = (result[0] + constant) % ORDER
    return result[:-1]
