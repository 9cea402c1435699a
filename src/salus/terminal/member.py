"""What doctors' and institutions' terminals share: enrolment under a name, and tracing.

Steps: docs/protocol/consultation.md, "registration" and "tracing".
"""

from __future__ import annotations

import hashlib

from salus.codec import decode
from salus.consultation.enrolment import MemberEnrolment
from salus.consultation.registration import MemberKey, SecretValue, request_key
from salus.consultation.tracing import (
    DoctorEvidence,
    SenderEvidence,
    approve_trace,
    ask_trace,
    verify_doctor_evidence,
    verify_sender_evidence,
)
from salus.errors import Refused, WalletError
from salus.ledger.client import LedgerClient
from salus.symmetric import Random
from salus.terminal.centre_client import CentreClient
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import MemberEntry

_SECRET: str = "registration"
Evidence = DoctorEvidence | SenderEvidence


def enrol_member(wallet: Wallet, ledger: LedgerClient, centre: CentreClient, code: str, random: Random) -> MemberKey:
    """Enrol the wallet's name and role (registration, steps 1 to 5); the centre puts the key on the ledger.

    x is durable before the code is spent.

    :raises Refused: ``bad-code``, ``already-registered``, ``bad-partial-key``.
    """
    content = wallet.content
    if content.member is not None:
        raise Refused("already-registered", f"this wallet holds the key of {content.name} already")
    if not wallet.one_time.has(_SECRET):
        wallet.one_time.put(_SECRET, SecretValue.draw(random).export_secret())
    secret = SecretValue.from_secret(wallet.one_time.get(_SECRET))
    request = request_key(ledger.network, content.role, content.name, secret, random)
    answer = centre.enrol_member(MemberEnrolment(code, content.display_name or content.name, request))
    key = MemberKey.finish(content.role, content.name, secret, answer.partial, ledger.domain.Pub)
    wallet.update(lambda c: c.replace(member=MemberEntry(key.record(), key.export_secret())))
    wallet.one_time.erase(_SECRET)
    return key


def member_key(wallet: Wallet, ledger: LedgerClient) -> MemberKey:
    """The key of an enrolled member.

    :raises WalletError: the wallet is not enrolled.
    """
    entry = wallet.content.member
    if entry is None:
        raise WalletError(
            f"{wallet.content.name} is not enrolled; enrol with: salus party enrol --role {wallet.content.role} NAME"
        )
    return MemberKey.from_secret(entry.record, entry.secret, ledger.domain.Pub)


class MemberTerminal:
    """An institution (or any enrolled member) that asks for or approves a trace."""

    def __init__(self, wallet: Wallet, ledger: LedgerClient, random: Random) -> None:
        self._ledger = ledger
        self._random = random
        self._key = member_key(wallet, ledger)

    def ask_trace(self, evidence: Evidence, grounds: str) -> bytes:
        """Open a case about a request (tracing, step 6); returns its number, 32 bytes.

        :raises Refused: ``bad-evidence`` if the evidence does not convince anyone, ``unknown-request``.
        """
        request = _request_of(evidence)
        self.verify(evidence)
        message = ask_trace(self._ledger.network, self._key, request, evidence_digest(evidence), grounds, self._random)
        return self._ledger.submit(message.encode()).hash

    def approve_trace(self, case: bytes, evidence: Evidence) -> None:
        """Approve a case, after verifying the evidence oneself (tracing, step 7).

        :raises Refused: ``bad-evidence`` if it is not the case's or does not hold, ``unknown-case``, ``already-done``.
        """
        opened = self._ledger.trace_request(case)
        if opened.evidence != evidence_digest(evidence) or opened.tx_hash != _request_of(evidence):
            raise Refused("bad-evidence", "this is not the evidence that the case names")
        self.verify(evidence)
        self._ledger.submit(approve_trace(self._ledger.network, self._key, case, self._random).encode())

    def verify(self, evidence: Evidence) -> None:
        """Verify evidence against the ledger (tracing, step 2)."""
        verify_evidence(self._ledger, evidence)


def verify_evidence(ledger: LedgerClient, evidence: Evidence) -> None:
    """Verify evidence against what the ledger stored with the request (tracing, step 2).

    :raises Refused: ``bad-evidence``, ``unknown-request``.
    """
    context = ledger.request(_request_of(evidence)).context()
    if isinstance(evidence, DoctorEvidence):
        verify_doctor_evidence(ledger.domain, evidence, context)
    else:
        verify_sender_evidence(ledger.domain, evidence, context)


def evidence_digest(evidence: Evidence) -> bytes:
    """What a case names: SHA-256 of the encoded evidence."""
    return hashlib.sha256(evidence.encode()).digest()


def decode_evidence(data: bytes) -> Evidence:
    """Decode either kind of evidence.

    :raises Refused: ``bad-encoding``.
    """
    value = decode(data)
    if isinstance(value, tuple) and value and value[0] == DoctorEvidence.KIND:
        return DoctorEvidence.from_value(value)
    return SenderEvidence.from_value(value)


def _request_of(evidence: Evidence) -> bytes:
    sender = evidence.sender if isinstance(evidence, DoctorEvidence) else evidence
    return sender.request.tx_hash()
