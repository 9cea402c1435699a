"""FHIR in XML as the same tree that its JSON has, so that what reads the one reads the other (HL7 FHIR R4, XML representation).

XML does not tell a list of one from a single value: members that the readers take for lists are lists here, others only if they
are repeated. Narrative (XHTML) is left out.
"""

from __future__ import annotations

import re
from typing import Any, Final
from xml.etree.ElementTree import Element

from salus.errors import FormatError
from salus.records.info import Peek
from salus.records.xml_stream import elements

_FHIR: Final = "{http://hl7.org/fhir}"
_ROOT: Final = re.compile(rb"<([A-Z][A-Za-z]{1,63})[^<>]{0,2000}xmlns\s*=\s*[\"']http://hl7\.org/fhir[\"']")
_LISTS: Final = frozenset({"coding", "contained", "entry", "given"})

_Node = dict[str, Any]


def looks_like(peek: Peek) -> bool:
    """Whether the first bytes are those of a FHIR resource in XML."""
    return peek.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and _ROOT.search(peek.head) is not None


def read(peek: Peek) -> _Node:
    """The resource, as its JSON would be decoded.

    :raises FormatError: malformed, too large, or its root is no FHIR resource.
    """
    waiting: list[_Node] = [{}]
    foreign = 0  # depth within narrative
    for begins, element in elements(peek):
        if foreign or not element.tag.startswith(_FHIR):
            if len(waiting) == 1:
                raise FormatError("the root element is no FHIR resource")
            foreign += 1 if begins else -1
        elif begins:
            waiting.append({})
        else:
            _add(waiting[-2], element, waiting.pop())
    root = next(iter(waiting[0].values()), None)
    if not isinstance(root, dict) or "resourceType" not in root:
        raise FormatError("the root element is no FHIR resource")
    return root


def _add(parent: _Node, element: Element, node: _Node) -> None:
    name = element.tag.removeprefix(_FHIR)
    node |= {key: text for key, text in element.attrib.items() if key != "value"}
    if name[:1].isupper():
        # A resource stands in an element of its own, within ``resource`` or ``contained``, or is the document.
        parent[name] = {"resourceType": name, **node}
        return
    if len(node) == 1 and name in ("resource", "contained"):
        (node,) = node.values()
    value = element.get("value")
    if value is None:
        _put(parent, name, node)
        return
    _put(parent, name, value)
    if node:
        _put(parent, f"_{name}", node)


def _put(parent: _Node, name: str, value: Any) -> None:
    if name not in parent:
        parent[name] = [value] if name in _LISTS else value
    elif isinstance(parent[name], list):
        parent[name].append(value)
    else:
        parent[name] = [parent[name], value]
