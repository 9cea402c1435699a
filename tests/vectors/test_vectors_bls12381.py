"""BLS12-381: RFC 9380, the pairing draft's value, EIP-2537, Ethereum's signature vectors, zkcrypto's multiples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from salus.errors import Refused
from salus.groups import reference_bls as reference
from salus.groups.bls12_381 import (
    G1,
    G2,
    ORDER,
    Fr,
    G2Prepared,
    decode_g1,
    decode_g2,
    g1_hash_batch,
    g1_msm,
    g1_msm_vartime,
    g2_msm,
    g2_msm_vartime,
    pairing,
)

OWN = json.loads((Path(__file__).parent / "refused_encodings.json").read_text())
SIGNATURE_DST = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"


@pytest.fixture(scope="module")
def bls(shared_data: Path) -> Path:
    return shared_data / "vectors/bls12381"


@pytest.fixture(scope="module")
def rfc9380(shared_data: Path) -> Path:
    return shared_data / "vectors/hash_to_curve_rfc9380"


def _int(text: str) -> int:
    return int(text, 16)


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _cases(folder: Path) -> Iterator[tuple[str, Any, Any]]:
    for file in sorted(folder.glob("*.json")):
        case = json.loads(file.read_text())
        yield file.stem, case["input"], case["output"]


@pytest.mark.parametrize("name", ["SHA256_38", "SHA256_256", "SHA512_38"])
def test_expand_message(rfc9380: Path, name: str) -> None:
    data = json.loads((rfc9380 / f"expand_message_xmd_{name}.json").read_text())
    hash_function = {"SHA256": hashlib.sha256, "SHA512": hashlib.sha512}[data["hash"]]
    assert data["tests"]
    for case in data["tests"]:
        length = _int(case["len_in_bytes"])
        out = reference.expand_message_xmd(case["msg"].encode(), data["DST"].encode(), length, hash_function)
        assert out.hex() == case["uniform_bytes"]


def test_hash_to_g1(rfc9380: Path) -> None:
    data = json.loads((rfc9380 / "BLS12381G1_XMD-SHA-256_SSWU_RO_.json").read_text())
    for case in data["vectors"]:
        message, dst = case["msg"].encode(), data["dst"].encode()
        expected = ((_int(case["P"]["x"]), 0), (_int(case["P"]["y"]), 0))
        assert G1.hash(message, dst).encode() == reference.encode(expected, 1)
        assert g1_hash_batch([message, b""], dst)[0].encode() == reference.encode(expected, 1)
        expanded = reference.expand_message_xmd(message, dst, 128)
        fields = [int.from_bytes(expanded[i : i + 64], "big") % reference.FIELD for i in (0, 64)]
        assert fields == [_int(u) for u in case["u"]]


def test_hash_to_g2(rfc9380: Path) -> None:
    data = json.loads((rfc9380 / "BLS12381G2_XMD-SHA-256_SSWU_RO_.json").read_text())
    for case in data["vectors"]:
        x, y = ([_int(v) for v in case["P"][k].split(",")] for k in "xy")
        expected = ((x[0], x[1]), (y[0], y[1]))
        assert G2.hash(case["msg"].encode(), data["dst"].encode()).encode() == reference.encode(expected, 2)


def test_pairing_of_the_generators(bls: Path) -> None:
    """The draft's value e; blst's final exponentiation gives e^3, as good a pairing (3 does not divide the order)."""
    data = json.loads((bls / "optimal_ate_pairing_draft.json").read_text())
    twin = reference.pairing(*(reference.decode_uncompressed(g.generator().encode_uncompressed()) for g in (G1, G2)))
    # The draft lists 1, v, v^2, w, v*w, v^2*w with v = w^2; each coefficient is (real, u).
    listed = [_int(data[f"e_{i}"]) for i in range(12)]
    assert [v for k in (0, 2, 4, 1, 3, 5) for v in _coefficient(twin, k)] == listed
    cube = reference.mul12(twin, reference.mul12(twin, twin))
    encoded = b"".join(v.to_bytes(48, "big") for k in range(6) for v in _coefficient(cube, k))
    assert pairing([(G1.generator(), G2.generator())]).encode() == encoded


def _coefficient(f: reference.Fp12, k: int) -> tuple[int, int]:
    return (f[k] + f[k + 6]) % reference.FIELD, f[k + 6]


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 64], "big") for i in range(0, len(data), 64)]


def _points(words: list[int], parts: int) -> reference.Point:
    if not any(words):
        return None
    if parts == 1:
        return (words[0], 0), (words[1], 0)
    return (words[0], words[1]), (words[2], words[3])


@pytest.mark.parametrize(("name", "group", "parts"), [("G1", G1, 1), ("G2", G2, 2)])
def test_eip2537_addition_and_multiplication(bls: Path, name: str, group: type[G1] | type[G2], parts: int) -> None:
    size = 2 * parts
    ran = 0
    for case in json.loads((bls / f"eip2537/mul_{name}_bls.json").read_text()):
        words, out = _words(bytes.fromhex(case["Input"])[: 64 * size]), _words(bytes.fromhex(case["Expected"]))
        scalar = int(case["Input"][-64:], 16)
        if any(words):
            point = group.decode(reference.encode(_points(words, parts), parts))
            product = point.mul((scalar % ORDER).to_bytes(32, "big"))
            assert product.encode() == reference.encode(_points(out, parts), parts)
            by = Fr.reduce(scalar.to_bytes(64, "big"))
            sums = (g1_msm, g1_msm_vartime) if parts == 1 else (g2_msm, g2_msm_vartime)
            assert all(total([by], [point]) == product for total in sums)
            ran += 1
    for case in json.loads((bls / f"eip2537/add_{name}_bls.json").read_text()):
        data = bytes.fromhex(case["Input"])
        a, b = _words(data[: 64 * size]), _words(data[64 * size :])
        expected = reference.encode(_points(_words(bytes.fromhex(case["Expected"])), parts), parts)
        assert reference.encode(reference.add(_points(a, parts), _points(b, parts)), parts) == expected
        try:
            left, right = (group.decode(reference.encode(_points(w, parts), parts)) for w in (a, b))
        except ValueError:
            continue  # the identity, or a point that EIP-2537 adds outside the subgroup
        assert (left + right).encode() == expected  # type: ignore[operator]
        ran += 1
    assert ran >= 8


@pytest.mark.parametrize(("name", "parts"), [("fail-mul_G1", 1), ("fail-msm_G1", 1), ("fail-mul_G2", 2), ("fail-msm_G2", 2)])
def test_eip2537_refused_points(bls: Path, name: str, parts: int) -> None:
    """Points outside the subgroup are refused here, compressed, as EIP-2537 refuses them uncompressed."""
    ran = 0
    for case in json.loads((bls / f"eip2537/{name}_bls.json").read_text()):
        if "subgroup" not in case["ExpectedError"]:
            continue
        data, step = bytes.fromhex(case["Input"]), 128 * parts + 32
        inputs = [_points(_words(data[i : i + 128 * parts]), parts) for i in range(0, len(data), step)]
        refused = 0
        for point in inputs:
            decode = decode_g1 if parts == 1 else decode_g2
            try:
                decode(reference.encode(point, parts))
            except Refused:
                refused += 1
        assert refused >= 1, case["Name"]
        ran += 1
    assert ran >= 1


def test_eip2537_pairing(bls: Path) -> None:
    ran = 0
    for case in json.loads((bls / "eip2537/pairing_check_bls.json").read_text()):
        data = bytes.fromhex(case["Input"])
        pairs = []
        for i in range(0, len(data), 384):
            p, q = _points(_words(data[i : i + 128]), 1), _points(_words(data[i + 128 : i + 384]), 2)
            if p is not None and q is not None:
                pairs.append((G1.decode(reference.encode(p, 1)), G2.decode(reference.encode(q, 2))))
        if pairs:
            assert pairing(pairs).is_one() == bool(int(case["Expected"], 16)), case["Name"]
            assert pairing([(p, G2Prepared(q)) for p, q in pairs]) == pairing(pairs)
            ran += 1
    assert ran >= 8


def test_deserialization(bls: Path) -> None:
    folder = bls / "ethereum_bls12-381-tests_v0.1.1"
    for name, decode, field in (("G1", decode_g1, "pubkey"), ("G2", decode_g2, "signature")):
        for case, given, valid in _cases(folder / f"deserialization_{name}"):
            data = _unhex(given[field])
            if valid and "infinity" not in case:
                assert decode(data).encode() == data
            else:  # the identity is refused here
                with pytest.raises(Refused, match="bad-point"):
                    decode(data)


def test_signatures_verify(bls: Path) -> None:
    """Whole signatures: decoding, hash to G2 and the pairing together."""
    outcomes = set()
    for case, given, valid in _cases(bls / "ethereum_bls12-381-tests_v0.1.1/verify"):
        try:
            public, signature = decode_g1(_unhex(given["pubkey"])), decode_g2(_unhex(given["signature"]))
        except Refused:
            assert not valid, case
            continue
        hashed = G2.hash(_unhex(given["message"]), SIGNATURE_DST)
        assert pairing([(public, hashed), (-G1.generator(), signature)]).is_one() == valid, case
        outcomes.add(valid)
    assert outcomes == {True, False}


def test_signing(bls: Path) -> None:
    for _case, given, expected in _cases(bls / "ethereum_bls12-381-tests_v0.1.1/sign"):
        if expected is None:
            continue  # the zero key, which signing refuses; there is no signer here
        assert G2.hash(_unhex(given["message"]), SIGNATURE_DST).mul(_unhex(given["privkey"])).encode() == _unhex(expected)


@pytest.mark.parametrize(("name", "group", "size"), [("g1", G1, 48), ("g2", G2, 96)])
def test_thousand_multiples(bls: Path, name: str, group: type[G1] | type[G2], size: int) -> None:
    compressed = (bls / f"zkcrypto/{name}_compressed_valid_test_vectors.dat").read_bytes()
    uncompressed = (bls / f"zkcrypto/{name}_uncompressed_valid_test_vectors.dat").read_bytes()
    total, generator = group.generator(), group.generator()
    assert len(compressed) == 1000 * size
    for i in range(1, 1000):  # entry 0 is the identity
        entry = compressed[size * i : size * (i + 1)]
        assert total.encode() == entry
        assert total.encode_uncompressed() == uncompressed[2 * size * i : 2 * size * (i + 1)]
        if i % 50 == 0:
            assert group.decode(entry) == total == generator.mul(i.to_bytes(32, "big"))
        total = total + generator  # type: ignore[operator]


@pytest.mark.parametrize("case", OWN["g1"], ids=lambda c: c["why"])
def test_own_refused_elements(case: dict[str, str]) -> None:
    with pytest.raises(Refused, match="bad-point"):
        decode_g1(bytes.fromhex(case["encoding"]), "B")
