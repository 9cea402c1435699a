"""Adversary strategies. Each takes a challenger, asks what its game allows, and outputs a forgery.

The same strategy is written once for each suite's message format; what it computes is the same.
"""

from __future__ import annotations

from typing import Any

import msgspec

from games.challenger import Challenger, Forgery, PublicUser, Session
from games.schemes import PublishedScheme, RepairedScheme
from salus.bench.worlds import NOW_MS, VALID_MS
from salus.consultation.published import against_r1
from salus.consultation.published.against_r1 import BodyReference, Victim
from salus.consultation.published.forgery import cancelling_key
from salus.consultation.published.messages import HealthData, PublicKey
from salus.consultation.published.request import request_from_keys
from salus.consultation.published.treatment import OpenedRequest, reply_from_keys
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, random_scalar
from salus.symmetric import Random

PATIENT, OTHER_PATIENT = "ward/patient-0", "ward/patient-1"
DOCTOR, OTHER_DOCTOR = "clinic/doctor-0", "clinic/doctor-1"


class Adversary:
    """Builds transactions of the challenger's suite from guessed secrets."""

    def __init__(self, challenger: Challenger, random: Random) -> None:
        self.challenger = challenger
        self.random = random
        self.scheme: Any = challenger.scheme

    # --- building blocks ---

    def request(self, victim: str, doctor: str, sn: int, a: Scalar, A: Point, s: Scalar, sender: Scalar) -> Forgery:
        """A request in the victim's name.

        :param a: what the adversary takes for A's logarithm. :param s: for the victim's secret key (r1 uses them apart).
        :param sender: for the logarithm of W + A (2019 uses only that).
        """
        user, partner = self.challenger.public_key(victim), self.challenger.public_key(doctor)
        if isinstance(self.scheme, PublishedScheme):
            m_PA = HealthData(bytes(92), b"forged", NOW_MS)
            sent = request_from_keys(
                self.scheme.parameters,
                m_PA,
                PublicKey(user.P, user.Q),
                A,
                a,
                sender,
                self.scheme.world.pk_BC,
                doctor,
                PublicKey(partner.P, partner.Q),
                sn,
                self.random,
            )
            return Forgery("request", victim, doctor, sent.request)
        forged = against_r1.request_with(
            self.scheme.world.domain,
            _victim(user),
            a,
            A,
            s,
            doctor,
            sn,
            self.scheme.context(doctor, sn),
            NOW_MS + VALID_MS,
            self._body(),
            self.random,
        )
        return Forgery("request", victim, doctor, forged)

    def reply(self, victim: str, session: Session, a: Scalar, A: Point, s: Scalar, sender: Scalar) -> Forgery:
        """A reply to an honest request, in the name of the doctor ``victim``."""
        doctor, patient = self.challenger.public_key(victim), self.challenger.public_key(session.patient)
        if isinstance(self.scheme, PublishedScheme):
            opened = OpenedRequest(session.request, patient.pid, HealthData(patient.pid, b"whatever", 0))
            forged: Any = reply_from_keys(
                self.scheme.parameters,
                opened,
                b"forged diagnosis",
                PublicKey(doctor.P, doctor.Q),
                A,
                sender,
                victim,
                self.scheme.world.pk_BC,
                self.random,
            )
        else:
            network = self.scheme.world.domain.network
            forged = against_r1.reply_with(
                network, session.request, _victim(patient), doctor.W, a, A, s, self._body(), self.random
            )
        return Forgery("reply", victim, session.patient, forged, session)

    def _body(self) -> BodyReference:
        digest = self.random(32)
        return BodyReference(digest, 64, self.scheme.world.receipt(digest, 64))


def _victim(user: PublicUser) -> Victim:
    return Victim(user.P, user.Q, user.W, user.pid, user.quarter)


# --- strategies; each returns a forgery ---


