"""Proofs of the Merkle map, made by the readable twin and by the extension: what holds, and that nothing else does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from salus._native import MerkleMap
from salus.errors import Refused
from salus.ledger.merkle_map import EMPTY, MapProof, SlowMap, map_key, prove, value_digest, verify_absence, verify_presence
from salus.ledger.state import state_key


def values(count: int) -> dict[bytes, bytes]:
    return {hashlib.sha256(b"%d" % i).digest(): b"value %d" % i for i in range(count)}


def accepted(proof: MapProof, key: bytes, value: bytes | None, root: bytes) -> bool:
    try:
        if value is None:
            verify_absence(proof, key, root)
        else:
            verify_presence(proof, key, value, root)
    except Refused as refusal:
        if refusal.reason != "bad-proof":
            raise
        return False
    return True


def alterations(proof: MapProof) -> Iterator[MapProof]:
    """Every way to change one thing of a proof."""
    yield replace(proof, leaf_key=None, leaf_digest=None)
    yield replace(proof, leaf_key=bytes(32))
    yield replace(proof, leaf_digest=bytes(32))
    yield replace(proof, leaf_digest=None)
    yield replace(proof, depth=proof.depth + 1)
    yield replace(proof, depth=max(0, proof.depth - 1)) if proof.depth else replace(proof, bitmap=b"\0")
    yield replace(proof, bitmap=proof.bitmap + b"\0")
    yield replace(proof, siblings=(*proof.siblings, bytes(32)))
    yield replace(proof, depth=257, bitmap=bytes(33))
    for i in range(8 * len(proof.bitmap)):
        flipped = bytearray(proof.bitmap)
        flipped[i // 8] ^= 128 >> i % 8
        yield replace(proof, bitmap=bytes(flipped))
    for i, sibling in enumerate(proof.siblings):
        yield replace(proof, siblings=(*proof.siblings[:i], *proof.siblings[i + 1 :]))
        yield replace(proof, siblings=(*proof.siblings[:i], EMPTY, *proof.siblings[i + 1 :]))
        altered = bytes([sibling[0] ^ 1]) + sibling[1:]
        yield replace(proof, siblings=(*proof.siblings[:i], altered, *proof.siblings[i + 1 :]))


@pytest.mark.parametrize("count", [0, 1, 2, 5, 40])
def test_every_alteration_of_a_proof_is_refused(count: int) -> None:
    there = values(count)
    tree = SlowMap((k, value_digest(v)) for k, v in there.items())
    absent = hashlib.sha256(b"absent").digest()
    cases = [*list(there.items())[:6], (absent, None)]
    for key, value in cases:
        proof = tree.prove(key)
        assert accepted(proof, key, value, tree.root())
        for altered in alterations(proof):
            if altered != proof:
                assert not accepted(altered, key, value, tree.root()), altered


def test_a_proof_is_for_its_own_key_value_and_root_only() -> None:
    there = values(20)
    tree = SlowMap((k, value_digest(v)) for k, v in there.items())
    (key, value), (other, _) = list(there.items())[:2]
    proof, root = tree.prove(key), tree.root()
    assert not accepted(proof, other, value, root)
    assert not accepted(proof, key, b"another value", root)
    assert not accepted(proof, key, None, root)
    assert not accepted(proof, other, None, root)
    assert not accepted(proof, key, value, tree.update([(other, None)]))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=30), st.integers(0, 40))
def test_extension_and_twin_prove_the_same(writes: list[tuple[int, int]], asked: int) -> None:
    slow, fast = SlowMap(), MerkleMap()
    version = 0
    for place, content in writes:
        key = hashlib.sha256(b"%d" % place).digest()
        digest = value_digest(b"%d" % content) if content else None
        version += 1
        assert slow.update([(key, digest)]) == fast.update(version, [(key, digest)])
    key = hashlib.sha256(b"%d" % asked).digest()
    proof = prove(fast, key) if version else SlowMap().prove(key)
    assert proof == slow.prove(key)
    verify = verify_absence if slow.get(key) is None else None
    if verify is not None:
        verify(proof, key, slow.root())


def test_keys_of_kinds_are_apart() -> None:
    keys = {map_key(kind, raw) for kind in ("a", "ab", "b") for raw in (b"", b"b", b"bc")}
    assert len(keys) == 9
    assert all(state_key(kind, raw) == map_key(kind, raw) for kind in ("party", "slot") for raw in (b"", b"x" * 300))
