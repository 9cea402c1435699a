"""The Merkle log against the vectors of RFC 6962 implementations, and against itself by another way of computing."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from salus.errors import Refused
from salus.ledger.merkle_log import (
    EMPTY_LOG,
    ConsistencyProof,
    InclusionProof,
    LogState,
    MemoryLog,
    verify_consistency,
    verify_inclusion,
)
from salus.merkle import EMPTY_ROOT, leaf_hash, node_hash, split_point, tree_root


@pytest.fixture
def vectors(shared_data: Path) -> Path:
    return shared_data / "vectors" / "merkle_rfc6962"


def load(path: Path) -> list[Any]:
    return [json.loads(p.read_text()) for p in sorted(path.rglob("*.json"))]


def raw(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def path_of(vector: dict[str, Any]) -> tuple[bytes, ...]:
    return tuple(raw(node) for node in vector["proof"] or ())


def log_of(count: int) -> MemoryLog:
    log = MemoryLog()
    for i in range(count):
        log.append(b"entry %d" % i)
    return log


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word by word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    cut = split_point(len(leaves))
    return node_hash(by_definition(leaves[:cut]), by_definition(leaves[cut:]))


def test_roots_of_the_vectors(vectors: Path) -> None:
    table = json.loads((vectors / "leaves_and_roots.json").read_text())
    entries = [bytes.fromhex(e) for e in table["leaf_inputs"]]
    for count, root in enumerate(table["root_hashes_by_tree_size"]):
        hashes = [leaf_hash(e) for e in entries[:count]]
        assert tree_root(hashes).hex() == root
        assert EMPTY_LOG.extended(hashes).root().hex() == root


def test_inclusion_vectors(vectors: Path) -> None:
    found = {True: 0, False: 0}
    for vector in load(vectors / "inclusion"):
        outcome = True
        try:
            proof = InclusionProof(vector["leafIdx"], vector["treeSize"], path_of(vector))
            verify_inclusion(proof, raw(vector["leafHash"]), raw(vector["root"]))
        except Refused as refusal:
            if refusal.reason != "bad-proof":
                raise
            outcome = False
        assert outcome == (not vector["wantErr"]), vector["desc"]
        found[outcome] += 1
    assert found[True] > 3
    assert found[False] > 50


def test_consistency_vectors(vectors: Path) -> None:
    found = {True: 0, False: 0}
    for vector in load(vectors / "consistency"):
        if vector["size1"] == 0 and not vector["wantErr"]:
            continue  # RFC 6962 defines no proof from the empty log; ours is refused, see below
        outcome = True
        try:
            proof = ConsistencyProof(vector["size1"], vector["size2"], path_of(vector))
            verify_consistency(proof, raw(vector["root1"]), raw(vector["root2"]))
        except Refused as refusal:
            if refusal.reason != "bad-proof":
                raise
            outcome = False
        assert outcome == (not vector["wantErr"]), vector["desc"]
        found[outcome] += 1
    assert found[True] > 3
    assert found[False] > 50


def test_no_consistency_from_nothing() -> None:
    with pytest.raises(Refused, match="bad-proof"):
        verify_consistency(ConsistencyProof(0, 3, ()), EMPTY_ROOT, log_of(3).state().root())


@given(st.lists(st.binary(max_size=8), max_size=40), st.integers(0, 40))
def test_roots_by_definition_and_in_parts(entries: list[bytes], cut: int) -> None:
    hashes = [leaf_hash(e) for e in entries]
    whole = EMPTY_LOG.extended(hashes)
    assert whole == EMPTY_LOG.extended(hashes[:cut]).extended(hashes[cut:])
    assert whole.root() == tree_root(hashes) == by_definition(entries)
    whole.check()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 13, 64, 65])
def test_every_proof_holds_and_no_other(count: int) -> None:
    log = log_of(count)
    root = log.state().root()
    for index in range(count):
        proof = log.prove_inclusion(index)
        entry = leaf_hash(b"entry %d" % index)
        verify_inclusion(proof, entry, root)
        wrong = [
            replace(proof, index=(index + 1) % count if count > 1 else 1),
            replace(proof, path=(*proof.path, bytes(32))),
            *([replace(proof, path=proof.path[:-1])] if proof.path else []),
            *(replace(proof, path=(*proof.path[:i], bytes(32), *proof.path[i + 1 :])) for i in range(len(proof.path))),
        ]
        for bad in wrong:
            with pytest.raises(Refused, match="bad-proof"):
                verify_inclusion(bad, entry, root)
    for first in range(1, count + 1):
        consistency = log.prove_consistency(first)
        verify_consistency(consistency, log.state(first).root(), root)
        for altered in (
            replace(consistency, path=(*consistency.path, bytes(32))),
            *([replace(consistency, path=consistency.path[:-1])] if consistency.path else []),
        ):
            with pytest.raises(Refused, match="bad-proof"):
                verify_consistency(altered, log.state(first).root(), root)


def test_a_state_needs_as_many_peaks_as_its_count_says() -> None:
    state = log_of(6).state()
    state.check()
    with pytest.raises(Refused, match="bad-encoding"):
        LogState(7, state.peaks).check()


def test_no_proof_past_the_end() -> None:
    log = log_of(4)
    for call in (lambda: log.prove_inclusion(4), lambda: log.prove_consistency(0), lambda: log.prove_consistency(5, 4)):
        with pytest.raises(Refused, match="not-found"):
            call()
