"""The key of a scope: what an owner signs with, one for each category and period, unlinkable to the others.

Steps: docs/protocol/sharing-ledger.md, "scopes".
"""

from __future__ import annotations

from typing import Any, Final

from salus import labels
from salus.abpre.attributes import own_attribute
from salus.errors import refuse_unless
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import Scalar, base_mul
from salus.records.scope import check_category, check_period
from salus.symmetric import Random, h2, kdf

SUITE: Final = labels.SUITE_ABPRE
_SEED_BYTES: Final = 64


def scope_of_key(network: bytes, V: bytes) -> bytes:
    """``x = H2("own", network, V)``, 32 bytes: the scope is bound to its key by its name (scopes, step 2)."""
    return h2(labels.OWN, SUITE, network, V)


class ScopeKey:
    """The signing key of one scope.

    :ivar network: 32 bytes. :ivar V: the public key, 32 bytes. :ivar scope: x, 32 bytes. :ivar attribute: ``own:<x>``.
    """

    __slots__ = ("V", "_v", "attribute", "network", "scope")

    def __init__(self, network: bytes, v: Scalar) -> None:
        self.network = network
        self._v = v
        self.V = base_mul(v).encode()
        self.scope = scope_of_key(network, self.V)
        self.attribute = own_attribute(self.scope)

    @classmethod
    def derive(cls, network: bytes, owner_secret: bytes, category: str, period: str) -> ScopeKey:
        """``V = KDF(owner secret, category, period)*P`` (scopes, step 1).

        :param owner_secret: 32 bytes, of the owner's wallet. :param period: a quarter, or ``all`` for a whole category.
        :raises Refused: ``bad-category``, ``bad-period``, ``bad-encoding``.
        """
        refuse_unless(len(owner_secret) == 32, "bad-encoding", "the secret of an owner has 32 bytes")
        check_category(category)
        check_period(period, whole_category=True)
        seed = kdf(labels.SCOPE_KEY, SUITE, [owner_secret], (network, category, period), _SEED_BYTES)
        return cls(network, Scalar.reduce(seed))

    @property
    def secret(self) -> Scalar:
        """v, with which reasons boxed to V are opened (:func:`salus.ledger.kinds.sharing.shares.open_reason`)."""
        return self._v

    def sign(self, message: Any, random: Random) -> bytes:
        """Schnorr signature of a codec value under v: 64 bytes, label ``sig-scope``."""
        return schnorr_sign(labels.SIG_SCOPE, SUITE, self._v, (self.network, self.V), message, random)

    def __repr__(self) -> str:
        return f"ScopeKey({self.scope.hex()[:8]}..)"
