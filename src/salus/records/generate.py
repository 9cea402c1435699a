"""Demonstration records, made on the spot from a seed: the same seed gives the same bytes.

Every person in them is invented. FHIR comes from the package ``carebundle``, the other formats from the small writers here.
"""

from __future__ import annotations

import io
import math
import random
from array import array
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import msgspec
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from salus.errors import StorageError
from salus.files import write_atomic
from salus.records.observation import ObservationWriter
from salus.records.replay import LOINC, MDC
from salus.records.sensor import Channel, Concept, End, Samples, Start

UID_ROOT: Final = "2.25."
"""UUID-derived identifiers (ISO/IEC 9834-8): nobody has to register them."""
TODAY: Final = date(2026, 3, 2)
"""Day of all demonstration records: fixed, so that they do not change from day to day."""
IMAGE_SIDE: Final = 128
ECG_RATE_HZ: Final = 250
ECG_SECONDS: Final = 30

_GIVEN: Final = (
    ("Amina", "F"), ("Bruno", "M"), ("Chiara", "F"), ("Dmitri", "M"), ("Elif", "F"), ("Farid", "M"), ("Greta", "F"),
    ("Hiro", "M"), ("Ines", "F"), ("Jonas", "M"), ("Keiko", "F"), ("Luis", "M"), ("Maren", "F"), ("Nils", "M"),
    ("Odile", "F"), ("Pavel", "M"),
)  # fmt: skip
_FAMILY: Final = (
    "Abendroth", "Baltasar", "Castellan", "Dahlgren", "Eriksen", "Fontaine", "Galanis", "Hoffmeyer",
    "Ivarsson", "Jankovic", "Kowalik", "Lindqvist", "Moreau", "Nakagawa", "Okonjo", "Petrosyan",
)  # fmt: skip


class Person(msgspec.Struct, frozen=True):
    """An invented patient."""

    given: str
    family: str
    sex: str
    born: date
    number: str


def generate_records(directory: Path, seed: int) -> list[Path]:
    """Write seven demonstration records below ``directory``, in sub-directories by kind.

    :param seed: any integer; the same seed gives the same bytes.
    :returns: the files written, in the order of their names.
    :raises StorageError: if they cannot be written.
    """
    written = []
    for name, content in _records(seed):
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot create {path.parent}: {error.strerror or error}") from error
        write_atomic(path, content, 0o644)
        written.append(path)
    return sorted(written)


def _records(seed: int) -> Iterator[tuple[str, bytes]]:
    def draw(kind: str) -> random.Random:
        return random.Random(f"salus {seed} {kind}")  # one stream each: adding a record changes no other

    yield "fhir/diabetes-history.json", fhir_history("type2_diabetes", seed)
    yield "fhir/hypertension-visit.json", fhir_visit("hypertension", seed + 1)
    yield "dicom/chest-ct.dcm", dicom_slice(draw("dicom"))
    yield "hl7v2/blood-count.hl7", hl7v2_result(draw("hl7v2"))
    yield "ccda/discharge-summary.xml", ccda_summary(draw("ccda"))
    yield "sensor/ecg.json", sensor_ecg(draw("sensor"))
    yield "letter.txt", letter(draw("letter"))


def person(draw: random.Random) -> Person:
    """An invented patient."""
    given, sex = draw.choice(_GIVEN)
    born = date(1935, 1, 1) + timedelta(days=draw.randrange(75 * 365))
    return Person(given, draw.choice(_FAMILY), sex, born, f"{draw.randrange(10**8):08d}")


def fhir_history(profile: str, seed: int) -> bytes:
    """Several visits of one patient as a FHIR R4 bundle."""
    import carebundle  # slow to import (its models); only demonstrations need it

    sex = "F" if seed % 2 else "M"
    return carebundle.to_json(carebundle.generate_history(profile=profile, seed=seed, sex=sex, reference_date=TODAY)).encode()


def fhir_visit(profile: str, seed: int) -> bytes:
    """One visit of one patient, with laboratory panels, as a FHIR R4 bundle."""
    import carebundle

    sex = "F" if seed % 2 else "M"
    return carebundle.to_json(carebundle.generate_bundle(profile=profile, seed=seed, sex=sex, reference_date=TODAY)).encode()


def dicom_slice(draw: random.Random) -> bytes:
    """One CT slice of a phantom: a body, two lungs, a spine, noise (Hounsfield units, 16 bits)."""
    patient = person(draw)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(draw)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _uid(random.Random("salus implementation"))
    meta.ImplementationVersionName = "SALUS"
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID = _uid(draw), _uid(draw)
    image.PatientName, image.PatientID = f"{patient.family}^{patient.given}", patient.number
    image.PatientBirthDate, image.PatientSex = f"{patient.born:%Y%m%d}", patient.sex
    image.StudyDate, image.StudyTime, image.StudyID = f"{TODAY:%Y%m%d}", "093000", "1"
    image.AccessionNumber, image.ReferringPhysicianName = "A1", "Demonstration"
    image.Modality, image.BodyPartExamined = "CT", "CHEST"
    image.StudyDescription, image.SeriesDescription = "CT of the chest without contrast", "Axial 5 mm (synthetic phantom)"
    image.Manufacturer, image.SeriesNumber, image.InstanceNumber = "Salus demonstration", 1, 1
    image.Rows = image.Columns = IMAGE_SIDE
    image.PixelSpacing, image.SliceThickness = ["2.8", "2.8"], "5"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    image.RescaleIntercept, image.RescaleSlope = "0", "1"
    image.PixelData = _phantom(draw)
    out = io.BytesIO()
    dcmwrite(out, image, enforce_file_format=True)
    return out.getvalue()


