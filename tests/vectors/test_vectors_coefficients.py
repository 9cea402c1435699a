"""Vectors of the coefficients that checks hash from what they check: made again, and computed by the standard library alone.

And what they are for: each field of each real object changes every coefficient, or its maker could change it afterwards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from salus.abpre.capsules import Capsule, DeltaCapsule, Rows
from salus.abpre.checking import check2_batch, check_batch
from salus.abpre.keys import SecretKey, check_key
from salus.abpre.language import parse
from salus.abpre.parameters import PublicParameters, setup_deterministic
from salus.abpre.rekeys import check_parts
from salus.abpre.span import span_program
from salus.abpre.threshold import alpha as al
from salus.abpre.threshold import key_collecting as kc
from salus.errors import Refused
from salus.groups import multi_signatures as bls
from salus.groups.bls12_381 import G1, G2, Fr, decode_g1, decode_g2, decode_gt
from support import abpre_twin as twin
from support import coefficients as co
from support.abpre_vectors import scalar
from support.plain_codec import dec, enc
from support.threshold_world import NETWORK, altered

SUITE = "abpre-1"
X_SQUARED = 0xD201000000010000**2
MADE = co.files()


@pytest.mark.parametrize("name", MADE)
def test_they_are_made_again(name: str) -> None:
    assert MADE[name] == (co.VECTORS / name).read_text()


def load(name: str) -> dict[str, Any]:
    return json.loads((co.VECTORS / f"coefficients_{name}.json").read_text())


# --- by the standard library ---


def h512(label: str, *fields: Any) -> bytes:
    return hashlib.sha512(enc((label, SUITE, *fields))).digest()


def stream(label: str, data: bytes, count: int) -> bytes:
    return hashlib.shake_256(enc((label, SUITE, hashlib.sha512(data).digest()))).digest(16 * count)


def listed(label: str, data: bytes, count: int) -> list[str]:
    out = stream(label, data, count)
    return [out[i : i + 16].hex() for i in range(0, len(out), 16)]


@pytest.mark.parametrize(
    ("name", "label", "context_label"),
    [
        ("check", "abpre-check", "abpre-context"),
        ("check_batch", "abpre-check", "abpre-context"),
        ("check2", "abpre-check'", "abpre-context'"),
        ("check2_batch", "abpre-check'", "abpre-context'"),
    ],
)
def test_check(name: str, label: str, context_label: str) -> None:
    """The seed covers every field of every capsule, and D; kappa, c, tau_2 and z follow."""
    vector = load(name)
    assert vector["label"] == label
    hasher = hashlib.sha512()
    for entry in vector["capsules"]:
        policy, *fields, D = dec(bytes.fromhex(entry["encoded"]))[2:]
        context = h512(context_label, policy, bytes.fromhex(vector["aad"]))[:32]
        hasher.update(hashlib.sha512(enc((context, *fields)) + D).digest())
    seed = hasher.digest()
    assert vector["seed"] == seed.hex()
    if "kappa" in vector:
        assert vector["kappa"] == stream(label, seed, 1).hex()
    for number, entry in enumerate(vector["capsules"]):
        policy = parse(dec(bytes.fromhex(entry["encoded"]))[2])
        drawn = stream(label, seed + number.to_bytes(4, "big"), len(policy.rows) + 2)
        assert entry["stream"] == drawn.hex()
        first = int.from_bytes(drawn[:16], "big")
        plain = "of" not in policy.text.split()
        weight = first % 2**64 + (first >> 64) * X_SQUARED if plain else first
        program = span_program(policy)
        M = [[dict(row).get(column, 0) for column in range(program.width)] for row in program.rows]
        z = [int(value) for value in entry["z"]]
        assert twin.left_product(z, M) == [weight if number else 1, *[0] * (program.width - 1)]


def test_check_key() -> None:
    vector = load("check_key")
    assert vector["c"] == listed("abpre-check-key", bytes.fromhex(vector["key"]), len(co.ATTRIBUTES))


def test_check_parts() -> None:
    vector = load("check_parts")
    names = tuple(vector["R"])
    data = enc((bytes.fromhex(vector["rk3"]), names, tuple(bytes.fromhex(point) for point in vector["R"].values())))
    assert vector["c"] == listed("abpre-check-rekey", data, len(names))


def test_partial_key() -> None:
    vector = load("partial_key")
    network, request = bytes.fromhex(vector["network"]), dec(bytes.fromhex(vector["request"]))
    epoch, _, attributes, _ = request[2:]
    digest = h512("key-request", network, request)[:32]
    ctx = (network, epoch, "key.partial", vector["node"], (digest, attributes))
    data = enc((ctx, vector["index"], attributes, bytes.fromhex(vector["encoded"])))
    assert vector["c"] == listed("partial-key-weights", data, len(attributes))


def test_alpha_deal() -> None:
    vector = load("alpha_deal")
    network = bytes.fromhex(vector["network"])
    committee, deal = dec(bytes.fromhex(vector["committee"])), dec(bytes.fromhex(vector["deal"]))
    epoch, previous, dealer, C, R1, R2, c, _, _ = deal[2:]
    about = (previous, h512("committee", committee)[:32], tuple(seat[5] for seat in committee[4]))
    statement = ((network, epoch, "dkg.deal", dealer, about), C, R1, R2, c)
    assert vector["c"] == listed("alpha-deal-weights", enc(statement), len(c) + 1)


def test_signatures() -> None:
    vector = load("signatures")
    items = tuple(
        (tuple(bytes.fromhex(k) for k in i["keys"]), bytes.fromhex(i["message"]), bytes.fromhex(i["signature"]))
        for i in vector["items"]
    )
    out = hashlib.shake_256(enc((vector["label"], items))).digest(16 * len(items))
    assert vector["c"] == [out[i : i + 16].hex() for i in range(0, len(out), 16)]
    assert bls.verify_batch(items) == [True] * len(items)


# --- every field of every object changes every coefficient ---

Run = Callable[[], Any]


def coefficients_of(run: Run) -> list[int]:
    """Those drawn by a check, which may refuse."""
    with co.drawn() as calls, suppress(Refused):
        run()
    return [coefficient for call in calls for coefficient in call.coefficients]


def moved_g1(point: G1) -> G1:
    return point + G1.generator()


def moved_g2(point: G2) -> G2:
    return point + G2.generator()


def other_capsules(capsule: Any) -> Iterator[tuple[str, Any]]:
    """The capsule with each field, and each point of its rows, changed."""
    type_1 = isinstance(capsule, Capsule)

    def put(**parts: Any) -> Any:
        fields = {name: getattr(capsule, name) for name in ("policy", "A1", "A2", *(["A3"] if type_1 else []), "rows", "D")}
        return (Capsule if type_1 else DeltaCapsule)(**(fields | parts))

    text = capsule.policy.text
    yield "policy", put(policy=parse(text.replace("2026", "2025") if "2026" in text else text.replace("a:x", "a:y")))
    yield "A1", put(A1=bytes([capsule.A1[0] ^ 1]) + capsule.A1[1:])
    yield "A2", put(A2=moved_g2(capsule.A2))
    if type_1:
        yield "A3", put(A3=moved_g1(capsule.A3))
    for row in range(len(capsule.rows.B)):
        B, C = list(capsule.rows.B), list(capsule.rows.C)
        yield f"B{row}", put(rows=Rows.of([*B[:row], moved_g1(B[row]), *B[row + 1 :]], C))
        yield f"C{row}", put(rows=Rows.of(B, [*C[:row], moved_g2(C[row]), *C[row + 1 :]]))
    yield "D", put(D=moved_g1(capsule.D))


def of_check(made: list[Any], run: Callable[[Any], Any]) -> Iterator[tuple[str, Run]]:
    """A batch: every field of every capsule, its additional data, and their order."""
    items = [(capsule, b"aad") for capsule in made]
    yield "", lambda: run(items)
    for place, capsule in enumerate(made):
        around = (items[:place], items[place + 1 :])
        yield f"aad of {place}", lambda around=around, capsule=capsule: run([*around[0], (capsule, b"aae"), *around[1]])
        for name, other in other_capsules(capsule):
            yield f"{name} of {place}", lambda around=around, other=other: run([*around[0], (other, b"aad"), *around[1]])
    if len(items) > 1:
        yield "order", lambda: run(items[::-1])
        yield "one more", lambda: run([*items, items[0]])


def of_key() -> Iterator[tuple[str, Run]]:
    key, parameters = co.key(), setup_deterministic(scalar("alpha"))[0]
    run = lambda *parts: lambda: check_key(parameters, SecretKey(*parts))  # noqa: E731
    yield "", run(key.K, key.L, key.parts)
    yield "K", run(moved_g1(key.K), key.L, key.parts)
    yield "L", run(key.K, moved_g2(key.L), key.parts)
    for x, part in key.parts.items():
        yield x, run(key.K, key.L, key.parts | {x: moved_g1(part)})
        yield f"name {x}", run(key.K, key.L, {y + ("0" if y == x else ""): point for y, point in key.parts.items()})


def of_parts() -> Iterator[tuple[str, Run]]:
    rekey = co.rekey()
    run = lambda rk3, parts: lambda: check_parts(rk3, parts)  # noqa: E731
    yield "", run(rekey.rk3, rekey.parts)
    yield "rk3", run(moved_g2(rekey.rk3), rekey.parts)
    for x, part in rekey.parts.items():
        yield x, run(rekey.rk3, rekey.parts | {x: moved_g1(part)})
        yield f"name {x}", run(rekey.rk3, {y + ("0" if y == x else ""): point for y, point in rekey.parts.items()})


def of_partial_key() -> Iterator[tuple[str, Run]]:
    dealt = co.Dealt.make()
    public, request, partial = dealt.holders.alpha, dealt.request, dealt.partial

    def run(network: bytes = NETWORK, request: Any = request, issued: Any = partial.issued, index: int = 3, at: int = 0) -> Run:
        """``at``: place of the point that is moved, 1 for K, 2 for L, then the K_x."""
        data = partial.encoded
        start, size = {0: (0, 0), 1: (0, 48), 2: (48, 96)}.get(at, (144 + 48 * (at - 3), 48))
        if at:
            point = data[start : start + size]
            point = moved_g2(decode_g2(point, "L")).encode() if at == 2 else moved_g1(decode_g1(point, "K")).encode()
            data = data[:start] + point + data[start + size :]
        return lambda: kc.check_partial_key(network, request, public, kc.PartialKey(issued, index, data))

    yield "", run()
    yield "network", run(network=bytes(32))
    changes = {"epoch": 2, "requester": "another", "Er": dealt.holders.committee.seats[0].Er}
    for field, value in changes.items():
        yield field, run(request=altered(request, **{field: value}))
    yield "attributes", run(request=altered(request, attributes=("dept:surgery", *request.attributes[1:])))
    yield "node", run(issued=altered(partial.issued, node="org1/node"))
    yield "index", run(index=2)
    for at, name in enumerate(("K", "L", *request.attributes), 1):
        yield name, run(at=at)


def of_alpha_deal() -> Iterator[tuple[str, Run]]:
    dealt = co.Dealt.make()
    deal, committee = dealt.deal, dealt.holders.committee

    def run(network: bytes = NETWORK, committee: Any = committee, **parts: Any) -> Run:
        return lambda: al.equation_holds(network, committee, al.CheckedAlphaDeal.decode_unchecked(altered(deal, **parts)))

    def put(items: tuple[bytes, ...], at: int, value: bytes) -> tuple[bytes, ...]:
        return (*items[:at], value, *items[at + 1 :])

    yield "", run()
    yield "network", run(network=bytes(32))
    yield "epoch", run(epoch=2)
    yield "previous", run(previous=1)
    yield "dealer", run(dealer="org0/node")
    yield "R1", run(R1=moved_g1(decode_g1(deal.R1, "R1")).encode())
    yield "R2", run(R2=moved_g2(decode_g2(deal.R2, "R2")).encode())
    for at, element in enumerate(deal.C):
        yield f"C{at}", run(C=put(deal.C, at, (decode_gt(element) * al.gt_comb().pow(Fr.from_int(1))).encode()))
    for at, point in enumerate(deal.c):
        yield f"c{at}", run(c=put(deal.c, at, moved_g1(decode_g1(point, "c")).encode()))
    for at, seat in enumerate(committee.seats):
        for field in ("name", "W", "E", "Er"):
            value = {"name": "x/y", "E": moved_g1(decode_g1(seat.E, "E")).encode()}.get(field, committee.seats[at - 1].W)
            seats = (*committee.seats[:at], altered(seat, **{field: value}), *committee.seats[at + 1 :])
            yield f"{field} of seat {at}", run(committee=altered(committee, seats=seats))


OBJECTS: dict[str, Callable[[], Iterator[tuple[str, Run]]]] = {
    "Check": lambda: of_check(co.capsules()[1:2], check_batch),
    "Check of a batch": lambda: of_check(co.capsules(), check_batch),
    "Check2": lambda: of_check(co.delta_capsules()[:1], check2_batch),
    "Check2 of a batch": lambda: of_check(co.delta_capsules(), check2_batch),
    "check_key": of_key,
    "check_parts": of_parts,
    "a partial key": of_partial_key,
    "a deal of alpha": of_alpha_deal,
}


@pytest.mark.parametrize("name", OBJECTS)
def test_every_field_changes_every_coefficient(name: str) -> None:
    (_, honest), *others = OBJECTS[name]()
    expected = coefficients_of(honest)
    assert expected == coefficients_of(honest), "everybody draws the same"
    assert len(set(expected)) == len(expected) > 0
    kept = {field: set(expected) & set(coefficients_of(run)) for field, run in others}
    assert [field for field, same in kept.items() if same] == []
    assert len(kept) > 4


def test_every_field_of_every_signature_changes_every_weight() -> None:
    items = co.signed()
    expected = {weight.encode() for weight in bls.batch_weights(items)}
    assert len(expected) == len(items)
    for place, (keys, message, signature) in enumerate(items):
        point = moved_g1(decode_g1(signature, "signature")).encode()
        for other in ((keys[::-1] + keys[:1], message, signature), (keys, message + b"x", signature), (keys, message, point)):
            weights = bls.batch_weights([*items[:place], other, *items[place + 1 :]])
            assert not expected & {weight.encode() for weight in weights}


def test_parameters_are_those_of_the_vectors() -> None:
    """The key of the vectors verifies, and so do its parts."""
    parameters, _ = setup_deterministic(scalar("alpha"))
    check_key(PublicParameters.decode(parameters.encode()), SecretKey.decode(bytes.fromhex(load("check_key")["key"])))
    check_parts(co.rekey().rk3, co.rekey().parts)
