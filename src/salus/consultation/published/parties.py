"""The printed protocol as parties that exchange encoded messages: what the demonstration and the tests drive.

One run, each line one message (bytes) between parties::

    centre = TrustedCentre(random)                        phase 1
    patient = Patient("ward/eve", centre.parameters, random, now_ms)
    patient.registered(centre.register(patient.registration()))      phases 2-4, likewise Doctor and ValidationNode
    directory = centre.publish(cloud.pk)                  phase 5: shared value, keys of doctors and nodes
    request = patient.request(directory, "clinic/dr", sn, data)      phase 6
    node.verify(directory, request)                       phase 7
    patient.stored(directory, "clinic/dr", sn, cloud.store(request))   phase 8
    received = doctor.open(cloud.by_doctor("clinic/dr")[0])          phase 9
    reply = doctor.treat(directory, received, diagnosis)
    node.verify(directory, reply)                         phase 10
    doctor.stored(directory, sn, cloud.store(reply))      phase 11
    checked = patient.check(directory, reply)             phase 12
    centre.trace(pid)                                     section V.A.3

Parties hold only their own state. Randomness and the clock are injected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from salus import labels
from salus.codec import decode
from salus.consultation.published import registration as reg
from salus.consultation.published.chaining import verify_transaction1, verify_transaction2
from salus.consultation.published.checking import Checked, check_up
from salus.consultation.published.functions import SUITE
from salus.consultation.published.messages import (
    Directory,
    DirectoryEntry,
    HealthData,
    PublicKey,
    RegistrationAnswer,
    RegistrationRequest,
    Request,
    StorageKey,
    StorageResponse,
    Transaction1,
    Transaction2,
)
from salus.consultation.published.request import SentRequest, patient_request
from salus.consultation.published.setup import DEFAULT_NETWORK, PublicParameters, global_setup
from salus.consultation.published.shared_value import recover_shared_value, set_shared_value
from salus.consultation.published.storage import cloud_keys, open_storage_response, storage_response
from salus.consultation.published.treatment import OpenedRequest, Treatment, open_request, treat
from salus.errors import Refused
from salus.groups.proofs import schnorr_sign, schnorr_verify
from salus.groups.ristretto255 import Point, Scalar, decode_point, decode_scalar
from salus.symmetric import Random

WARNING: Final = (
    "mbpa-2019 is the protocol as printed in 2019 and is forgeable: anyone can send a request as any patient and a diagnosis as "
    "any doctor, from public values alone. It runs here for study and comparison only; no network of services accepts it. "
    "Use mbpa-r1 for anything else."
)
"""To be shown wherever this suite runs."""

ROLES: Final = ("patient", "doctor", "node")


def parameters_of(directory: Directory) -> PublicParameters:
    """PP as the directory states it."""
    return PublicParameters(decode_point(directory.Pub, "Pub_TC"), directory.network)


def key_of(directory: Directory, role: str, identity: str) -> PublicKey:
    """The registered key of a doctor or node.

    :raises Refused: ``unknown-party``.
    """
    for entry in directory.entries:
        if (entry.role, entry.identity) == (role, identity):
            return entry.key
    raise Refused("unknown-party", f"{role} {identity}")


def decode_transaction(data: bytes) -> Request | Transaction2:
    """The two kinds of transaction of this suite.

    :raises Refused: ``bad-encoding`` or ``unknown-kind``.
    """
    value = decode(data)
    kind = value[0] if type(value) is tuple and value else None
    if kind == Request.KIND:
        return Request.from_value(value)
    if kind == Transaction2.KIND:
        return Transaction2.from_value(value)
    raise Refused("unknown-kind", "neither Transaction 1 nor Transaction 2")


def storage_key(transaction: Request | Transaction2) -> StorageKey:
    """(PID, A, ID_DO) of a transaction."""
    if isinstance(transaction, Request):
        t = transaction.transaction
        return StorageKey(t.PID1, t.A, t.ID_DO)
    return StorageKey(transaction.PID2, transaction.A, transaction.ID_DO)


class TrustedCentre:
    """TC: master secret, registration, shared value, tracing.

    :param require_possession: ask each registrant for a Schnorr proof of x_U. The paper does not; without it anyone can
        register a P_U seen elsewhere.
    """

    def __init__(self, random: Random, network: bytes = DEFAULT_NETWORK, *, require_possession: bool = True) -> None:
        self._random = random
        self._require_possession = require_possession
        self.parameters, self._master = global_setup(random, network)
        self._entries: dict[tuple[str, str], PublicKey] = {}

    def register(self, data: bytes) -> bytes:
        """Phases 2-4: Algorithm 2 for patients, Algorithm 4 for doctors and nodes.

        :raises Refused: ``not-authorised`` for another role, ``already-registered``, ``bad-possession``.
        """
        request = RegistrationRequest.decode(data)
        if request.role not in ROLES:
            raise Refused("not-authorised", f"no such role: {request.role}")
        P = decode_point(request.P, "P_U")
        if self._require_possession:
            fields = (self.parameters.network, request.role, request.identity, request.P)
            try:
                schnorr_verify(labels.POSSESSION, SUITE, P, fields, b"", request.possession)
            except Refused:
                raise Refused("bad-possession", f"{request.role} {request.identity}") from None
        if request.role == "patient":
            pid, partial = reg.patient_registration(self.parameters, self._master, request.identity, P, self._random)
            return RegistrationAnswer(pid, partial.y.encode(), partial.Q.encode()).encode()
        if (request.role, request.identity) in self._entries:
            raise Refused("already-registered", f"{request.role} {request.identity}")
        partial = reg.doctor_registration(self.parameters, self._master, P, self._random)
        self._entries[request.role, request.identity] = PublicKey(request.P, partial.Q.encode())
        return RegistrationAnswer(b"", partial.y.encode(), partial.Q.encode()).encode()

    def publish(self, pk_C: Point) -> Directory:
        """Phase 5, Algorithm 6, over the nodes registered now; and the public directory.

        To be called anew whenever a node joins or leaves: r, theta and f are fresh each time.
        """
        nodes = [key for (role, _), key in self._entries.items() if role == "node"]
        shared = set_shared_value(self.parameters, nodes, self._random)
        entries = tuple(DirectoryEntry(role, identity, key) for (role, identity), key in self._entries.items())
        return Directory(self.parameters.network, self.parameters.Pub.encode(), pk_C.encode(), shared, entries)

    def trace(self, pid: bytes) -> str:
        """Section V.A.3: the identity behind a static anonym."""
        return reg.trace(self.parameters, self._master, pid)


class _Member:
    """What patients, doctors and nodes share: registration and the key pair."""

    role: str

    def __init__(self, identity: str, parameters: PublicParameters, random: Random) -> None:
        self.identity = identity
        self.parameters = parameters
        self._random = random
        self._secret = reg.choose_secret_value(random)
        self._keys: reg.KeyPair | None = None

    def registration(self) -> bytes:
        """(ID_U, P_U) with a proof of possession."""
        P = self._secret.P
        fields = (self.parameters.network, self.role, self.identity, P.encode())
        proof = schnorr_sign(labels.POSSESSION, SUITE, self._secret.x, fields, b"", self._random)
        return RegistrationRequest(self.role, self.identity, P.encode(), proof).encode()

    def registered(self, data: bytes) -> None:
        """Algorithm 3 or 5: check the centre's answer and set the key pair.

        :raises Refused: ``bad-signature`` if the partial key does not belong to this user.
        """
        answer = RegistrationAnswer.decode(data)
        partial = reg.PartialKey(decode_scalar(answer.y, "y_U"), decode_point(answer.Q, "Q_U"))
        self._keys = reg.generate_keys(self.parameters, self._secret, partial)

    @property
    def keys(self) -> reg.KeyPair:
        """(sk_U, pk_U).

        :raises Refused: ``unknown-party`` before registration.
        """
        if self._keys is None:
            raise Refused("unknown-party", f"{self.identity} is not registered yet")
        return self._keys


class Patient(_Member):
    """PA_i. Keeps, for each appointment, the request sent and its one-time key."""

    role = "patient"

    def __init__(self, identity: str, parameters: PublicParameters, random: Random, now_ms: Callable[[], int]) -> None:
        super().__init__(identity, parameters, random)
        self._now_ms = now_ms
        self.pid = b""
        self._sent: dict[tuple[str, int], SentRequest] = {}

    def registered(self, data: bytes) -> None:
        """Algorithm 3; keeps the static anonym."""
        super().registered(data)
        self.pid = RegistrationAnswer.decode(data).pid

    def request(self, directory: Directory, ID_DO: str, sn: int, data: bytes) -> bytes:
        """Phase 6: an encoded :class:`Request` for that doctor and appointment."""
        m_PA = HealthData(self.pid, data, self._now_ms())
        pk_DO = key_of(directory, "doctor", ID_DO)
        pk_BC = decode_point(directory.shared.pk_BC, "pk_BC")
        sent = patient_request(self.parameters, m_PA, self.keys, pk_BC, ID_DO, pk_DO, sn, self._random)
        self._sent[ID_DO, sn] = sent
        return sent.request.encode()

    def stored(self, directory: Directory, ID_DO: str, sn: int, response: bytes) -> None:
        """Phase 8: check the cloud's response.

        :raises Refused: ``bad-receipt``.
        """
        sent = self._sent_to(ID_DO, sn)
        answer, pk_C = StorageResponse.decode(response), decode_point(directory.pk_C, "pk_C")
        open_storage_response(answer, sent.a, storage_key(sent.request), pk_C)

    def check(self, directory: Directory, reply: bytes) -> Checked:
        """Phase 12.

        :raises Refused: ``unknown-request``, ``bad-seal`` or ``bad-mac``.
        """
        t = Transaction2.decode(reply)
        sent = self._sent_to(t.ID_DO, t.sn).request.transaction
        return check_up(self.parameters, sent, t, self.keys, t.ID_DO, key_of(directory, "doctor", t.ID_DO))

    def _sent_to(self, ID_DO: str, sn: int) -> SentRequest:
        sent = self._sent.get((ID_DO, sn))
        if sent is None:
            raise Refused("unknown-request", f"nothing was sent to {ID_DO} under number {sn}")
        return sent


class Doctor(_Member):
    """DO_k."""

    role = "doctor"

    def __init__(self, identity: str, parameters: PublicParameters, random: Random) -> None:
        super().__init__(identity, parameters, random)
        self._treated: dict[int, Treatment] = {}

    def open(self, request: bytes) -> OpenedRequest:
        """Phase 9, Algorithm 9, lines 1-5."""
        return open_request(self.parameters, Request.decode(request), self.keys, self.identity)

    def treat(self, directory: Directory, opened: OpenedRequest, diagnosis: bytes) -> bytes:
        """Phase 9, Algorithm 9, lines 6-10: an encoded :class:`Transaction2`. Requests are treated in the order of sn."""
        pk_BC = decode_point(directory.shared.pk_BC, "pk_BC")
        treatment = treat(self.parameters, opened, diagnosis, self.keys, self.identity, pk_BC, self._random)
        self._treated[treatment.transaction.sn] = treatment
        return treatment.transaction.encode()

    def stored(self, directory: Directory, sn: int, response: bytes) -> None:
        """Phase 11: check the cloud's response.

        :raises Refused: ``unknown-request``, ``bad-receipt``.
        """
        treatment = self._treated.get(sn)
        if treatment is None:
            raise Refused("unknown-request", f"no reply was sent under number {sn}")
        answer, pk_C = StorageResponse.decode(response), decode_point(directory.pk_C, "pk_C")
        open_storage_response(answer, treatment.a, storage_key(treatment.transaction), pk_C)


class ValidationNode(_Member):
    """vdn_j: recovers theta once for each shared value and verifies transactions."""

    role = "node"

    def __init__(self, identity: str, parameters: PublicParameters, random: Random) -> None:
        super().__init__(identity, parameters, random)
        self._theta: tuple[bytes, Scalar] | None = None

    def verify(self, directory: Directory, transaction: bytes) -> None:
        """Phases 7 and 10, step 1: Algorithm 8 or 10.

        :raises Refused: ``forged-key`` where the algorithm outputs 0; ``unknown-party`` for an unregistered doctor.
        """
        t = decode_transaction(transaction)
        theta, pk_BC = self._shared(directory), decode_point(directory.shared.pk_BC, "pk_BC")
        if isinstance(t, Request):
            key_of(directory, "doctor", t.transaction.ID_DO)
            verify_transaction1(self.parameters, theta, pk_BC, t)
        else:
            verify_transaction2(self.parameters, theta, pk_BC, key_of(directory, "doctor", t.ID_DO), t)

    def _shared(self, directory: Directory) -> Scalar:
        if self._theta is None or self._theta[0] != directory.shared.pk_BC:
            self._theta = (directory.shared.pk_BC, recover_shared_value(directory.shared, self.keys))
        return self._theta[1]


class Cloud:
    """The cloud gateway: files chained transactions under PID, A and ID_DO, each of which alone finds them."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._keys = cloud_keys(random)
        self._stored: list[tuple[StorageKey, bytes]] = []

    @property
    def pk(self) -> Point:
        """pk_C."""
        return self._keys.pk

    def store(self, transaction: bytes) -> bytes:
        """Phases 8 and 11: file a chained transaction, answer its sender with an encoded :class:`StorageResponse`."""
        key = storage_key(decode_transaction(transaction))
        self._stored.append((key, transaction))
        return storage_response(self._keys, key, self._random).encode()

    def by_pseudonym(self, PID: bytes) -> list[bytes]:
        """Transactions filed under a dynamic anonym."""
        return [data for key, data in self._stored if key.PID == PID]

    def by_key(self, A: bytes) -> list[bytes]:
        """Transactions filed under a one-time key."""
        return [data for key, data in self._stored if key.A == A]

    def by_doctor(self, ID_DO: str) -> list[bytes]:
        """Requests to a doctor and replies from that doctor, requests in the order of sn."""
        found = [data for key, data in self._stored if key.ID_DO == ID_DO]
        return sorted(found, key=_number)


def _number(data: bytes) -> int:
    t = decode_transaction(data)
    inner: Transaction1 | Transaction2 = t.transaction if isinstance(t, Request) else t
    return inner.sn
