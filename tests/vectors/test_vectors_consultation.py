"""The repaired suite's own vectors: regenerated and compared, and recomputed by an independent writing of the steps."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from salus.groups.ristretto255 import ORDER, Point, Scalar, base_mul
from support.consultation_vectors import as_text
from support.plain_codec import dec, enc

VECTORS = Path(__file__).with_name("consultation_r1.json")


@pytest.fixture(scope="module")
def v() -> dict[str, Any]:
    return json.loads(VECTORS.read_text())


def test_the_library_still_makes_these_bytes():
    assert as_text() == VECTORS.read_text()


# --- the same steps, written down with the standard library ---


R1 = "mbpa-r1"


def h512(label: str, *fields: Any, suite: str = R1) -> bytes:
    return hashlib.sha512(enc((label, suite, *fields))).digest()


def H1(label: str, *fields: Any) -> Scalar:
    return Scalar.decode((int.from_bytes(h512(label, *fields), "little") % ORDER).to_bytes(32, "little"))


def KDF(label: str, secrets: list[bytes], context: Any, n: int = 32) -> bytes:
    return HKDF(hashes.SHA512(), n, None, enc((R1, label, n, context))).derive(b"".join(secrets))


def HMAC(key: bytes, *fields: Any) -> bytes:
    return hmac.new(key, enc(fields), hashlib.sha512).digest()[:32]


def unseal(key: bytes, box: bytes, aad: Any) -> bytes:
    return ChaCha20Poly1305(key).decrypt(bytes(12), box, enc(aad))


def x(text: str) -> bytes:
    return bytes.fromhex(text)


def dh(secret: str, point: str) -> bytes:
    return Point.decode(x(point)).mul(Scalar.decode(x(secret))).encode()


REQUEST_FIELDS = ["PID1", "ID_D", "A", "digest", "size", "M1", "M2", "sn", "S", "S_D", "cm", "nf", "epoch", "valid_until", "U"]
REPLY_FIELDS = ["PID2", "ID_D", "A_D", "digest", "size", "M_k1", "M_k2", "sn", "h1", "U"]


def request_of(v: dict[str, Any]) -> dict[str, Any]:
    kind, version, *fields = dec(x(v["request"]["transaction"]))
    assert (kind, version) == ("consultation.request", 1)
    return dict(zip(REQUEST_FIELDS, fields, strict=True))


def t0_of(v: dict[str, Any], t: dict[str, Any]) -> tuple[Any, ...]:
    network, pk, W_D, E = x(v["network"]), x(v["epoch"]["pk_BC"]), x(v["doctor"]["W"]), x(v["slot"]["E"])
    return (R1, "consultation.request", network, t["epoch"], pk, t["A"], t["valid_until"], t["ID_D"], W_D, E, t["sn"])


def test_registration(v: dict[str, Any]):
    c = v["credential"]
    hp = h512("pid", x(c["pid"]))[:32]
    assert hp.hex() == c["hp"]
    alpha = H1("alpha", "patient", hp, 8103, x(c["P"]), x(c["Q"]), x(v["Pub"]))
    assert alpha.encode().hex() == c["alpha"]
    W = Point.decode(x(c["P"])) + Point.decode(x(v["Pub"])).mul(alpha) + Point.decode(x(c["Q"]))
    assert W.encode().hex() == c["W"]
    assert base_mul(Scalar.decode(x(c["s"]))) == W


def test_envelope(v: dict[str, Any]):
    t, c, r, network = request_of(v), v["credential"], v["request"], x(v["network"])
    t0 = t0_of(v, t)
    assert enc(t0).hex() == r["t0"]
    context = (t0, t["cm"], t["nf"])
    opened = unseal(KDF("node-seal", [dh(v["epoch"]["theta"], t["A"].hex())], context), t["S"], context)
    assert opened == x(c["P"]) + x(c["Q"]) + x(c["hp"]) + (8103).to_bytes(8, "big") + x(r["g"])
    sender = (x(c["P"]), x(c["Q"]), x(c["hp"]), 8103)
    assert t["cm"] == h512("cm", *sender, x(r["g"]))[:32]
    B = Point.from_uniform(h512("nullifier", network, *sender))
    I = B.mul(Scalar.decode(x(c["s"]))).encode()
    assert (B.encode().hex(), I.hex()) == (r["B"], r["I"])
    assert t["nf"] == h512("nf", I)[:32]
    body = (t["PID1"], t["digest"], t["size"], t["M2"], t["S_D"], t["U"])
    content = (t0, t["cm"], t["nf"], h512("S", t["S"])[:32], body)
    assert hashlib.sha512(enc(content)).hexdigest() == r["content_sha512"]
    sigma = unseal(KDF("kdf-sig", [x(r["g"])], content), t["M1"], content)
    I_, R_1, R_2, z = (sigma[i : i + 32] for i in range(0, 128, 32))
    challenge = H1("sig", network, "patient", *sender, I_, R_1, R_2, content)
    assert (challenge.encode().hex(), z.hex()) == (r["c"], r["z"])
    assert base_mul(Scalar.decode(z)) == Point.decode(R_1) + Point.decode(x(c["W"])).mul(challenge)
    assert B.mul(Scalar.decode(z)) == Point.decode(R_2) + Point.decode(I_).mul(challenge)


def test_request_keys(v: dict[str, Any]):
    t, c, r = request_of(v), v["credential"], v["request"]
    t0, cm = t0_of(v, t), t["cm"]
    sA, eA, sW = dh(v["doctor"]["s"], t["A"].hex()), dh(v["slot"]["e"], t["A"].hex()), dh(v["doctor"]["s"], c["W"])
    opened = unseal(KDF("doctor-seal", [sA, eA], (t0, cm)), t["S_D"], (t0, cm))
    assert opened == x(c["P"]) + x(c["Q"]) + x(c["pid"]) + (8103).to_bytes(8, "big") + x(r["g"])
    keys = KDF("request", [sA, eA, sW], (t0, cm, t["S_D"], x(c["W"])), 156)
    assert (keys[:32].hex(), keys[32:64].hex(), keys[64:].hex()) == (r["k_enc"], r["k_mac"], r["k_pid"])
    assert bytes(a ^ b for a, b in zip(t["PID1"], keys[64:], strict=True)) == x(c["pid"])
    assert t["M2"] == HMAC(keys[32:64], t0, cm, t["S_D"], t["PID1"], t["digest"], t["size"])
    assert r["h1"] == h512("tx", x(r["transaction"]), suite="ledger-1")[:32].hex()


def test_reply(v: dict[str, Any]):
    kind, version, *fields = dec(x(v["reply"]["transaction"]))
    assert (kind, version) == ("consultation.reply", 1)
    t, r, c = dict(zip(REPLY_FIELDS, fields, strict=True)), v["reply"], v["credential"]
    network, W_D = x(v["network"]), x(v["doctor"]["W"])
    t0 = (R1, "consultation.reply", network, t["ID_D"], W_D, t["sn"], t["h1"], t["A_D"])
    assert enc(t0).hex() == r["t0"]
    secrets = [dh(c["s"], t["A_D"].hex()), dh(v["request"]["a"], t["A_D"].hex()), dh(c["s"], v["doctor"]["W"])]
    keys = KDF("reply", secrets, (t0, x(c["W"])), 156)
    assert (keys[:32].hex(), keys[32:64].hex(), keys[64:].hex()) == (r["k_enc"], r["k_mac"], r["k_pid"])
    assert bytes(a ^ b for a, b in zip(t["PID2"], keys[64:], strict=True)) == x(c["pid"])
    assert t["M_k2"] == HMAC(keys[32:64], t0, t["PID2"], t["digest"], t["size"])
    body = (t0, t["PID2"], t["digest"], t["size"], t["M_k2"], t["U"])
    R, z = t["M_k1"][:32], Scalar.decode(t["M_k1"][32:])
    challenge = H1("sig-reply", network, t["ID_D"], W_D, R, body)
    assert base_mul(z) == Point.decode(R) + Point.decode(W_D).mul(challenge)


def test_upload_receipt(v: dict[str, Any]):
    t = request_of(v)
    kind, version, cloud, keep_until, signature = t["U"]
    assert (kind, version, cloud) == ("receipt.upload", 1, "store/cloud")
    assert len(signature) == 64
    assert keep_until > t["valid_until"]


def test_deal(v: dict[str, Any]):
    """f is recomputed from its roots with plain integers."""
    d, network = v["deal"], x(v["network"])
    _, _, epoch, dealer, R, coefficients, T, _, _ = dec(x(d["message"]))
    assert base_mul(Scalar.decode(x(d["r"]))).encode() == R
    assert base_mul(Scalar.decode(x(d["theta"]))).encode() == T
    f = [int.from_bytes(x(d["theta"]), "little")]
    product = [1]
    for seat in d["seats"]:
        beta = H1("beta", (network, epoch, dealer), seat["name"], R, dh(d["r"], seat["W"]), dh(d["r"], seat["E"]))
        root = int.from_bytes(beta.encode(), "little")
        shifted = [0, *product]
        for i, coefficient in enumerate(product):
            shifted[i] -= root * coefficient
        product = [k % ORDER for k in shifted]
    expected = [(k + (f[0] if i == 0 else 0)) % ORDER for i, k in enumerate(product)]
    assert expected[-1] == 1
    assert [int.from_bytes(k, "little") for k in coefficients] == expected[:-1]