def cancel_request(challenger: Challenger, random: Random) -> Forgery:
    """A = c*P - W of the patient: no oracle but the public key."""
    adversary = Adversary(challenger, random)
    c, A = cancelling_key(decode_point(challenger.public_key(PATIENT).W), random)
    return adversary.request(PATIENT, DOCTOR, 1, c, A, c, c)


def cancel_reply(challenger: Challenger, random: Random) -> Forgery:
    """A_DO = c*P - W of the doctor, in answer to an honest request."""
    adversary = Adversary(challenger, random)
    session = challenger.send_request(PATIENT, DOCTOR, 1)
    c, A = cancelling_key(decode_point(challenger.public_key(DOCTOR).W), random)
    return adversary.reply(DOCTOR, session, c, A, c, c)


def replace_patient_key(challenger: Challenger, random: Random) -> Forgery:
    """Replace the patient's key by one whose P and Q have known logarithms; alpha*w is all that is missing. Then cancel."""
    adversary = Adversary(challenger, random)
    x, q = random_scalar(random), random_scalar(random)
    challenger.replace(PATIENT, base_mul(x).encode(), base_mul(q).encode())
    c, A = cancelling_key(decode_point(challenger.public_key(PATIENT).W), random)
    return adversary.request(PATIENT, DOCTOR, 2, c, A, x + q, c)


def replace_patient_key_own_a(challenger: Challenger, random: Random) -> Forgery:
    """The same with an honest A = a*P and s' = x' + q'."""
    adversary = Adversary(challenger, random)
    x, q, a = (random_scalar(random) for _ in range(3))
    challenger.replace(PATIENT, base_mul(x).encode(), base_mul(q).encode())
    return adversary.request(PATIENT, DOCTOR, 2, a, base_mul(a), x + q, x + q + a)


def replace_doctor_key(challenger: Challenger, random: Random) -> Forgery:
    """Replace the doctor's key likewise, and answer a patient's request to the replaced key."""
    adversary = Adversary(challenger, random)
    x, q = random_scalar(random), random_scalar(random)
    challenger.replace(DOCTOR, base_mul(x).encode(), base_mul(q).encode())
    session = challenger.send_request(PATIENT, DOCTOR, 3)
    c, A = cancelling_key(decode_point(challenger.public_key(DOCTOR).W), random)
    return adversary.reply(DOCTOR, session, c, A, x + q, c)


def solve_for_the_key(challenger: Challenger, random: Random) -> Forgery:
    """Choose Q', guess alpha', set P' = c*P - alpha'*Pub - Q': W would be c*P, if alpha did not hash P'."""
    adversary = Adversary(challenger, random)
    c, a = random_scalar(random), random_scalar(random)
    Q = base_mul(random_scalar(random))
    guess = challenger.public_key(PATIENT)
    challenger.replace(PATIENT, guess.P, Q.encode())
    W_guess = decode_point(challenger.public_key(PATIENT).W)
    P = base_mul(c) - (W_guess - decode_point(guess.P) - Q) - Q
    challenger.replace(PATIENT, P.encode(), Q.encode())
    return adversary.request(PATIENT, DOCTOR, 4, a, base_mul(a), c, c + a)


def secret_value_only(challenger: Challenger, random: Random) -> Forgery:
    """Type I with the victim's x, but not its y."""
    adversary = Adversary(challenger, random)
    x, a = challenger.secret_value(PATIENT), random_scalar(random)
    return adversary.request(PATIENT, DOCTOR, 4, a, base_mul(a), x, x + a)


def centre_signs_with_partial(challenger: Challenger, random: Random) -> Forgery:
    """The centre uses the patient's y (and w) in place of x + y."""
    adversary = Adversary(challenger, random)
    s = challenger.partial_key(PATIENT) + challenger.master_secret()
    a = random_scalar(random)
    return adversary.request(PATIENT, DOCTOR, 5, a, base_mul(a), s, s + a)


def centre_cancels(challenger: Challenger, random: Random) -> Forgery:
    """The centre with the cancelling key; for r1 it signs with y."""
    adversary = Adversary(challenger, random)
    y = challenger.partial_key(PATIENT)
    c, A = cancelling_key(decode_point(challenger.public_key(PATIENT).W), random)
    return adversary.request(PATIENT, DOCTOR, 5, c, A, y, c)


