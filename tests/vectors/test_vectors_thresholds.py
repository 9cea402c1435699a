"""The thresholds' own vectors: regenerated and compared, and recomputed by an independent writing of the steps.

Below, messages are plain tuples and hashes are written out with the standard library; only group operations are the library's.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from salus import _native as rust
from salus.groups.bls12_381 import ORDER as R
from salus.groups.ristretto255 import ORDER as L
from support.plain_codec import dec, enc
from support.threshold_vectors import ATTRIBUTES, DEALERS, PATH, as_text
from support.threshold_world import SCOPE

SUITE = "abpre-1"
G1, G2, Gt = rust.G1, rust.G2, rust.Gt


def test_the_library_still_makes_these_bytes():
    assert as_text() == PATH.read_text()


@pytest.fixture(scope="module")
def v() -> dict[str, Any]:
    return json.loads(Path(PATH).read_text())


def message(text: str) -> tuple[Any, ...]:
    """The fields of a message, without kind and version."""
    return dec(bytes.fromhex(text))[2:]


def h512(label: str, *fields: Any, suite: str = SUITE) -> bytes:
    return hashlib.sha512(enc((label, suite, *fields))).digest()


def h2(label: str, *fields: Any) -> bytes:
    return h512(label, *fields)[:32]


def fr(label: str, *fields: Any) -> int:
    return int.from_bytes(h512(label, *fields), "big") % R


def ristretto(label: str, *fields: Any, suite: str = SUITE) -> int:
    return int.from_bytes(h512(label, *fields, suite=suite), "little") % L


def weights(label: str, whole: Any, count: int) -> list[int]:
    stream = hashlib.shake_256(enc((label, SUITE, hashlib.sha512(enc(whole)).digest()))).digest(16 * count)
    return [int.from_bytes(stream[i : i + 16], "big") for i in range(0, len(stream), 16)]


def big(n: int) -> rust.Fr:
    return rust.Fr.decode((n % R).to_bytes(32, "big"))


def little(n: int) -> rust.Scalar:
    return rust.Scalar.decode((n % L).to_bytes(32, "little"))


def int_le(data: bytes) -> int:
    return int.from_bytes(data, "little")


def int_be(data: bytes) -> int:
    return int.from_bytes(data, "big")


def add(points: list[Any]) -> Any:
    total = points[0]
    for point in points[1:]:
        total = total + point
    return total


def lagrange(indices: tuple[int, ...], order: int) -> list[int]:
    out = []
    for i in indices:
        top = bottom = 1
        for j in indices:
            if j != i:
                top, bottom = top * -j, bottom * (i - j)
        out.append(top * pow(bottom, -1, order) % order)
    return out


def schnorr_holds(label: str, suite: str, public: bytes, fields: tuple[Any, ...], signed: Any, signature: bytes) -> bool:
    c = ristretto(label, *fields, signature[:32], signed, suite=suite)
    left = rust.base_mul(little(int_le(signature[32:])))
    return left == rust.Point.decode(signature[:32]) + rust.Point.decode(public).mul(little(c))


def signed_by(network: bytes, name: str, W: bytes, label: str, body: Any, signature: bytes) -> bool:
    return schnorr_holds(label, "mbpa-r1", W, (network, name, W), body, signature)


def pok_holds(label: str, public: bytes, fields: Any, proof: bytes) -> bool:
    c, z = int_be(proof[:32]), int_be(proof[32:])
    commitment = G1.generator().mul(big(z)) - G1.decode(public).mul(big(c))
    return fr(label, fields, public, commitment.encode()) == c


def open_box(er: int, box: tuple[Any, ...], ctx: Any) -> bytes:
    """Steps 3 and 4 of boxes."""
    box_R, ciphertext, proof = box[2:]
    Er = rust.base_mul(little(er)).encode()
    assert schnorr_holds("box-possession", SUITE, box_R, (ctx, Er, box_R), ciphertext, proof)
    shared = rust.Point.decode(box_R).mul(little(er)).encode()
    info = enc((SUITE, "box", 32, (box_R, Er, ctx)))
    key = HKDF(hashes.SHA512(), 32, None, info).derive(shared)
    return ChaCha20Poly1305(key).decrypt(bytes(12), ciphertext, enc((box_R, Er, ctx)))


class Read:
    """The vectors' committee and secrets."""

    def __init__(self, v: dict[str, Any]) -> None:
        self.v = v
        self.network = bytes.fromhex(v["network"])
        self.committee = dec(bytes.fromhex(v["committee"]))
        epoch, size, seats = self.committee[2:]
        assert (epoch, size) == (1, 4)
        self.seats = {seat[2]: seat[3:] for seat in seats}
        self.digest = h2("committee", self.committee)
        self.nodes = {name: {k: bytes.fromhex(x) for k, x in node.items()} for name, node in v["nodes"].items()}

    def ctx(self, kind: str, sender: str, about: Any) -> tuple[Any, ...]:
        return (self.network, 1, kind, sender, about)

    def e(self, index: int) -> int:
        return int_be(self.nodes[self.seats[index][0]]["e_er"][:32])

    def er(self, index: int) -> int:
        return int_le(self.nodes[self.seats[index][0]]["e_er"][32:])


