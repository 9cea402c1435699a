"""Elements of an XML file as they stream by, for readers of formats.

By defusedxml: no DTD, no entities, nothing fetched; with bounds on size, depth and number of elements, so that a hostile
document costs little. Each element is dropped as soon as it has been seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import iterparse  # type: ignore[import-untyped]

from salus.errors import FormatError
from salus.records.info import PARSE_BYTES_MAX, Peek, plural

ELEMENTS_MAX: Final = 500_000
"""The largest C-CDA documents seen have 20,000 elements; a FHIR bundle of a whole history about 50,000."""
DEPTH_MAX: Final = 100
"""CDA and FHIR nest about 20 levels deep."""


def elements(peek: Peek) -> Iterator[tuple[bool, Element]]:
    """(begins, element) for the begin and the end of every element, in the order of the document.

    At its end an element has its attributes, and text; its children have been dropped.

    :raises FormatError: malformed, too large, with a document type, or over the bounds.
    """
    if peek.size_bytes > PARSE_BYTES_MAX:
        raise FormatError(f"XML of {peek.size_bytes} bytes is too large to be summarised (over {PARSE_BYTES_MAX})")
    peek.stream.seek(0)
    opened: list[Element] = []
    count = 0
    try:
        for event, element in iterparse(peek.stream, events=("start", "end"), forbid_dtd=True):
            if event == "start":
                opened.append(element)
                count += 1
                if len(opened) > DEPTH_MAX:
                    raise FormatError(f"the XML is nested more than {DEPTH_MAX} levels deep")
                if count > ELEMENTS_MAX:
                    raise FormatError(f"the XML has more than {plural(ELEMENTS_MAX, 'element')}")
                yield True, element
                continue
            yield False, element
            opened.pop()
            element.clear()
            if opened:
                opened[-1].remove(element)
    except DefusedXmlException:
        raise FormatError("the XML declares a document type or entities, which no record needs") from None
    except (ParseError, ValueError, LookupError) as error:
        raise FormatError(f"the XML is malformed: {error}") from None
