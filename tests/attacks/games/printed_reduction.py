"""The simulator of the paper's Theorem 1, run as it is printed: what challenger C does with an instance of ECDHP.

C is given (P, Q1 = a*P, Q2 = b*P), picks a challenge patient PA_I and doctor DO_K, and sets keys so that the honest
key^2_PD between them is ab*P: W_PA_I = Q1, and W_DO_K + A_DO_K = Q2 *for the A_DO_K that C itself drew*. When the adversary
outputs (M_k1, M_k2), C picks an entry of its lists of encryption or hash queries and answers with the key it finds there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from salus.groups.ristretto255 import Point, Scalar, base_mul, random_scalar
from salus.symmetric import Random

PA_I, DO_K = "PA_I", "DO_K"


class AbortError(Exception):
    """C gives up; the bound of the theorem charges for how often."""


@dataclass
class Simulator:
    """C of Theorem 1. Points in keys of its lists are kept as points, so that they can be compared."""

    random: Random
    Q1: Point
    Q2: Point
    others: tuple[str, ...] = ()
    hash_list: list[tuple[tuple[Any, ...], bytes]] = field(default_factory=list)
    encryption_list: list[tuple[bytes, Point, bytes]] = field(default_factory=list)
    _alpha: dict[tuple[bytes, bytes], Scalar] = field(default_factory=dict)
    _x: dict[str, Scalar] = field(default_factory=dict)
    _a: dict[str, Scalar] = field(default_factory=dict)
    _Q: dict[str, Point] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Setup: alpha_PA_I, x_PA_I, q_PA_I random, Pub = alpha^-1 (Q1 - q*P - x*P).
        self.alpha_I, self._x[PA_I], q = (random_scalar(self.random) for _ in range(3))
        self.Pub = (self.Q1 - base_mul(q) - base_mul(self._x[PA_I])).mul(self.alpha_I.invert())
        self._Q[PA_I] = base_mul(q)

    def h1(self, P: Point, Q: Point) -> Scalar:
        """Hash query h_1(P || Q || Pub): programmed."""
        return self._alpha.setdefault((P.encode(), Q.encode()), random_scalar(self.random))

    def h2(self, *fields: Any) -> bytes:
        """Hash query h_2: a random string for each new input."""
        for known, value in self.hash_list:
            if known == fields:
                return value
        self.hash_list.append((fields, self.random(32)))
        return self.hash_list[-1][1]

    def encrypt(self, key: Point, message: bytes) -> bytes:
        """Symmetric encryption query: a random string."""
        self.encryption_list.append((message, key, self.random(len(message) + 16)))
        return self.encryption_list[-1][2]

    def ephemeral(self, user: str) -> Point:
        """Extract ephemeral key reveal query; the paper answers with A_U, the public half."""
        self._a.setdefault(user, random_scalar(self.random))
        return base_mul(self._a[user])

    def public_key(self, user: str) -> tuple[Point, Point]:
        """Request public key query."""
        self._x.setdefault(user, random_scalar(self.random))
        P = base_mul(self._x[user])
        if user == DO_K and user not in self._Q:
            # Q = Q2 - alpha*Pub - P - A: the long-term key depends on the one-time key of a session.
            alpha = random_scalar(self.random)
            self._Q[user] = self.Q2 - self.Pub.mul(alpha) - P - self.ephemeral(user)
            self._alpha[P.encode(), self._Q[user].encode()] = alpha
        elif user not in self._Q:
            self._Q[user] = base_mul(random_scalar(self.random))
        if user == PA_I:
            self._alpha[P.encode(), self._Q[user].encode()] = self.alpha_I
        return P, self._Q[user]

    def send(self, patient: str, doctor: str) -> None:
        """Send query, either transaction: C aborts whenever the challenge patient or doctor takes part.

        :raises AbortError: as printed.
        """
        if patient == PA_I or doctor == DO_K:
            raise AbortError(f"send({patient}, {doctor})")

    def W(self, user: str) -> Point:
        """P + alpha*Pub + Q."""
        P, Q = self.public_key(user)
        return P + self.Pub.mul(self.h1(P, Q)) + Q

    def candidates(self) -> list[bytes]:
        """Everything C can output at the end: keys of the encryption list, key^2_PD and values of the hash list."""
        keys = [key.encode() for _, key, _ in self.encryption_list]
        hashed = [
            element for fields, _ in self.hash_list for element in fields if isinstance(element, bytes) and len(element) == 32
        ]
        return keys + hashed + [value for _, value in self.hash_list]