def _phantom(draw: random.Random) -> bytes:
    """Pixels in Hounsfield units: air -1000, soft tissue 40, lung -800, bone 700."""
    pixels = array("h")
    breath = 0.28 + draw.random() * 0.06
    for row in range(IMAGE_SIDE):
        y = 2 * row / IMAGE_SIDE - 1
        for column in range(IMAGE_SIDE):
            x = 2 * column / IMAGE_SIDE - 1
            value = -1000
            if (x / 0.9) ** 2 + (y / 0.7) ** 2 < 1:
                value = 40
                if ((abs(x) - 0.42) / breath) ** 2 + (y / 0.5) ** 2 < 1:
                    value = -800
                elif (x / 0.12) ** 2 + ((y - 0.48) / 0.12) ** 2 < 1:
                    value = 700
            pixels.append(value + draw.randrange(-15, 16))
    return b"".join(value.to_bytes(2, "little", signed=True) for value in pixels)


def hl7v2_result(draw: random.Random) -> bytes:
    """A blood count as an HL7 v2.5.1 ORU^R01 message."""
    patient = person(draw)
    when = f"{TODAY:%Y%m%d}0815"
    panel = (
        ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 12.0, 17.0, 1),
        ("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "%", 36.0, 50.0, 1),
        ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL", 4.0, 11.0, 1),
        ("789-8", "Erythrocytes [#/volume] in Blood by Automated count", "10*6/uL", 4.0, 5.9, 2),
        ("777-3", "Platelets [#/volume] in Blood by Automated count", "10*3/uL", 150.0, 400.0, 0),
    )
    name = f"{patient.family}^{patient.given}"
    segments = [
        f"MSH|^~\\&|LAB|Demonstration laboratory|SALUS|Demonstration clinic|{when}||ORU^R01^ORU_R01|{patient.number}|P|2.5.1",
        f"PID|1||{patient.number}^^^DEMO^MR||{name}||{patient.born:%Y%m%d}|{patient.sex}",
        f"OBR|1|O1|F{patient.number}|58410-2^CBC panel - Blood by Automated count^LN|||{when}|||||||||||||||{when}|||F",
    ]
    for number, (code, words, unit, low, high, digits) in enumerate(panel, 1):
        value = draw.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low))
        flag = "L" if value < low else "H" if value > high else "N"
        limits = f"{low:.{digits}f}-{high:.{digits}f}"
        segments.append(f"OBX|{number}|NM|{code}^{words}^LN||{value:.{digits}f}|{unit}^{unit}^UCUM|{limits}|{flag}|||F|||{when}")
    return "\r".join([*segments, ""]).encode()


def ccda_summary(draw: random.Random) -> bytes:
    """A discharge summary as a C-CDA document with four narrative sections."""
    patient = person(draw)
    gender = "Female" if patient.sex == "F" else "Male"
    days = draw.randrange(2, 9)
    admitted = TODAY - timedelta(days=days)
    illness, course, medicine = draw.choice(
        (
            (
                "Community-acquired pneumonia",
                "Fever settled on the second day of intravenous antibiotics.",
                "Amoxicillin 1 g by mouth",
            ),
            ("Acute exacerbation of asthma", "Wheeze resolved with inhaled and oral treatment.", "Prednisolone 40 mg by mouth"),
            ("Atrial fibrillation", "Rate controlled; anticoagulation started.", "Apixaban 5 mg by mouth"),
        )
    )
    sections = (
        ("46241-6", "Hospital Admission diagnosis", "Admission diagnosis", illness),
        ("8648-8", "Hospital course Narrative", "Hospital course", f"{course} {patient.given} went home after {days} days."),
        ("10183-2", "Hospital discharge medications Narrative", "Discharge medications", f"{medicine}, as agreed."),
        ("18776-5", "Plan of care note", "Plan", "See the doctor within two weeks."),
    )
    body = "".join(_CCDA_SECTION.format(code=c, display=escape(d), title=escape(t), text=escape(x)) for c, d, t, x in sections)
    document = _CCDA.format(
        document=_uid(draw), number=patient.number, given=escape(patient.given), family=escape(patient.family), sex=patient.sex,
        gender=gender, born=f"{patient.born:%Y%m%d}", admitted=f"{admitted:%Y%m%d}", today=f"{TODAY:%Y%m%d}", sections=body,
    )  # fmt: skip
    return document.encode()


