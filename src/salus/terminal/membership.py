"""A patient's membership: enrolment, and one-time credentials for each quarter.

Steps: docs/protocol/consultation.md, "enrolment" and "credentials". Every secret is durable before the call that needs it
leaves, so that an interrupted call is finished later: the centre answers the same request with the same bytes.
"""

from __future__ import annotations

from typing import Annotated, Final

from salus.codec import Bytes32, Message, Size
from salus.consultation.credentials import (
    CREDENTIALS_A_QUARTER,
    IssuingRequests,
    finish_credential,
    request_credential,
)
from salus.consultation.enrolment import EnrolmentKey, check_statement, enrol_patient
from salus.consultation.registration import SecretValue
from salus.errors import Refused, WalletError, refuse_unless
from salus.ledger.client import LedgerClient
from salus.symmetric import Random
from salus.terminal.centre_client import CentreClient
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import SPENT, UNUSED, CredentialEntry, PatientEntry

CREDENTIALS_A_CALL: Final = 16
_PENDING: Final = "issuing"
"""Name of the one-time file of a call for credentials that is under way; there is one at a time."""


class _PendingIssue(Message, frozen=True):
    """Requests for credentials under way, and x of each."""

    KIND = "wallet.pending-issue"

    requests: IssuingRequests
    secrets: Annotated[tuple[Bytes32, ...], Size(1, CREDENTIALS_A_QUARTER)]


class Membership:
    """Enrols one patient and renews its credentials."""

    def __init__(self, wallet: Wallet, ledger: LedgerClient, centre: CentreClient, random: Random) -> None:
        self._wallet = wallet
        self._ledger = ledger
        self._centre = centre
        self._random = random

    @property
    def enrolled(self) -> bool:
        """Whether the centre has stated this patient's enrolment key."""
        entry = self._wallet.content.patient
        return entry is not None and entry.statement is not None

    def enrol(self, code: str) -> None:
        """Enrol with the code that the centre handed out in person (enrolment, steps 1 to 5).

        :raises Refused: ``bad-code``, ``bad-signature``.
        """
        if self._wallet.content.patient is None:
            identity = self._wallet.content.name
            fresh = PatientEntry(identity, EnrolmentKey.generate(self._random).export_secret(), None)
            self._wallet.update(lambda c: c.replace(patient=fresh))
        entry = self._patient()
        key = EnrolmentKey.from_secret(entry.enrolment_secret)
        request = enrol_patient(self._ledger.network, code, entry.identity, key, self._random)
        statement = self._centre.enrol_patient(request)
        check_statement(self._ledger.network, self._ledger.centre.name, self._ledger.centre.signing_key, statement)
        if (statement.identity, statement.F) != (entry.identity, key.F):
            raise Refused("bad-signature", "the centre stated another identity or key")
        self._wallet.update(lambda c: c.replace(patient=PatientEntry(entry.identity, entry.enrolment_secret, statement)))

    def renew(self, quarter: int, count: int = CREDENTIALS_A_CALL) -> int:
        """Get credentials of a quarter, until ``count`` unused ones are there; returns how many were added.

        :raises Refused: ``quota`` when all 64 are issued, ``not-authorised`` when the enrolment is not live any more.
        """
        added = self.finish()
        while (missing := count - len(self._wallet.content.unused_credentials(quarter))) > 0:
            known = {c.index for c in self._wallet.content.credentials if c.quarter == quarter}
            free = [i for i in range(CREDENTIALS_A_QUARTER) if i not in known]
            if not free:
                raise Refused(
                    "quota", f"all {CREDENTIALS_A_QUARTER} credentials of this quarter are issued; wait for the next one"
                )
            added += self._ask(quarter, free[: min(missing, CREDENTIALS_A_CALL)])
        return added

    def finish(self) -> int:
        """Finish a call that was interrupted; returns how many credentials it gave.

        :raises Refused: ``bad-partial-key``, ``wrong-quarter``: the centre's answer does not hold; none of it is kept, and its
            indices are not asked for again.
        """
        if not self._wallet.one_time.has(_PENDING):
            return 0
        pending = _PendingIssue.decode(self._wallet.one_time.get(_PENDING))
        requests = pending.requests.requests
        try:
            answers = self._centre.issue(pending.requests).answers
        except Refused as refused:
            if refused.reason == "bad-seal":
                raise  # not the centre's answer: it is asked again the next time
            self._wallet.one_time.erase(_PENDING)
            if refused.reason != "quota":
                raise
            return self._apart(requests[0].quarter, [r.index for r in requests])
        drawn = [SecretValue.from_secret(secret) for secret in pending.secrets]
        Pub = self._ledger.domain.Pub
        try:
            refuse_unless(len(answers) == len(requests), "bad-partial-key", "the centre answers other requests than it was asked")
            made = [finish_credential(r, x, a, Pub) for r, x, a in zip(requests, drawn, answers, strict=True)]
        except Refused:
            self._keep([CredentialEntry(r.quarter, r.index, SPENT, b"") for r in requests])
            raise
        return self._keep([CredentialEntry(c.quarter, c.index, UNUSED, c.export_secret()) for c in made])

    def _keep(self, entries: list[CredentialEntry]) -> int:
        """The call is over: these indices are issued."""
        self._wallet.update(lambda c: c.with_credentials(entries))
        self._wallet.one_time.erase(_PENDING)
        return len(entries)

    def _ask(self, quarter: int, indices: list[int]) -> int:
        key = EnrolmentKey.from_secret(self._patient().enrolment_secret)
        drawn = [SecretValue.draw(self._random) for _ in indices]
        requests = tuple(
            request_credential(self._ledger.network, key, quarter, i, x, self._random)
            for i, x in zip(indices, drawn, strict=True)
        )
        pending = _PendingIssue(IssuingRequests(requests), tuple(x.export_secret() for x in drawn))
        self._wallet.one_time.put(_PENDING, pending.encode())
        return self.finish()

    def _apart(self, quarter: int, indices: list[int]) -> int:
        """Some index was issued to an earlier state of this wallet (a restored one): ask one by one, and skip those."""
        if len(indices) == 1:
            lost = CredentialEntry(quarter, indices[0], SPENT, b"")
            self._wallet.update(lambda c: c.with_credentials([lost]))
            return 0
        return sum(self._ask(quarter, [index]) for index in indices)

    def _patient(self) -> PatientEntry:
        entry = self._wallet.content.patient
        if entry is None:
            raise WalletError("this wallet is not a patient's, or not enrolled; enrol with: salus party enrol")
        return entry
