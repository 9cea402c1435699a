"""Phase 5, the secret shared value of the validation nodes: Algorithm 6, and its recovery in Algorithms 8 and 10."""

from __future__ import annotations

from collections.abc import Sequence

from salus import labels
from salus.consultation.published.functions import h1
from salus.consultation.published.messages import MAX_NODES, PublicKey, SharedValue
from salus.consultation.published.registration import KeyPair, verification_point
from salus.consultation.published.setup import PublicParameters
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, decode_scalar, random_scalar
from salus.groups.sharing import poly_eval, poly_from_roots
from salus.symmetric import Random


def set_shared_value(parameters: PublicParameters, nodes: Sequence[PublicKey], random: Random) -> SharedValue:
    """Algorithm 6: hide theta in f(x) = prod(x - beta_j) + theta, which every named node can evaluate at its own beta_j.

    Line 6 draws theta inside the loop over the nodes; f has one constant, so there is one theta: it is drawn once. Called
    anew, with fresh r, theta and f, at every change of membership: a node that left knows theta for good.

    :param nodes: pk_vdn_j of the validation nodes, 1 to 1024.
    :raises Refused: ``too-large`` for more nodes, ``bad-point`` for a key that is no point.
    """
    if not 1 <= len(nodes) <= MAX_NODES:
        raise Refused("too-large", f"{len(nodes)} validation nodes; 1 to {MAX_NODES} are possible")
    r = random_scalar(random)  # line 1
    R = base_mul(r).encode()  # line 2
    betas = []
    for key in nodes:  # line 3
        S = verification_point(parameters, key).mul(r)  # line 4
        betas.append(h1(labels.BETA, R, S.encode()))  # line 5
    theta = random_scalar(random)  # line 6, once
    coefficients = poly_from_roots(betas, theta)  # line 7, modulo the group order
    return SharedValue(tuple(a.encode() for a in coefficients), R, base_mul(theta).encode())  # lines 8-9


def recover_shared_value(shared: SharedValue, node: KeyPair) -> Scalar:
    """Algorithms 8 and 10, lines 1-2: theta = f(beta_j), beta_j = h_1(R, (x_j + y_j) * R), checked against pk_BC.

    The paper recovers theta anew for each transaction; a node does it once for each shared value. The comparison with
    pk_BC is ours: a node that is not named in f would otherwise go on with a wrong theta and refuse everybody.

    :raises Refused: ``bad-deal`` if the value does not open for this node.
    """
    S = decode_point(shared.R, "R").mul(node.s)  # line 1
    beta = h1(labels.BETA, shared.R, S.encode())
    coefficients = [decode_scalar(a, "a_i") for a in shared.coefficients]
    theta = poly_eval([*coefficients, Scalar.from_int(1)], beta)  # line 2; the leading coefficient 1 is not sent
    if base_mul(theta).encode() != shared.pk_BC:
        raise Refused("bad-deal", "the shared value does not open for this node")
    return theta
