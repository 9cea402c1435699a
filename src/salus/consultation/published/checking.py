"""Phase 12, checking up: Algorithm 11."""

from __future__ import annotations

from dataclasses import dataclass, field

from salus import labels
from salus.consultation.published.functions import account, decrypt, h2, h2_extended
from salus.consultation.published.messages import PID_BYTES, PublicKey, ReplyPlaintext, Transaction1, Transaction2
from salus.consultation.published.registration import KeyPair, verification_point
from salus.consultation.published.setup import PublicParameters
from salus.consultation.published.treatment import mac_k2
from salus.errors import Refused
from salus.groups.ristretto255 import decode_point
from salus.symmetric import mac_matches, xor


@dataclass(frozen=True)
class Checked:
    """A reply the patient has accepted.

    :ivar plaintext: all six elements of C_DO, so that a caller can see what Algorithm 11 never compares.
    :ivar pid: the static anonym recovered from PID2.
    :ivar account: contribution 1's account of this run.
    """

    plaintext: ReplyPlaintext = field(repr=False)
    pid: bytes
    account: bytes

    @property
    def m_DO(self) -> bytes:
        """The diagnosis."""
        return self.plaintext.m_DO


def check_up(
    parameters: PublicParameters, sent: Transaction1, transaction: Transaction2, keys: KeyPair, ID_DO: str, pk_DO: PublicKey
) -> Checked:
    """Algorithm 11: the patient recovers and verifies the diagnosis.

    The patient never compares the returned pid_PA and m_PA with its own: a reply about somebody else's data passes. Kept as
    printed; suite r1 compares both. key^2_PD needs only the long-term key, so that key alone opens every past reply.

    :param sent: the Transaction 1 this answers; the paper's input list forgets it, M_k2 covers its A_PA and sn.
    :raises Refused: ``bad-seal`` or ``bad-mac`` where the paper outputs 0.
    """
    t = transaction
    A = decode_point(t.A, "A_DO")
    key2 = (verification_point(parameters, pk_DO) + A).mul(keys.s)  # lines 1-2
    k2 = key2.encode()
    pid = xor(t.PID2, h2_extended(labels.PRINTED_PID2, PID_BYTES, k2, t.A))
    plaintext = ReplyPlaintext.decode(decrypt(key2, t.C))  # line 3; the six elements of Algorithm 9
    m_PA, m_DO = plaintext.m_PA, plaintext.m_DO
    if not mac_matches(plaintext.check, h2(labels.PRINTED_CHECK_DO, m_PA.to_value(), m_DO, k2)):  # line 4
        raise Refused("bad-mac", "h2(m_PA, m_DO, key2) differs")
    M_k2 = mac_k2(pid, ID_DO, t.C, m_DO, key2, sent.A, t.A, keys.public, pk_DO, sent.sn)
    if not mac_matches(M_k2, t.M_k2):  # line 5
        raise Refused("bad-mac", "M_k2 differs")
    return Checked(plaintext, pid, account(sent.PID1, t.PID2, pid))  # line 6
