"""Signatures for the simulator that cost a hash instead of a curve multiplication.

The adversaries of the simulator are replicas that misuse their own keys; none of them breaks signatures, so a keyed
hash with a registry of keys is as good, and thirty times faster. The simulation over the real ledger uses Ed25519.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from salus.consensus.pbft.crypto import Item


class FastScheme:
    """Hands out signers and checks what they signed."""

    def __init__(self) -> None:
        self._seeds: dict[bytes, bytes] = {}

    def signer(self, seed: bytes) -> FastSigner:
        """A signer whose public key this scheme knows."""
        signer = FastSigner(seed)
        self._seeds[signer.public_key] = seed
        return signer

    def check(self, items: Sequence[Item]) -> list[bool]:
        """Which signatures are good, like the extension's batch check."""
        return [
            key in self._seeds and hashlib.sha512(self._seeds[key] + message).digest() == signature
            for key, message, signature in items
        ]


class FastSigner:
    """Implements :class:`salus.consensus.pbft.crypto.Signer`."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self.public_key = hashlib.sha256(b"public" + seed).digest()

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return hashlib.sha512(self._seed + message).digest()