def centre_answers_as_doctor(challenger: Challenger, random: Random) -> Forgery:
    """The centre answers a request with the doctor's y and a cancelling key."""
    adversary = Adversary(challenger, random)
    session = challenger.send_request(PATIENT, DOCTOR, 5)
    y = challenger.partial_key(DOCTOR)
    c, A = cancelling_key(decode_point(challenger.public_key(DOCTOR).W), random)
    return adversary.reply(DOCTOR, session, c, A, y, c)


def redirect(challenger: Challenger, random: Random) -> Forgery:
    """Take an honest request to one doctor off the wire and send it on to another."""
    session = challenger.send_request(PATIENT, DOCTOR, 6)
    if isinstance(challenger.scheme, PublishedScheme):
        transaction = msgspec.structs.replace(session.request.transaction, ID_DO=OTHER_DOCTOR)
        moved: Any = msgspec.structs.replace(session.request, transaction=transaction)
    else:
        moved = msgspec.structs.replace(session.request, ID_D=OTHER_DOCTOR)
    return Forgery("request", PATIENT, OTHER_DOCTOR, moved)


def insider_patient(challenger: Challenger, random: Random) -> Forgery:
    """Another registered patient, with all its keys, a revealed ephemeral and a revealed session key of the victim."""
    adversary = Adversary(challenger, random)
    x, y = challenger.corrupt(OTHER_PATIENT)
    session = challenger.send_request(PATIENT, OTHER_DOCTOR, 1)
    a = challenger.ephemeral(session)
    challenger.reveal(session)
    challenger.hash("m_PA", b"anything")
    challenger.encrypt(base_mul(a), b"anything")
    c, A = cancelling_key(decode_point(challenger.public_key(PATIENT).W), random)
    return adversary.request(PATIENT, DOCTOR, 7, c, A, x + y, c)


def thief_of_the_doctor(challenger: Challenger, random: Random) -> Forgery:
    """Key-compromise impersonation: with the doctor's secret key, speak to that doctor as a patient; no cancelling."""
    adversary = Adversary(challenger, random)
    x, y = challenger.corrupt(DOCTOR)
    a = random_scalar(random)
    W = decode_point(challenger.public_key(PATIENT).W)
    forgery = adversary.request(PATIENT, DOCTOR, 7, a, base_mul(a), a, a)
    if isinstance(adversary.scheme, RepairedScheme):
        return forgery
    return Forgery("request", PATIENT, DOCTOR, _rekeyed(adversary, forgery.transaction, (W + base_mul(a)).mul(x + y)))


def _rekeyed(adversary: Adversary, request: Any, key1: Point) -> Any:
    """The same 2019 request with everything of the doctor's part made under ``key1``."""
    from salus import labels
    from salus.consultation.published.functions import h2_extended
    from salus.consultation.published.messages import RequestPlaintext
    from salus.consultation.published.request import mac_i2
    from salus.symmetric import xor

    t, m_PA = request.transaction, HealthData(bytes(92), b"forged", NOW_MS)
    k1 = key1.encode()
    check = adversary.challenger.hash(labels.PRINTED_CHECK_PA, m_PA.to_value(), k1)
    C = adversary.challenger.encrypt(key1, RequestPlaintext(m_PA, check, t.ID_DO, t.sn).encode())
    PID1 = xor(h2_extended(labels.PRINTED_PID1, 92, k1, t.A), m_PA.pid)
    doctor = adversary.challenger.public_key(t.ID_DO)
    M_i2 = mac_i2(m_PA.pid, t.ID_DO, C, m_PA, key1, t.A, request.pk_PA, PublicKey(doctor.P, doctor.Q), t.sn)
    return msgspec.structs.replace(request, transaction=msgspec.structs.replace(t, PID1=PID1, C=C, M_i2=M_i2))
