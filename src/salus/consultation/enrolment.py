"""What passes between an enrolling party and the centre, sealed so that no secure channel is needed.

A request is sealed to the centre's sealing key and carries the one-time enrolment code that was handed out in person; the
answer is sealed under a key derived from the same exchange, so only the holder of the sealing key can have written it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from salus import labels
from salus.codec import Bytes32, Bytes64, Message, Name, Size
from salus.consultation.registration import PATIENT, SUITE, CentreKey, KeyRequest, PartialKey, verify_member_signature
from salus.errors import Refused, refuse_unless
from salus.groups.proofs import schnorr_sign, schnorr_verify
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, decode_scalar, random_scalar
from salus.symmetric import Random, h2, kdf, seal, unseal

ID_BYTES: Final = 64
"""A patient's identity is padded to this many bytes before it is encrypted, so that lengths tell nothing."""
CODE_BYTES_MAX: Final = 64

PatientId = Annotated[str, Size(1, ID_BYTES)]
Code = Annotated[str, Size(1, CODE_BYTES_MAX)]
Sealed = Annotated[bytes, Size(16, 64 * 1024)]


class SealedCall(Message, frozen=True):
    """A request sealed to the centre: ``R = r*P0`` and the box."""

    KIND = "enrolment.sealed-call"

    R: Bytes32
    box: Sealed


class AnswerKey:
    """Seals and opens the one answer to one sealed call."""

    __slots__ = ("_context", "_key")

    def __init__(self, key: bytes, context: tuple[bytes, bytes, bytes]) -> None:
        self._key: bytes | None = key
        self._context = context

    def seal(self, answer: bytes) -> bytes:
        """Seal the answer; once only, because the key is used once (send the same bytes again if asked again).

        :raises Refused: ``erased`` the second time.
        """
        return seal(self._take(), answer, ("answer", *self._context))

    def open(self, box: bytes) -> bytes:
        """Open the answer.

        :raises Refused: ``bad-seal``.
        """
        if self._key is None:
            raise Refused("erased", "this answer was opened before")
        return unseal(self._key, box, ("answer", *self._context), "bad-seal")

    def _take(self) -> bytes:
        if self._key is None:
            raise Refused("erased", "an answer was sealed already: send the same bytes again")
        key, self._key = self._key, None
        return key

    def __repr__(self) -> str:
        return "AnswerKey()"


def _keys(shared: Point, context: tuple[bytes, bytes, bytes]) -> tuple[bytes, bytes]:
    both = kdf(labels.ENROLMENT, SUITE, [shared.encode()], context, 64)
    return both[:32], both[32:]


def seal_to_centre(network: bytes, sealing_key: bytes, request: bytes, random: Random) -> tuple[SealedCall, AnswerKey]:
    """Seal an encoded request to the centre (enrolment, step 1).

    :param sealing_key: the centre's sealing key from genesis, 32 bytes.
    """
    r = random_scalar(random)
    context = (network, base_mul(r).encode(), sealing_key)
    key, answer_key = _keys(decode_point(sealing_key, "sealing key").mul(r), context)
    return SealedCall(context[1], seal(key, request, context)), AnswerKey(answer_key, context)


def open_at_centre(network: bytes, centre: CentreKey, call: SealedCall) -> tuple[bytes, AnswerKey]:
    """Open a sealed request (enrolment, step 2): its bytes and the key for the answer.

    :raises Refused: ``bad-seal``, ``bad-point``.
    """
    context = (network, call.R, centre.sealing_key.encode())
    key, answer_key = _keys(decode_point(call.R, "R").mul(centre.sealing_secret), context)
    return unseal(key, call.box, context, "bad-seal"), AnswerKey(answer_key, context)


class MemberEnrolment(Message, frozen=True):
    """A doctor, node, institution or cloud enrols: the code, its key request, the name that people read."""

    KIND = "enrolment.member"

    code: Code
    display_name: Name
    request: KeyRequest


class MemberEnrolled(Message, frozen=True):
    """The centre's answer to :class:`MemberEnrolment`."""

    KIND = "enrolment.member-answer"

    partial: PartialKey


