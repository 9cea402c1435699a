"""A small reference attribute-based signature, so that t_sg and t_sv of Table 2 can be measured. For the bench only.

Scheme: H. Maji, M. Prabhakaran, M. Rosulek, "Attribute-Based Signatures", CT-RSA 2011, the practical instantiation secure in
the generic group model (their Instantiation 3), written additively over BLS12-381: keys and shares in G1, the public
matrix in G2. A signer holding a set of attributes signs under a monotone span program that the set satisfies, and the
signature shows nothing else about the set.

Scalars are Python integers here: nothing is constant time, and nothing outside this package may use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from salus._native import G1, G2, Gt, pairing
from salus.codec import encode
from salus.errors import Refused
from salus.symmetric import Random

ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""Order r of the groups of BLS12-381."""
_DST: Final = b"SALUS-BENCH-ABS_BLS12381G1_XMD:SHA-256_SSWU_RO_"
_BASES_DST: Final = b"SALUS-BENCH-ABS-BASES"


@dataclass(frozen=True)
class SpanProgram:
    """A monotone span program: row i of ``matrix`` belongs to attribute ``labels[i]``.

    A set of attributes satisfies it if a combination of its rows gives (1, 0, .., 0).

    :ivar matrix: small integers, at most :data:`MAX_WIDTH` columns.
    :ivar labels: attributes, each a nonzero scalar.
    """

    matrix: tuple[tuple[int, ...], ...]
    labels: tuple[int, ...]

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.matrix[0])


MAX_WIDTH: Final = 8


@dataclass(frozen=True)
class PublicKey:
    """Trustee's h_0 .. h_tmax with g, and the authority's A_0, A_j, B_j, C."""

    g: G1
    h: tuple[G2, ...]
    A0: G2
    A: tuple[G2, ...]
    B: tuple[G2, ...]
    C: G1


@dataclass(frozen=True)
class AuthorityKey:
    """ASK = (a_0, a, b)."""

    a0: int = field(repr=False)
    a: int = field(repr=False)
    b: int = field(repr=False)


@dataclass(frozen=True)
class SigningKey:
    """SK_A = (K_base, K_0, {K_u : u in A})."""

    base: G1 = field(repr=False)
    K0: G1 = field(repr=False)
    K: Mapping[int, G1] = field(repr=False)


@dataclass(frozen=True)
class Signature:
    """(Y, W, S_1 .. S_l, P_1 .. P_t)."""

    Y: G1
    W: G1
    S: tuple[G1, ...]
    P: tuple[G2, ...]

    def size_bits(self) -> int:
        """Size of the compressed encodings."""
        points: list[G1 | G2] = [self.Y, self.W, *self.S, *self.P]
        return 8 * sum(len(point.encode()) for point in points)


def setup(random: Random) -> tuple[PublicKey, AuthorityKey]:
    """ABS.TSetup and ABS.ASetup.

    The trustee's bases come from known logarithms here, which a real trustee would destroy; no time depends on it.
    """
    g = G1.hash(b"g", _BASES_DST)
    h = tuple(G2.generator().mul(_bytes(_scalar(random))) for _ in range(MAX_WIDTH + 1))
    a0, a, b, c = (_scalar(random) for _ in range(4))
    A = tuple(base.mul(_bytes(a)) for base in h[1:])
    B = tuple(base.mul(_bytes(b)) for base in h[1:])
    return PublicKey(g, h, h[0].mul(_bytes(a0)), A, B, g.mul(_bytes(c))), AuthorityKey(a0, a, b)


def attribute(name: str) -> int:
    """An attribute's scalar."""
    return int.from_bytes(hashlib.sha512(name.encode()).digest(), "big") % (ORDER - 1) + 1


def generate(authority: AuthorityKey, attributes: Sequence[int], random: Random) -> SigningKey:
    """ABS.AttrGen: K_base random, K_0 = K_base / a_0, K_u = K_base / (a + b*u)."""
    base = G1.hash(random(32), _DST)
    K = {u: base.mul(_bytes(pow(authority.a + authority.b * u, -1, ORDER))) for u in attributes}
    return SigningKey(base, base.mul(_bytes(pow(authority.a0, -1, ORDER))), K)


