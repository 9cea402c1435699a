"""A small embedded network for tests, with cheap passphrases."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from salus.network.actors import DoctorActor, PatientActor
from salus.network.embedded import EmbeddedNetwork, system_ms
from salus.terminal.sealed import Argon2Cost

CHEAP = Argon2Cost(memory_kib=8 * 1024, iterations=1, lanes=1)
PASSPHRASE = b"a passphrase for tests"
DAY = datetime.now(UTC).date().isoformat()
DOCTOR = "st-anne/dr-test"


def found_network(home: Path, **options: Any) -> EmbeddedNetwork:
    """A fresh network in ``home``: founded there if it is to differ from others, else a copy of one that was founded before."""
    if set(options) - {"now_ms", "random"} or home.exists():
        return EmbeddedNetwork.create(home, PASSPHRASE, cost=CHEAP, **options)
    shutil.copytree(founded_home(), home)
    return EmbeddedNetwork.open(home, **options)


@functools.cache
def founded_home() -> Path:
    """A home that was founded and closed, made once for all tests of a process: never to be opened itself."""
    directory = Path(tempfile.mkdtemp(prefix="salus-tests-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    EmbeddedNetwork.create(directory / "home", PASSPHRASE, cost=CHEAP).close()
    return directory / "home"


def enrolled_doctor(network: EmbeddedNetwork, name: str = DOCTOR, *, slots: int = 8) -> DoctorActor:
    """A doctor on the ledger, with open slots today."""
    actor, _ = network.create_person("doctor", name, PASSPHRASE, cost=CHEAP)
    assert isinstance(actor, DoctorActor)
    actor.enrol(network.centre.new_code("doctor", name))
    if slots:
        actor.publish(DAY, slots)
    return actor


def new_patient(network: EmbeddedNetwork, name: str, **options: Any) -> PatientActor:
    """A patient with a wallet, not enrolled yet."""
    actor, _ = network.create_person("patient", name, PASSPHRASE, cost=CHEAP, **options)
    assert isinstance(actor, PatientActor)
    return actor


def enrolled_patient(network: EmbeddedNetwork, name: str, *, credentials: int = 2, **options: Any) -> PatientActor:
    """A patient with credentials."""
    actor = new_patient(network, name, **options)
    actor.enrol(network.centre.new_code("patient", name))
    actor.renew(credentials)
    return actor


def opened_doctor(network: EmbeddedNetwork, name: str = DOCTOR) -> DoctorActor:
    """A doctor's wallet of this home, opened."""
    actor = network.person(f"doctor-{name.replace('/', '.')}", PASSPHRASE)
    assert isinstance(actor, DoctorActor)
    return actor


def opened_patient(network: EmbeddedNetwork, name: str) -> PatientActor:
    """A patient's wallet of this home, opened."""
    actor = network.person(f"patient-{name}", PASSPHRASE)
    assert isinstance(actor, PatientActor)
    return actor


class Clock:
    """The system's clock with an offset that a test moves."""

    def __init__(self, start_ms: int | None = None) -> None:
        self.offset_ms = 0 if start_ms is None else start_ms - system_ms()

    def __call__(self) -> int:
        return system_ms() + self.offset_ms

    def advance(self, by_ms: int) -> None:
        """Jump; negative values jump back."""
        self.offset_ms += by_ms
