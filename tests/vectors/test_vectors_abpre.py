"""The sharing scheme's own vectors: made again and compared, read back, and recomputed with its slow twin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from salus.abpre import capsules as cp
from salus.abpre import hashing
from salus.abpre.checking import check, check2
from salus.abpre.encapsulation import mask, secret_of
from salus.abpre.keys import SecretKey, check_key
from salus.abpre.language import parse, parse_canonical
from salus.abpre.opening import decapsulate, re_decrypt
from salus.abpre.parameters import PublicParameters
from salus.abpre.policy import PolicyError
from salus.abpre.rekeys import ReKey, check_rekey
from salus.abpre.span import span_program
from salus.codec import encode
from salus.groups.bls12_381 import G1, G2, Fr, decode_g1, decode_g2, decode_gt, pairing
from salus.symmetric import xor
from support import abpre_twin as twin
from support import abpre_vectors as vectors

HERE = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    return json.loads((HERE / name).read_text())


@pytest.fixture(scope="module")
def scheme() -> dict[str, Any]:
    return load("abpre_scheme.json")


@pytest.mark.parametrize("name", ["abpre_policies.json", "abpre_scheme.json"])
def test_they_are_made_again(name: str) -> None:
    assert vectors.files()[name] == (HERE / name).read_text()


def test_policies() -> None:
    found = load("abpre_policies.json")
    for case in found["policies"]:
        policy = parse_canonical(case["text"])
        assert list(policy.rows) == case["rows"]
        M = [[dict(map(tuple, row)).get(column, 0) for column in range(case["width"])] for row in case["matrix"]]
        weights = {int(row): w for row, w in case["weights_of_all"].items()}
        rest = [0] * (case["width"] - 1)
        assert twin.left_product([weights.get(row, 0) for row in range(len(M))], M) == [1, *rest]
        assert twin.left_product(case["kernel_c_1000_draws_1_2_3"], M) == [1000, *rest]
        assert twin.satisfied(policy.root, case["missing_of_none"])
    for case in found["refused"]:
        with pytest.raises(PolicyError) as caught:
            parse(case["text"])
        assert (caught.value.position, caught.value.reason) == (case["position"], case["reason"])


def test_setup_and_keys(scheme: dict[str, Any]) -> None:
    alpha = Fr.decode(bytes.fromhex(scheme["setup"]["alpha"]))
    Y = decode_gt(bytes.fromhex(scheme["setup"]["Y"]))
    assert pairing([(G1.generator(), G2.generator())]).pow(alpha) == Y
    parameters = PublicParameters.decode(bytes.fromhex(scheme["setup"]["encoded"]))
    for name, key in {**scheme["key_gen"], "sub-key": scheme["restrict"]}.items():
        read = SecretKey.decode(bytes.fromhex(key["encoded"]))
        check_key(parameters, read)
        assert read.K.encode().hex() == key["K"], name
        # The twin: e(K, g2) = Y * e(A, L), e(K_x, g2) = e(H(x), L).
        assert pairing([(read.K, G2.generator())]) == Y * pairing([(hashing.point_a(), read.L)])
        for x, part in key["parts"].items():
            assert pairing([(decode_g1(bytes.fromhex(part)), G2.generator())]) == pairing([(hashing.attribute_point(x), read.L)])
    t = vectors.scalar("t of the doctor")
    assert G2.generator().mul(t) == decode_g2(bytes.fromhex(scheme["key_gen"]["doctor"]["L"]))


def test_hashes(scheme: dict[str, Any]) -> None:
    """RFC 9380 under a domain of its own for each use, written out here."""
    for what, label, fields in (("A", "abpre-A", ()), ("g~", "abpre-g~", ())):
        dst = f"SALUS-abpre-1-{label}-BLS12381G1_XMD:SHA-256_SSWU_RO_".encode()
        assert G1.hash(encode(fields), dst).encode().hex() == scheme["hashes"][what]
    for x, point in scheme["hashes"]["H"].items():
        dst = b"SALUS-abpre-1-abpre-H-BLS12381G1_XMD:SHA-256_SSWU_RO_"
        assert G1.hash(encode((x,)), dst).encode().hex() == point


def test_capsule(scheme: dict[str, Any]) -> None:
    case = scheme["encapsulate"]
    parameters = PublicParameters.decode(bytes.fromhex(scheme["setup"]["encoded"]))
    policy, key, b, aad = parse(case["policy"]), bytes.fromhex(case["key"]), bytes.fromhex(case["b"]), bytes.fromhex(case["aad"])
    program = span_program(policy)
    matrix = twin.dense(program.width, program.rows)
    made = twin.encapsulate(parameters, policy, matrix, key, b, aad)
    assert made.encode().hex() == case["encoded"]
    s = Fr.decode(bytes.fromhex(case["s"]))
    assert secret_of(key + b, bytes.fromhex(case["context"])) == s
    assert xor(bytes.fromhex(case["A1"]), mask(parameters.Y.pow(s))) == key + b
    assert G2.generator().mul(s).encode().hex() == case["A2"]
    stored = check(cp.Capsule.decode(bytes.fromhex(case["encoded"])), aad)
    for name in ("owner", "doctor"):
        assert decapsulate(parameters, SecretKey.decode(bytes.fromhex(scheme["key_gen"][name]["encoded"])), stored) == key


def test_delegation(scheme: dict[str, Any]) -> None:
    case = scheme["rekey_gen"]
    parameters = PublicParameters.decode(bytes.fromhex(scheme["setup"]["encoded"]))
    delta, theta = bytes.fromhex(scheme["encapsulate_delta"]["delta"]), Fr.decode(bytes.fromhex(case["theta"]))
    sub = SecretKey.decode(bytes.fromhex(scheme["restrict"]["encoded"]))
    h = Fr.decode(bytes.fromhex(scheme["hashes"]["H5(delta)"]))
    assert hashing.h5(delta) == h
    assert (sub.K.mul(h) + hashing.point_g_tilde().mul(theta)).encode().hex() == case["rk1"]
    assert G2.generator().mul(theta).encode().hex() == case["rk2"]
    assert sub.L.mul(h).encode().hex() == case["rk3"]
    rekey = ReKey.decode(bytes.fromhex(case["encoded"]))
    assert rekey.rk4.encode().hex() == scheme["encapsulate_delta"]["encoded"]
    aad = bytes.fromhex(scheme["encapsulate_delta"]["aad"])
    rk4 = check_rekey(rekey, aad)
    assert check2(rekey.rk4, aad).capsule is rekey.rk4
    capsule = scheme["encapsulate"]
    A4 = decode_gt(bytes.fromhex(scheme["re_encrypt"]["A4"]))
    s = Fr.decode(bytes.fromhex(capsule["s"]))
    assert parameters.Y.pow(s * h) == A4
    stored = check(cp.Capsule.decode(bytes.fromhex(capsule["encoded"])), bytes.fromhex(capsule["aad"]))
    reader = SecretKey.decode(bytes.fromhex(scheme["key_gen"]["reader"]["encoded"]))
    assert re_decrypt(parameters, reader, stored, A4, rk4).hex() == scheme["re_decrypt"]["key"]
