"""A reader's question to the value node: the keys of tags of its words, boxed to that node alone.

Steps: docs/protocol/search.md, "questions". The chain carries number and hash of the boxed keys (in the share request); if the
value node is silent, the same keys are boxed to the next one, under a request of their own.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from salus import labels
from salus._native import TagKeys
from salus.codec import Bytes32, Message, Size, encode
from salus.errors import Refused, refuse_unless
from salus.groups.proofs import schnorr_sign, schnorr_verify
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, random_scalar
from salus.symmetric import TAG_BYTES, Random, h2, kdf

KEYS_MAX: Final = 1 << 17
"""Keys of one question: scopes times words."""
_ITEM_BYTES: Final = 64


class QuestionBox(Message, frozen=True):
    """Keys of tags, sealed to a node: ``R = rho*P0``, the sealed keys, a proof of rho.

    :ivar proof: Schnorr signature under rho over everything else, so that nobody boxes with a copied R.
    """

    KIND = "search.question-box"

    R: Bytes32
    ciphertext: Annotated[bytes, Size(_ITEM_BYTES + TAG_BYTES, KEYS_MAX * _ITEM_BYTES + TAG_BYTES)]
    proof: Annotated[bytes, Size(64, 64)]

    @property
    def count(self) -> int:
        """Keys in it: scopes times words; everyone can see it."""
        return (len(self.ciphertext) - TAG_BYTES) // _ITEM_BYTES

    def digest(self) -> bytes:
        """What the share request names, 32 bytes."""
        return h2(labels.QUESTION, labels.SUITE_SEARCH, self.to_value())


def box_question(network: bytes, asker: str, node: str, epoch: int, Er: bytes, keys: TagKeys, random: Random) -> QuestionBox:
    """Box the keys of a question to the value node (questions, step 2).

    :param asker: the institution's name. :param Er: the node's encryption key of ``epoch`` in ristretto255, 32 bytes.
    :raises Refused: ``bad-point``.
    """
    rho = random_scalar(random)
    R = base_mul(rho).encode()
    context = _context(network, asker, node, epoch, Er, R)
    shared = decode_point(Er, "Er").mul(rho)
    sealed = keys.seal(_key(shared.encode(), context), _encoded(context))
    proof = schnorr_sign(labels.QUESTION_BOX, labels.SUITE_SEARCH, rho, context, sealed, random)
    return QuestionBox(R, sealed, proof)


def open_question(network: bytes, asker: str, node: str, epoch: int, er: Scalar, box: QuestionBox) -> TagKeys:
    """The value node opens a question (questions, step 4); the keys never become Python objects.

    :param asker: who signed the share request. :param er: the node's secret of the epoch.
    :raises Refused: ``bad-proof``, ``bad-seal``, ``bad-point``, ``bad-scalar``.
    """
    context = _context(network, asker, node, epoch, base_mul(er).encode(), box.R)
    R = decode_point(box.R, "R")
    try:
        schnorr_verify(labels.QUESTION_BOX, labels.SUITE_SEARCH, R, context, box.ciphertext, box.proof)
    except Refused as error:
        raise Refused("bad-proof", f"the proof of rho: {error.detail}") from None
    refuse_unless((len(box.ciphertext) - TAG_BYTES) % _ITEM_BYTES == 0, "bad-seal", "it does not hold whole keys")
    try:
        return TagKeys.unseal(_key(R.mul(er).encode(), context), box.ciphertext, _encoded(context))
    except ValueError as error:
        raise Refused("bad-seal", str(error)) from None


def _context(network: bytes, asker: str, node: str, epoch: int, Er: bytes, R: bytes) -> tuple[Any, ...]:
    return (network, epoch, QuestionBox.KIND, asker, node, Er, R)


def _key(shared: bytes, context: tuple[Any, ...]) -> bytes:
    return kdf(labels.QUESTION_BOX_KEY, labels.SUITE_SEARCH, [shared], context)


def _encoded(context: tuple[Any, ...]) -> bytes:
    return encode(context)
