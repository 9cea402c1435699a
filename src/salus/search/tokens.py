"""Tokens of keywords, made by a threshold of nodes that see only blinded elements (RFC 9497 with a shared key).

Steps: docs/protocol/search.md, "tokens". Roles here: the *asker* (an owner or an institution) and the *nodes* that hold shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec.structs import replace

from salus import labels
from salus.codec import Bytes32, Bytes64, Message, Size
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import POINT_BYTES, Point, Scalar, base_mul, decode_batch, encode_batch, msm_vartime
from salus.groups.sharing import lagrange_coefficients
from salus.search import voprf
from salus.search.committee import KeyShare, Signer, TokenKey, verify_signature
from salus.search.keyword import Keyword
from salus.symmetric import Random, h2

ELEMENTS_MAX: Final = voprf.ELEMENTS_MAX
"""Words of one order: as many as one call of the function evaluates."""
TOKEN_BYTES: Final = voprf.OUTPUT_BYTES
_UNSIGNED: Final = bytes(64)
Elements = Annotated[bytes, Size(POINT_BYTES, ELEMENTS_MAX * POINT_BYTES)]
"""Encoded group elements side by side."""


class TokenOrder(Message, frozen=True):
    """What the chain records of a request for tokens: how many words, and the hash of their blinded elements.

    It is the content of a ``search.token`` transaction (an owner's is in an anonymous envelope); nodes answer a committed one.
    """

    KIND = "search.token-order"

    count: int
    elements: Bytes32


class BlindedWords(Message, frozen=True):
    """The blinded elements of one order, to every node."""

    KIND = "search.blinded-words"

    elements: Elements


class Evaluation(Message, frozen=True):
    """One node's answer: the elements under its share of the key, a proof for all of them, and its signature.

    :ivar order: hash of the committed transaction, 32 bytes. :ivar index: the node's place in the committee of ``epoch``.
    :ivar proof: of RFC 9497, section 2.2, for the node's public share.
    """

    KIND = "search.evaluation"

    order: Bytes32
    epoch: int
    index: int
    elements: Elements
    proof: Bytes64
    signature: Bytes64


class EvaluationEvidence(Message, frozen=True):
    """A signed answer beside what was asked: whoever has the committed order judges it."""

    KIND = "search.evaluation-evidence"

    blinded: BlindedWords
    evaluation: Evaluation


class CheckedOrder(msgspec.Struct, frozen=True):
    """Blinded elements that are those of a committed order.

    :ivar tx_hash: hash of the committed transaction.
    """

    tx_hash: bytes
    order: TokenOrder
    blinded: BlindedWords
    points: tuple[Point, ...]


class CheckedEvaluation(msgspec.Struct, frozen=True):
    """A node's answer whose proof and signature hold."""

    index: int
    points: tuple[Point, ...]


class Asked:
    """What the asker keeps between question and answers: words and their blinds. Shows neither.

    :ivar order: for the chain. :ivar blinded: for the nodes.
    """

    __slots__ = ("_blinds", "blinded", "keywords", "order")

    def __init__(self, keywords: tuple[Keyword, ...], blinds: Sequence[Scalar], elements: Sequence[Point]) -> None:
        self.keywords = keywords
        self._blinds = tuple(blinds)
        self.blinded = BlindedWords(b"".join(encode_batch(elements)))
        self.order = order_of(self.blinded)

    @property
    def blinds(self) -> tuple[Scalar, ...]:
        """One scalar for each word; whoever knows them knows which words were asked."""
        return self._blinds

    def __repr__(self) -> str:
        return f"Asked({len(self.keywords)} words)"


def order_of(blinded: BlindedWords) -> TokenOrder:
    """Count and hash of blinded elements."""
    return TokenOrder(len(blinded.elements) // POINT_BYTES, h2(labels.TOKEN_ORDER, labels.SUITE_SEARCH, blinded.elements))


def ask(keywords: Iterable[Keyword], random: Random) -> Asked:
    """Blind words, each once (tokens, step 2).

    :raises Refused: ``too-large`` for none or more than 1,024 words.
    """
    distinct = tuple(dict.fromkeys(keywords))
    refuse_unless(1 <= len(distinct) <= ELEMENTS_MAX, "too-large", f"{len(distinct)} words; one request has 1 to {ELEMENTS_MAX}")
    blinds, elements = voprf.blind([word.encode() for word in distinct], random)
    return Asked(distinct, blinds, elements)


def ask_again(keywords: Sequence[Keyword], blinds: Sequence[Scalar]) -> Asked:
    """:func:`ask` with the blinds of before: an order that was committed is evaluated again after an interruption."""
    return Asked(tuple(keywords), blinds, voprf.blind_with([word.encode() for word in keywords], blinds))


def check_order(tx_hash: bytes, order: TokenOrder, blinded: BlindedWords) -> CheckedOrder:
    """A node checks that it was given what the chain has counted (tokens, step 4).

    :param tx_hash: hash of the committed transaction that holds ``order``.
    :raises Refused: ``bad-order`` for other elements than were committed or one twice; ``bad-point``.
    """
    refuse_unless(len(blinded.elements) % POINT_BYTES == 0, "bad-order", f"elements have {POINT_BYTES} bytes each")
    refuse_unless(order == order_of(blinded), "bad-order", "these are not the elements of the order")
    encoded = _split(blinded.elements)
    refuse_unless(len(set(encoded)) == len(encoded), "bad-order", "an element is there twice")
    return CheckedOrder(tx_hash, order, blinded, tuple(_points(encoded)))


def evaluate(network: bytes, node: Signer, share: KeyShare, order: CheckedOrder, random: Random) -> Evaluation:
    """A node answers (tokens, step 5): constant time in its share, whatever it was sent."""
    elements = order.points
    evaluated = voprf.evaluate(share.k, elements)
    proof = voprf.prove(share.k, base_mul(share.k), elements, evaluated, random)
    draft = Evaluation(order.tx_hash, share.epoch, share.index, b"".join(encode_batch(evaluated)), proof, _UNSIGNED)
    return replace(draft, signature=node.sign(network, labels.SIG_EVALUATION, _signed(draft), random))


def check_evaluation(network: bytes, key: TokenKey, order: CheckedOrder, evaluation: Evaluation) -> CheckedEvaluation:
    """The asker checks one answer (tokens, step 6).

    :raises Refused: ``not-a-holder``, ``bad-signature``: nobody is to blame, ask again. ``bad-evaluation``: the node signed a
        false answer, and :class:`EvaluationEvidence` shows it.
    """
    holder = key.holder(evaluation.index)
    if holder is None or evaluation.epoch != key.epoch:
        raise Refused("not-a-holder", f"no holder {evaluation.index} in epoch {key.epoch}")
    verify_signature(network, holder, _signed(evaluation), evaluation.signature)
    refuse_unless(evaluation.order == order.tx_hash, "bad-order", f"{holder.name} answers another order")
    try:
        refuse_unless(len(evaluation.elements) == len(order.blinded.elements), "bad-proof", "another number of elements")
        points = tuple(_points(_split(evaluation.elements)))
        (share,) = _points([holder.share])
        voprf.verify(share, order.points, points, evaluation.proof)
    except Refused as error:
        raise Refused("bad-evaluation", f"{holder.name}: {error.detail}") from None
    return CheckedEvaluation(evaluation.index, points)


def convicts(network: bytes, key: TokenKey, tx_hash: bytes, order: TokenOrder, evidence: EvaluationEvidence) -> str:
    """Anyone judges evidence (tokens, step 7).

    :param key: the committee of the evaluation's epoch, from the ledger.
    :param tx_hash: hash of the committed transaction. :param order: what it holds, from the ledger as well: with an order of the
        accuser's making, a right answer to one question would convict as a false one to another.
    :return: name of the node that signed a false answer.
    :raises Refused: ``bad-evidence`` if it shows nothing against the node.
    """
    try:
        asked = check_order(tx_hash, order, evidence.blinded)
        check_evaluation(network, key, asked, evidence.evaluation)
    except Refused as error:
        holder = key.holder(evidence.evaluation.index)
        if error.reason == "bad-evaluation" and holder is not None:
            return holder.name
        raise Refused("bad-evidence", error.detail) from None
    raise Refused("bad-evidence", "the answer is right")


def combine(asked: Asked, key: TokenKey, evaluations: Iterable[CheckedEvaluation]) -> dict[Keyword, bytes]:
    """Combine t checked answers and unblind them (tokens, step 8).

    ``sum lambda_i * (k_i * element) = k * element``, so the tokens are those of RFC 9497 under the whole key, whichever t nodes
    answered.

    :return: the token of each word, 64 bytes.
    :raises Refused: ``too-few-answers``.
    """
    distinct = {e.index: e for e in evaluations if len(e.points) == len(asked.keywords)}
    chosen = [distinct[i] for i in sorted(distinct)][: key.threshold]
    refuse_unless(len(chosen) == key.threshold, "too-few-answers", f"{len(chosen)} right answers, {key.threshold} are needed")
    weights = lagrange_coefficients([e.index for e in chosen])
    whole = [msm_vartime(weights, column) for column in zip(*(e.points for e in chosen), strict=True)]
    outputs = voprf.finalize([word.encode() for word in asked.keywords], voprf.unblind(asked.blinds, whole))
    return dict(zip(asked.keywords, outputs, strict=True))


class Gathered(msgspec.Struct, frozen=True):
    """What came of a request.

    :ivar tokens: of the words. :ivar liars: nodes that signed a false answer, with the reason.
    :ivar evidence: against each of them. :ivar useless: indices whose answers did not count, and why; nobody is convicted.
    """

    tokens: Mapping[Keyword, bytes]
    liars: Mapping[str, str]
    evidence: Sequence[EvaluationEvidence]
    useless: Mapping[int, str]

    def __repr__(self) -> str:
        return f"Gathered({len(self.tokens)} tokens, liars={sorted(self.liars)})"


def gather(network: bytes, key: TokenKey, asked: Asked, tx_hash: bytes, answers: Iterable[Evaluation]) -> Gathered:
    """Check answers as they come, name the liars, and combine as soon as t are right (tokens, steps 6 to 8).

    :param answers: of the nodes, in any order; read no further than needed.
    :raises Refused: ``too-few-answers`` if fewer than t are right; its text names the liars.
    """
    order = check_order(tx_hash, asked.order, asked.blinded)
    right: dict[int, CheckedEvaluation] = {}
    liars: dict[str, str] = {}
    evidence: list[EvaluationEvidence] = []
    useless: dict[int, str] = {}
    for answer in answers:
        try:
            checked = check_evaluation(network, key, order, answer)
            right.setdefault(checked.index, checked)
        except Refused as error:
            holder = key.holder(answer.index)
            if error.reason != "bad-evaluation" or holder is None:
                useless[answer.index] = str(error)
            elif holder.name not in liars:
                liars[holder.name] = error.detail
                evidence.append(EvaluationEvidence(asked.blinded, answer))
        if len(right) >= key.threshold:
            return Gathered(combine(asked, key, right.values()), liars, evidence, useless)
    said = f"; false answers of {', '.join(sorted(liars))}" if liars else ""
    raise Refused("too-few-answers", f"{len(right)} right answers, {key.threshold} are needed{said}")


def _signed(evaluation: Evaluation) -> tuple[Any, ...]:
    return evaluation.to_value()[:-1]


def _split(elements: bytes) -> list[bytes]:
    return [elements[i : i + POINT_BYTES] for i in range(0, len(elements), POINT_BYTES)]


def _points(encoded: Sequence[bytes]) -> list[Point]:
    try:
        return decode_batch(encoded)
    except ValueError as error:
        raise Refused("bad-point", str(error)) from None
