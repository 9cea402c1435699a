# ruff: noqa: N815 - fields bear the paper's names
"""Phase 9, treatment: Algorithm 9."""

from __future__ import annotations

from dataclasses import dataclass, field

from salus import labels
from salus.consultation.published.functions import account, decrypt, encrypt, h2, h2_extended
from salus.consultation.published.messages import (
    PID_BYTES,
    HealthData,
    PublicKey,
    ReplyPlaintext,
    Request,
    RequestPlaintext,
    Transaction2,
)
from salus.consultation.published.registration import KeyPair, verification_point
from salus.consultation.published.request import mac_i2
from salus.consultation.published.setup import PublicParameters
from salus.errors import Refused
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, random_scalar
from salus.symmetric import Random, mac_matches, xor


@dataclass(frozen=True)
class OpenedRequest:
    """A request the doctor has opened and verified (Algorithm 9, lines 1-5).

    :ivar pid: the patient's static anonym.
    :ivar m_PA: the health data.
    """

    request: Request
    pid: bytes
    m_PA: HealthData = field(repr=False)


@dataclass(frozen=True)
class Treatment:
    """The doctor's answer.

    :ivar transaction: Transaction 2.
    :ivar a: the one-time key a_DO, needed to open the cloud's response.
    :ivar account: contribution 1's account of this run.
    """

    transaction: Transaction2
    a: Scalar = field(repr=False)
    account: bytes


def open_request(parameters: PublicParameters, request: Request, keys: KeyPair, ID_DO: str) -> OpenedRequest:
    """Algorithm 9, lines 1-5: recover and verify m_PA.

    Nothing here needs a one-time secret of the doctor: the long-term key alone opens every past request, against the
    "perfect forward secrecy" of section V.A.4.

    :param ID_DO: the doctor's own name. M_i2 and the plaintext carry it, so a transaction for another is refused.
    :raises Refused: ``bad-seal``, ``bad-mac`` or ``not-your-request`` where the paper outputs bottom.
    """
    t = request.transaction
    A = decode_point(t.A, "A_PA")
    key1 = (verification_point(parameters, request.pk_PA) + A).mul(keys.s)  # lines 1-2
    k1 = key1.encode()
    pid = xor(t.PID1, h2_extended(labels.PRINTED_PID1, PID_BYTES, k1, t.A))
    # Line 3 decrypts a pair where Algorithm 7 encrypted (m_PA, tag, ID_DO, sn): the four are meant.
    plaintext = RequestPlaintext.decode(decrypt(key1, t.C))
    m_PA = plaintext.m_PA
    if not mac_matches(plaintext.check, h2(labels.PRINTED_CHECK_PA, m_PA.to_value(), k1)):  # line 4
        raise Refused("bad-mac", "h2(m_PA, key1) differs")
    M_i2 = mac_i2(pid, ID_DO, t.C, m_PA, key1, t.A, request.pk_PA, keys.public, t.sn)
    if not mac_matches(M_i2, t.M_i2):  # line 5
        raise Refused("bad-mac", "M_i2 differs")
    if (plaintext.ID_DO, plaintext.sn) != (ID_DO, t.sn):
        raise Refused("not-your-request", "the ciphertext names another doctor or appointment")
    return OpenedRequest(request, pid, m_PA)


def treat(
    parameters: PublicParameters, opened: OpenedRequest, m_DO: bytes, keys: KeyPair, ID_DO: str, pk_BC: Point, random: Random
) -> Treatment:
    """Algorithm 9, lines 6-10: encrypt the diagnosis m_DO to the patient as Transaction 2.

    Line 6 draws "A_DO" and line 8 adds it to the secret key: the scalar a_DO is meant in both, A_DO = a_DO * P in line 7.
    """
    a = random_scalar(random)  # line 6
    t = reply_from_keys(parameters, opened, m_DO, keys.public, base_mul(a), keys.s + a, ID_DO, pk_BC, random)
    return Treatment(t, a, account(opened.request.transaction.PID1, t.PID2, opened.pid))


def reply_from_keys(
    parameters: PublicParameters,
    opened: OpenedRequest,
    m_DO: bytes,
    pk_DO: PublicKey,
    A: Point,
    sender: Scalar,
    ID_DO: str,
    pk_BC: Point,
    random: Random,
) -> Transaction2:
    """Algorithm 9 from line 7 on; every key is ``sender`` times a public point, as in :func:`.request.request_from_keys`."""
    t1, pk_PA, m_PA = opened.request.transaction, opened.request.pk_PA, opened.m_PA
    A_bytes = A.encode()
    key2 = verification_point(parameters, pk_PA).mul(sender)  # line 7: key^2_PD = (x + y + a_DO)(P_PA + alpha * Pub + Q_PA)
    k2 = key2.encode()
    check = h2(labels.PRINTED_CHECK_DO, m_PA.to_value(), m_DO, k2)
    C = encrypt(key2, ReplyPlaintext(m_PA, m_DO, check, ID_DO, opened.pid, t1.sn).encode(), random)
    key_DB = pk_BC.mul(sender)  # line 8: key_DB = (x + y + a_DO) * pk_BC
    PID2 = xor(h2_extended(labels.PRINTED_PID2, PID_BYTES, k2, A_bytes), opened.pid)
    M_k1 = mac_k1(PID2, C, key_DB, A_bytes, pk_DO, pk_BC)
    M_k2 = mac_k2(opened.pid, ID_DO, C, m_DO, key2, t1.A, A_bytes, pk_PA, pk_DO, t1.sn)
    return Transaction2(PID2, ID_DO, A_bytes, C, M_k1, M_k2, t1.sn)  # line 9


def mac_k1(PID2: bytes, C: bytes, key_DB: Point, A: bytes, pk_DO: PublicKey, pk_BC: Point) -> bytes:
    """M_k1 = h_2(PID2, C_DO, key_DB, A_DO, pk_DO, pk_BC); ID_DO, sn and M_k2 are not covered."""
    return h2(labels.PRINTED_M_K1, PID2, C, key_DB.encode(), A, pk_DO.to_value(), pk_BC.encode())


def mac_k2(
    pid: bytes,
    ID_DO: str,
    C: bytes,
    m_DO: bytes,
    key2: Point,
    A_PA: bytes,
    A_DO: bytes,
    pk_PA: PublicKey,
    pk_DO: PublicKey,
    sn: int,
) -> bytes:
    """M_k2 = h_2(pid_PA, ID_DO, C_DO, m_DO, key^2_PD, A_PA, A_DO, pk_PA, pk_DO, sn)."""
    return h2(labels.PRINTED_M_K2, pid, ID_DO, C, m_DO, key2.encode(), A_PA, A_DO, pk_PA.to_value(), pk_DO.to_value(), sn)
