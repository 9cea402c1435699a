"""What a sensor's stream becomes: FHIR Observations with SampledData, gaps named, memory bounded."""

from __future__ import annotations

import io
import json
import tracemalloc
from array import array
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from salus.errors import FormatError, TransportError
from salus.records import observation
from salus.records.file import recognise
from salus.records.observation import ObservationWriter, record_session
from salus.records.pairing import Paired
from salus.records.replay import VitalsReplay, WaveformReplay
from salus.records.sensor import (
    HELD_MAX,
    MISSING,
    Channel,
    End,
    Reading,
    Samples,
    SensorDevice,
    Start,
    _seal,
    _session_cipher,
)
from salus.records.terminal_cost import measure_terminal
from support.sensor_world import LEAD, PAIRED, START_MS, TICKS, Counting, session

from .conftest import seeded


def written(contents: list[Any], channels: int = 2) -> dict[str, Any]:
    sink = io.BytesIO()
    writer = ObservationWriter(sink)
    writer.start(Counting(0, channels).start())
    for content in contents:
        if isinstance(content, Samples):
            writer.samples(content)
        elif isinstance(content, Reading):
            writer.reading(content)
        else:
            writer.end(content)
    document: dict[str, Any] = json.loads(sink.getvalue())
    Bundle.model_validate(document)
    assert writer.written_bytes == len(sink.getvalue())
    return document


def data_of(document: dict[str, Any], channel: int = 0) -> list[list[str]]:
    return [
        entry["resource"]["component"][channel]["valueSampledData"]["data"].split()
        for entry in document["entry"]
        if "component" in entry["resource"]
    ]


def test_samples_become_sampled_data() -> None:
    document = written([*Counting(3).contents(), End(30, 0)])
    (first,), (second,) = data_of(document, 0), data_of(document, 1)
    assert first == [str(tick) for tick in range(30)]
    assert second == [str(-tick % 30_000) for tick in range(30)]
    resource = document["entry"][0]["resource"]
    assert resource["effectivePeriod"] == {"start": "2023-11-14T22:13:20.000Z", "end": "2023-11-14T22:13:20.290Z"}
    sampled = resource["component"][0]["valueSampledData"]
    assert (sampled["period"], sampled["factor"], sampled["dimensions"], sampled["origin"]["code"]) == (10.0, 0.005, 1, "mV")
    assert (sampled["lowerLimit"], sampled["upperLimit"]) == (-32_768 * 0.005, 32_767 * 0.005)
    assert "note" not in resource


def test_short_gap_is_filled_and_named() -> None:
    frames = list(Counting(5).contents())
    document = written([frames[0], frames[3], frames[4], End(50, 0)])
    (values,) = data_of(document)
    assert values == [*map(str, range(10)), *["E"] * 20, *map(str, range(30, 50))]
    assert "10 to 29" in document["entry"][0]["resource"]["note"][0]["text"]


def test_samples_the_device_could_not_take() -> None:
    document = written([Samples(0, array("h", [1, MISSING, 3]).tobytes()), End(3, 0)], channels=1)
    assert data_of(document) == [["1", "E", "3"]]


def test_long_gap_begins_another_observation() -> None:
    document = written([Samples(0, bytes(4)), Samples(10**12, bytes(4)), End(10**12 + 1, 0)])
    assert data_of(document) == [["0"], ["0"]]
    second = document["entry"][1]["resource"]
    assert second["effectivePeriod"]["start"] > "2300"
    assert "1 to 999999999999" in second["note"][0]["text"]


def test_many_gaps_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "GAPS_NAMED_MAX", 3)
    document = written([*(Samples(2 * n, bytes(4)) for n in range(10)), End(19, 0)])
    assert document["entry"][0]["resource"]["note"][0]["text"].startswith("Not received (9 gaps)")


def test_end_that_is_missing_or_names_more() -> None:
    assert "broke off after 10 samples" in json.dumps(written([*Counting(1).contents(), None]))
    assert "Samples 10 to 99 at the end were not received" in json.dumps(written([*Counting(1).contents(), End(100, 0)]))
    assert "2 of 2 readings were not received" in json.dumps(written([End(0, 2)]))


def test_blocks_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "BLOCK_TICKS", 16)
    document = written([*Counting(10).contents(), End(100, 0)])
    assert [len(values) for values in data_of(document)] == [16] * 6 + [4]
    assert [value for values in data_of(document) for value in values] == [str(tick) for tick in range(100)]
    starts = [entry["resource"]["effectivePeriod"]["start"] for entry in document["entry"]]
    assert starts[:2] == ["2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.160Z"]
    assert len({entry["fullUrl"] for entry in document["entry"]}) == 7


def test_readings_become_quantities() -> None:
    document = written([*Counting(0, readings=2).contents(), End(0, 2)])
    quantities = [entry["resource"]["valueQuantity"] for entry in document["entry"]]
    assert [(q["value"], q["code"]) for q in quantities] == [(60.0, "/min"), (61.0, "/min")]


@pytest.mark.parametrize(
    "start",
    [
        Start("x", LEAD.concept, 0, 0, 1, (LEAD,)),
        Start("x", LEAD.concept, 0, 1, 0, (LEAD,)),
        Start("x", LEAD.concept, 0, 1, 1, (Channel(LEAD.concept, "mV", "many", 0, 1),)),
    ],
)
def test_starts_that_mean_nothing(start: Start) -> None:
    with pytest.raises(FormatError):
        ObservationWriter(io.BytesIO()).start(start)


