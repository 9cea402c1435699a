"""The native Merkle map against its readable twin: roots, proofs, kept versions, pages of leaves."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus._native import MerkleMap
from salus.errors import Refused
from salus.ledger.merkle_map import MapProof, SlowMap, leaf, prove, verify_absence, verify_presence


def value(n: int) -> bytes:
    return n.to_bytes(4, "big")


def digest(n: int) -> bytes:
    return hashlib.sha256(value(n)).digest()


def scattered(n: int) -> bytes:
    return hashlib.sha256(b"key" + value(n)).digest()


def crowded(n: int) -> bytes:
    """Keys that differ in few, late or early bits: deep paths and chains with one side empty."""
    return (1 << (n * 37 % 256) | n % 3).to_bytes(32, "big")


blocks = st.lists(
    st.dictionaries(st.integers(0, 25), st.one_of(st.none(), st.integers(0, 99)), max_size=8), min_size=1, max_size=8
)


@pytest.mark.parametrize("make", [scattered, crowded])
@given(blocks=blocks)
def test_agrees_with_the_readable_twin(make, blocks: list[dict[int, int | None]]) -> None:
    tree, slow = MerkleMap(3), SlowMap()
    twins: dict[int, SlowMap] = {}
    for height, block in enumerate(blocks, 1):
        changes = {make(k): None if v is None else digest(v) for k, v in block.items()}
        assert tree.update(height, list(changes.items())) == slow.update(changes.items()) == tree.root()
        twins[height] = SlowMap(slow._leaves.items())
    assert tree.versions() == sorted(twins)[-3:]
    for height in tree.versions():
        twin, root = twins[height], tree.root(height)
        assert root == twin.root()
        assert dict(tree.leaves(height)) == twin._leaves
        assert tree.leaves(height) == sorted(tree.leaves(height))
        for n in range(0, 26, 5):
            key = make(n)
            proof = prove(tree, key, height)
            assert proof == twin.prove(key)
            assert MapProof.decode(proof.encode()) == proof
            held = twin.get(key)
            assert tree.get(key, height) == held
            if held is None:
                verify_absence(proof, key, root)
            else:
                number = next(i for i in range(100) if digest(i) == held)
                verify_presence(proof, key, value(number), root)
    assert len(tree) == len(slow._leaves)


def test_the_root_depends_on_the_content_only() -> None:
    """Two histories, one content: insertion in another order, with detours that are deleted again."""
    straight, winding = MerkleMap(), MerkleMap()
    straight.update(1, [(scattered(n), digest(n)) for n in range(50)])
    for n in reversed(range(50)):
        winding.update(100 - n, [(scattered(n), digest(n)), (scattered(n + 500), digest(0))])
    assert winding.root() != straight.root()
    winding.update(200, [(scattered(n + 500), None) for n in range(50)])
    assert winding.root() == straight.root()
    winding.update(201, [(scattered(n), None) for n in range(1, 50)])
    assert winding.root() == leaf(scattered(0), digest(0))
    winding.update(202, [(scattered(0), None), (scattered(77), None)])
    assert winding.root() == bytes(32)
    assert (len(winding), winding.leaves()) == (0, [])


def test_old_versions_go_and_give_their_memory_back() -> None:
    tree = MerkleMap(16)
    tree.update(1, [(scattered(n), digest(n)) for n in range(2000)])
    leaves, inner = tree.node_counts()
    for height in range(2, 200):
        tree.update(height, [(scattered(height), digest(height + 1000))])
    assert tree.versions() == list(range(184, 200))
    with pytest.raises(Refused, match="not-found"):
        prove(tree, scattered(1), 183)
    after_leaves, after_inner = tree.node_counts()
    assert after_leaves <= leaves + 16
    assert after_inner <= inner + 16 * 40


def test_misuse() -> None:
    tree = MerkleMap()
    assert tree.root() == bytes(32)
    assert tree.prove(scattered(1)) == (None, None, 0, b"", [])
    tree.update(5, [(scattered(1), digest(1))])
    for version, changes in ((5, []), (4, []), (6, [(scattered(2), digest(1)), (scattered(2), None)])):
        with pytest.raises(ValueError, match=r"grow|repeated"):
            tree.update(version, changes)
    assert tree.versions() == [5]
    for changes in ([(b"short", digest(1))], [(scattered(1), b"short")]):
        with pytest.raises(ValueError, match="32 bytes"):
            tree.update(6, changes)
    with pytest.raises(ValueError, match="32 bytes"):
        tree.prove(b"")
    with pytest.raises(ValueError, match="kept"):
        tree.root(6)


def test_threads_share_one_map() -> None:
    """Readers on other threads see whole versions while blocks are applied."""
    tree = MerkleMap(4096)
    roots = {}

    def read(height: int) -> bool:
        return tree.root(height) == roots[height] and dict(tree.leaves(height))[scattered(height)] == digest(height)

    with ThreadPoolExecutor(4) as pool:
        results = []
        for height in range(1, 200):
            roots[height] = tree.update(height, [(scattered(height), digest(height))])
            results.append(pool.submit(read, height))
        assert all(result.result() for result in results)


@pytest.mark.long
def test_a_million_leaves() -> None:
    """About 130 bytes a leaf; a block of a thousand changes takes a few milliseconds."""
    tree = MerkleMap(16)
    for part in range(4):
        tree.update(part + 1, [(scattered(n), digest(n)) for n in range(part * 250_000, (part + 1) * 250_000)])
    for version in range(5, 25):  # until no version of the loading is kept
        tree.update(version, [])
    leaves, inner = tree.node_counts()
    assert len(tree) == leaves == 1_000_000
    assert 68 * leaves + 44 * inner < 150 * 1_000_000
    seen, after = 0, None
    while page := tree.leaves(None, after, 100_000):
        seen, after = seen + len(page), page[-1][0]
    assert seen == 1_000_000
    key = scattered(123_456)
    verify_presence(prove(tree, key), key, value(123_456), tree.root())
