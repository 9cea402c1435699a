"""One-time patient credentials: 64 a quarter, each used once, unlinkable to everybody but the centre that made them.

Steps: docs/protocol/consultation.md, "credentials".
"""

from __future__ import annotations

from typing import Annotated, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from salus import labels
from salus.codec import Bytes32, Bytes64, Message, Size
from salus.consultation.enrolment import ID_BYTES, EnrolmentKey, pad_identity, verify_enrolment_signature
from salus.consultation.registration import (
    PATIENT,
    SUITE,
    PartialKey,
    SecretValue,
    check_possession,
    finish_key,
    issue_partial_key,
    prove_possession,
)
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_scalar
from salus.symmetric import Random, h2, kdf, mac

CREDENTIALS_A_QUARTER: Final = 64
"""Credentials one patient gets for one quarter: more visits than one person makes, few enough to list when revoked."""
PID_NONCE_BYTES: Final = 12
PID_BYTES: Final = PID_NONCE_BYTES + ID_BYTES + 16
"""Nonce, padded identity and tag: every pid has the same length."""

Pid = Annotated[bytes, Size(PID_BYTES, PID_BYTES)]


def pid_digest(pid: bytes) -> bytes:
    """``hp = H2("pid", pid)``, 32 bytes: what nodes see in place of the pid."""
    return h2(labels.PID, SUITE, pid)


class PidKeys:
    """The centre's two keys for static pseudonyms, derived from w and the network (credentials, step 3)."""

    __slots__ = ("_aead", "_network", "_nonce_key")

    def __init__(self, w: Scalar, network: bytes) -> None:
        secret = w.encode()
        self._aead = AESGCMSIV(kdf(labels.PID_KEY, SUITE, [secret], (network,)))
        self._nonce_key = kdf(labels.PID_NONCE, SUITE, [secret], (network,))
        self._network = network

    def seal(self, identity: str, quarter: int, index: int) -> bytes:
        """The pid of credential ``index``: nonce || AES-256-GCM-SIV(padded identity), 92 bytes.

        :raises Refused: ``bad-encoding``, ``quota``.
        """
        refuse_unless(0 <= index < CREDENTIALS_A_QUARTER, "quota", f"a quarter has {CREDENTIALS_A_QUARTER} credentials")
        nonce = mac(self._nonce_key, self._network, identity, quarter, index)[:PID_NONCE_BYTES]
        return nonce + self._aead.encrypt(nonce, pad_identity(identity), None)

    def open(self, pid: bytes) -> str:
        """The identity behind a pid.

        :raises Refused: ``bad-pseudonym`` if this centre never made it.
        """
        refuse_unless(len(pid) == PID_BYTES, "bad-pseudonym", "wrong length")
        try:
            padded = self._aead.decrypt(pid[:PID_NONCE_BYTES], pid[PID_NONCE_BYTES:], None)
        except InvalidTag:
            raise Refused("bad-pseudonym", "this centre did not make that pid") from None
        return padded.rstrip(b"\0").decode()

    def digests(self, identity: str, quarter: int) -> list[bytes]:
        """hp of all 64 credentials of a quarter, issued or not: what a revocation lists."""
        return [pid_digest(self.seal(identity, quarter, index)) for index in range(CREDENTIALS_A_QUARTER)]

    def __repr__(self) -> str:
        return "PidKeys()"


class IssuingRequest(Message, frozen=True):
    """A patient asks for one credential, signed under F; the centre keeps it as its proof that the patient asked."""

    KIND = "credential.request"

    F: Bytes32
    quarter: int
    index: int
    P: Bytes32
    possession: Bytes64
    signature: Bytes64


class IssuingRequests(Message, frozen=True):
    """Up to a quarter's credentials asked for in one sealed call."""

    KIND = "credential.requests"

    requests: Annotated[tuple[IssuingRequest, ...], Size(1, CREDENTIALS_A_QUARTER)]


class IssuedCredential(Message, frozen=True):
    """The centre's answer to one issuing request."""

    KIND = "credential.answer"

    quarter: int
    index: int
    pid: Pid
    partial: PartialKey


class IssuedCredentials(Message, frozen=True):
    """Answer to :class:`IssuingRequests`, in the same order."""

    KIND = "credential.answers"

    answers: Annotated[tuple[IssuedCredential, ...], Size(1, CREDENTIALS_A_QUARTER)]


def request_credential(
    network: bytes, key: EnrolmentKey, quarter: int, index: int, secret: SecretValue, random: Random
) -> IssuingRequest:
    """Ask for credential ``index`` of ``quarter`` with a fresh, independent x (credentials, step 1)."""
    refuse_unless(0 <= index < CREDENTIALS_A_QUARTER, "quota", f"a quarter has {CREDENTIALS_A_QUARTER} credentials")
    proof = prove_possession(network, PATIENT, key.F, quarter, index, secret.x, secret.P, random)
    signature = key.sign(network, labels.SIG_ISSUE, issuing_message(quarter, index, secret.P), random)
    return IssuingRequest(key.F, quarter, index, secret.P, proof, signature)


