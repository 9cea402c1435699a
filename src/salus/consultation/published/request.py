# ruff: noqa: N815 - fields bear the paper's names
"""Phase 6, patient request: Algorithm 7."""

from __future__ import annotations

from dataclasses import dataclass, field

from salus import labels
from salus.consultation.published.functions import encrypt, h2, h2_extended
from salus.consultation.published.messages import PID_BYTES, HealthData, PublicKey, Request, RequestPlaintext, Transaction1
from salus.consultation.published.registration import KeyPair, verification_point
from salus.consultation.published.setup import PublicParameters
from salus.groups.ristretto255 import Point, Scalar, base_mul, random_scalar
from salus.symmetric import Random, xor


@dataclass(frozen=True)
class SentRequest:
    """A request and what its sender keeps.

    :ivar request: Transaction 1 with pk_PA beside it.
    :ivar a: the one-time key a_PA, needed to open the cloud's response.
    :ivar m_PA: the health data sent.
    """

    request: Request
    a: Scalar = field(repr=False)
    m_PA: HealthData = field(repr=False)


def patient_request(
    parameters: PublicParameters,
    m_PA: HealthData,
    keys: KeyPair,
    pk_BC: Point,
    ID_DO: str,
    pk_DO: PublicKey,
    sn: int,
    random: Random,
) -> SentRequest:
    """Algorithm 7: Transaction 1 for doctor ``ID_DO`` and appointment ``sn``.

    :param m_PA: (pid_PA, data_PA, T^1_PA).
    :param pk_BC: theta * P, from the shared value.
    :raises Refused: ``bad-point`` if pk_DO is no key.
    """
    a = random_scalar(random)  # line 1
    return request_from_keys(parameters, m_PA, keys.public, base_mul(a), a, keys.s + a, pk_BC, ID_DO, pk_DO, sn, random)


def request_from_keys(
    parameters: PublicParameters,
    m_PA: HealthData,
    pk_PA: PublicKey,
    A: Point,
    a: Scalar,
    sender: Scalar,
    pk_BC: Point,
    ID_DO: str,
    pk_DO: PublicKey,
    sn: int,
    random: Random,
) -> SentRequest:
    """Algorithm 7 from line 2 on; every key of the request is ``sender`` times a public point.

    An honest sender has sender = x + y + a. Any scalar with sender * P = W_PA + A does as well, which is the protocol's
    downfall: :mod:`.forgery` finds one without any secret.
    """
    A_bytes = A.encode()
    key1 = verification_point(parameters, pk_DO).mul(sender)  # line 2: key^1_PD = (x + y + a)(P + alpha * Pub + Q)
    k1 = key1.encode()
    check = h2(labels.PRINTED_CHECK_PA, m_PA.to_value(), k1)
    C = encrypt(key1, RequestPlaintext(m_PA, check, ID_DO, sn).encode(), random)
    key_PB = pk_BC.mul(sender)  # line 3: key_PB = (x + y + a) * pk_BC
    PID1 = xor(h2_extended(labels.PRINTED_PID1, PID_BYTES, k1, A_bytes), m_PA.pid)
    M_i1 = mac_i1(PID1, C, key_PB, A_bytes, pk_PA, pk_BC)
    M_i2 = mac_i2(m_PA.pid, ID_DO, C, m_PA, key1, A_bytes, pk_PA, pk_DO, sn)
    transaction = Transaction1(PID1, ID_DO, A_bytes, C, M_i1, M_i2, sn)  # line 4
    return SentRequest(Request(transaction, pk_PA), a, m_PA)


def mac_i1(PID1: bytes, C: bytes, key_PB: Point, A: bytes, pk_PA: PublicKey, pk_BC: Point) -> bytes:
    """M_i1 = h_2(PID1, C_PA, key_PB, A_PA, pk_PA, pk_BC).

    ID_DO, sn and M_i2 are not covered: whoever carries the transaction can change them and the nodes accept.
    """
    return h2(labels.PRINTED_M_I1, PID1, C, key_PB.encode(), A, pk_PA.to_value(), pk_BC.encode())


def mac_i2(
    pid: bytes, ID_DO: str, C: bytes, m_PA: HealthData, key1: Point, A: bytes, pk_PA: PublicKey, pk_DO: PublicKey, sn: int
) -> bytes:
    """M_i2 = h_2(pid_PA, ID_DO, C_PA, m_PA, key^1_PD, A_PA, pk_PA, pk_DO, sn)."""
    return h2(labels.PRINTED_M_I2, pid, ID_DO, C, m_PA.to_value(), key1.encode(), A, pk_PA.to_value(), pk_DO.to_value(), sn)
