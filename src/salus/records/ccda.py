"""C-CDA documents: title, kind, patient, date (HL7 CDA Release 2, clinical document header).

Elements are read by :mod:`.xml_stream` and dropped as soon as they are seen.
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree.ElementTree import Element

from salus.errors import FormatError
from salus.records.info import Peek, RecordInfo, compact_date
from salus.records.xml_stream import elements

MEDIA_TYPE: Final = "application/cda+xml"

_ROOT: Final = re.compile(rb"<(?:[A-Za-z_][\w.-]{0,30}:)?ClinicalDocument[\s>]")
_NAMESPACE: Final = b"urn:hl7-org:v3"
_V3: Final = "{urn:hl7-org:v3}"


def looks_like(peek: Peek) -> bool:
    """Whether the file begins as a CDA document."""
    start = peek.head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"<") and _ROOT.search(peek.head) is not None and _NAMESPACE in peek.head


def recognise(peek: Peek) -> RecordInfo:
    """Recognise a CDA document.

    :raises FormatError: malformed, not a CDA document, or too large to be summarised.
    """
    header = _Header()
    walk(peek, header)
    title = header.title or header.kind or "untitled document"
    details = [
        ("kind", header.kind),
        ("patient", header.patient()),
        ("date", compact_date(header.time)),
        ("sections", "; ".join(header.sections)),
    ]
    patient = header.patient()
    return RecordInfo.of("ccda", MEDIA_TYPE, f"C-CDA {title}" + (f" for {patient}" if patient else ""), details)


def walk(peek: Peek, walker: Walker) -> None:
    """Read the document through a walker, within bounds.

    :raises FormatError: malformed, not a CDA document, or too large.
    """
    for begins, element in elements(peek):
        if begins:
            walker.enter(element)
        else:
            walker.leave(element)


class Walker:
    """Sees a document's elements as they stream by; each is dropped when it has been seen."""

    def __init__(self) -> None:
        self._path: list[str] = []

    def seen(self, path: list[str], element: Element) -> None:
        """An element below the root has been read, but for its children, which are gone.

        :param path: names from the root to the element, without the namespace of CDA.
        """

    def enter(self, element: Element) -> None:
        """An element begins.

        :raises FormatError: the root is no CDA document's.
        """
        name = element.tag.removeprefix(_V3)
        if not self._path and element.tag != f"{_V3}ClinicalDocument":
            raise FormatError("the root element is not a ClinicalDocument")
        self._path.append(name)

    def leave(self, element: Element) -> None:
        """An element ends."""
        if len(self._path) < 2:
            return
        self.seen(self._path, element)
        self._path.pop()


class _Header(Walker):
    """Collects the header's few values."""

    def __init__(self) -> None:
        super().__init__()
        self.title = self.kind = self.time = ""
        self.sections: list[str] = []
        self._names: list[str] = []
        self._family = self._gender = self._born = ""

    def seen(self, path: list[str], element: Element) -> None:
        text = (element.text or "").strip()
        if len(path) == 2:
            self._top_level(path[1], element, text)
        elif path[1] == "recordTarget" and "patient" in path[:-1]:
            self._patient(path, element, text)
        elif path[-1] == "title" and path[-2] == "section" and len(self.sections) < 20:
            self.sections.append(text)

    def _top_level(self, name: str, element: Element, text: str) -> None:
        if name == "title":
            self.title = text
        elif name == "code":
            self.kind = element.get("displayName", "")
        elif name == "effectiveTime":
            self.time = element.get("value", "")

    def _patient(self, path: list[str], element: Element, text: str) -> None:
        own = path[path.index("patient") + 1 :]
        if own == ["name", "given"]:
            self._names.append(text)
        elif own == ["name", "family"] and not self._family:
            self._family = text
        elif own == ["administrativeGenderCode"]:
            self._gender = element.get("displayName") or element.get("code") or ""
        elif own == ["birthTime"]:
            self._born = compact_date(element.get("value", ""))

    def patient(self) -> str:
        """Name, gender and date of birth, as far as they are given."""
        name = " ".join([*self._names[:2], self._family]).strip()
        return ", ".join(part for part in (name, self._gender, f"born {self._born}" if self._born else "") if part)
