"""Hashes of the scheme: to G1 by RFC 9380 under one domain for each use, to scalars, and to coins.

``A``, ``g~`` and ``H(x)`` are hashes to the curve, so nobody knows their logarithms. They are computed once and kept: the
first two with tables for fast multiplication, attributes in a bounded memory.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from salus import labels
from salus.codec import encode
from salus.groups.bls12_381 import G1, G2, Fr, G1Comb, G2Comb, G2Prepared, g1_hash_batch
from salus.symmetric import digest64, kdf

_SUITE: Final = labels.SUITE_ABPRE
_COIN_BYTES: Final = 64
ATTRIBUTES_KEPT: Final = 4096
"""Points H(x) kept in memory: several networks' worth of attributes, about a megabyte."""


def domain(label: str) -> bytes:
    """The domain separation tag of a hash to G1 (RFC 9380, section 3.1)."""
    return f"SALUS-{_SUITE}-{label}-BLS12381G1_XMD:SHA-256_SSWU_RO_".encode()


def hash_to_g1(label: str, *fields: Any) -> G1:
    """The encoding of ``fields`` hashed to G1 under the label's domain."""
    return G1.hash(encode(fields), domain(label))


@cache
def point_a() -> G1:
    """``A = hash("a")``, the base that keys and rows are blinded with."""
    return hash_to_g1(labels.ABPRE_A)


@cache
def point_g_tilde() -> G1:
    """``g~ = hash("g~")``, the base of A3."""
    return hash_to_g1(labels.ABPRE_G_TILDE)


@cache
def table_a() -> G1Comb:
    """Table of A."""
    return G1Comb(point_a())


@cache
def table_g_tilde() -> G1Comb:
    """Table of g~."""
    return G1Comb(point_g_tilde())


@cache
def table_g1() -> G1Comb:
    """Table of g1."""
    return G1Comb(G1.generator())


@cache
def table_g2() -> G2Comb:
    """Table of g2."""
    return G2Comb(G2.generator())


@cache
def lines_g2() -> G2Prepared:
    """The lines of g2, for pairings with it."""
    return G2Prepared(G2.generator())


_kept: OrderedDict[str, G1] = OrderedDict()
_kept_lock: Final = threading.Lock()


def attribute_points(attributes: Sequence[str]) -> list[G1]:
    """``H(x)`` for each attribute, in order; computed once and kept, the longest unused dropped first."""
    with _kept_lock:
        found = {x: _kept[x] for x in attributes if x in _kept}
    new = [x for x in dict.fromkeys(attributes) if x not in found]
    if new:
        found |= zip(new, g1_hash_batch([encode((x,)) for x in new], domain(labels.ABPRE_H)), strict=True)
    with _kept_lock:
        for x in found:
            _kept[x] = found[x]
            _kept.move_to_end(x)
        while len(_kept) > ATTRIBUTES_KEPT:
            _kept.popitem(last=False)
    return [found[x] for x in attributes]


def attribute_point(attribute: str) -> G1:
    """``H(x)``."""
    return attribute_points([attribute])[0]


def h5(delta: bytes) -> Fr:
    """``H5(delta)``, the scalar that a re-encryption key is multiplied with."""
    return Fr.reduce(digest64(labels.ABPRE_H5, _SUITE, delta))


def coins(label: str, secrets: Sequence[bytes], context: bytes, count: int) -> list[Fr]:
    """H7: ``count`` scalars, at most 255, from secrets of 32 bytes each and a context.

    A policy of 128 rows takes 128 for the rows and at most 127 for the shares.
    """
    data = kdf(label, _SUITE, secrets, context, _COIN_BYTES * count) if count else b""
    return [Fr.reduce(data[i : i + _COIN_BYTES]) for i in range(0, len(data), _COIN_BYTES)]


def coefficients(label: str, data: bytes, count: int) -> list[Fr]:
    """``count`` coefficients of 128 bits from a hash of ``data``: every checker gets the same ones, nobody chooses them."""
    stream = coefficient_bytes(label, data, count)
    return [Fr.from_int(int.from_bytes(stream[i : i + 16], "big")) for i in range(0, len(stream), 16)]


def coefficient_bytes(label: str, data: bytes, count: int) -> bytes:
    """``16 * count`` bytes from a hash of ``data`` (SHAKE-256 over label, suite and data)."""
    return hashlib.shake_256(encode((label, _SUITE, hashlib.sha512(data).digest()))).digest(16 * count)
