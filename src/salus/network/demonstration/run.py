"""The script of the demonstration, and the report that it gives.

1. Found a network: centre, nodes, cloud, institutions. 2. Doctors enrol and publish slots. 3. One patient for each record
enrols and sends it. 4. Every doctor treats in the order of sn. 5. Every patient checks the diagnosis. 6. Attacks are tried.
7. Records are shared (:mod:`salus.network.demonstration.sharing`). 8. A fresh process verifies the ledger from genesis and
export alone.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from salus.errors import SalusError
from salus.network.actors import Result, file_sha256
from salus.network.demonstration.attempts import try_attacks
from salus.network.demonstration.sharing import show_sharing
from salus.network.demonstration.stage import CLOUDS, DEMO_COST, LocalStage, SharingStage, Stage
from salus.network.embedded import EmbeddedNetwork, system_ms
from salus.network.home import GENESIS_FILE, read_genesis
from salus.records.collection import RecordFile, find_records
from salus.records.generate import generate_records
from salus.symmetric import Random

SCHEMA: Final = 1
SEED: Final = 20190917
"""Seed of the records made on the spot: the day the paper was received."""
DOCTORS: Final = (
    ("st-anne/dr-adler", "Dr Adler, St Anne Hospital"),
    ("riverside/dr-brandt", "Dr Brandt, Riverside Clinic"),
    ("northfield/dr-castell", "Dr Castell, Northfield University Hospital"),
)
SPARE_SLOTS: Final = 8
"""Slots beside those for the records: the attacks want some too."""
Tell = Callable[[str, int, int], None]
"""Told (what is done, how many are done, how many there are)."""


class DemoOptions(msgspec.Struct, frozen=True):
    """What the demonstration is told.

    :ivar records: roots of records; without any, records are made with a fixed seed.
    :ivar home: where everything is written; a temporary directory that is removed afterwards by default.
    """

    records: tuple[Path, ...] = ()
    home: Path | None = None
    nodes: int = 4


def run_demo(
    options: DemoOptions,
    tell: Tell = lambda *_: None,
    random: Random | None = None,
    make_stage: Callable[..., Stage] | None = None,
) -> Result:
    """Run the demonstration with suite mbpa-r1 and return its report (JSON types only).

    :raises SalusError: something that must succeed did not; nothing is passed over.
    """
    import os

    draw = random or os.urandom
    with _home(options.home) as home, tempfile.TemporaryDirectory(prefix="salus-records-") as scratch:
        records = find_records(*(options.records or (_generated(Path(scratch)),)))
        tell("founding the network", 0, 1)
        passphrase = draw(16).hex().encode()
        stage = (make_stage or _local_stage)(home, options.nodes, passphrase, draw)
        try:
            return _Script(stage, records, tell).run()
        finally:
            stage.close()


def _local_stage(home: Path, nodes: int, passphrase: bytes, random: Random) -> Stage:
    network = EmbeddedNetwork.create(home, passphrase, nodes=nodes, random=random, cost=DEMO_COST, clouds=CLOUDS)
    return LocalStage(network, passphrase)


@contextmanager
def _home(home: Path | None) -> Iterator[Path]:
    if home is not None:
        yield home.absolute()  # the fresh process works in another directory
        return
    with tempfile.TemporaryDirectory(prefix="salus-demo-") as directory:
        yield Path(directory) / "home"


def _generated(scratch: Path) -> Path:
    """Records made on the spot, outside the home: they are the patients', and what was sent of them is in ``received/``."""
    directory = scratch / "records"
    generate_records(directory, SEED)
    return directory