@pytest.fixture(scope="module")
def read(v) -> Read:
    return Read(v)


def test_seats_hold_the_public_keys_of_the_secrets(read):
    for index, (name, W, E, Er) in read.seats.items():
        assert rust.base_mul(little(int_le(read.nodes[name]["s"]))).encode() == W
        assert G1.generator().mul(big(read.e(index))).encode() == E
        assert Er == rust.base_mul(little(read.er(index))).encode()


def gt_product(elements: list[bytes], exponents: list[int]) -> rust.Gt:
    total = Gt.one()
    for element, exponent in zip(elements, exponents, strict=True):
        total = total * Gt.decode(element).pow(big(exponent))
    return total


def alpha_deal_holds(read: Read, committee: tuple[Any, ...], text: str, W: bytes) -> bool:
    """Steps 3 and 4 of the deal of alpha."""
    epoch, previous, dealer, C, R1, R2, c, possession, signature = message(text)
    seats = committee[4]
    E = tuple(seat[5] for seat in seats)
    ctx = (read.network, epoch, "dkg.deal", dealer, (previous, h2("committee", committee), E))
    statement = (ctx, C, R1, R2, c)
    z0, *z = weights("alpha-deal-weights", statement, len(c) + 1)
    left = add([G1.decode(R1).mul(big(z0)), *(G1.decode(p).mul(big(w)) for p, w in zip(c, z, strict=True))])
    right = add([G1.generator().mul(big(z0)), *(G1.decode(p).mul(big(w)) for p, w in zip(E, z, strict=True))])
    exponents = [sum(w * seat[2] ** k for w, seat in zip(z, seats, strict=True)) for k in range(len(C))]
    equation = rust.pairing([(left, G2.generator()), (-right, G2.decode(R2))]) == gt_product(C, exponents)
    signed = signed_by(read.network, dealer, W, "sig-alpha-deal", dec(bytes.fromhex(text))[:-1], signature)
    return equation and signed and pok_holds("alpha-deal-possession", R1, statement, possession)


def test_the_deal_of_alpha(read):
    deals = read.v["alpha"]["deals"]
    for index, text in zip(DEALERS, deals, strict=True):
        assert alpha_deal_holds(read, read.committee, text, read.seats[index][1])
    _, previous, dealers, C, R1, c = message(read.v["alpha"]["sharing"])
    assert (previous, dealers) == (0, DEALERS)
    opened = [message(text) for text in deals]
    for k in range(3):
        assert Gt.decode(C[k]) == gt_product([deal[3][k] for deal in opened], [1, 1, 1])
    assert G1.decode(R1) == add([G1.decode(deal[4]) for deal in opened])
    for place, index in enumerate(read.seats):
        assert G1.decode(c[place]) == add([G1.decode(deal[6][place]) for deal in opened])
        S = G1.decode(c[place]) - G1.decode(R1).mul(big(read.e(index)))
        assert S.encode().hex() == read.v["alpha"]["shares"][str(index)]
        assert rust.pairing([(S, G2.generator())]) == gt_product(C, [index**k for k in range(3)])


