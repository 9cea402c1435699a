"""Claim: nodes, R, check nodes and the cloud read nothing: not from capsules, not from delegations, not from what they transform.

A node holds capsules, the public parts of delegations and, at worst, whole re-encryption keys and every A4. None of that
opens a capsule. Where a key is not multiplied by h (rk1 = K + theta*g~), the proxies' A4 is Y^s itself and they read every
record they transform.
"""

from __future__ import annotations

import pytest

from salus.abpre.capsules import VerifiedCapsule
from salus.abpre.checking import check
from salus.abpre.hashing import h5, point_a, point_g_tilde
from salus.abpre.rekeys import ReKey, re_encrypt
from salus.groups.bls12_381 import G1, G2, Fr, Gt, multi_pairing, pairing
from support.abpre_world import Sharing, combine, own
from support.consultation_world import weaken

KEY = bytes(range(32))
RECORD = f"{own('p')} or role:doctor"


def guesses(world: Sharing, stored: VerifiedCapsule, rekey: ReKey) -> list[Gt]:
    """Elements of GT that a node can form from what it has."""
    capsule, part = stored.capsule, rekey.parts[own("p")]
    A4 = re_encrypt(rekey, stored)
    extra = [(-capsule.A3, rekey.rk2)]
    found = [A4, A4.inverse(), A4 / world.parameters.Y, world.parameters.Y]
    found += [pairing([(capsule.D, capsule.A2)]), pairing([(capsule.A3, capsule.A2)]), pairing([(point_a(), capsule.A2)])]
    found += [pairing([(G1.generator(), capsule.A2)]), pairing([(capsule.A3, G2.generator())])]
    found += [combine(rekey.rk1, rekey.rk3, {0: part}, capsule, {0: w}, extra) for w in (-1, 0, 2)]
    found += [combine(point_g_tilde(), rekey.rk2, {0: part}, capsule, {0: 1}, [])]
    for opened in (rekey.rk4.A1[:32], rekey.rk4.A1[32:], bytes(32)):
        found.append(A4.pow(h5(opened).invert()))
    s_guess = Fr.from_int(2)
    return [*found, world.parameters.Y.pow(s_guess), multi_pairing([(rekey.rk1, capsule.A2), (-capsule.A3, rekey.rk2)])]


def opened_by_nodes(world: Sharing) -> set[bytes | str]:
    stored = check(world.capsule(RECORD, KEY), b"record")
    rekey = world.delegate(world.key(own("p")), [own("p")], "inst:h9")
    return {world.matches(stored, guess) for guess in guesses(world, stored, rekey)}


def test_nodes_and_proxies_open_nothing() -> None:
    assert opened_by_nodes(Sharing("nodes")) == {"bad-capsule"}


def test_where_the_key_is_not_multiplied_by_h_they_read_what_they_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(monkeypatch, h5, lambda delta: Fr.from_int(1))
    assert KEY in opened_by_nodes(Sharing("nodes"))


def test_equal_keys_and_equal_policies_show_no_likeness() -> None:
    world = Sharing("likeness")
    one, two = (world.capsule(RECORD, KEY) for _ in range(2))
    for a, b in zip(one.message().to_value()[3:], two.message().to_value()[3:], strict=True):
        assert a != b
    halves = [capsule.rows.encoded[i : i + 48] for capsule in (one, two) for i in range(0, 288, 48)]
    assert len(set(halves)) == len(halves)


def test_the_policy_is_public_and_the_key_is_in_no_part() -> None:
    world = Sharing("parts")
    encoded = world.capsule(RECORD, KEY).encode()
    assert RECORD.encode() in encoded
    assert KEY not in encoded
    assert KEY[:8] not in encoded
