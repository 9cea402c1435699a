"""Phases 2-4, registration of patients, doctors and nodes: Algorithms 2-5, and the tracing of section V.A.3.

Faults of the printed text kept here, because this suite is the printed protocol:

* alpha = h_1(P_U || Q_U || Pub_TC) does not bind the identity: the same key pair serves under any name (suite r1 hashes role
  and identity too).
* A registrant shows no possession of x_U, so anyone can register a P_U it saw. The algorithms below are as printed;
  :class:`.parties.TrustedCentre` asks for a Schnorr proof unless it is told not to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from salus import labels
from salus.consultation.published.functions import SUITE, h1
from salus.consultation.published.messages import ID_BYTES, PID_BYTES, PublicKey
from salus.consultation.published.setup import MasterSecret, PublicParameters
from salus.errors import Refused
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, random_scalar
from salus.symmetric import Random, kdf

_NONCE_BYTES: Final = 12


@dataclass(frozen=True)
class SecretValue:
    """What a user draws before it registers: x_U, with P_U = x_U * P."""

    x: Scalar = field(repr=False)
    P: Point


@dataclass(frozen=True)
class PartialKey:
    """What the centre answers: (y_U, Q_U)."""

    y: Scalar = field(repr=False)
    Q: Point


@dataclass(frozen=True)
class KeyPair:
    """sk_U = (x_U, y_U), pk_U = (P_U, Q_U).

    :ivar s: x_U + y_U, the only form in which the secret key is used.
    """

    x: Scalar = field(repr=False)
    y: Scalar = field(repr=False)
    public: PublicKey
    s: Scalar = field(repr=False)


def choose_secret_value(random: Random) -> SecretValue:
    """Sections IV.B and IV.C: the user chooses x_U and computes P_U = x_U * P."""
    x = random_scalar(random)
    return SecretValue(x, base_mul(x))


def alpha(parameters: PublicParameters, P: bytes, Q: bytes) -> Scalar:
    """alpha_U = h_1(P_U || Q_U || Pub_TC); as printed, without the identity."""
    return h1(labels.ALPHA, P, Q, parameters.Pub.encode())


def verification_point(parameters: PublicParameters, key: PublicKey) -> Point:
    """W_U = P_U + alpha_U * Pub_TC + Q_U, which is (x_U + y_U) * P for a registered key.

    :raises Refused: ``bad-point`` if a part of the key is no point.
    """
    P, Q = decode_point(key.P, "P_U"), decode_point(key.Q, "Q_U")
    return P + parameters.Pub.mul(alpha(parameters, key.P, key.Q)) + Q


def patient_registration(
    parameters: PublicParameters, master: MasterSecret, ID_PA: str, P_PA: Point, random: Random
) -> tuple[bytes, PartialKey]:
    """Algorithm 2: the static anonym and the partial key pair of a patient.

    :param ID_PA: identity, at most 63 bytes of UTF-8.
    :returns: (pid_PA of 92 bytes, (y_PA, Q_PA)).
    """
    pid = static_anonym(parameters, master, ID_PA, random)  # lines 1-2
    return pid, _partial_key(parameters, master, P_PA, random)  # lines 3-5


def doctor_registration(parameters: PublicParameters, master: MasterSecret, P_DO: Point, random: Random) -> PartialKey:
    """Algorithm 4 for doctors; section IV.D uses it for MediBchain nodes too."""
    return _partial_key(parameters, master, P_DO, random)


def generate_keys(parameters: PublicParameters, secret: SecretValue, partial: PartialKey) -> KeyPair:
    """Algorithms 3 (patients) and 5 (doctors, nodes): check the partial key and assemble the pair.

    :raises Refused: ``bad-signature`` where the paper outputs the symbol bottom.
    """
    public = PublicKey(secret.P.encode(), partial.Q.encode())
    if base_mul(partial.y) != parameters.Pub.mul(alpha(parameters, public.P, public.Q)) + partial.Q:  # lines 1-2
        raise Refused("bad-signature", "the centre's partial key does not belong to this public key")
    return KeyPair(secret.x, partial.y, public, secret.x + partial.y)  # lines 3-4


def static_anonym(parameters: PublicParameters, master: MasterSecret, ID_PA: str, random: Random) -> bytes:
    """pid_PA = E_omega(ID_PA, xi_PA), Algorithm 2, lines 1-2: AES-256-GCM-SIV with xi as the nonce, the identity padded."""
    identity = ID_PA.encode()
    if not 0 < len(identity) < ID_BYTES:
        raise Refused("too-large", f"an identity has 1 to {ID_BYTES - 1} bytes")
    padded = bytes([len(identity)]) + identity.ljust(ID_BYTES - 1, b"\0")
    xi = random(_NONCE_BYTES)
    return xi + _anonym_cipher(parameters, master).encrypt(xi, padded, None)


def trace(parameters: PublicParameters, master: MasterSecret, pid_PA: bytes) -> str:
    """Section V.A.3: the centre recovers ID_PA from the static anonym.

    The paper asks nobody's approval for it, and nothing binds pid_PA to pk_PA: a sender can put another patient's anonym
    into its own transaction, and the trace then names the wrong person.

    :raises Refused: ``bad-pseudonym`` if this centre did not make the anonym.
    """
    if len(pid_PA) != PID_BYTES:
        raise Refused("bad-pseudonym", f"a static anonym has {PID_BYTES} bytes")
    try:
        padded = _anonym_cipher(parameters, master).decrypt(pid_PA[:_NONCE_BYTES], pid_PA[_NONCE_BYTES:], None)
    except InvalidTag:
        raise Refused("bad-pseudonym", "not made by this centre") from None
    return padded[1 : 1 + padded[0]].decode()


def _partial_key(parameters: PublicParameters, master: MasterSecret, P: Point, random: Random) -> PartialKey:
    q = random_scalar(random)
    Q = base_mul(q)
    return PartialKey(alpha(parameters, P.encode(), Q.encode()) * master.w + q, Q)  # y = alpha * omega + q


def _anonym_cipher(parameters: PublicParameters, master: MasterSecret) -> AESGCMSIV:
    return AESGCMSIV(kdf(labels.PID_KEY, SUITE, [master.w.encode()], (parameters.network,)))
