"""Index keys: one random key for each scope, and how it reaches those who may search there.

Steps: docs/protocol/search.md, "index keys". The secret it is sealed under travels elsewhere: delta inside a delegation's rk4, or
the key that a capsule encapsulates under a sharing policy.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from salus import labels
from salus.codec import Bytes32, Message, Size
from salus.errors import refuse_unless
from salus.symmetric import TAG_BYTES, Random, kdf, seal, unseal

INDEX_KEY_BYTES: Final = 32
SECRET_BYTES_MIN: Final = 32
SECRET_BYTES_MAX: Final = 64
"""delta and what a capsule encapsulates have 32; what is longer than two digests is no key."""
BY_DELEGATION: Final = "delegation"
BY_POLICY: Final = "policy"


class SealedIndexKey(Message, frozen=True):
    """ik of a scope, sealed: ciphertext and tag.

    :ivar scope: x of the attribute ``own:x``.
    """

    KIND = "search.sealed-index-key"

    scope: Bytes32
    ciphertext: Annotated[bytes, Size(INDEX_KEY_BYTES + TAG_BYTES, INDEX_KEY_BYTES + TAG_BYTES)]


def new_index_key(random: Random) -> bytes:
    """A fresh ik, 32 bytes (index keys, step 1). One for each scope, kept in the owner's wallet."""
    return random(INDEX_KEY_BYTES)


def seal_index_key(network: bytes, scope: bytes, index_key: bytes, way: str, about: bytes, secret: bytes) -> SealedIndexKey:
    """Seal ik (index keys, step 2).

    :param way: :data:`BY_DELEGATION` or :data:`BY_POLICY`. :param about: id of the delegation, or digest of the capsule.
    :param secret: 32 to 64 bytes that only its readers get: delta, or what the capsule encapsulates; fresh for each ``about``.
    :raises Refused: ``bad-encoding``.
    """
    refuse_unless(len(index_key) == INDEX_KEY_BYTES, "bad-encoding", f"an index key has {INDEX_KEY_BYTES} bytes")
    context = _context(network, scope, way, about, secret)
    key = kdf(labels.INDEX_KEY_SEAL, labels.SUITE_SEARCH, [secret], context)
    return SealedIndexKey(scope, seal(key, index_key, context))


def open_index_key(network: bytes, sealed: SealedIndexKey, way: str, about: bytes, secret: bytes) -> bytes:
    """Open what :func:`seal_index_key` made (index keys, step 3): ik, 32 bytes.

    :raises Refused: ``bad-seal`` if it was altered or belongs elsewhere, ``bad-encoding``.
    """
    context = _context(network, sealed.scope, way, about, secret)
    key = kdf(labels.INDEX_KEY_SEAL, labels.SUITE_SEARCH, [secret], context)
    return unseal(key, sealed.ciphertext, context, "bad-seal")


def _context(network: bytes, scope: bytes, way: str, about: bytes, secret: bytes) -> tuple[Any, ...]:
    refuse_unless(way in (BY_DELEGATION, BY_POLICY), "bad-encoding", "an index key is given by delegation or by policy")
    sized = SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX
    refuse_unless(sized, "bad-encoding", f"a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes")
    return (network, scope, way, about)
