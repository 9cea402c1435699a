"""The centre opens a pseudonym: only with a quorum's approval, and only after the ledger says that it does.

Steps: docs/protocol/consultation.md, "tracing", 8 and 9.
"""

from __future__ import annotations

from collections.abc import Callable

from salus.centre.store import CentreStore
from salus.consultation.credentials import IssuingRequest, PidKeys
from salus.consultation.enrolment import EnrolmentStatement
from salus.consultation.registration import CentreKey
from salus.consultation.trace_call import TraceCall, check_trace_call
from salus.consultation.tracing import DoctorEvidence, Trace, VerifiedSender, find_identity, record_opening
from salus.errors import CodecError, DamagedFile, Refused, refuse_unless
from salus.ledger.client import LedgerClient
from salus.ledger.evidence import Evidence, check_case, verify_evidence
from salus.symmetric import Random


class TraceOffice:
    """The part of the centre that answers approved cases.

    :param open_pid: the centre's inverse of a pid.
    """

    def __init__(
        self,
        key: CentreKey,
        name: str,
        ledger: LedgerClient,
        store: CentreStore,
        open_pid: Callable[[bytes], str],
        random: Random,
    ) -> None:
        self._key = key
        self._name = name
        self._ledger = ledger
        self._store = store
        self._open_pid = open_pid
        self._random = random
        self._pids = PidKeys(key.w, ledger.network)

    def answer(self, call: TraceCall) -> Trace:
        """Answer the asker of a case (step 9).

        :raises Refused: ``not-authorised`` for anyone else, ``bad-signature``, and as :meth:`open`.
        """
        case = self._ledger.case(call.case)
        refuse_unless(call.asker == case.asker, "not-authorised", "the centre tells the name to the asker of the case alone")
        check_trace_call(self._ledger.network, call, self._ledger.asker_key(call.asker))
        return self.open(call.case, call.evidence)

    def open(self, case: bytes, evidence: Evidence) -> Trace:
        """Open a case: evidence verified, approvals counted, the opening recorded; then the pid is decrypted.

        Asked again about an opened case, it gives the same trace again; the ledger says once that it was opened.

        :raises Refused: ``unknown-case``, ``bad-evidence``, ``no-quorum``, ``bad-pseudonym`` (no patient of this centre),
            ``not-found`` (the patient never asked for that credential).
        """
        check_case(self._ledger, case, evidence)
        sender = verify_evidence(self._ledger, evidence)
        self._record(case)
        identity = self._identity(evidence, sender)
        return Trace(sender.tx_hash, *self._issuing(identity, sender))

    def _record(self, case: bytes) -> None:
        """Step 8: who asked, who approved and when it was opened are on the ledger before anything is decrypted."""
        record = self._ledger.case(case)
        approvals, institutions = self._ledger.quorum(record.approved_by)
        enough = 3 * approvals > 2 * institutions
        refuse_unless(enough, "no-quorum", f"{approvals} of {institutions} institutions approve; more than 2/3 must")
        if record.opened_ms:
            return
        opening = record_opening(self._ledger.network, self._key, self._name, case, self._random)
        try:
            self._ledger.submit(opening.encode())
        except Refused:
            # an opening whose commit was not seen may be in the way
            self._ledger.refresh()
            if not self._ledger.case(case).opened_ms:
                raise

    def _identity(self, evidence: Evidence, sender: VerifiedSender) -> str:
        if isinstance(evidence, DoctorEvidence):
            return self._open_pid(evidence.pid)
        return find_identity(self._pids, self._store.identities(), sender.quarter, sender.hp)[0]

    def _issuing(self, identity: str, sender: VerifiedSender) -> tuple[EnrolmentStatement, IssuingRequest]:
        """The patient's own signed request for that credential: without it nobody believes a trace."""
        try:
            for encoded in self._store.issuing_requests(identity):
                request = IssuingRequest.decode(encoded)
                if (request.P, request.quarter) == (sender.P, sender.quarter):
                    return EnrolmentStatement.decode(self._store.statement(request.F)), request
        except CodecError as error:
            raise DamagedFile(f"the centre's tables hold a request that is none ({error.detail})") from None
        raise Refused("not-found", "no patient of this centre asked for that credential")
