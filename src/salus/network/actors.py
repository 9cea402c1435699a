"""What a person does with a terminal, as commands with plain arguments and plain results.

The command line, the demonstration in one process and the demonstration with every party in a process of its own all
speak to the same actors: a command is a name with JSON arguments, its result is a JSON object.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from salus.consultation.reply import ConsultationReply
from salus.consultation.request import ConsultationRequest
from salus.errors import SalusError
from salus.files import read_bounded, write_atomic
from salus.ledger.client import LedgerClient
from salus.ledger.evidence import EVIDENCE_BYTES_MAX, Evidence, decode_evidence
from salus.network.audit_actors import AuditCommands
from salus.network.sharing_actors import ReaderCommands
from salus.records.file import recognise
from salus.symmetric import Random
from salus.terminal.bodies import BodyTransfer, Progress, no_progress
from salus.terminal.centre_client import CentreClient
from salus.terminal.cloud_client import CloudClient
from salus.terminal.doctor import DoctorTerminal
from salus.terminal.member import MemberTerminal, enrol_member
from salus.terminal.patient import PatientTerminal
from salus.terminal.reconciliation import needs_reconciling, reconcile_with_ledger
from salus.terminal.recovery import backup
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import UNUSED, ConsultationEntry
from salus.transport import Transport

RECEIVED: Final = "received"
STAGING: Final = "staging"
EVIDENCE: Final = "evidence"
Result = dict[str, Any]


class Surroundings:
    """What an actor reaches the world through.

    :param ledger: a client of the ledger of this actor's own.
    :param transport, centre_party, cloud_party: to centre and cloud.
    """

    def __init__(
        self,
        ledger: LedgerClient,
        transport: Transport,
        centre_party: str,
        cloud_party: str,
        now_ms: Callable[[], int],
        random: Random,
    ) -> None:
        self.ledger = ledger
        self.transport = transport
        self.centre_party = centre_party
        self.cloud_party = cloud_party
        self.now_ms = now_ms
        self.random = random

    def centre(self) -> CentreClient:
        """A client of the centre."""
        return CentreClient(self.transport, self.centre_party, self.ledger.network, self.ledger.centre, self.random)

    def bodies(self, directory: Path) -> BodyTransfer:
        """Moves bodies for the actor that lives in ``directory``."""
        cloud = CloudClient(self.transport, self.cloud_party, random=self.random)
        return BodyTransfer(cloud, directory / STAGING, directory / RECEIVED, self.random)


class Actor:
    """One person's terminal. Subclasses add commands: public methods that take and give plain values."""

    def __init__(self, wallet: Wallet, around: Surroundings, progress: Progress = no_progress) -> None:
        self._wallet = wallet
        self._around = around
        self._progress = progress

    @property
    def name(self) -> str:
        """Name on the ledger, or a patient's identity."""
        return self._wallet.content.name

    @property
    def directory(self) -> Path:
        """Where the wallet lies."""
        return self._wallet.directory

    def do(self, command: str, arguments: dict[str, Any]) -> Result:
        """Carry out one command.

        :raises SalusError: what the command raises; an unknown command too.
        """
        method = getattr(self, command, None)
        if command.startswith("_") or command in ("do", "name", "directory", "evidence_path", "close") or not callable(method):
            raise SalusError(f"{self._wallet.content.role} {self.name} has no command {command!r}")
        result: Result = method(**arguments)
        return result

    def show(self) -> Result:
        """What the wallet holds, without any secret."""
        content = self._wallet.content
        return {
            "role": content.role,
            "name": content.name,
            "display_name": content.display_name,
            "network": content.network.hex(),
            "enrolled": content.member is not None or (content.patient is not None and content.patient.statement is not None),
            "credentials_unused": len(content.unused_credentials()),
            "consultations": len(content.consultations),
            "slots": len(content.slots),
            "one_time_secrets": len(self._wallet.one_time.names()),
        }

    def message_bits(self, request_tx: str, reply_tx: str) -> Result:
        """Sizes of one consultation's messages in bits, counted from their encodings."""
        a = self._around
        cloud = CloudClient(a.transport, a.cloud_party, random=a.random)
        hashes = {"1": bytes.fromhex(request_tx), "2": bytes.fromhex(reply_tx)}
        raw = {which: a.ledger.transaction(tx_hash).raw for which, tx_hash in hashes.items()}
        messages = {
            "transaction-1": raw["1"],
            "transaction-2": raw["2"],
            "upload-receipt-1": ConsultationRequest.decode(raw["1"]).U.encode(),
            "upload-receipt-2": ConsultationReply.decode(raw["2"]).U.encode(),
            **{f"storage-receipt-{which}": cloud.storage_receipt(tx_hash).encode() for which, tx_hash in hashes.items()},
        }
        return {name: 8 * len(data) for name, data in messages.items()}

    def backup(self, path: str) -> Result:
        """Write a backup of the wallet; it holds no one-time keys."""
        backup(self._wallet, Path(path), now_ms=self._around.now_ms())
        return {"file": path, "bytes": Path(path).stat().st_size}

    def reconcile(self) -> Result:
        """Compare a restored wallet with the ledger: credentials used since, replies that can no longer be opened, lost slots."""
        found = reconcile_with_ledger(self._wallet, self._around.ledger)
        return {
            "credentials_used_since": len(found.used),
            "unreadable": [{"id": c.id, "doctor": c.doctor, "day": c.day, "sn": c.sn} for c in found.unreadable],
            "slots_without_key": [s.sn for s in found.slots],
        }

    def _reconcile_once(self) -> None:
        """What an interruption of restoring left."""
        if needs_reconciling(self._wallet):
            self.reconcile()

    def close(self) -> None:
        """Close the wallet."""
        self._wallet.close()

    def evidence_path(self, case: str) -> Path:
        """Where the evidence of a case that this actor opened is kept."""
        directory = self._wallet.directory / EVIDENCE
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory / f"{case}.evidence"


