"""The value node's answer to a question, sealed to the asker alone: nobody else sees which records hold the words.

Its size is padded, so that it tells about how many they are to the next power of two only. Steps: docs/protocol/search.md,
"questions", step 5.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from salus import labels
from salus.codec import Bytes32, Bytes64, Message, Size
from salus.errors import Refused, refuse_unless
from salus.groups.proofs import schnorr_verify
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, random_scalar
from salus.search.committee import Signer
from salus.symmetric import TAG_BYTES, Random, h2, kdf, seal, unseal

ANSWER_BYTES_MIN: Final = 1024
"""An answer of some forty records and one without any look alike."""
ANSWER_BYTES_MAX: Final = 1 << 22
"""65,536 records of 24 bytes take 1.5 MiB, padded 2 MiB."""
_LENGTH_BYTES: Final = 4


class AnswerBox(Message, frozen=True):
    """``R = rho*P0``, the answer under KDF(rho*Er, ..), and the node's signature of both for this request.

    :ivar request: hash of the committed transaction that asked, 32 bytes. :ivar node: who answers.
    """

    KIND = "search.answer-box"

    request: Bytes32
    node: Annotated[str, Size(1, 128)]
    R: Bytes32
    ciphertext: Annotated[bytes, Size(ANSWER_BYTES_MIN + TAG_BYTES, ANSWER_BYTES_MAX + TAG_BYTES)]
    signature: Bytes64


def seal_answer(network: bytes, request: bytes, node: Signer, Er: bytes, answer: bytes, random: Random) -> AnswerBox:
    """Seal an encoded answer to the one-time key of its request, and sign it (questions, step 5).

    :param Er: of the share request that asked, 32 bytes.
    :raises Refused: ``bad-point``, ``too-large``.
    """
    size_bytes = ANSWER_BYTES_MIN
    while size_bytes < _LENGTH_BYTES + len(answer):
        size_bytes *= 2
    refuse_unless(size_bytes <= ANSWER_BYTES_MAX, "too-large", f"an answer of {len(answer)} bytes")
    plain = (len(answer).to_bytes(_LENGTH_BYTES, "big") + answer).ljust(size_bytes, b"\0")
    rho = random_scalar(random)
    R = base_mul(rho).encode()
    fields = (network, request, node.name, Er, R)
    ciphertext = seal(_key(decode_point(Er, "Er").mul(rho).encode(), fields), plain, fields)
    signature = node.sign(network, labels.SIG_ANSWER, _signed(request, Er, R, ciphertext), random)
    return AnswerBox(request, node.name, R, ciphertext, signature)


def open_answer(network: bytes, request: bytes, node: str, W: bytes, er: Scalar, box: AnswerBox) -> bytes:
    """The asker opens the answer to its question; returns the encoded answer.

    :param node: whom the question was boxed to. :param W: its public key, 32 bytes.
    :param er: secret of the request's one-time key.
    :raises Refused: ``wrong-request``, ``bad-signature``, ``bad-point``, ``bad-seal``.
    """
    refuse_unless((box.request, box.node) == (request, node), "wrong-request", "the answer is to another question")
    Er = base_mul(er).encode()
    signed = _signed(request, Er, box.R, box.ciphertext)
    # Long-term keys are those of the consultation, and their signatures name its suite.
    schnorr_verify(labels.SIG_ANSWER, labels.SUITE_R1, decode_point(W, "W"), (network, node, W), signed, box.signature)
    fields = (network, request, node, Er, box.R)
    plain = unseal(_key(decode_point(box.R, "R").mul(er).encode(), fields), box.ciphertext, fields, "bad-seal")
    end = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")
    if end > len(plain) or any(plain[end:]):
        raise Refused("bad-seal", "the answer's padding is none")
    return plain[_LENGTH_BYTES:end]


def _signed(request: bytes, Er: bytes, R: bytes, ciphertext: bytes) -> tuple[Any, ...]:
    return (request, Er, R, h2(labels.ANSWER, labels.SUITE_SEARCH, ciphertext))


def _key(shared: bytes, fields: tuple[Any, ...]) -> bytes:
    return kdf(labels.ANSWER_BOX, labels.SUITE_SEARCH, [shared], fields)
