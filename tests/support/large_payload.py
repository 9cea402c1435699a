"""A process that sends a large record through terminal, cloud and doctor; prints its peak memory before and after, as JSON.

Run as ``python large_payload.py DIRECTORY MEBIBYTES``.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from support.embedded import DAY, enrolled_doctor, enrolled_patient, found_network
from support.memory import peak_kib

MIB = 1 << 20


def main(directory: Path, mebibytes: int) -> None:
    """Send, treat and read once with something small, then with something large."""
    small, large = directory / "small", directory / "large.dcm"
    small.write_bytes(os.urandom(MIB))
    with large.open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(MIB))
    with found_network(directory / "home") as network:
        doctor, patient = enrolled_doctor(network, slots=2), enrolled_patient(network, "anna")
        peaks = {}
        for path in (small, large):
            sent = patient.request(doctor.name, DAY, str(path))
            opened = doctor.open(doctor.queue()["waiting"][0]["id"])
            doctor.treat(sent["id"], str(path))
            read = patient.read(sent["id"])
            peaks[path.name] = peak_kib() / 1024
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            assert opened["sha256"] == read["sha256"] == digest
            Path(opened["path"]).unlink()
            Path(read["path"]).unlink()
    print(json.dumps({"before_mib": peaks["small"], "after_mib": peaks[large.name]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
