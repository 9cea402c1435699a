"""Phases 7 and 10, chain transaction (I) and (II): Algorithms 8 and 10.

"Step 1: vdn_j first obtains invalid transactions" is a misprint for *unvalidated* ones: the pool of those not checked yet.
"""

from __future__ import annotations

from salus.consultation.published.messages import PublicKey, Request, Transaction2
from salus.consultation.published.registration import verification_point
from salus.consultation.published.request import mac_i1
from salus.consultation.published.setup import PublicParameters
from salus.consultation.published.treatment import mac_k1
from salus.errors import Refused
from salus.groups.ristretto255 import Point, Scalar, decode_point
from salus.symmetric import mac_matches


def verify_transaction1(parameters: PublicParameters, theta: Scalar, pk_BC: Point, request: Request) -> None:
    """Algorithm 8, lines 3-7 (lines 1-2 are :func:`.shared_value.recover_shared_value`).

    key_PB = theta * (P_PA + alpha_PA * Pub + Q_PA + A_PA). A_PA comes from the sender, so A_PA = c*P - W_PA makes the key
    c * pk_BC: this check authenticates nobody (:mod:`.forgery`). pk_PA, an input of the algorithm, is taken beside the tuple.

    :raises Refused: ``forged-key`` where the paper outputs 0.
    """
    t = request.transaction
    key_PB = (verification_point(parameters, request.pk_PA) + decode_point(t.A, "A_PA")).mul(theta)  # line 3
    if not mac_matches(mac_i1(t.PID1, t.C, key_PB, t.A, request.pk_PA, pk_BC), t.M_i1):  # line 4
        raise Refused("forged-key", "M_i1 differs")


def verify_transaction2(
    parameters: PublicParameters, theta: Scalar, pk_BC: Point, pk_DO: PublicKey, transaction: Transaction2
) -> None:
    """Algorithm 10, lines 3-7; pk_DO is the registered key of the doctor the transaction names.

    Line 3 prints alpha_vdn_j in key_DB; the point is the doctor's, so it is alpha_DO. The same cancellation works here.

    :raises Refused: ``forged-key`` where the paper outputs 0.
    """
    t = transaction
    key_DB = (verification_point(parameters, pk_DO) + decode_point(t.A, "A_DO")).mul(theta)  # line 3
    if not mac_matches(mac_k1(t.PID2, t.C, key_DB, t.A, pk_DO, pk_BC), t.M_k1):  # line 4
        raise Refused("forged-key", "M_k1 differs")