class EnrolmentKey:
    """F: fixed by a patient at enrolment, signs every issuing request, so that the centre cannot frame anybody.

    :ivar F: public key, 32 bytes.
    """

    __slots__ = ("F", "_f")

    def __init__(self, f: Scalar) -> None:
        self._f = f
        self.F = base_mul(f).encode()

    @classmethod
    def generate(cls, random: Random) -> EnrolmentKey:
        """Fresh f (enrolment, step 3)."""
        return cls(random_scalar(random))

    def sign(self, network: bytes, label: str, message: Any, random: Random) -> bytes:
        """Schnorr signature under f over (network, F, message): 64 bytes."""
        return schnorr_sign(label, SUITE, self._f, (network, self.F), message, random)

    def export_secret(self) -> bytes:
        """f, 32 bytes, for the sealed wallet."""
        return self._f.encode()

    @classmethod
    def from_secret(cls, data: bytes) -> EnrolmentKey:
        """Inverse of :meth:`export_secret`."""
        return cls(decode_scalar(data, "f"))

    def __repr__(self) -> str:
        return f"EnrolmentKey(F={self.F.hex()[:8]}..)"


def verify_enrolment_signature(network: bytes, label: str, F: bytes, message: Any, signature: bytes) -> None:
    """Check :meth:`EnrolmentKey.sign`.

    :raises Refused: ``bad-signature``, ``bad-point``.
    """
    schnorr_verify(label, SUITE, decode_point(F, "F"), (network, F), message, signature)


class PatientEnrolment(Message, frozen=True):
    """A patient enrols: code, identity, F with a proof of possession."""

    KIND = "enrolment.patient"

    code: Code
    identity: PatientId
    F: Bytes32
    possession: Bytes64


class EnrolmentStatement(Message, frozen=True):
    """The centre's signed word that ``F`` is the live enrolment key of ``identity``; the patient keeps it.

    :ivar serial: 0 for the first enrolment of an identity, one more after each lost wallet.
    """

    KIND = "enrolment.statement"

    identity: PatientId
    F: Bytes32
    serial: int
    signature: Bytes64


def enrol_patient(network: bytes, code: str, identity: str, key: EnrolmentKey, random: Random) -> PatientEnrolment:
    """A patient's enrolment request (enrolment, step 3)."""
    statement = _possession_message(code, identity)
    return PatientEnrolment(code, identity, key.F, key.sign(network, labels.POSSESSION, statement, random))


def check_patient_enrolment(network: bytes, request: PatientEnrolment) -> None:
    """The centre's check (enrolment, step 4); the code itself is the caller's to compare and spend.

    :raises Refused: ``bad-possession``, ``bad-point``, ``bad-encoding`` (identity over 64 bytes of UTF-8, or with a zero byte).
    """
    pad_identity(request.identity)
    try:
        verify_enrolment_signature(
            network, labels.POSSESSION, request.F, _possession_message(request.code, request.identity), request.possession
        )
    except Refused as error:
        raise Refused("bad-possession", error.detail) from None


def _possession_message(code: str, identity: str) -> tuple[Any, ...]:
    return (PATIENT, code, identity)


def state_enrolment(
    network: bytes, centre: CentreKey, centre_name: str, identity: str, F: bytes, serial: int, random: Random
) -> EnrolmentStatement:
    """The centre signs (ID, F, serial) (enrolment, step 5)."""
    message = _statement_message(identity, F, serial)
    return EnrolmentStatement(identity, F, serial, centre.sign(network, centre_name, labels.SIG_ENROL, message, random))


def check_statement(network: bytes, centre_name: str, signing_key: bytes, statement: EnrolmentStatement) -> None:
    """Check the centre's signature on an enrolment statement.

    :raises Refused: ``bad-signature``, ``bad-point``.
    """
    decode_point(statement.F, "F")
    message = _statement_message(statement.identity, statement.F, statement.serial)
    verify_member_signature(network, labels.SIG_ENROL, centre_name, signing_key, message, statement.signature)


def enrolment_digest(network: bytes, F: bytes) -> bytes:
    """What the ledger shows when an enrolment key is revoked: ``H2("enrolment-digest", network, F)``."""
    return h2(labels.ENROLMENT_DIGEST, SUITE, network, F)


def pad_identity(identity: str) -> bytes:
    """UTF-8, padded with zero bytes to 64.

    :raises Refused: ``bad-encoding`` if it is empty, too long, or holds a zero byte.
    """
    data = identity.encode()
    refuse_unless(
        0 < len(data) <= ID_BYTES and 0 not in data, "bad-encoding", f"an identity has 1 to {ID_BYTES} bytes, none zero"
    )
    return data.ljust(ID_BYTES, b"\0")


def _statement_message(identity: str, F: bytes, serial: int) -> tuple[Any, ...]:
    return (EnrolmentStatement.KIND, identity, F, serial)