def issuing_message(quarter: int, index: int, P: bytes) -> tuple[int, int, bytes]:
    """What F signs: (quarter, i, P_i); the network is in every signature's fields."""
    return (quarter, index, P)


def check_issuing_signature(network: bytes, request: IssuingRequest) -> None:
    """Check that F asked for this credential (credentials, step 2; also tracing, step 6).

    :raises Refused: ``bad-signature``, ``bad-point``.
    """
    message = issuing_message(request.quarter, request.index, request.P)
    verify_enrolment_signature(network, labels.SIG_ISSUE, request.F, message, request.signature)


def check_issuing_request(network: bytes, F: bytes, request: IssuingRequest) -> None:
    """The centre's check before it spends the index (credentials, step 2).

    :param F: the live enrolment key of the patient who asks.
    :raises Refused: ``not-authorised``, ``quota``, ``bad-signature``, ``bad-possession``, ``bad-point``.
    """
    refuse_unless(request.F == F, "not-authorised", "the request is signed under another enrolment key")
    refuse_unless(request.index < CREDENTIALS_A_QUARTER, "quota")
    check_issuing_signature(network, request)
    check_possession(network, PATIENT, F, request.quarter, request.index, request.P, request.possession)


def issue_credential(w: Scalar, pids: PidKeys, identity: str, request: IssuingRequest, random: Random) -> IssuedCredential:
    """Make the answer (credentials, step 4).

    The caller must have checked the request and made the spending of (identity, quarter, index) durable first.
    """
    pid = pids.seal(identity, request.quarter, request.index)
    partial = issue_partial_key(w, PATIENT, pid_digest(pid), request.quarter, request.P, random)
    return IssuedCredential(request.quarter, request.index, pid, partial)


class Credential:
    """One credential of one patient, used for one transaction and then wiped.

    :ivar P, Q, W: points, 32 bytes each.
    :ivar pid: static pseudonym, 92 bytes; ``hp`` its digest.
    :ivar quarter, index: which of the quarter's 64 it is.
    """

    __slots__ = ("P", "Q", "W", "_s", "hp", "index", "pid", "quarter")

    def __init__(self, P: bytes, Q: bytes, pid: bytes, quarter: int, index: int, s: Scalar) -> None:
        self.P = P
        self.Q = Q
        self.pid = pid
        self.hp = pid_digest(pid)
        self.quarter = quarter
        self.index = index
        self.W = base_mul(s).encode()
        self._s: Scalar | None = s

    @property
    def s(self) -> Scalar:
        """The secret key.

        :raises Refused: ``erased`` after :meth:`wipe`.
        """
        if self._s is None:
            raise Refused("erased", f"credential {self.index} of quarter {self.quarter} was erased")
        return self._s

    def wipe(self) -> None:
        """Forget s (the extension wipes its memory): a stolen s would name past requests by their nullifier."""
        self._s = None

    def export_secret(self) -> bytes:
        """Encoding for the sealed wallet, s included."""
        return _StoredCredential(self.P, self.Q, self.pid, self.quarter, self.index, self.s.encode()).encode()

    @classmethod
    def from_secret(cls, data: bytes) -> Credential:
        """Inverse of :meth:`export_secret`.

        :raises Refused: ``bad-encoding``, ``bad-scalar``.
        """
        stored = _StoredCredential.decode(data)
        return cls(stored.P, stored.Q, stored.pid, stored.quarter, stored.index, decode_scalar(stored.s, "s"))

    def __repr__(self) -> str:
        return f"Credential(quarter={self.quarter}, index={self.index})"


class _StoredCredential(Message, frozen=True):
    KIND = "wallet.credential"

    P: Bytes32
    Q: Bytes32
    pid: Pid
    quarter: int
    index: int
    s: Bytes32


def finish_credential(request: IssuingRequest, secret: SecretValue, answer: IssuedCredential, Pub: Point) -> Credential:
    """Check the centre's answer and make the credential (credentials, step 5); wipes x.

    :raises Refused: ``bad-partial-key``, ``wrong-quarter``.
    """
    refuse_unless(
        (answer.quarter, answer.index) == (request.quarter, request.index), "wrong-quarter", "answer to another request"
    )
    refuse_unless(request.P == secret.P, "bad-partial-key", "the request was made with another secret")
    hp = pid_digest(answer.pid)
    s, _ = finish_key(PATIENT, hp, request.quarter, secret, answer.partial, Pub)
    credential = Credential(request.P, answer.partial.Q, answer.pid, request.quarter, request.index, s)
    secret.wipe()
    return credential