class PatientActor(AuditCommands, Actor):
    """A patient."""

    def _terminal(self) -> PatientTerminal:
        a = self._around
        return PatientTerminal(self._wallet, a.ledger, a.centre(), a.bodies(self._wallet.directory), a.now_ms, a.random)

    def enrol(self, code: str) -> Result:
        """Enrol with a code of the centre."""
        self._terminal().enrol(code)
        return {"role": "patient", "name": self.name, "enrolled": True}

    def renew(self, count: int = 16) -> Result:
        """Get credentials for this quarter until ``count`` unused ones are there."""
        self._around.ledger.refresh()
        added = self._terminal().renew(count)
        return {"added": added, **self.credentials()}

    def credentials(self) -> Result:
        """Credentials by quarter."""
        quarters: dict[str, dict[str, int]] = {}
        for entry in self._wallet.content.credentials:
            label = f"{entry.quarter // 4}Q{entry.quarter % 4 + 1}"
            counts = quarters.setdefault(label, {"unused": 0, "used": 0})
            counts["unused" if entry.state == UNUSED else "used"] += 1
        return {"quarters": quarters}

    def request(self, doctor: str, day: str, path: str) -> Result:
        """Send a record to a doctor and wait until it is stored."""
        terminal = self._terminal()
        entry = terminal.request(doctor, day, Path(path), progress=self._progress)
        return {**_consultation(entry), "phases_ms": terminal.times.take()}

    def replies(self) -> Result:
        """All consultations, with what the ledger says of them now."""
        terminal = self._terminal()
        entries = terminal.replies()
        listed = []
        for entry in entries:
            answered = entry.state in ("sent", "stored") and terminal.has_reply(entry)
            listed.append({**_consultation(entry), "reply_waiting": answered})
        return {"consultations": listed}

    def read(self, id: str) -> Result:
        """Check the reply to a consultation, open it, erase the one-time keys."""
        terminal = self._terminal()
        diagnosis = terminal.read(id, self._progress)
        return {
            "id": diagnosis.id,
            "doctor": diagnosis.doctor,
            "sn": diagnosis.sn,
            "path": str(diagnosis.path),
            "media_type": diagnosis.media_type,
            "file_name": diagnosis.file_name,
            "time_ms": diagnosis.time_ms,
            "reply_tx": diagnosis.reply_tx.hex(),
            "sha256": file_sha256(diagnosis.path),
            "accepted": True,
            "phases_ms": terminal.times.take(),
        }

    def resume(self) -> Result:
        """Finish what an interruption left."""
        self._reconcile_once()
        return {"finished": [*(_consultation(e) for e in self._terminal().resume()), *self._resume_owner()]}


class MemberActor(Actor):
    """A doctor or an institution: someone with a name on the ledger."""

    def enrol(self, code: str) -> Result:
        """Enrol with a code of the centre, and wait until the key is on the ledger."""
        enrol_member(self._wallet, self._around.ledger, self._around.centre(), code, self._around.random)
        content = self._wallet.content
        self._around.ledger.await_member(content.role, content.name)
        return {"role": content.role, "name": content.name, "enrolled": True}

    def _member(self) -> MemberTerminal:
        self._around.ledger.refresh()
        return MemberTerminal(self._wallet, self._around.ledger, self._around.random)

    def approve(self, case: str, evidence: str) -> Result:
        """Verify the evidence of a tracing case and approve it."""
        self._member().approve_trace(bytes.fromhex(case), _read_evidence(evidence))
        return {"case": case, "approved_by": self.name}

    def open_trace(self, case: str, evidence: str) -> Result:
        """Get the name behind an approved case from the centre, as its asker; the answer is checked, and kept nowhere."""
        identity, trace = self._member().open_trace(self._around.centre(), bytes.fromhex(case), _read_evidence(evidence))
        opened_ms = self._around.ledger.case(bytes.fromhex(case)).opened_ms
        return {"case": case, "identity": identity, "request_tx": trace.tx_hash.hex(), "opened_ms": opened_ms}

    def case(self, case: str) -> Result:
        """What the ledger says of a tracing case."""
        return trace_case(self._around.ledger, bytes.fromhex(case))


