"""The centre as a party: its key file, its tables, what it writes to the ledger, and what its operator can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import structlog

from salus.centre.service import TRACE, CentreService
from salus.centre.store import CentreStore, Member
from salus.centre.tracing import TraceOffice
from salus.consultation.enrolment import SealedCall, enrolment_digest, open_at_centre
from salus.consultation.registration import INSTITUTION, NODE, PATIENT, CentreKey, MemberRecord, quarter_of
from salus.consultation.trace_call import TraceCall
from salus.consultation.tracing import Trace
from salus.errors import DamagedFile, Refused, TransportError
from salus.files import HomeLock, make_private_directory, read_key_file, write_key_file
from salus.ledger.client import CommittedTransaction, LedgerClient
from salus.ledger.evidence import Evidence
from salus.ledger.kinds.parties import (
    REVOKED_CREDENTIALS_MAX,
    InstitutionRegistration,
    PartyRegistration,
    PartyRevocation,
    PatientRevocation,
    key_digest,
    sign_by_centre,
)
from salus.ledger.kinds.sharing.attributes import grant_attributes, next_sequence, revoke_attributes
from salus.ledger.kinds.sharing.messages.attributes import AttributeGrant, AttributeRevocation
from salus.ledger.reading import ProvenView
from salus.symmetric import Random

KEY_FILE: Final = "centre.key"
STORE_FILE: Final = "centre.sqlite"
_UNSIGNED: Final = bytes(64)
_log = structlog.get_logger(__name__)


class Centre:
    """The trusted centre of one network.

    :param directory: its own directory: ``centre.key`` (mode 0600) and ``centre.sqlite``.
    :param ledger: its client of the ledger.
    :raises Busy: another process runs it.
    """

    def __init__(self, directory: Path, name: str, ledger: LedgerClient, now_ms: Callable[[], int], random: Random) -> None:
        self.name = name
        self._key = load_key(directory)
        self._ledger = ledger
        self._now_ms = now_ms
        self._random = random
        self._lock = HomeLock(directory)
        try:
            self._store = _open_store(directory / STORE_FILE)
        except BaseException:
            self._lock.release()
            raise
        self.service = CentreService(self._key, name, ledger.network, self._store, self._registration, now_ms, random)
        self._traces = TraceOffice(self._key, name, ledger, self._store, self.service.open_pid, random)

    def handle(self, method: str, body: bytes) -> bytes:
        """See :class:`salus.transport.Service`; registrations that were made are then put on the ledger."""
        if method == TRACE:
            return self._answer_trace(body)
        answer = self.service.handle(method, body)
        self.flush()
        return answer

    def flush(self) -> None:
        """Put pending registrations on the ledger; those that no node takes now stay pending."""
        for member in self._store.members():
            if member.state != "pending":
                continue
            try:
                self._ledger.submit(member.transaction)
            except TransportError as error:
                _log.warning("registration-pending", name=member.name, error=str(error))
                return
            except Refused as refused:
                if refused.reason != "already-registered":
                    raise
            self._store.set_member_state(member.name, member.role, "live")

    def _registration(self, record: MemberRecord, possession: bytes, display_name: str) -> bytes:
        """The transaction that registers a member, signed by the centre."""
        if record.role == NODE:
            raise Refused("not-authorised", "nodes are registered with all their keys; see docs/operating")
        if record.role == INSTITUTION:
            draft: PartyRegistration | InstitutionRegistration = InstitutionRegistration(
                record, display_name, possession, "HL2", 1, _UNSIGNED
            )
        else:
            draft = PartyRegistration(record, display_name, possession, _UNSIGNED)
        return sign_by_centre(self._ledger.network, self.name, self._key, draft, self._random).encode()

    def _answer_trace(self, body: bytes) -> bytes:
        """A call that is repeated gets the same trace; nothing of it is kept, for it names a patient."""
        call, answer_key = open_at_centre(self._ledger.network, self._key, SealedCall.decode(body))
        return answer_key.seal(self._traces.answer(TraceCall.decode(call)).encode())

    # --- the operator ---

    def open_trace(self, case: bytes, evidence: Evidence) -> Trace:
        """Open a case that a quorum approved; see :meth:`salus.centre.tracing.TraceOffice.open`.

        :param case: its number, 32 bytes. :param evidence: as shown by the asker.
        """
        return self._traces.open(case, evidence)

    def new_code(self, role: str, subject: str, display_name: str = "") -> str:
        """Open an enrolment code to be handed out in person; see :meth:`CentreService.new_code`."""
        return self.service.new_code(role, subject, display_name or subject)

    def members(self) -> list[Member]:
        """Named parties that enrolled here."""
        return self._store.members()

    def patients(self) -> list[str]:
        """Identities of the enrolled patients: the centre alone sees this list."""
        return [patient.identity for patient in self._store.patients()]

    def revoke_member(self, role: str, name: str) -> CommittedTransaction:
        """End a named party's key; nodes refuse it from the next block on.

        :raises Refused: ``unknown-party``, ``revoked``, ``not-authorised`` (too many seats).
        """
        W = self._ledger.member_key(role, name)
        draft = PartyRevocation(role, name, key_digest(W), _UNSIGNED)
        done = self._ledger.submit(self._signed(draft))
        self._store.set_member_state(name, role, "revoked")
        return done

    def revoke_patient(self, identity: str) -> list[CommittedTransaction]:
        """End a patient's credentials: every hp of every quarter still accepted or already issued, and its enrolment key.

        :raises Refused: ``unknown-party`` if no such patient is enrolled.
        """
        patient = self._store.patient_by_identity(identity)
        if patient is None:
            raise Refused("unknown-party", f"no enrolled {PATIENT} {identity}")
        digests = sorted({*self.service.revocation_digests(identity), enrolment_digest(self._ledger.network, patient.F)})
        last_quarter = quarter_of(self._now_ms()) + 1
        done = []
        for start in range(0, len(digests), REVOKED_CREDENTIALS_MAX):
            part = tuple(digests[start : start + REVOKED_CREDENTIALS_MAX])
            try:
                done.append(self._ledger.submit(self._signed(PatientRevocation(last_quarter, part, _UNSIGNED))))
            except Refused as refused:
                if refused.reason != "already-done":  # an earlier, interrupted revocation got so far
                    raise
        self._store.retire_patient(identity)
        return done

    # --- attributes ---

    def grant_attributes(
        self, institution: str, atoms: Iterable[str], first_year: int, last_year: int, expires_ms: int
    ) -> CommittedTransaction:
        """Grant an institution attributes for a range of years (attributes, step 1).

        :param atoms: without a year. :param first_year, last_year: both included; 0, 0: without a year.
        :param expires_ms: block time at which the grant ends.
        :raises Refused: ``unknown-party``, ``bad-attribute``, ``too-far-ahead``, ``too-large``.
        """
        names = tuple(sorted(set(atoms)))
        draft = AttributeGrant(institution, names, first_year, last_year, expires_ms, self._next(institution), _UNSIGNED)
        granted = grant_attributes(self._ledger.network, self.name, self._key, draft, self._random)
        return self._ledger.submit(granted.encode())

    def revoke_attributes(self, institution: str, atoms: Iterable[str]) -> CommittedTransaction:
        """End every grant of these attributes to an institution (attributes, step 4).

        :raises Refused: ``not-found`` if none of them is granted.
        """
        draft = AttributeRevocation(institution, tuple(sorted(set(atoms))), self._next(institution), _UNSIGNED)
        revoked = revoke_attributes(self._ledger.network, self.name, self._key, draft, self._random)
        return self._ledger.submit(revoked.encode())

    def _next(self, institution: str) -> int:
        self._ledger.refresh()
        return next_sequence(ProvenView(self._ledger), institution)

    def _signed(self, draft: PartyRevocation | PatientRevocation) -> bytes:
        return sign_by_centre(self._ledger.network, self.name, self._key, draft, self._random).encode()

    def close(self) -> None:
        """Close the centre's tables."""
        self._store.close()
        self._lock.release()


def _open_store(path: Path) -> CentreStore:
    """The tables that were made with the key: fresh ones in their place would issue spent indices again."""
    if not path.exists() or not path.stat().st_size:
        raise DamagedFile(f"{path} is missing or empty; restore the centre's directory from its backup")
    return CentreStore(path)


def create_key(directory: Path, random: Random) -> CentreKey:
    """Make the centre's key file and its empty tables (set-up, step 1).

    :raises StorageError: it cannot be written, or there is one.
    """
    make_private_directory(directory)
    key = CentreKey.generate(random)
    write_key_file(directory / KEY_FILE, key.export_secret())
    CentreStore(directory / STORE_FILE).close()
    return key


def load_key(directory: Path) -> CentreKey:
    """Read the centre's key file.

    :raises DamagedFile: it holds no centre's key. :raises StorageError: it is missing, unreadable or open to others.
    """
    path = directory / KEY_FILE
    try:
        return CentreKey.from_secret(read_key_file(path, "the centre's key"))
    except Refused as refused:
        raise DamagedFile(f"{path} holds no centre's key ({refused.detail}); restore it from its backup") from None
