"""Signing and checking of replicas' signatures: Ed25519 by ZIP-215, as the certificates need it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from salus import _native

Item = tuple[bytes, bytes, bytes]
"""Public key (32 bytes), message, signature (64 bytes)."""
REMEMBERED: Final = 8192
"""Good signatures remembered: a height at 100 seats has about three hundred, and each recurs in certificates."""


class Signer(Protocol):
    """Holds a replica's consensus key."""

    public_key: bytes

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes, deterministic."""


class Ed25519Signer:
    """Signs with a key in memory.

    :param seed: the private key, 32 bytes (RFC 8032).
    """

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        """See :class:`Signer`."""
        return self._key.sign(message)


class Verifier:
    """Checks signatures in batches and remembers the good ones, which come again in certificates and repetitions.

    :param check: the batch check; ZIP-215 in the extension by default.
    :param remember: how many good signatures to remember.
    """

    def __init__(
        self, check: Callable[[Sequence[Item]], list[bool]] = _native.ed25519_verify_batch, remember: int = REMEMBERED
    ) -> None:
        self._check = check
        self._remember = remember
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def verify(self, items: Sequence[Item]) -> list[bool]:
        """Which of the signatures are good, in order."""
        names = [hashlib.sha256(key + signature + message).digest() for key, message, signature in items]
        unknown = [i for i, name in enumerate(names) if name not in self._good]
        good = [True] * len(items)
        if unknown:
            for i, passed in zip(unknown, self._check([items[i] for i in unknown]), strict=True):
                good[i] = passed
                if passed:
                    self._good[names[i]] = None
            while len(self._good) > self._remember:
                self._good.popitem(last=False)
        return good
