"""Keywords of FHIR: every coding's ``system|code`` and the words of its display; JSON, NDJSON and XML (FHIR R4, data types).

A coding is what stands in a list named ``coding``, or any object with a code and a system or display but no value (a quantity
has one). The text of a concept counts as a display; narrative, notes and names do not.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from salus.errors import FormatError
from salus.records.fhir import LINE_BYTES_MAX, LINES_MAX, content, is_ndjson
from salus.records.info import Peek
from salus.search.collecting import Collector

_CONCEPTS: Final = ("code", "codeableconcept")
"""Members whose name is or ends so hold concepts, also those without a coding."""
_NODES_MAX: Final = 4_000_000
"""Objects and lists of one file that are looked at; a bundle of 32 MiB has about a million."""


def collect(peek: Peek, found: Collector) -> None:
    """Collect the keywords of a FHIR file.

    :raises FormatError: malformed or too large.
    """
    if not is_ndjson(peek):
        _walk(_decode(content(peek), ""), found)
        return
    peek.stream.seek(0)
    for number in range(1, LINES_MAX + 2):
        line = peek.stream.readline(LINE_BYTES_MAX + 1)
        if not line:
            return
        if len(line) > LINE_BYTES_MAX or number > LINES_MAX:
            raise FormatError(f"line {number} of the NDJSON is one too many or too long")
        if line.strip():
            _walk(_decode(line, f" in line {number}"), found)


def _decode(data: bytes, where: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"the FHIR JSON{where} is malformed: {error}") from None
    except RecursionError:
        raise FormatError(f"the FHIR JSON{where} is nested too deeply") from None


def _walk(resource: Any, found: Collector) -> None:
    # A stack, not recursion: depth is what the sender chose.
    waiting: list[tuple[str, Any]] = [("", resource)]
    for _ in range(_NODES_MAX):
        if not waiting:
            return
        name, node = waiting.pop()
        if isinstance(node, list):
            waiting += [(name, item) for item in reversed(node) if isinstance(item, dict | list)]
            continue
        _look_at(name, node, found)
        inner = [(key, value) for key, value in node.items() if isinstance(value, dict | list)]
        waiting += reversed(inner)
    raise FormatError("the FHIR JSON has too many parts to draw keywords from")


def _look_at(name: str, node: dict[str, Any], found: Collector) -> None:
    code, system, display = (_text(node.get(member)) for member in ("code", "system", "display"))
    if code and (name == "coding" or ((system or display) and "value" not in node)):
        found.code(system, code)
        found.words(display)
    if "coding" in node or name.lower().endswith(_CONCEPTS):
        found.words(_text(node.get("text")))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