class DoctorActor(MemberActor):
    """A doctor."""

    def _terminal(self) -> DoctorTerminal:
        a = self._around
        return DoctorTerminal(self._wallet, a.ledger, a.bodies(self._wallet.directory), a.now_ms, a.random)

    def publish(self, day: str, count: int) -> Result:
        """Open slots of a day."""
        return {"doctor": self.name, "day": day, "slots": self._terminal().publish(day, count)}

    def slots(self) -> Result:
        """All slots with their state."""
        entries = self._terminal().slots()
        return {"slots": [{"sn": s.sn, "day": s.day, "state": s.state} for s in entries]}

    def cancel(self, sns: list[int], note: str = "") -> Result:
        """Close open slots."""
        self._terminal().cancel(tuple(sns), note)
        return {"cancelled": sorted(sns)}

    def queue(self) -> Result:
        """Requests that wait, in the order of their slots."""
        waiting = self._terminal().queue()
        return {
            "waiting": [
                {"id": w.id, "sn": w.sn, "day": w.day, "request_tx": w.tx_hash.hex(), "bytes": w.size_bytes, "time_ms": w.time_ms}
                for w in waiting
            ]
        }

    def open(self, id: str) -> Result:
        """Open a request's record below ``received/`` and say what it is."""
        record = self._terminal().open(id, self._progress)
        info = recognise(record.path)
        return {
            "id": record.id,
            "sn": record.sn,
            "request_tx": record.tx_hash.hex(),
            "path": str(record.path),
            "sha256": file_sha256(record.path),
            "media_type": record.media_type,
            "file_name": record.file_name,
            "measured_ms": record.measured_ms,
            "format": info.format,
            "title": info.title,
            "details": [list(pair) for pair in info.details],
        }

    def treat(self, id: str, reply: str) -> Result:
        """Reply to a request and wait until the reply is stored."""
        terminal = self._terminal()
        done = terminal.treat(id, Path(reply), self._progress)
        return {
            "id": done.id,
            "sn": done.sn,
            "request_tx": done.request_tx.hex(),
            "reply_tx": done.reply_tx.hex(),
            "reply_sha256": file_sha256(Path(reply)),
            "phases_ms": terminal.times.take(),
        }

    def decline(self, id: str, reason: str = "not-authorised", note: str = "") -> Result:
        """Decline a request."""
        self._terminal().decline(id, reason, note)
        return {"id": id, "declined": reason}

    def ask_trace(self, id: str, grounds: str) -> Result:
        """Ask for the sender of a request; writes the evidence to show to institutions and centre."""
        evidence = self._terminal().evidence(id)
        case = self._member().ask_trace(evidence, grounds)
        path = self.evidence_path(case.hex())
        write_atomic(path, evidence.encode())
        return {"case": case.hex(), "evidence": str(path), "grounds": grounds}

    def resume(self) -> Result:
        """Finish what an interruption left."""
        self._reconcile_once()
        return {"finished": [t.id for t in self._terminal().resume()]}


class InstitutionActor(AuditCommands, ReaderCommands, MemberActor):
    """An institution: owns records and asks for others'."""


ACTORS: Final[dict[str, type[Actor]]] = {"patient": PatientActor, "doctor": DoctorActor, "institution": InstitutionActor}


def trace_case(ledger: LedgerClient, case: bytes) -> Result:
    """A tracing case as JSON."""
    ledger.refresh()
    record = ledger.case(case)
    return {
        "case": case.hex(),
        "asker": record.asker,
        "request_tx": record.tx_hash.hex(),
        "asked_ms": record.asked_ms,
        "approved_by": list(record.approved_by),
        "opened_ms": record.opened_ms,
    }


def _read_evidence(path: str) -> Evidence:
    return decode_evidence(read_bounded(Path(path), EVIDENCE_BYTES_MAX, "the evidence"))


def _consultation(entry: ConsultationEntry) -> Result:
    return {
        "id": entry.id,
        "state": entry.state,
        "doctor": entry.doctor,
        "day": entry.day,
        "sn": entry.sn,
        "request_tx": entry.tx_hash.hex(),
        "body_digest": entry.body_digest.hex(),
        "body_bytes": entry.body_size_bytes,
        "file_name": entry.file_name,
    }


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read back, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
