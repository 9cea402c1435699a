"""What doctors' and institutions' terminals share: enrolment under a name, and tracing.

Steps: docs/protocol/consultation.md, "registration" and "tracing".
"""

from __future__ import annotations

from typing import Final

from salus.consultation.enrolment import MemberEnrolment
from salus.consultation.registration import MemberKey, SecretValue, request_key
from salus.consultation.trace_call import call_trace
from salus.consultation.tracing import Trace, approve_trace, ask_trace, check_trace
from salus.errors import Refused, WalletError
from salus.ledger.client import LedgerClient
from salus.ledger.evidence import Evidence, check_case, evidence_digest, request_of, verify_evidence
from salus.symmetric import Random
from salus.terminal.centre_client import CentreClient
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import MemberEntry

_SECRET: Final = "registration"


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
    """A doctor, institution or node that asks for or approves a trace."""

    def __init__(self, wallet: Wallet, ledger: LedgerClient, random: Random) -> None:
        self._ledger = ledger
        self._random = random
        self._key = member_key(wallet, ledger)

    def ask_trace(self, evidence: Evidence, grounds: str) -> bytes:
        """Open a case about a request (tracing, step 6); returns its number, 32 bytes.

        :raises Refused: ``bad-evidence`` if the evidence does not convince anyone, ``unknown-request``.
        """
        verify_evidence(self._ledger, evidence)
        digest = evidence_digest(evidence)
        message = ask_trace(self._ledger.network, self._key, request_of(evidence), digest, grounds, self._random)
        return self._ledger.submit(message.encode()).hash

    def approve_trace(self, case: bytes, evidence: Evidence) -> None:
        """Approve a case, after verifying the evidence oneself (tracing, step 7).

        :raises Refused: ``bad-evidence`` if it is not the case's or does not hold, ``unknown-case``, ``already-done``.
        """
        check_case(self._ledger, case, evidence)
        verify_evidence(self._ledger, evidence)
        self._ledger.submit(approve_trace(self._ledger.network, self._key, case, self._random).encode())

    def open_trace(self, centre: CentreClient, case: bytes, evidence: Evidence) -> tuple[str, Trace]:
        """Get the name behind an approved case from the centre (tracing, steps 8 to 10); it needs the patient's signature.

        :raises Refused: ``no-quorum``, ``not-authorised`` (the asker alone is told), ``bad-evidence`` (the centre's trace does
            not hold: it may be framing somebody).
        """
        sender = verify_evidence(self._ledger, evidence)
        trace = centre.trace(call_trace(self._ledger.network, self._key, case, evidence, self._random))
        record = self._ledger.centre
        identity = check_trace(self._ledger.network, record.name, record.signing_key, sender, trace)
        if not self._ledger.case(case).opened_ms:
            raise Refused("bad-evidence", "the centre answered a case that the ledger does not call opened")
        return identity, trace
