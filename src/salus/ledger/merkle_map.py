"""The sparse Merkle map over the whole state: proves what is there and what is not.

::

    key    = SHA-256(encoding of (label, suite, kind, raw key))
    leaf   = SHA-256(0x00, key, SHA-256(value))        empty = 32 zero bytes
    node   = SHA-256(0x01, left, right)

Bits are taken from the most significant one; a subtree with one leaf *is* that leaf, whatever was there before, so
the root depends on the content alone. The map itself lives in the extension (:class:`salus._native.MerkleMap`);
:class:`SlowMap` is its readable twin, and verification here is what light clients run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Annotated, Final

from salus import _native, labels
from salus.codec import Bytes32, Message, Size, encode
from salus.errors import Refused, refuse_unless

EMPTY: Final = bytes(32)
"""Hash of an empty subtree."""
KEY_BITS: Final = 256


class MapProof(Message, frozen=True):
    """What stands where a key would stand.

    :ivar leaf_key: key of the leaf found there: the key itself (present), or another that shares its prefix (absent);
        None if the place is empty (absent).
    :ivar leaf_digest: SHA-256 of that leaf's value; None with ``leaf_key``.
    :ivar depth: depth of that place, 0 is the root.
    :ivar bitmap: bit d (most significant first) is set if the sibling at depth d + 1 is not empty; ``ceil(depth / 8)`` bytes.
    :ivar siblings: the non-empty siblings, from the root down.
    """

    KIND = "map-proof"
    leaf_key: Bytes32 | None
    leaf_digest: Bytes32 | None
    depth: int
    bitmap: Annotated[bytes, Size(0, 32)]
    siblings: Annotated[tuple[Bytes32, ...], Size(0, KEY_BITS)]


def leaf(key: bytes, digest: bytes) -> bytes:
    """Hash of a leaf."""
    return hashlib.sha256(b"\x00" + key + digest).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def bit(key: bytes, depth: int) -> int:
    """Bit ``depth`` of a key, the most significant first."""
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


def key_prefix(kind: str) -> bytes:
    """The constant part of what is hashed to a map key of one kind."""
    return encode((labels.MAP_KEY, labels.SUITE_LEDGER, kind, b""))[:-4]


def map_key_function(kind: str) -> Callable[[bytes], bytes]:
    """A function from raw keys of ``kind`` to map keys; :func:`map_key` with the constant part prepared."""
    prefix, sha256 = key_prefix(kind), hashlib.sha256

    def make(raw: bytes) -> bytes:
        return sha256(prefix + len(raw).to_bytes(4, "big") + raw).digest()

    return make


def map_key(kind: str, raw: bytes) -> bytes:
    """Where the value of (kind, raw key) stands: SHA-256 of the encoding of (label, suite, kind, raw key)."""
    return hashlib.sha256(encode((labels.MAP_KEY, labels.SUITE_LEDGER, kind, raw))).digest()


def value_digest(value: bytes) -> bytes:
    """SHA-256 of a value."""
    return hashlib.sha256(value).digest()


def verify_presence(proof: MapProof, key: bytes, value: bytes, root: bytes) -> None:
    """Check that ``key`` has ``value`` under ``root``.

    :param key: 32-byte map key (:func:`map_key`).
    :raises Refused: ``bad-proof``.
    """
    refuse_unless(proof.leaf_key == key, "bad-proof", "the proof shows another key's leaf")
    refuse_unless(proof.leaf_digest == value_digest(value), "bad-proof", "the proof shows another value")
    _verify_path(proof, key, root)


def verify_absence(proof: MapProof, key: bytes, root: bytes) -> None:
    """Check that ``key`` has no value under ``root``.

    :raises Refused: ``bad-proof``.
    """
    refuse_unless(proof.leaf_key != key, "bad-proof", "the proof shows that the key is there")
    _verify_path(proof, key, root)


def _verify_path(proof: MapProof, key: bytes, root: bytes) -> None:
    depth = proof.depth
    refuse_unless(depth <= KEY_BITS, "bad-proof", f"depth {depth} is over {KEY_BITS}")
    refuse_unless(len(proof.bitmap) == (depth + 7) // 8, "bad-proof", "the bitmap has another length than the depth")
    marks = int.from_bytes(proof.bitmap, "big")
    refuse_unless(marks & ((1 << (-depth % 8)) - 1) == 0, "bad-proof", "the bitmap has unused bits set")
    refuse_unless(marks.bit_count() == len(proof.siblings), "bad-proof", "not as many siblings as the bitmap names")
    value = _terminal(proof, key)
    siblings = list(proof.siblings)
    for d in range(depth - 1, -1, -1):
        sibling = EMPTY
        if bit(proof.bitmap, d):
            sibling = siblings.pop()
            refuse_unless(sibling != EMPTY, "bad-proof", "an empty sibling is not listed")
        refuse_unless(d < depth - 1 or sibling != EMPTY, "bad-proof", "a lone leaf stands higher up")
        value = node(sibling, value) if bit(key, d) else node(value, sibling)
    refuse_unless(value == root, "bad-proof", "the map proof leads to another root")


def _terminal(proof: MapProof, key: bytes) -> bytes:
    if proof.leaf_key is None or proof.leaf_digest is None:
        both = proof.leaf_key is None and proof.leaf_digest is None
        refuse_unless(both, "bad-proof", "a leaf has a key and a digest, an empty place neither")
        return EMPTY
    shared = _shared_bits(proof.leaf_key, key)
    refuse_unless(shared >= proof.depth, "bad-proof", "the leaf shown does not stand on the key's path")
    return leaf(proof.leaf_key, proof.leaf_digest)


def _shared_bits(a: bytes, b: bytes) -> int:
    different = int.from_bytes(a, "big") ^ int.from_bytes(b, "big")
    return KEY_BITS - different.bit_length()


class SlowMap:
    """The map by its definition: hashes everything again on every call. For tests."""

    def __init__(self, leaves: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._leaves = dict(leaves)

    def update(self, changes: Iterable[tuple[bytes, bytes | None]]) -> bytes:
        """Set or delete (None) value digests; returns the root."""
        for key, digest in changes:
            if digest is None:
                self._leaves.pop(key, None)
            else:
                self._leaves[key] = digest
        return self.root()

    def root(self) -> bytes:
        """Root over all leaves."""
        return self._hash(sorted(self._leaves), 0)

    def get(self, key: bytes) -> bytes | None:
        """Value digest of a key, or None."""
        return self._leaves.get(key)

    def prove(self, key: bytes) -> MapProof:
        """Presence or absence of a key."""
        keys, depth, found = sorted(self._leaves), 0, []
        while len(keys) > 1:
            side = bit(key, depth)
            found.append(self._hash([k for k in keys if bit(k, depth) != side], depth + 1))
            keys = [k for k in keys if bit(k, depth) == side]
            depth += 1
        marks = "".join("0" if s == EMPTY else "1" for s in found)
        bitmap = int(marks.ljust((depth + 7) // 8 * 8, "0") or "0", 2).to_bytes((depth + 7) // 8, "big")
        there = keys[0] if keys else None
        digest = None if there is None else self._leaves[there]
        return MapProof(there, digest, depth, bitmap, tuple(s for s in found if s != EMPTY))

    def _hash(self, keys: list[bytes], depth: int) -> bytes:
        if not keys:
            return EMPTY
        if len(keys) == 1:
            return leaf(keys[0], self._leaves[keys[0]])
        left = [k for k in keys if not bit(k, depth)]
        right = [k for k in keys if bit(k, depth)]
        return node(self._hash(left, depth + 1), self._hash(right, depth + 1))


def prove(tree: _native.MerkleMap, key: bytes, version: int | None = None) -> MapProof:
    """Proof for ``key`` against a version that the native map still keeps.

    :raises Refused: ``not-found`` if the version is not kept any more.
    """
    try:
        leaf_key, digest, depth, bitmap, siblings = tree.prove(key, version)
    except (ValueError, KeyError) as error:
        raise Refused("not-found", f"the state of version {version} is not kept any more") from error
    return MapProof(leaf_key, digest, depth, bitmap, tuple(siblings))
