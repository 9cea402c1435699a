"""BLS12-381 in plain integers: the slow, obvious twin of the extension's G1, G2 and pairing. For tests; no secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

X: Final = -0xD201000000010000
"""The parameter of the curve family; order and field follow from it."""
ORDER: Final = X**4 - X**2 + 1
FIELD: Final = (X - 1) ** 2 * ORDER // 3 + X

Fp2 = tuple[int, int]
"""a + b*u with u^2 = -1."""
Fp12 = tuple[int, ...]
"""Twelve coefficients of powers of w, with w^12 = 2*w^6 - 2; u is w^6 - 1."""
Point = tuple[Fp2, Fp2] | None
"""A point (x, y) of G2, or of G1 with u-parts zero; None is the identity."""

ONE: Final[Fp12] = (1,) + (0,) * 11


def mul2(a: Fp2, b: Fp2) -> Fp2:
    """Product in Fp2."""
    return (a[0] * b[0] - a[1] * b[1]) % FIELD, (a[0] * b[1] + a[1] * b[0]) % FIELD


def sub2(a: Fp2, b: Fp2) -> Fp2:
    """Difference in Fp2."""
    return (a[0] - b[0]) % FIELD, (a[1] - b[1]) % FIELD


def inv2(a: Fp2) -> Fp2:
    """Inverse in Fp2."""
    norm = pow(a[0] * a[0] + a[1] * a[1], -1, FIELD)
    return a[0] * norm % FIELD, -a[1] * norm % FIELD


def slope(a: tuple[Fp2, Fp2], b: tuple[Fp2, Fp2]) -> Fp2:
    """Slope of the line through two points, or of the tangent (neither vertical)."""
    if a == b:
        return mul2(mul2((3, 0), mul2(a[0], a[0])), inv2(mul2((2, 0), a[1])))
    return mul2(sub2(b[1], a[1]), inv2(sub2(b[0], a[0])))


def add(a: Point, b: Point) -> Point:
    """Addition by chord and tangent."""
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0] and (a[1] != b[1] or a[1] == (0, 0)):
        return None
    s = slope(a, b)
    x = sub2(sub2(mul2(s, s), a[0]), b[0])
    return x, sub2(mul2(s, sub2(a[0], x)), a[1])


def negate(a: Point) -> Point:
    """The inverse."""
    return None if a is None else (a[0], sub2((0, 0), a[1]))


def multiply(scalar: int, point: Point) -> Point:
    """Double and add."""
    result: Point = None
    for bit in f"{scalar:b}":
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def _is_greater(y: Fp2) -> bool:
    """Whether y is the lexicographically larger of y and -y (the u-part first)."""
    part = y[1] or y[0]
    return part > (FIELD - 1) // 2


def encode(point: Point, parts: int) -> bytes:
    """Compressed encoding: x (48 bytes, or 96 with the u-part first) and three flag bits on top.

    :param parts: 1 for G1, 2 for G2.
    """
    if point is None:
        return b"\xc0" + bytes(48 * parts - 1)
    x, y = point
    data = bytearray(b"".join(v.to_bytes(48, "big") for v in reversed(x[:parts])))
    data[0] |= 0xA0 if _is_greater(y) else 0x80
    return bytes(data)


def decode_uncompressed(data: bytes) -> Point:
    """The inverse of the uncompressed encoding of G1 (96 bytes) or G2 (192 bytes), for points other than the identity."""
    values = [int.from_bytes(data[i : i + 48], "big") for i in range(0, len(data), 48)]
    if len(values) == 2:
        return (values[0], 0), (values[1], 0)
    return (values[1], values[0]), (values[3], values[2])


def mul12(a: Fp12, b: Fp12) -> Fp12:
    """Product of polynomials in w, reduced by w^12 = 2*w^6 - 2."""
    wide = [0] * 23
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            wide[i + j] += x * y
    for k in range(22, 11, -1):
        wide[k - 6] += 2 * wide[k]
        wide[k - 12] -= 2 * wide[k]
    return tuple(v % FIELD for v in wide[:12])


def pow12(a: Fp12, exponent: int) -> Fp12:
    """Square and multiply."""
    result = ONE
    for bit in f"{exponent:b}":
        result = mul12(result, result)
        if bit == "1":
            result = mul12(result, a)
    return result


def _line(t: tuple[Fp2, Fp2], s: Fp2, p: tuple[Fp2, Fp2]) -> Fp12:
    """The line of slope s through t of G2, moved to the curve of G1 and evaluated at p; times w^3, which the exponent removes."""
    a = sub2(mul2(s, t[0]), t[1])
    b = mul2(s, (-p[0][0], 0))
    # An element a + b*u is (a - b) + b*w^6.
    return ((a[0] - a[1]) % FIELD, 0, (b[0] - b[1]) % FIELD, p[1][0], 0, 0, a[1], 0, b[1], 0, 0, 0)


def pairing(p: Point, q: Point) -> Fp12:
    """The optimal ate pairing of p in G1 and q in G2: Miller's loop over abs(X), conjugated for its sign, then the full power."""
    if p is None or q is None:
        return ONE
    f, t = ONE, q
    for bit in f"{-X:b}"[1:]:
        f = mul12(mul12(f, f), _line(t, slope(t, t), p))
        t = _there(add(t, t))
        if bit == "1":
            f = mul12(f, _line(t, slope(t, q), p))
            t = _there(add(t, q))
    conjugate = tuple(v if k % 2 == 0 else -v % FIELD for k, v in enumerate(f))
    return pow12(conjugate, (FIELD**12 - 1) // ORDER)


def _there(point: Point) -> tuple[Fp2, Fp2]:
    assert point is not None, "a multiple below the order is never the identity"
    return point


def expand_message_xmd(
    message: bytes, dst: bytes, length: int, hash_function: Callable[..., hashlib._Hash] = hashlib.sha256
) -> bytes:
    """RFC 9380, section 5.3.1.

    :param dst: domain separation tag; one over 255 bytes is hashed first (section 5.3.3).
    :param length: bytes wanted, at most 255 digests.
    """
    digest_bytes, block_bytes = hash_function().digest_size, hash_function().block_size
    if len(dst) > 255:
        dst = hash_function(b"H2C-OVERSIZE-DST-" + dst).digest()
    count = -(-length // digest_bytes)
    if count > 255 or length > 65535:
        raise ValueError("too many bytes asked for")
    suffix = dst + bytes([len(dst)])
    first = hash_function(bytes(block_bytes) + message + length.to_bytes(2, "big") + b"\0" + suffix).digest()
    blocks = [hash_function(first + b"\1" + suffix).digest()]
    for i in range(2, count + 1):
        mixed = bytes(a ^ b for a, b in zip(first, blocks[-1], strict=True))
        blocks.append(hash_function(mixed + bytes([i]) + suffix).digest())
    return b"".join(blocks)[:length]


def _square_root(a: Fp2) -> Fp2:
    """A square root in Fp2.

    :raises ValueError: there is none.
    """
    norm_root = pow(a[0] * a[0] + a[1] * a[1], (FIELD + 1) // 4, FIELD)
    half = pow(2, -1, FIELD)
    for real_square in ((a[0] + norm_root) * half % FIELD, (a[0] - norm_root) * half % FIELD):
        real = pow(real_square, (FIELD + 1) // 4, FIELD)
        if real:
            candidates = [(real, a[1] * pow(2 * real, -1, FIELD) % FIELD)]
        else:
            candidates = [(0, pow(-a[0] % FIELD, (FIELD + 1) // 4, FIELD)), (pow(a[0], (FIELD + 1) // 4, FIELD), 0)]
        for root in candidates:
            if mul2(root, root) == a:
                return root
    raise ValueError("not a square")


def decode(data: bytes, parts: int) -> Point:
    """The inverse of :func:`encode`, canonical encodings of elements of the subgroup only; the identity is allowed.

    :param parts: 1 for G1 (48 bytes), 2 for G2 (96 bytes).
    :raises ValueError: anything else.
    """
    if len(data) != 48 * parts or not data[0] & 0x80:
        raise ValueError("not a compressed encoding")
    if data[0] & 0x40:
        if data != encode(None, parts):
            raise ValueError("not the encoding of the identity")
        return None
    values = [int.from_bytes(data[i : i + 48], "big") for i in range(0, len(data), 48)]
    values[0] &= (1 << 381) - 1
    if max(values) >= FIELD:
        raise ValueError("a coordinate is not below the field's modulus")
    x: Fp2 = (values[-1], values[0] if parts == 2 else 0)
    b: Fp2 = (4, 4 if parts == 2 else 0)
    cube = mul2(mul2(x, x), x)
    y = _square_root(((cube[0] + b[0]) % FIELD, (cube[1] + b[1]) % FIELD))
    if parts == 1 and y[1]:
        raise ValueError("the point is on the curve's twist")
    if _is_greater(y) != bool(data[0] & 0x20):
        y = sub2((0, 0), y)
    if multiply(ORDER, (x, y)) is not None:
        raise ValueError("not in the subgroup")
    return x, y


def sum_of_multiples(scalars: Sequence[int], points: Sequence[Point]) -> Point:
    """Term by term."""
    total: Point = None
    for scalar, point in zip(scalars, points, strict=True):
        total = add(total, multiply(scalar % ORDER, point))
    return total


def target(p: Point, q: Point) -> Fp12:
    """blst's pairing, the cube of :func:`pairing` (3 does not divide the order)."""
    return pow12(pairing(p, q), 3)


def encode_target(a: Fp12) -> bytes:
    """576 bytes: the coefficients of 1, w, .. w^5 over Fp2, real parts first."""
    return b"".join(v.to_bytes(48, "big") for k in range(6) for v in ((a[k] + a[k + 6]) % FIELD, a[k + 6]))


def decode_target(data: bytes) -> Fp12:
    """The inverse of :func:`encode_target`, for elements of order r only; the neutral one is allowed.

    :raises ValueError: anything else.
    """
    values = [int.from_bytes(data[i : i + 48], "big") for i in range(0, len(data), 48)]
    if len(data) != 576 or max(values) >= FIELD:
        raise ValueError("not twelve coefficients below the field's modulus")
    a = tuple((values[2 * k] - values[2 * k + 1]) % FIELD for k in range(6)) + tuple(values[1::2])
    if not any(values) or pow12(a, ORDER) != ONE:
        raise ValueError("not in the subgroup")
    return a


def lagrange(indices: Sequence[int], at: int = 0) -> list[int]:
    """Lagrange coefficients modulo the order."""
    out = []
    for i in indices:
        top, bottom = 1, 1
        for j in indices:
            if j != i:
                top, bottom = top * (at - j), bottom * (i - j)
        out.append(top * pow(bottom, -1, ORDER) % ORDER)
    return out
