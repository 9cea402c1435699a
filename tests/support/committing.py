"""A process that commits to an embedded network until it is killed: prints what was acknowledged, a line each.

Run as ``python committing.py HOME``. Each step publishes one slot of the doctor in HOME, whose wallet's passphrase is the tests'.
"""

from __future__ import annotations

import sys
from pathlib import Path

from salus.network.actors import DoctorActor
from salus.network.embedded import EmbeddedNetwork
from support.embedded import DAY, DOCTOR, PASSPHRASE


def main(home: Path) -> None:
    """Publish slots for ever."""
    with EmbeddedNetwork.open(home) as network:
        doctor = network.person(f"doctor-{DOCTOR.replace('/', '.')}", PASSPHRASE)
        assert isinstance(doctor, DoctorActor)
        print("open", flush=True)
        while True:
            (sn,) = doctor.publish(DAY, 1)["slots"]
            print(f"acknowledged {sn}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
