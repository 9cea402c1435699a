"""Questions: keys of tags boxed to one node; it opens them, nobody else does, and no byte can be changed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus import labels
from salus.errors import Refused
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import base_mul, random_scalar
from salus.search.question import QuestionBox, box_question, open_question
from salus.search.tags import TagKeys, discoverable_keys, reader_keys
from support.search_world import EPOCH, NETWORK, SeededRandom, accepted_flips

ASKER, NODE = "institute", "hospital-1/node"


@pytest.fixture
def random() -> SeededRandom:
    return SeededRandom("questions")


def keys_of(random: SeededRandom, scopes: int = 3) -> TagKeys:
    return reader_keys(NETWORK, {random(32): random(32) for _ in range(scopes)}, [random(64), random(64)])


def test_the_node_gets_the_keys(random: SeededRandom) -> None:
    er, keys, rid = random_scalar(random), keys_of(random), random(16)
    box = box_question(NETWORK, ASKER, NODE, EPOCH, base_mul(er).encode(), keys, random)
    opened = open_question(NETWORK, ASKER, NODE, EPOCH, er, QuestionBox.decode(box.encode()))
    assert opened.tags(rid) == keys.tags(rid)
    assert opened.scopes() == keys.scopes()
    assert box.count == len(keys) == 6
    assert all(scope not in box.encode() for scope in keys.scopes())


def test_many_keys(random: SeededRandom) -> None:
    er = random_scalar(random)
    keys = discoverable_keys(NETWORK, [random(64)] * 20_000)
    box = box_question(NETWORK, ASKER, NODE, EPOCH, base_mul(er).encode(), keys, random)
    assert len(open_question(NETWORK, ASKER, NODE, EPOCH, er, box)) == 20_000
    assert len(box.encode()) < 20_000 * 64 + 300


def test_it_opens_for_nobody_and_nowhere_else(random: SeededRandom) -> None:
    er, keys = random_scalar(random), keys_of(random)
    box = box_question(NETWORK, ASKER, NODE, EPOCH, base_mul(er).encode(), keys, random)
    for network, asker, node, epoch, secret in [
        (bytes(32), ASKER, NODE, EPOCH, er),
        (NETWORK, "another", NODE, EPOCH, er),
        (NETWORK, ASKER, "hospital-2/node", EPOCH, er),
        (NETWORK, ASKER, NODE, EPOCH + 1, er),
        (NETWORK, ASKER, NODE, EPOCH, random_scalar(random)),
    ]:
        with pytest.raises(Refused, match="bad-proof"):
            open_question(network, asker, node, epoch, secret, box)


def test_every_byte_counts(random: SeededRandom) -> None:
    er = random_scalar(random)
    box = box_question(NETWORK, ASKER, NODE, EPOCH, base_mul(er).encode(), keys_of(random, 1), random)
    read = lambda data: open_question(NETWORK, ASKER, NODE, EPOCH, er, QuestionBox.decode(data))  # noqa: E731
    assert accepted_flips(box.encode(), read) == []


def signed(box: QuestionBox, rho, Er: bytes, random: SeededRandom) -> QuestionBox:
    context = (NETWORK, EPOCH, QuestionBox.KIND, ASKER, NODE, Er, box.R)
    return replace(box, proof=schnorr_sign(labels.QUESTION_BOX, labels.SUITE_SEARCH, rho, context, box.ciphertext, random))


def test_rubbish_under_a_right_proof(random: SeededRandom) -> None:
    """A sender may prove its rho and box nonsense: the node says so and nothing worse."""
    er, rho = random_scalar(random), random_scalar(random)
    Er, R = base_mul(er).encode(), base_mul(rho).encode()
    for ciphertext in (random(80), random(64 + 16), random(81), random(64 * 3 + 16), random(100)):
        box = signed(QuestionBox(R, ciphertext, bytes(64)), rho, Er, random)
        with pytest.raises(Refused, match="bad-seal"):
            open_question(NETWORK, ASKER, NODE, EPOCH, er, box)


def test_a_copied_r_is_refused(random: SeededRandom) -> None:
    """Whoever copies R from another's box cannot prove rho, so the node never computes with it for them."""
    er = random_scalar(random)
    Er = base_mul(er).encode()
    stolen = box_question(NETWORK, ASKER, NODE, EPOCH, Er, keys_of(random), random)
    forged = signed(replace(stolen, ciphertext=random(80)), random_scalar(random), Er, random)
    with pytest.raises(Refused, match="bad-proof"):
        open_question(NETWORK, ASKER, NODE, EPOCH, er, forged)


def test_digest_names_the_box(random: SeededRandom) -> None:
    Er = base_mul(random_scalar(random)).encode()
    boxes = [box_question(NETWORK, ASKER, NODE, EPOCH, Er, keys_of(random), random) for _ in range(2)]
    assert boxes[0].digest() != boxes[1].digest()
    assert len(boxes[0].digest()) == 32
