"""Tags of a record: one for each keyword, padded, and the keys that find them again.

Steps: docs/protocol/search.md, "tags". ``tag = AES-256(T', rid)`` with ``T' = KDF("tag-key", ik || T; (network, x))`` for the
readers of a scope, and ``T' = KDF("discoverable", T; (network,))`` in records that everyone with the word may find.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from salus import labels
from salus._native import TagKeys, check_tags
from salus.codec import Bytes16, Bytes32, Message, Size
from salus.errors import Refused, refuse_unless
from salus.symmetric import Random, kdf

__all__ = ["TagKeys"]

TAG_BYTES: Final = 16
RID_BYTES: Final = 16
WORDS_MAX: Final = 1024
"""Keywords of one record: one request for tokens; a patient's whole history in the sample records has about 500."""
TAGS_MIN: Final = 8
"""A record with one code looks like one with eight."""
TAGS_MAX: Final = 2 * WORDS_MAX
"""Discoverable records have two tags for each word."""
Tags = Annotated[bytes, Size(TAGS_MIN * TAG_BYTES, TAGS_MAX * TAG_BYTES)]
"""Tags side by side, ascending; their number is a power of two."""


class IndexEntry(Message, frozen=True):
    """What the value node's index holds of a record.

    :ivar rid: the record. :ivar scope: x of its attribute ``own:x``. :ivar tags: as :func:`make_tags` gives them.
    """

    KIND = "search.index-entry"

    rid: Bytes16
    scope: Bytes32
    tags: Tags


def padded(count: int) -> int:
    """Number of tags of a record with ``count`` real ones: the next power of two, 8 to 2,048.

    :raises Refused: ``too-large``.
    """
    refuse_unless(0 <= count <= TAGS_MAX, "too-large", f"{count} tags; a record has at most {TAGS_MAX}")
    return max(TAGS_MIN, 1 << (count - 1).bit_length() if count else 0)


def reader_keys(network: bytes, index_keys: Mapping[bytes, bytes], tokens: Sequence[bytes]) -> TagKeys:
    """T' of every scope for every token: what finds records in the scopes whose index keys one holds (tags, step 2).

    :param index_keys: scope x -> ik, 32 bytes each. :param tokens: 64 bytes each.
    :return: keys by token, then by scope in the order given.
    :raises Refused: ``too-large`` over 131,072 of them.
    """
    scopes, keys = list(index_keys), list(index_keys.values())
    try:
        repeated = [token for token in tokens for _ in scopes]
        return TagKeys.derive(network, scopes * len(tokens), keys * len(tokens), repeated)
    except ValueError as error:
        raise Refused("too-large" if len(scopes) * len(tokens) > 1 << 17 else "bad-encoding", str(error)) from None


def discoverable_keys(network: bytes, tokens: Sequence[bytes]) -> TagKeys:
    """T' of discoverable records for every token (tags, step 3)."""
    try:
        return TagKeys.discoverable(network, tokens)
    except ValueError as error:
        raise Refused("bad-encoding", str(error)) from None


def make_tags(
    network: bytes, scope: bytes, rid: bytes, index_key: bytes, tokens: Sequence[bytes], discoverable: bool, random: Random
) -> bytes:
    """The tags of a record (tags, steps 2 to 4): real ones, padded by random ones, sorted.

    :param index_key: ik of the scope, 32 bytes. :param tokens: of the record's keywords, each once, at most 1,024.
    :param discoverable: also tags under keys that need no ik.
    :raises Refused: ``too-large``, ``bad-encoding``.
    """
    distinct = list(dict.fromkeys(tokens))
    refuse_unless(len(distinct) <= WORDS_MAX, "too-large", f"{len(distinct)} keywords; a record has at most {WORDS_MAX}")
    tags: set[bytes] = set()
    if distinct:
        tags.update(reader_keys(network, {scope: index_key}, distinct).tags(rid))
        if discoverable:
            tags.update(discoverable_keys(network, distinct).tags(rid))
    size = padded(len(distinct) * (2 if discoverable else 1))
    while len(tags) < size:
        tags.add(random(TAG_BYTES))
    return b"".join(sorted(tags))


def check_tags_form(tags: bytes) -> None:
    """Everyone's check of a record's tags (tags, step 5): 8 to 2,048, a power of two, ascending, none twice.

    Whether they are the owner's words nobody can tell, or has to: tags on a record find that record only.

    :raises Refused: ``bad-tags``.
    """
    try:
        check_tags(tags)
    except ValueError as error:
        raise Refused("bad-tags", str(error)) from None


def reader_key(network: bytes, scope: bytes, index_key: bytes, token: bytes) -> bytes:
    """The readable form of :func:`reader_keys`, for one: T', 32 bytes."""
    return kdf(labels.TAG_KEY, labels.SUITE_SEARCH, [index_key, token], (network, scope))


def discoverable_key(network: bytes, token: bytes) -> bytes:
    """The readable form of :func:`discoverable_keys`, for one: T', 32 bytes."""
    return kdf(labels.DISCOVERABLE, labels.SUITE_SEARCH, [token], (network,))


def tag_of(key: bytes, rid: bytes) -> bytes:
    """``AES-256(T', rid)``: one block, 16 bytes."""
    # One block under a key that is used for this record's word only where the keyed permutation is the point: no mode is needed.
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    return encryptor.update(rid) + encryptor.finalize()
