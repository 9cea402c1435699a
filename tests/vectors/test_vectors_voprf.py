"""RFC 9497, appendix A.1.2 (ristretto255-SHA512, mode 1): with one key, and with shares of it; the outputs are the same."""

from __future__ import annotations

import json
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import pytest

from salus.errors import Refused
from salus.groups.ristretto255 import Scalar, base_mul, decode_scalar
from salus.search import voprf
from salus.search.keyword import Keyword
from salus.search.tokens import Asked, check_evaluation, check_order, combine, gather
from support.search_world import NETWORK, SearchWorld


@pytest.fixture(scope="module")
def suite(shared_data: Path) -> dict[str, Any]:
    every = json.loads((shared_data / "vectors/oprf_rfc9497/allVectors.json").read_text())
    return next(v for v in every if v["identifier"] == "ristretto255-SHA512" and v["mode"] == 1)


def split(text: str) -> list[bytes]:
    return [bytes.fromhex(part) for part in text.split(",")]


def scalars(text: str) -> list[Scalar]:
    return [decode_scalar(part) for part in split(text)]


def encoded(points: list[Any]) -> list[bytes]:
    return [point.encode() for point in points]


def test_single_key(suite: dict[str, Any]) -> None:
    key = decode_scalar(bytes.fromhex(suite["skSm"]))
    public = base_mul(key)
    assert public.encode().hex() == suite["pkSm"]
    assert len(suite["vectors"]) >= 3
    for vector in suite["vectors"]:
        inputs, blinds = split(vector["Input"]), scalars(vector["Blind"])
        elements = voprf.blind_with(inputs, blinds)
        assert encoded(elements) == split(vector["BlindedElement"])
        evaluated = voprf.evaluate(key, elements)
        assert encoded(evaluated) == split(vector["EvaluationElement"])
        proof = voprf.prove_with(key, public, elements, evaluated, decode_scalar(bytes.fromhex(vector["Proof"]["r"])))
        assert proof.hex() == vector["Proof"]["proof"]
        voprf.verify(public, elements, evaluated, proof)
        assert voprf.finalize(inputs, voprf.unblind(blinds, evaluated)) == split(vector["Output"])


@pytest.mark.parametrize(("nodes", "threshold"), [(1, 1), (4, 3), (7, 5), (31, 21)])
def test_shared_key_gives_the_outputs_of_the_single_one(suite: dict[str, Any], nodes: int, threshold: int) -> None:
    world = SearchWorld(nodes, threshold, f"{threshold} of {nodes}", decode_scalar(bytes.fromhex(suite["skSm"])))
    assert world.key.public.hex() == suite["pkSm"]
    for vector in suite["vectors"]:
        inputs, blinds = split(vector["Input"]), scalars(vector["Blind"])
        # The vectors' inputs are single bytes, which are no keywords but text all the same.
        keywords = tuple(Keyword(data.decode("latin-1")) for data in inputs)
        if [word.encode() for word in keywords] != inputs:
            continue
        asked = Asked(keywords, blinds, voprf.blind_with(inputs, blinds))
        assert asked.blinded.elements == b"".join(split(vector["BlindedElement"]))
        order = check_order(bytes(32), asked.order, asked.blinded)
        answers = {i: world.answer(i, asked, bytes(32)) for i in world.shares}
        checked = {i: check_evaluation(NETWORK, world.key, order, answer) for i, answer in answers.items()}
        chosen = islice(combinations(world.shares, threshold), 40)
        for indices in chosen:
            tokens = combine(asked, world.key, [checked[i] for i in indices])
            assert list(tokens.values()) == split(vector["Output"])
        assert list(gather(NETWORK, world.key, asked, bytes(32), answers.values()).tokens.values()) == split(vector["Output"])


def test_every_vector_reaches_the_shared_key(suite: dict[str, Any]) -> None:
    """None of the vectors is left out above for not being text."""
    for vector in suite["vectors"]:
        assert all(data.decode("latin-1").encode() == data for data in split(vector["Input"]))


def test_the_vectors_proofs_are_refused_when_changed(suite: dict[str, Any]) -> None:
    vector = suite["vectors"][-1]
    key = decode_scalar(bytes.fromhex(suite["skSm"]))
    elements = voprf.blind_with(split(vector["Input"]), scalars(vector["Blind"]))
    evaluated, proof = voprf.evaluate(key, elements), bytes.fromhex(vector["Proof"]["proof"])
    voprf.verify(base_mul(key), elements, evaluated, proof)
    for i in range(64):
        with pytest.raises(Refused, match="bad-"):
            voprf.verify(base_mul(key), elements, evaluated, proof[:i] + bytes([proof[i] ^ 1]) + proof[i + 1 :])
