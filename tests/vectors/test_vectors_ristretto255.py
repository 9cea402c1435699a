"""RFC 9496, appendix A; the sharing of RFC 9591's test vectors; and this project's own refused encodings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from salus.errors import Refused
from salus.groups import reference
from salus.groups.ristretto255 import (
    Point,
    Scalar,
    base_mul,
    base_mul_batch,
    decode_batch,
    decode_point,
    decode_scalar,
    from_uniform_batch,
)
from salus.groups.sharing import interpolate_point, interpolate_scalar, shamir_share

OWN = json.loads((Path(__file__).parent / "refused_encodings.json").read_text())


@pytest.fixture(scope="module")
def rfc9496(shared_data: Path) -> dict[str, Any]:
    return json.loads((shared_data / "vectors/ristretto255_rfc9496/ristretto255_vectors.json").read_text())


def test_multiples_of_the_generator(rfc9496: dict[str, Any]) -> None:
    expected = [bytes.fromhex(e) for e in rfc9496["multiples_of_generator"]]
    scalars = [Scalar.from_int(i) for i in range(len(expected))]
    assert [p.encode() for p in base_mul_batch(scalars)] == expected
    generator = Point.generator()
    total = Point.identity()
    for i, encoding in enumerate(expected):
        assert total.encode() == encoding
        assert generator.mul(scalars[i]).encode() == encoding
        assert Point.decode_with_identity(encoding) == total
        total = total + generator


def test_invalid_encodings(rfc9496: dict[str, Any]) -> None:
    for case in rfc9496["invalid_encodings"]:
        data = bytes.fromhex(case["encoding"])
        with pytest.raises(Refused, match="bad-point"):
            decode_point(data)
        with pytest.raises(ValueError, match="canonical"):
            Point.decode_with_identity(data)
        with pytest.raises(ValueError, match="canonical"):
            decode_batch([Point.generator().encode(), data])
        with pytest.raises(ValueError, match="not"):
            reference.decode(data)


def test_element_derivation(rfc9496: dict[str, Any]) -> None:
    inputs = [bytes.fromhex(case["input"]) for case in rfc9496["element_derivation"]]
    outputs = [bytes.fromhex(case["output"]) for case in rfc9496["element_derivation"]]
    assert [p.encode() for p in from_uniform_batch(inputs)] == outputs
    assert [Point.from_uniform(i).encode() for i in inputs] == outputs
    assert [reference.encode(reference.from_uniform(i)) for i in inputs] == outputs


def test_square_roots_of_the_twin(rfc9496: dict[str, Any]) -> None:
    for case in rfc9496["sqrt_ratio_m1"]:
        u, v, r = (int.from_bytes(bytes.fromhex(case[k]), "little") for k in "uvr")
        assert reference.sqrt_ratio_m1(u, v) == (case["was_square"], r)


@pytest.mark.parametrize("case", OWN["points"], ids=lambda c: c["why"])
def test_own_refused_points(case: dict[str, str]) -> None:
    with pytest.raises(Refused) as refusal:
        decode_point(bytes.fromhex(case["encoding"]), "W")
    assert refusal.value.reason == "bad-point"
    assert case["says"] in refusal.value.detail


@pytest.mark.parametrize("case", OWN["scalars"], ids=lambda c: c["why"])
def test_own_refused_scalars(case: dict[str, str]) -> None:
    with pytest.raises(Refused) as refusal:
        decode_scalar(bytes.fromhex(case["encoding"]), "z")
    assert refusal.value.reason == "bad-scalar"
    assert case["says"] in refusal.value.detail


def test_shares_of_rfc9591(shared_data: Path) -> None:
    data = json.loads((shared_data / "vectors/frost_rfc9591/frost-ristretto255-sha512.json").read_text())["inputs"]
    secret = Scalar.decode(bytes.fromhex(data["group_secret_key"]))
    rest = [Scalar.decode(bytes.fromhex(c)) for c in data["share_polynomial_coefficients"]]
    indices = [p["identifier"] for p in data["participant_shares"]]
    shares = shamir_share([secret, *rest], indices)
    assert [s.encode().hex() for s in shares] == [p["participant_share"] for p in data["participant_shares"]]
    public = base_mul(secret)
    assert public.encode().hex() == data["group_public_key"]
    chosen = data["participant_list"]
    picked = [shares[indices.index(i)] for i in chosen]
    assert interpolate_scalar(chosen, picked) == secret
    assert interpolate_point(chosen, base_mul_batch(picked)) == public