@pytest.mark.parametrize(("purpose", "order"), [("z", R), ("oprf", L)])
def test_shared_scalars(read, purpose, order):
    as_int, base = (
        (int_be, lambda n: G1.generator().mul(big(n))) if purpose == "z" else (int_le, lambda n: rust.base_mul(little(n)))
    )
    decode = G1.decode if purpose == "z" else rust.Point.decode
    scale = (lambda p, n: p.mul(big(n))) if purpose == "z" else (lambda p, n: p.mul(little(n)))
    shares = dict.fromkeys(read.seats, 0)
    for dealer_index, text in zip(DEALERS, read.v[purpose]["deals"], strict=True):
        body = dec(bytes.fromhex(text))
        named, epoch, previous, dealer, F, boxes, signature = body[2:]
        assert (named, epoch, previous, dealer) == (purpose, 1, 0, read.seats[dealer_index][0])
        assert signed_by(read.network, dealer, read.seats[dealer_index][1], "sig-scalar-deal", body[:-1], signature)
        for index, box in zip(read.seats, boxes, strict=True):
            about = (purpose, 0, read.digest, index)
            share = as_int(open_box(read.er(index), box, read.ctx("sharing.scalar-deal", dealer, about)))
            assert base(share) == add([scale(decode(f), index**k) for k, f in enumerate(F)])
            shares[index] = (shares[index] + share) % order
    assert {str(i): s for i, s in shares.items()} == {i: as_int(bytes.fromhex(s)) for i, s in read.v[purpose]["shares"].items()}
    public = message(read.v[purpose]["sharing"])[5][0]
    whole = sum(w * shares[i] for w, i in zip(lagrange(DEALERS, order), DEALERS, strict=True))
    assert base(whole % order).encode() == public


def attribute_point(attribute: str) -> rust.G1:
    return G1.hash(enc((attribute,)), b"SALUS-abpre-1-abpre-H-BLS12381G1_XMD:SHA-256_SSWU_RO_")


def base_a() -> rust.G1:
    return G1.hash(enc(()), b"SALUS-abpre-1-abpre-A-BLS12381G1_XMD:SHA-256_SSWU_RO_")


def test_partial_keys_and_the_key_they_make(read):
    issuing = read.v["issuing"]
    request = dec(bytes.fromhex(issuing["request"]))
    attributes = tuple(sorted(ATTRIBUTES))
    assert request[4] == attributes
    digest = h2("key-request", read.network, request)
    C = message(read.v["alpha"]["sharing"])[3]
    H = [attribute_point(x) for x in attributes]
    parts = []
    for index, text in zip(DEALERS, issuing["partials"], strict=True):
        body = dec(bytes.fromhex(text))
        _, node, named, box, signature = body[2:]
        assert (node, named) == (read.seats[index][0], digest)
        assert signed_by(read.network, node, read.seats[index][1], "sig-partial-key", body[:-1], signature)
        ctx = read.ctx("key.partial", node, (digest, attributes))
        plain = open_box(int_le(bytes.fromhex(issuing["er"])), box, ctx)
        K, key_L, Kx = (
            G1.decode(plain[:48]),
            G2.decode(plain[48:144]),
            [G1.decode(plain[144 + 48 * i : 192 + 48 * i]) for i in range(2)],
        )
        c = weights("partial-key-weights", (ctx, index, attributes, plain), 2)
        left = add([K, *(p.mul(big(w)) for p, w in zip(Kx, c, strict=True))])
        right = add([base_a(), *(p.mul(big(w)) for p, w in zip(H, c, strict=True))])
        Y_i = gt_product(C, [index**k for k in range(3)])
        assert rust.pairing([(left, G2.generator()), (-right, key_L)]) == Y_i
        parts.append((K, key_L, *Kx))
    w = [big(n) for n in lagrange(DEALERS, R)]
    joined = [add([part[k].mul(x) for part, x in zip(parts, w, strict=True)]) for k in range(4)]
    K, key_L, names, points = message(issuing["key"])
    assert names == attributes
    # The key is the joined one, re-randomised by one t': the differences are t'*A, t'*g2 and t'*H(x).
    moved = G2.decode(key_L) - joined[1]
    pairs = [
        (G1.decode(K) - joined[0], base_a()),
        *zip([G1.decode(p) - q for p, q in zip(points, joined[2:], strict=True)], H, strict=True),
    ]
    for difference, base in pairs:
        assert rust.pairing([(difference, G2.generator()), (-base, moved)]).is_one()


