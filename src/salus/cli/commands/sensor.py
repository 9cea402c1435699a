"""``salus sensor``: a paired body sensor, replayed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from salus.cli.failures import CommandFailed
from salus.cli.options import command, group
from salus.cli.screen import Screen, size
from salus.cli.session import Result, Session

APP = group("sensor", "Record a body sensor into a payload.")
DEVICE = "replayed-sensor"


@command(
    APP,
    "record",
    ("sensor record --source 100.hea --seconds 30 --out ecg.json", "sensor record --source observations.csv --out vitals.json"),
)
def record(
    session: Session,
    source: Annotated[
        Path, typer.Option(metavar="FILE", help="A WFDB header (.hea), or a table of vital signs (.csv).", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The FHIR payload to write.", show_default=False)],
    seconds: Annotated[
        float | None, typer.Option(min=0.1, metavar="S", help="Of a waveform: how much of it.", show_default="all")
    ] = None,
    patient: Annotated[str, typer.Option(metavar="ID", help="Of a table: whose rows.", show_default="the first row's")] = "",
) -> Result:
    """Play a recording as a paired device would, receive its authenticated stream, and write it as FHIR Observations."""
    from salus.records.observation import record_session
    from salus.records.pairing import DevicePairing, TerminalPairing
    from salus.records.replay import VitalsReplay, WaveformReplay
    from salus.records.sensor import Measurement, SensorDevice

    if out.exists():
        raise CommandFailed("storage", f"{out} exists already; name a new file")
    measurement: Measurement
    if source.suffix == ".hea":
        measurement = WaveformReplay(source, time.time_ns() // 1_000_000, seconds)
    elif source.suffix == ".csv":
        measurement = VitalsReplay(source, patient)
    else:
        raise CommandFailed("format", f"{source} is neither a WFDB header (.hea) nor a table of vital signs (.csv)")
    import secrets

    code = f"{secrets.randbelow(10**8):08d}"
    device, terminal = DevicePairing(DEVICE, code), TerminalPairing(DEVICE, code)
    confirm, paired = terminal.finish(device.answer(terminal.hello()))
    session.progress.stage("receiving the sensor's stream")
    counts = record_session(paired, SensorDevice(device.complete(confirm), measurement).open, out)
    size_bytes = out.stat().st_size
    data = {
        "file": str(out),
        "bytes": size_bytes,
        "frames": counts.taken,
        "lost": counts.lost,
        "refused": counts.refused,
        "received_bytes": counts.received_bytes,
    }

    def show(screen: Screen) -> None:
        screen.line(f"Wrote {out}: {size(size_bytes)}, from {counts.taken} frames, {counts.lost} lost, {counts.refused} refused.")

    return Result(data, show)
