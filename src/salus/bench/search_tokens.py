"""Tokens and questions: what nodes, askers and the value node compute, beside the group operations that nobody can leave out."""

from __future__ import annotations

from typing import Any, Final

from salus import labels
from salus.bench.floors import floor_ms
from salus.bench.model import Cell, Context, Part, Section
from salus.bench.search_index import threads
from salus.bench.timing import best_ms
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import base_mul, base_mul_batch, random_scalar
from salus.groups.sharing import share_secret
from salus.search.committee import KeyShare, TokenKey, token_key
from salus.search.keyword import Keyword
from salus.search.question import box_question, open_question
from salus.search.tags import reader_keys
from salus.search.tokens import CheckedOrder, Evaluation, ask, check_evaluation, check_order, combine, evaluate
from salus.symmetric import Random

COMMITTEES: Final = (4, 7, 13, 31)
WORDS: Final = 1024
QUICK_WORDS: Final = 64
SCOPES: Final = (1, 1_000, 100_000)
_EPOCH: Final = 1
_NETWORK: Final = bytes(32)
_NODE_FLOOR: Final = {"decode": 1, "variable_base": 1, "encode": 1, "msm_term": 1}
"""Of one word at a node: its element read, multiplied, written; a term in the sum of the proof."""
_CHECK_FLOOR: Final = {"decode": 1, "msm_term": 2}
"""Of one word and answer at the asker."""


class _Node:
    def __init__(self, name: str, random: Random) -> None:
        self.name = name
        self.s = random_scalar(random)
        self.W = base_mul(self.s).encode()

    def sign(self, network: bytes, label: str, message: Any, random: Random) -> bytes:
        return schnorr_sign(label, labels.SUITE_R1, self.s, (network, self.name, self.W), message, random)


def _committee(size: int, random: Random) -> tuple[TokenKey, dict[int, KeyShare], dict[int, _Node]]:
    threshold = 2 * ((size - 1) // 3) + 1
    k, indices = random_scalar(random), list(range(1, size + 1))
    shares = dict(zip(indices, share_secret(k, threshold, indices, random)[0], strict=True))
    publics = dict(zip(indices, base_mul_batch(list(shares.values())), strict=True))
    nodes = {i: _Node(f"node-{i}", random) for i in indices}
    key = token_key(_EPOCH, threshold, base_mul(k), publics, {i: (node.name, node.W) for i, node in nodes.items()})
    return key, {i: KeyShare(_EPOCH, i, share) for i, share in shares.items()}, nodes


def tokens(context: Context) -> Part:
    """Tokens a second of one node, and what the asker's side takes, for committees of several sizes."""
    random, repeats = context.random, 2 if context.quick else 5
    words = [Keyword(f"word{n}") for n in range(QUICK_WORDS if context.quick else WORDS)]
    node_us = floor_ms(context.measured_ms, _NODE_FLOOR) * 1000
    check_us = floor_ms(context.measured_ms, _CHECK_FLOOR) * 1000
    rows: list[tuple[Cell, ...]] = []
    for size in COMMITTEES:
        key, shares, nodes = _committee(size, random)
        asked, tx_hash = ask(words, random), random(32)

        def read(tx: bytes = tx_hash, asked: Any = asked) -> CheckedOrder:
            return check_order(tx, asked.order, asked.blinded)

        def answer(i: int, nodes: Any = nodes, shares: Any = shares, read: Any = read) -> Evaluation:
            # The node reads the elements anew each time: decoding them is part of its work.
            return evaluate(_NETWORK, nodes[i], shares[i], read(), random)

        with threads(1):
            node_ms = best_ms(lambda answer=answer: answer(1), repeats)  # type: ignore[misc]
            ask_ms = best_ms(lambda: ask(words, random), repeats)
            order = read()
            answers = [answer(i) for i in range(1, key.threshold + 1)]
            check_ms = best_ms(lambda: check_evaluation(_NETWORK, key, order, answers[0]), repeats)  # noqa: B023
            checked = [check_evaluation(_NETWORK, key, order, a) for a in answers]
            combine_ms = best_ms(lambda: combine(asked, key, checked), repeats)  # noqa: B023
        each = 1000 / len(words)
        rows.append(
            (
                size, key.threshold, 1e6 / (node_ms * each), 1e6 / node_us, node_ms * each / node_us, ask_ms * each,
                check_ms * each, check_ms * each / check_us, combine_ms * each, len(answers[0].encode()) / len(words),
            )
        )  # fmt: skip
    columns = (
        "nodes", "threshold", "tokens_per_s_of_a_node", "floor_per_s", "node_over_floor", "ask_us", "check_us_an_answer",
        "check_over_floor", "combine_us", "answer_bytes",
    )  # fmt: skip
    notes = (
        f"Requests of {len(words):,} words; all times of one word, on one core.",
        "A node's floor: reading, multiplying and writing an element and its term in the sum of the proof.",
        "A check's floor: reading an element and its terms in the two sums.",
    )
    return Part((Section("tokens", "Tokens", columns, tuple(rows), notes),))


def questions(context: Context) -> Part:
    """What a reader and the value node compute for one word in many scopes, before the look-up."""
    random, repeats = context.random, 1 if context.quick else 3
    er = random_scalar(random)
    Er = base_mul(er).encode()
    rows: list[tuple[Cell, ...]] = []
    for scopes in SCOPES[:2] if context.quick else SCOPES:
        index_keys = {random(32): random(32) for _ in range(scopes)}
        token = [random(64)]
        with threads(1):
            derive = best_ms(lambda: reader_keys(_NETWORK, index_keys, token), repeats)  # noqa: B023
            keys = reader_keys(_NETWORK, index_keys, token)
            box = best_ms(lambda: box_question(_NETWORK, "reader", "node", _EPOCH, Er, keys, random), repeats)  # noqa: B023
            boxed = box_question(_NETWORK, "reader", "node", _EPOCH, Er, keys, random)
            unbox = best_ms(lambda: open_question(_NETWORK, "reader", "node", _EPOCH, er, boxed), repeats)  # noqa: B023
        rows.append((scopes, derive, box, unbox, len(boxed.encode())))
    columns = ("scopes", "derive_keys_ms", "box_ms", "open_ms", "box_bytes")
    return Part((Section("questions", "Questions of one word", columns, tuple(rows), ("On one core.",)),))
