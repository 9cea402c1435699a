"""Phase 1, global setup: Algorithm 1."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from salus.groups.ristretto255 import Point, Scalar, base_mul, random_scalar
from salus.symmetric import Random

DEFAULT_NETWORK: Final = bytes(32)


@dataclass(frozen=True)
class PublicParameters:
    """PP = {p, P, E/D, Pub_TC, h_1, h_2}.

    The group (lines 1-4: ristretto255, of prime order), the hashes (line 5) and E/D (line 6) are fixed by the suite, so
    Pub_TC is all that varies.

    :ivar Pub: Pub_TC = omega * P.
    :ivar network: 32 bytes naming the network; enters keys derived from omega (not in the paper, where one centre
        serves one network).
    """

    Pub: Point
    network: bytes = DEFAULT_NETWORK


@dataclass(frozen=True)
class MasterSecret:
    """MSK = omega."""

    w: Scalar = field(repr=False)


def global_setup(random: Random, network: bytes = DEFAULT_NETWORK) -> tuple[PublicParameters, MasterSecret]:
    """Algorithm 1, lines 7-11: draw omega, publish Pub_TC = omega * P.

    :param random: source of random bytes.
    :param network: 32 bytes naming the network.
    """
    w = random_scalar(random)
    return PublicParameters(base_mul(w), network), MasterSecret(w)
