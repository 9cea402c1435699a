"""Common signatures of nodes, many at once: the batch says of each what the single check says."""

from __future__ import annotations

import pytest

from salus.consultation.node_record import BlsSecret
from salus.errors import Refused
from salus.groups import multi_signatures as bls
from salus.groups.bls12_381 import G1, decode_g1
from support.ledger_world import SeededRandom

RANDOM = SeededRandom("batches")
NODES = [BlsSecret.generate(RANDOM) for _ in range(4)]


def signed(message: bytes, signers: tuple[int, ...]) -> bls.Signed:
    whole = bls.aggregate([bls.sign(NODES[i].export_secret(), message) for i in signers])
    return tuple(NODES[i].public for i in signers), message, whole


def single(item: bls.Signed) -> bool:
    try:
        bls.verify(*item)
    except Refused:
        return False
    return True


@pytest.fixture
def items() -> list[bls.Signed]:
    return [signed(bytes([n]), (0, 1, 2) if n % 2 else (1, 2, 3)) for n in range(6)]


def test_good_ones_pass_together(items: list[bls.Signed]) -> None:
    assert bls.verify_batch(items) == [True] * 6
    assert bls.verify_batch(items[:1]) == [True]
    assert bls.verify_batch([]) == []


@pytest.mark.parametrize("place", [0, 3, 5])
@pytest.mark.parametrize("spoil", ["message", "signature", "point", "keys", "nobody"])
def test_a_bad_one_is_told_from_the_others(items: list[bls.Signed], place: int, spoil: str) -> None:
    keys, message, signature = items[place]
    items[place] = {
        "message": (keys, b"other", signature),
        "signature": (keys, message, items[place - 1][2]),
        "point": (keys, message, bytes(48)),
        "keys": (keys[:2], message, signature),
        "nobody": ((), message, signature),
    }[spoil]
    assert not single(items[place])
    assert bls.verify_batch(items) == [n != place for n in range(6)]


def test_errors_that_cancel_in_the_sum_are_found(items: list[bls.Signed]) -> None:
    """Two signatures off by plus and minus the same point: without weights the batch would pass."""
    shift = G1.generator()
    for place, sign in ((0, 1), (1, -1)):
        keys, message, signature = items[place]
        moved = decode_g1(signature) + (shift if sign > 0 else -shift)
        items[place] = (keys, message, moved.encode())
    assert bls.verify_batch(items) == [False, False, True, True, True, True]