def test_delegation_and_partial_transformations(read):
    t = {
        k: bytes.fromhex(x) if isinstance(x, str) else [bytes.fromhex(y) for y in x] for k, x in read.v["transformation"].items()
    }
    sealed = dec(t["delegation"])
    epoch, delegation, scope, expires_ms, P, c_digest, rk2, rk3, R_x, rk4, proof = sealed[2:]
    assert delegation == h2("delegation-id", read.network, scope, P)
    assert c_digest == h2("delegation-c", read.network, delegation, t["c"])
    ctx = (read.network, epoch, "delegation.sealed", scope, delegation)
    assert pok_holds("delegation-possession", P, (ctx, sealed[:-1]), proof)
    capsule = dec(t["capsule"])[2:]
    A2, A3, rows = G2.decode(capsule[2]), G1.decode(capsule[3]), capsule[4]
    capsule_digest = h2("partial-capsule", read.network, t["capsule"], t["aad"])
    Z_commitments = [G1.decode(F) for F in message(read.v["z"]["sharing"])[5]]
    elements = []
    for index, text in zip(DEALERS, t["partials"], strict=True):
        _, node, share, named, about_capsule, box, attachment, signature = dec(text)[2:]
        assert (share, named, about_capsule) == (t["share"], delegation, capsule_digest)
        claim = ("share.partial-claim", 1, 1, node, share, delegation, capsule_digest, h2("partial-box", box, attachment))
        assert signed_by(read.network, node, read.seats[index][1], "sig-partial", claim, signature)
        ctx = read.ctx("share.partial", node, (share, delegation, P, capsule_digest))
        plain = open_box(int_le(t["er"]), box, ctx)
        D, dleq = plain[:576], plain[576:]
        assert len(dleq) == 64
        ctx_c = read.ctx("partial-c", node, (share, delegation, P, capsule_digest))
        assert open_box(int_le(t["er"]), attachment, ctx_c) == t["c"]
        z_i = int_be(bytes.fromhex(read.v["z"]["shares"][str(index)]))
        assert rust.pairing([(G1.decode(P), A2)]).pow(big(z_i)).encode() == D
        challenge, answer = int_be(dleq[:32]), int_be(dleq[32:])
        Z_i = add([F.mul(big(index**k)) for k, F in enumerate(Z_commitments)])
        assert Z_i == G1.generator().mul(big(z_i))
        T1 = G1.generator().mul(big(answer)) - Z_i.mul(big(challenge))
        T2 = rust.pairing([(G1.decode(P), A2)]).pow(big(answer)) / Gt.decode(D).pow(big(challenge))
        assert fr("partial", (ctx, index), Z_i.encode(), P, capsule[2], D, T1.encode(), T2.encode()) == challenge
        elements.append(D)
    # The policy is own:.. or role:nurse: row 0 is the scope's, with w = 1.
    B, C_row = G1.decode(rows[:48]), G2.decode(rows[48:144])
    hidden = rust.pairing([(G1.decode(t["c"]), A2), (-A3, G2.decode(rk2)), (-B, G2.decode(rk3)), (-G1.decode(R_x), C_row)])
    A4 = hidden / gt_product(elements, lagrange(DEALERS, R))
    h = fr("abpre-H5", t["delta"])
    Y_s = A4.pow(big(pow(h, -1, R)))
    # Y^s for A2 = s*g2: with alpha*g1 from the shares, e(alpha*g1, A2).
    alpha_g1 = add(
        [
            G1.decode(bytes.fromhex(read.v["alpha"]["shares"][str(i)])).mul(big(w))
            for i, w in zip(DEALERS, lagrange(DEALERS, R), strict=True)
        ]
    )
    assert Y_s == rust.pairing([(alpha_g1, A2)])
    assert (scope, rk4[2], expires_ms) == (SCOPE, "inst:st-mary", 1_800_000_000_000)


def test_hand_over(read):
    part = read.v["hand_over"]
    new, dealer = dec(bytes.fromhex(part["committee"])), part["dealer"]
    assert alpha_deal_holds(read, new, part["alpha"], read.seats[dealer][1])
    C = message(read.v["alpha"]["sharing"])[3]
    epoch, previous, name, C_new = message(part["alpha"])[:4]
    assert (epoch, previous, name) == (2, 1, read.seats[dealer][0])
    assert Gt.decode(C_new[0]) == gt_product(C, [dealer**k for k in range(3)]), "the dealer's old public share"
    F_0 = message(part["z"])[4][0]
    z = int_be(bytes.fromhex(read.v["z"]["shares"][str(dealer)]))
    assert G1.generator().mul(big(z)).encode() == F_0


def test_revocation_receipt(read):
    epoch, delegation, c_digest, signers, signature = message(read.v["revocation"]["receipt"])
    assert signers == bytes([0b11010000])
    point = G1.hash(
        enc(("deleted", SUITE, read.network, epoch, delegation, c_digest)), b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
    )
    keys = add([G2.decode(read.nodes[read.seats[i][0]]["bls_key"]) for i in DEALERS])
    assert rust.pairing([(point, keys), (-G1.decode(signature), G2.generator())]).is_one()
    secret = sum(int_be(read.nodes[read.seats[i][0]]["bls_secret"]) for i in DEALERS)
    assert point.mul(big(secret)).encode() == signature
