"""The key-cancelling forgery: anyone can speak as any patient and as any doctor of the printed protocol.

A node computes key_PB = theta * (W_PA + A) and the doctor key^1_PD = (W_PA + A)(x_DO + y_DO), where A comes from the
sender. Choose any c and send A = c*P - W_PA: the two keys become c * pk_BC and c * W_DO, both computable from public values.
In the other direction A_DO = c*P - W_DO forges a diagnosis: c * pk_BC at the nodes, c * W_PA at the patient. No secret of
anyone enters. (c = 0 needs not even that: both keys are then the identity, which no printed algorithm refuses.)
"""

from __future__ import annotations

from salus.consultation.published.messages import HealthData, PublicKey, Request, Transaction2
from salus.consultation.published.registration import verification_point
from salus.consultation.published.request import SentRequest, request_from_keys
from salus.consultation.published.setup import PublicParameters
from salus.consultation.published.treatment import OpenedRequest, reply_from_keys
from salus.groups.ristretto255 import Point, Scalar, base_mul, random_scalar
from salus.symmetric import Random


def cancelling_key(victim: Point, random: Random) -> tuple[Scalar, Point]:
    """(c, A = c*P - W): with this A, every key made from W + A is c times a public point.

    :param victim: W of the party to impersonate.
    """
    c = random_scalar(random)
    return c, base_mul(c) - victim


def forge_request(
    parameters: PublicParameters,
    victim: PublicKey,
    m_PA: HealthData,
    pk_BC: Point,
    ID_DO: str,
    pk_DO: PublicKey,
    sn: int,
    random: Random,
) -> SentRequest:
    """Transaction 1 in the name of a patient, from public values alone; nodes and doctor accept it.

    :param victim: pk_PA, as it travels beside every honest transaction of that patient.
    :param m_PA: any data under any static anonym: nothing binds pid_PA to pk_PA.
    """
    c, A = cancelling_key(verification_point(parameters, victim), random)
    return request_from_keys(parameters, m_PA, victim, A, c, c, pk_BC, ID_DO, pk_DO, sn, random)


def forge_reply(
    parameters: PublicParameters,
    request: Request,
    pid: bytes,
    m_PA: HealthData,
    m_DO: bytes,
    ID_DO: str,
    pk_DO: PublicKey,
    pk_BC: Point,
    random: Random,
) -> Transaction2:
    """Transaction 2 in the name of a doctor, from public values alone; nodes and patient accept it.

    :param request: the patient's committed request, which is public.
    :param pid: any 92 bytes; Algorithm 11 does not compare it with the patient's own, nor ``m_PA``.
    """
    c, A = cancelling_key(verification_point(parameters, pk_DO), random)
    return reply_from_keys(parameters, OpenedRequest(request, pid, m_PA), m_DO, pk_DO, A, c, ID_DO, pk_BC, random)
