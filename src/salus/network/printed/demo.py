"""The demonstration of the printed suite: the same script and report as for mbpa-r1, and the attacks that succeed.

Nothing but the suite differs: one patient for each record sends it, doctors treat in the order of sn, patients check, attacks
are tried, a fresh process verifies the ledger. The report lists attempts that were refused under ``refused``, as for r1, and
those that the printed protocol lets through under ``not_refused``.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from salus import labels
from salus.consultation.published.messages import MAX_DATA_BYTES, Request, Transaction2
from salus.consultation.published.parties import WARNING
from salus.errors import Refused, SalusError
from salus.files import read_bounded, write_atomic
from salus.network.printed.messages import Ordered
from salus.network.printed.network import PrintedNetwork, system_ms
from salus.records.collection import RecordFile
from salus.symmetric import Random

DOCTORS: Final = ("st-anne/dr-adler", "riverside/dr-brandt", "northfield/dr-castell")
Tell = Callable[[str, int, int], None]
Report = dict[str, Any]


def run_printed_demo(
    records: Sequence[RecordFile],
    home: Path,
    tell: Tell = lambda *_: None,
    random: Random = os.urandom,
    now_ms: Callable[[], int] = system_ms,
) -> Report:
    """Run the demonstration with suite mbpa-2019; the report has JSON types only and carries the warning.

    :param home: directory below which every party writes; created.
    :raises SalusError: a record is larger than a printed transaction can be, something that must succeed did not, or the
        forgery was refused.
    """
    for record in records:
        if record.size_bytes > MAX_DATA_BYTES:
            raise SalusError(
                f"{record.path} has {record.size_bytes:,} bytes, and mbpa-2019 sends a record whole, {MAX_DATA_BYTES:,} bytes at "
                "most: leave it out, or use --suite mbpa-r1, which streams"
            )
    network = PrintedNetwork.create(home, random=random, now_ms=now_ms)
    try:
        return _Script(network, records, tell).run()
    finally:
        network.close()


class _Script:
    """One run."""

    def __init__(self, network: PrintedNetwork, records: Sequence[RecordFile], tell: Tell) -> None:
        self._network = network
        self._records = records
        self._tell = tell
        self._phases: dict[str, list[float]] = {}
        self._patients = [f"patients/p-{i + 1:04d}" for i in range(len(records))]
        self._bits: dict[str, int] = {}

    def run(self) -> Report:
        network, count = self._network, len(self._records)
        for doctor in DOCTORS:
            network.register("doctor", doctor)
        for patient in self._patients:
            network.register("patient", patient)
        network.start()
        sent: list[tuple[bytes, str]] = []
        for i, record in enumerate(self._records):
            self._tell("patients send records", i, count)
            sent.append(self._send(self._patients[i], DOCTORS[i % len(DOCTORS)], record))
        consultations = []
        for i, (record, (request, tx)) in enumerate(zip(self._records, sent, strict=True)):
            self._tell("doctors treat, patients check", i, count)
            consultations.append(self._treat(self._patients[i], record, request, tx))
        self._tell("attacks are tried", 0, 1)
        refused, not_refused = self._attacks(sent[0][0])
        self._tell("a fresh process verifies the ledger", 0, 1)
        verified, hashes = self._verify(), network.application_hashes()
        return {
            "schema": 1,
            "engine": "pbft",
            "suite": labels.SUITE_2019,
            "warning": WARNING,
            "height": network.height,
            "application_hashes": hashes,
            "ledger_verified": all(verified["application_hash"] == value for value in hashes.values()),
            "verified": verified,
            "consultations": consultations,
            "refused": refused,
            "not_refused": not_refused,
            "phases_ms": {phase: _summary(values) for phase, values in self._phases.items()},
            "message_bits": self._bits,
        }

    def _timed(self, phase: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter_ns()
        result = call()
        self._phases.setdefault(phase, []).append((time.perf_counter_ns() - start) / 1e6)
        return result

    def _send(self, patient: str, doctor: str, record: RecordFile) -> tuple[bytes, str]:
        network = self._network
        payload = read_bounded(record.path, MAX_DATA_BYTES, "a record")
        request: bytes = self._timed("request", lambda: network.request(patient, doctor, payload))
        committed = self._timed("chain request", lambda: network.commit_transaction(request))
        self._timed("store request", lambda: network.store(request))
        return request, committed.tx_hash.hex()

    def _treat(self, patient: str, record: RecordFile, request: bytes, request_tx: str) -> Report:
        network, t = self._network, Request.decode(request).transaction
        diagnosis = f"Diagnosis for number {t.sn} of {t.ID_DO}: seen and assessed.\n".encode()
        received, reply = self._timed("treatment", lambda: network.treat(t.ID_DO, request, diagnosis))
        committed = self._timed("chain reply", lambda: network.commit_transaction(reply))
        self._timed("store reply", lambda: network.store(reply))
        read = self._timed("check up", lambda: network.check_up(patient, reply))
        self._bits = _message_bits(request, reply)
        doctor_file = network.received(t.ID_DO) / str(t.sn)
        patient_file = next(network.received(patient).iterdir())
        return {
            "record": record.relative,
            "bytes": record.size_bytes,
            "sha256": _sha256(record.path.read_bytes()),
            "doctor_received_sha256": _sha256(doctor_file.read_bytes()),
            "reply_sha256": _sha256(diagnosis),
            "patient_received_reply_sha256": _sha256(patient_file.read_bytes()),
            "doctor": t.ID_DO,
            "sn": t.sn,
            "request_tx": request_tx,
            "reply_tx": committed.tx_hash.hex(),
            "accepted": received == record.path.read_bytes() and read == diagnosis,
        }

    def _attacks(self, committed: bytes) -> tuple[list[Report], list[Report]]:
        network, victim, doctor = self._network, self._patients[0], DOCTORS[0]
        refused = [_refusal("replay", lambda: network.commit(committed))]
        forged = network.forge(victim, doctor, b"forged health data")
        try:
            network.commit(forged)
            received, _ = network.treat(doctor, forged, b"answer to the forgery")
        except Refused as refusal:
            raise SalusError(f"the forgery was refused ({refusal}): this is not the printed protocol") from None
        detail = f"nodes and {doctor} accepted {len(received)} bytes in the name of a patient who sent nothing"
        not_refused: list[Report] = [{"attempt": "forgery", "detail": detail}]
        again = network.request(victim, doctor, b"second use of the same key pair")
        network.commit(again)
        not_refused.append({"attempt": "double-use", "detail": "a key pair serves for ever, and links all its visits"})
        not_refused.append({"attempt": "revoked", "detail": "the printed protocol has no revocation"})
        refused.append(self._tampered_reply(victim, doctor, again))
        return refused, not_refused

    def _tampered_reply(self, patient: str, doctor: str, request: bytes) -> Report:
        network = self._network
        _, reply = network.treat(doctor, request, b"Diagnosis: healthy.\n")
        network.commit(reply)
        t = Transaction2.decode(reply)
        altered = msgspec.structs.replace(t, C=t.C[:-1] + bytes([t.C[-1] ^ 1])).encode()
        # What Algorithm 11 says of the altered reply, without the chain's help.
        return _refusal("tampered-reply", lambda: network.patients[patient].check(network.directory, altered))

    def _verify(self) -> Report:
        """A fresh process that has nothing but the genesis and an export."""
        network = self._network
        if network.genesis is None:
            raise SalusError("the network was not started")
        genesis, export = network.home / "centre" / "genesis", network.home / "centre" / "ledger.export"
        genesis.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(genesis, network.genesis.encode())
        write_atomic(export, network.export().encode())
        command = [sys.executable, "-m", "salus.network.printed.fresh", str(genesis), str(export)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
        if done.returncode != 0:
            raise SalusError(f"the fresh process did not verify the ledger: {done.stderr.strip()[-2000:]}")
        result: Report = json.loads(done.stdout)
        return result


def _refusal(attempt: str, call: Callable[[], object]) -> Report:
    try:
        call()
    except Refused as refusal:
        return {"attempt": attempt, "reason": refusal.reason, "detail": refusal.detail}
    raise SalusError(f"the attempt {attempt!r} was not refused")


def _message_bits(request: bytes, reply: bytes) -> dict[str, int]:
    r, t = Request.decode(request), Transaction2.decode(reply)
    return {
        "transaction 1": 8 * len(r.transaction.encode()),
        "transaction 1 with pk_PA": 8 * len(request),
        "transaction 1 without C": 8 * len(Ordered.of(r)[0].encode()),
        "transaction 2": 8 * len(reply),
        "transaction 2 without C": 8 * len(Ordered.of(t)[0].encode()),
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    rank = min(len(ordered) - 1, max(0, -(-99 * len(ordered) // 100) - 1))
    return {"median": round(statistics.median(ordered), 3), "p99": round(ordered[rank], 3)}