_CCDA_SECTION: Final = """\
      <component>
        <section>
          <code code="{code}" codeSystem="2.16.840.1.113883.6.1" codeSystemName="LOINC" displayName="{display}"/>
          <title>{title}</title>
          <text><paragraph>{text}</paragraph></text>
        </section>
      </component>
"""

_CCDA: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3">
  <realmCode code="US"/>
  <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
  <templateId root="2.16.840.1.113883.10.20.22.1.1" extension="2015-08-01"/>
  <templateId root="2.16.840.1.113883.10.20.22.1.8" extension="2015-08-01"/>
  <id root="{document}"/>
  <code code="18842-5" codeSystem="2.16.840.1.113883.6.1" codeSystemName="LOINC" displayName="Discharge summary"/>
  <title>Discharge summary of a demonstration patient</title>
  <effectiveTime value="{today}1600+0000"/>
  <confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>
  <languageCode code="en-US"/>
  <recordTarget>
    <patientRole>
      <id root="2.25.1" extension="{number}"/>
      <addr nullFlavor="NI"/>
      <telecom nullFlavor="NI"/>
      <patient>
        <name use="L"><given>{given}</given><family>{family}</family></name>
        <administrativeGenderCode code="{sex}" codeSystem="2.16.840.1.113883.5.1" displayName="{gender}"/>
        <birthTime value="{born}"/>
      </patient>
    </patientRole>
  </recordTarget>
  <author>
    <time value="{today}1600+0000"/>
    <assignedAuthor>
      <id nullFlavor="NI"/>
      <addr nullFlavor="NI"/>
      <telecom nullFlavor="NI"/>
      <assignedPerson><name><given>Demonstration</given><family>Doctor</family></name></assignedPerson>
    </assignedAuthor>
  </author>
  <custodian>
    <assignedCustodian>
      <representedCustodianOrganization><id nullFlavor="NI"/><name>Demonstration clinic</name></representedCustodianOrganization>
    </assignedCustodian>
  </custodian>
  <componentOf>
    <encompassingEncounter>
      <id nullFlavor="NI"/>
      <effectiveTime><low value="{admitted}"/><high value="{today}"/></effectiveTime>
    </encompassingEncounter>
  </componentOf>
  <component>
    <structuredBody>
{sections}    </structuredBody>
  </component>
</ClinicalDocument>
"""


def sensor_ecg(draw: random.Random) -> bytes:
    """Half a minute of a synthetic one-lead ECG, as a terminal records it from a body sensor (FHIR SampledData)."""
    out = io.BytesIO()
    writer = ObservationWriter(out)
    lead = Channel(Concept(MDC, "131330", "MDC_ECG_ELEC_POTL_II"), "mV", "0.005", (1 << 15) - 1024, (1 << 15) + 1023)
    start_ms = int((TODAY - date(1970, 1, 1)).total_seconds()) * 1000 + 9 * 3_600_000
    writer.start(Start("demonstration ECG patch", Concept(LOINC, "11524-6", "EKG study"), start_ms, ECG_RATE_HZ, 1, (lead,)))
    samples = _ecg(draw)
    for tick in range(0, len(samples), ECG_RATE_HZ):
        second = samples[tick : tick + ECG_RATE_HZ]
        writer.samples(Samples(tick, b"".join(value.to_bytes(2, "little", signed=True) for value in second)))
    writer.end(End(len(samples), 0))
    return out.getvalue()


_WAVES: Final = ((-0.2, 0.025, 0.12), (-0.028, 0.01, -0.1), (0.0, 0.011, 1.1), (0.03, 0.01, -0.22), (0.24, 0.05, 0.28))
"""P, Q, R, S and T: centre in seconds after the R peak, width in seconds, height in mV."""


def _ecg(draw: random.Random) -> list[int]:
    """A sum of bell curves for each beat, with a slightly irregular rhythm and a wandering baseline."""
    beats = [0.4]
    while beats[-1] < ECG_SECONDS + 1:
        beats.append(beats[-1] + draw.gauss(0.82, 0.03))
    samples = []
    for tick in range(ECG_SECONDS * ECG_RATE_HZ):
        t = tick / ECG_RATE_HZ
        value = 0.05 * math.sin(2 * math.pi * 0.25 * t) + draw.gauss(0, 0.008)
        for beat in beats:
            if abs(t - beat) < 0.6:
                value += sum(height * math.exp(-((t - beat - at) ** 2) / (2 * width**2)) for at, width, height in _WAVES)
        samples.append(round(value / 0.005))
    return samples


def letter(draw: random.Random) -> bytes:
    """A plain letter: a file of no medical format."""
    patient = person(draw)
    complaint = draw.choice(("a cough that will not go away", "pain in the left knee after running", "headaches in the morning"))
    text = f"Dear doctor,\n\nfor three weeks I have had {complaint}. Should I be examined?"
    return f"{text}\n\n{patient.given} {patient.family}\n".encode()


def _uid(draw: random.Random) -> UID:
    return UID(UID_ROOT + str(draw.getrandbits(122)))