def sign(public: PublicKey, key: SigningKey, message: bytes, policy: SpanProgram, random: Random) -> Signature:
    """ABS.Sign.

    :raises Refused: ``not-authorised`` if the key's attributes do not satisfy the policy.
    """
    v = satisfying_vector(policy, set(key.K))
    mu = _digest(message, policy)
    r0 = _scalar(random)
    masks = [_scalar(random) for _ in policy.labels]
    Cg = public.C + public.g.mul(_bytes(mu))
    S = []
    for i, u in enumerate(policy.labels):
        masked = Cg.mul(_bytes(masks[i]))
        S.append(masked + key.K[u].mul(_bytes(v[i] * r0)) if v[i] else masked)
    P = []
    for j in range(policy.width):
        exponents = [policy.matrix[i][j] * masks[i] % ORDER for i in range(len(policy.labels))]
        # prod_i (A_j B_j^u_i)^(M_ij r_i) = A_j^(sum M_ij r_i) B_j^(sum M_ij r_i u_i): two multiplications a column.
        in_a = sum(exponents) % ORDER
        in_b = sum(e * u for e, u in zip(exponents, policy.labels, strict=True)) % ORDER
        P.append(public.A[j].mul(_bytes(in_a)) + public.B[j].mul(_bytes(in_b)))
    return Signature(key.base.mul(_bytes(r0)), key.K0.mul(_bytes(r0)), tuple(S), tuple(P))


def verify(public: PublicKey, message: bytes, policy: SpanProgram, signature: Signature) -> None:
    """ABS.Verify.

    ``e(W, A_0) = e(Y, h_0)``, and for each column j ``prod_i e(S_i, (A_j B_j^u_i)^M_ij)`` is ``e(C g^mu, P_j)``,
    times ``e(Y, h_1)`` for the first.

    :raises Refused: ``bad-signature``.
    """
    if len(signature.S) != len(policy.labels) or len(signature.P) != policy.width:
        raise Refused("bad-signature", "a signature of another policy")
    Cg = public.C + public.g.mul(_bytes(_digest(message, policy)))
    if not pairing([(signature.W, public.A0), (-signature.Y, public.h[0])]).is_one():
        raise Refused("bad-signature", "the key in the signature is not the authority's")
    rows = [[public.A[j] + public.B[j].mul(_bytes(u)) for u in policy.labels] for j in range(policy.width)]
    for j in range(policy.width):
        if not _column(public, policy, signature, Cg, rows[j], j).is_one():
            raise Refused("bad-signature", f"column {j + 1} does not verify")


def _column(public: PublicKey, policy: SpanProgram, signature: Signature, Cg: G1, row: Sequence[G2], j: int) -> Gt:
    pairs = [(-Cg, signature.P[j])]
    if j == 0:
        pairs.append((-signature.Y, public.h[1]))
    for i, S in enumerate(signature.S):
        m = policy.matrix[i][j]
        if m == 1:
            pairs.append((S, row[i]))
        elif m == -1:
            pairs.append((-S, row[i]))
        elif m:
            pairs.append((S.mul(_bytes(m)), row[i]))
    return pairing(pairs)


def satisfying_vector(policy: SpanProgram, attributes: set[int]) -> list[int]:
    """v with v * M = (1, 0, .., 0) and v_i = 0 for attributes not held, by elimination modulo the group order.

    :raises Refused: ``not-authorised`` if there is none.
    """
    held = [i for i, u in enumerate(policy.labels) if u in attributes]
    # Columns of the system are the held rows; one equation for each column of M.
    system = [[policy.matrix[i][j] % ORDER for i in held] + [1 if j == 0 else 0] for j in range(policy.width)]
    pivots: list[int] = []
    for column in range(len(held)):
        at = len(pivots)
        chosen = next((r for r in range(at, len(system)) if system[r][column]), None)
        if chosen is None:
            continue
        system[at], system[chosen] = system[chosen], system[at]
        inverse = pow(system[at][column], -1, ORDER)
        system[at] = [value * inverse % ORDER for value in system[at]]
        for r in range(len(system)):
            if r != at and system[r][column]:
                factor = system[r][column]
                system[r] = [(x - factor * y) % ORDER for x, y in zip(system[r], system[at], strict=True)]
        pivots.append(column)
    if any(row[-1] for row in system[len(pivots) :]):
        raise Refused("not-authorised", "the attributes do not satisfy the policy")
    v = [0] * len(policy.labels)
    for row, column in enumerate(pivots):
        v[held[column]] = system[row][-1]
    return v


def _digest(message: bytes, policy: SpanProgram) -> int:
    rows = tuple(tuple(_bytes(m) for m in row) for row in policy.matrix)
    labels = tuple(_bytes(u) for u in policy.labels)
    return int.from_bytes(hashlib.sha512(encode((message, rows, labels))).digest(), "big") % ORDER


def _scalar(random: Random) -> int:
    return int.from_bytes(random(64), "big") % (ORDER - 1) + 1


def _bytes(value: int) -> bytes:
    return (value % ORDER).to_bytes(32, "big")