@pytest.mark.parametrize(("time_ms", "value"), [(2**63, "1"), (0, "nan"), (0, "1e400"), (0, "high")])
def test_readings_that_mean_nothing(time_ms: int, value: str) -> None:
    with pytest.raises(FormatError):
        written([Reading(time_ms, LEAD.concept, value, "1"), End(0, 1)])


def test_session_to_a_file(tmp_path: Path) -> None:
    counts = record_session(PAIRED, SensorDevice(PAIRED, Counting(50)).open, tmp_path / "ecg.json")
    assert counts.taken == 52
    found = recognise(tmp_path / "ecg.json")
    assert (found.format, found.title) == ("fhir", "FHIR bundle of 1 resource: EKG study")


def test_session_without_a_device_leaves_nothing(tmp_path: Path) -> None:
    stranger = Paired("patch-7", b"another key".ljust(32))
    with pytest.raises(TransportError, match="no frame that authenticates"):
        record_session(PAIRED, SensorDevice(stranger, Counting(5)).open, tmp_path / "ecg.json")
    assert not list(tmp_path.iterdir())


def test_published_ecg(samples: Path, tmp_path: Path) -> None:
    """A minute of MIT-BIH 100 over a link that loses four frames: valid FHIR, the record's values, gaps where they were."""
    device = SensorDevice(PAIRED, WaveformReplay(samples / "waveform/mitdb_100/100.hea", START_MS, seconds=60))

    def link(challenge: bytes) -> tuple[bytes, list[bytes]]:
        opening, frames = device.open(challenge)
        sent = list(frames)
        return opening, sent[:10] + sent[14:]

    counts = record_session(PAIRED, link, tmp_path / "ecg.json")
    assert (counts.taken, counts.lost) == (58, 4)
    document = json.loads((tmp_path / "ecg.json").read_text())
    Bundle.model_validate(document)
    values = [value for block in data_of(document) for value in block]
    assert len(values) == 60 * 360
    assert values[:3] == ["-29", "-29", "-29"]  # (995 - 1024) * 0.005 mV: the first sample of the record's header
    assert [index // 360 for index, value in enumerate(values) if value == "E"] == [9] * 360 + [10] * 360 + [11] * 360 + [
        12
    ] * 360
    codes = [component["code"]["text"] for component in document["entry"][0]["resource"]["component"]]
    assert codes == ["MLII", "MDC_ECG_ELEC_POTL_V5"]


def test_vital_signs(samples: Path, tmp_path: Path) -> None:
    patient = "9e886a7a-8005-c51c-1c8a-80fd103ec297"
    replay = VitalsReplay(samples / "vitals_csv/observations.csv", patient)
    counts = record_session(PAIRED, SensorDevice(PAIRED, replay).open, tmp_path / "vitals.json")
    document = json.loads((tmp_path / "vitals.json").read_text())
    Bundle.model_validate(document)
    assert len(document["entry"]) == counts.taken - 2 > 5
    times = [entry["resource"]["effectiveDateTime"] for entry in document["entry"]]
    assert times == sorted(times)
    assert "Heart rate" in {entry["resource"]["code"]["text"] for entry in document["entry"]}
    assert patient not in (tmp_path / "vitals.json").read_text()


COLUMNS = "DATE,PATIENT,CATEGORY,CODE,DESCRIPTION,VALUE,UNITS,TYPE\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A,B\n1,2\n",
        COLUMNS,
        COLUMNS + "x,p,vital-signs,1,d,1,u,numeric\n",
        COLUMNS + "2020-01-01T00:00:00Z,p,vital-signs,1,d,high,u,numeric\n",
        COLUMNS + "2020-01-01T00:00:00Z,p\n",
    ],
)
def test_malformed_vital_signs(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(FormatError):
        VitalsReplay(tmp_path / "t.csv")


def test_memory_of_the_terminal_is_bounded() -> None:
    """Ten times the session, the same memory; the figures are those the bench prints."""
    short, long = measure_terminal(Counting(2_000)), measure_terminal(Counting(20_000))
    assert long.frames == 20_002
    assert long.measured_bytes == 20_000 * TICKS * 4
    assert long.received_bytes > long.measured_bytes
    assert long.payload_bytes > 9 * short.payload_bytes
    assert long.peak_memory_bytes < 1.2 * short.peak_memory_bytes < 2 << 20
    assert long.cpu_ms > 0
    assert long.pairing_bytes < 400


def test_memory_of_a_full_window() -> None:
    """The first frame never comes and the others are as large as they may be: the terminal holds a window of them, no more."""
    receiver, _, _ = session()
    cipher = _session_cipher(PAIRED, seeded("terminal")(16), seeded("device")(16))
    tracemalloc.start()
    try:
        for sequence in range(1, 10 * HELD_MAX):
            receiver.take(_seal(cipher, sequence, Samples(0, bytes(8192))))
        assert tracemalloc.get_traced_memory()[1] < 2 * HELD_MAX * 8192
    finally:
        tracemalloc.stop()