class _Script:
    """One run."""

    def __init__(self, stage: Stage, records: list[RecordFile], tell: Tell) -> None:
        self._stage = stage
        self._records = records
        self._tell = tell
        self._day = datetime.fromtimestamp(system_ms() / 1000, UTC).date().isoformat()
        self._doctors: list[tuple[str, str]] = []
        self._phases: dict[str, list[float]] = {}

    def run(self) -> Result:
        count = len(self._records)
        self._enter_doctors()
        sent = []
        for i, record in enumerate(self._records):
            self._tell("patients send records", i, count)
            sent.append(self._send(i, record))
        treated = self._treat_all(count)
        consultations = []
        for i, (record, (party, request)) in enumerate(zip(self._records, sent, strict=True)):
            self._tell("patients check diagnoses", i, count)
            consultations.append(self._check_up(record, party, request, treated[request["request_tx"]]))
        self._tell("attacks are tried", 0, 1)
        refused = try_attacks(self._stage, self._doctors[0], self._day, consultations[0]["request_tx"])
        bits = self._stage.do(
            self._doctors[0][0], "message_bits", request_tx=consultations[0]["request_tx"], reply_tx=consultations[0]["reply_tx"]
        )
        shared = self._share([party for party, _ in sent])
        self._tell("a fresh process verifies the ledger", 0, 1)
        status = self._stage.node_status()
        verified = self._verify()
        return {
            "schema": SCHEMA,
            "engine": "pbft",
            "suite": "mbpa-r1",
            "height": max(s["height"] for s in status),
            "application_hashes": {s["name"]: s["application_hash"] for s in status},
            "ledger_verified": verified["ledger_verified"]
            and all(verified["application_hash"] == s["application_hash"] for s in status),
            "verified": verified,
            "parties": self._parties(),
            "consultations": consultations,
            "refused": refused,
            "phases_ms": {phase: summary(values) for phase, values in self._phases.items()},
            "message_bits": bits,
            **shared,
        }

    def _parties(self) -> Result:
        """Who there is, as the genesis says."""
        core = read_genesis(self._stage.home / "centre" / GENESIS_FILE).core
        seats = set(core.validators)
        return {
            "centre": core.centre.name,
            "nodes": list(core.validators),
            "check_nodes": [node.member.name for node in core.nodes if node.member.name not in seats],
            "clouds": [cloud.member.name for cloud in core.clouds],
            "institutions": [institution.member.name for institution in core.institutions],
        }

    def _share(self, owners: list[str]) -> Result:
        """The sharing half, on a stage that has it."""
        stage = self._stage
        if not isinstance(stage, SharingStage):
            return {}
        nodes = [status["name"] for status in stage.node_status()]
        return show_sharing(stage, self._records, owners, nodes, self._tell, lambda p, ms: self._note({"phases_ms": {p: ms}}))

    def _enter_doctors(self) -> None:
        slots = -(-len(self._records) // len(DOCTORS)) + SPARE_SLOTS
        for name, display in DOCTORS:
            party = self._stage.enter("doctor", name, display)
            self._stage.do(party, "enrol", code=self._stage.code("doctor", name, display))
            self._stage.do(party, "publish", day=self._day, count=slots)
            self._doctors.append((party, name))

    def _send(self, i: int, record: RecordFile) -> tuple[str, Result]:
        identity = f"patient {i + 1:04d}"
        party = self._stage.enter("patient", identity, identity)
        self._stage.do(party, "enrol", code=self._stage.code("patient", identity, identity))
        self._stage.do(party, "renew", count=1)
        doctor = self._doctors[i % len(self._doctors)][1]
        request = self._stage.do(party, "request", doctor=doctor, day=self._day, path=str(record.path))
        self._note(request)
        return party, request

    def _treat_all(self, count: int) -> dict[str, Result]:
        treated: dict[str, Result] = {}
        for party, _ in self._doctors:
            replies = self._stage.home / party / "replies"
            replies.mkdir(mode=0o700, exist_ok=True)
            for waiting in self._stage.do(party, "queue")["waiting"]:
                self._tell("doctors treat in the order of sn", len(treated), count)
                opened = self._stage.do(party, "open", id=waiting["id"])
                reply = replies / f"{waiting['id']}.txt"
                reply.write_text(diagnosis(opened))
                done = self._stage.do(party, "treat", id=waiting["id"], reply=str(reply))
                self._note(done)
                treated[done["request_tx"]] = {**done, "opened": opened}
        return treated

    def _check_up(self, record: RecordFile, party: str, request: Result, treated: Result) -> Result:
        read = self._stage.do(party, "read", id=request["id"])
        self._note(read)
        self._stage.leave(party)
        return {
            "record": record.relative,
            "format": treated["opened"]["format"],
            "title": treated["opened"]["title"],
            "bytes": record.size_bytes,
            "sha256": file_sha256(record.path),
            "doctor_received_sha256": treated["opened"]["sha256"],
            "reply_sha256": treated["reply_sha256"],
            "patient_received_reply_sha256": read["sha256"],
            "doctor": request["doctor"],
            "sn": request["sn"],
            "request_tx": request["request_tx"],
            "reply_tx": read["reply_tx"],
            "accepted": read["accepted"],
        }

    def _note(self, result: Result) -> None:
        for phase, spent_ms in result.pop("phases_ms", {}).items():
            self._phases.setdefault(phase, []).append(spent_ms)

    def _verify(self) -> dict[str, Any]:
        """A fresh process that has nothing but the genesis and an export."""
        genesis = self._stage.home / "centre" / GENESIS_FILE
        with tempfile.TemporaryDirectory(prefix="salus-export-") as directory:
            export = Path(directory) / "ledger.export"
            self._stage.export(export)
            command = [sys.executable, "-m", "salus.ledger.verify", str(genesis), str(export)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)  # noqa: S603 - our own module
        if done.returncode != 0:
            raise SalusError(f"the fresh process did not verify the ledger: {done.stderr.strip()[-2000:]}")
        result: dict[str, Any] = json.loads(done.stdout)
        return result


def diagnosis(opened: Result) -> str:
    """What the demonstration's doctors write: plain text that names the record they saw."""
    return (
        f"Diagnosis for slot {opened['sn']}\n"
        f"Record: {opened['title']} ({opened['format']}, {opened['media_type']})\n"
        f"SHA-256 of what was read: {opened['sha256']}\n"
        "Finding: seen and assessed; no urgent action. Follow-up in three months.\n"
    )


def summary(values: list[float]) -> dict[str, float]:
    """Median and 99th percentile, milliseconds."""
    ordered = sorted(values)
    rank = min(len(ordered) - 1, max(0, -(-99 * len(ordered) // 100) - 1))
    return {"median": round(statistics.median(ordered), 3), "p99": round(ordered[rank], 3)}
