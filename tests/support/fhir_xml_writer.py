"""FHIR resources from JSON to XML, for comparing what the readers make of both (HL7 FHIR R4, XML representation)."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"


def as_xml(resource: dict[str, Any]) -> bytes:
    """A resource as an XML document; ``id`` of an element and ``url`` of an extension become attributes."""
    root = Element(resource["resourceType"], xmlns=FHIR)
    _members(root, resource, resource=True)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="utf-8")


def _members(parent: Element, node: dict[str, Any], resource: bool = False) -> None:
    for name, value in node.items():
        if name == "resourceType" or (name.startswith("_") and name[1:] in node):
            continue
        values = value if isinstance(value, list) else [value]
        beside = node.get(f"_{name}")
        extras = beside if isinstance(beside, list) else [beside]
        if name.startswith("_"):
            name, values, extras = name[1:], [None] * len(values), values
        if not resource and name in ("id", "url") and isinstance(value, str):
            parent.set(name, value)
            continue
        for number, one in enumerate(values):
            _member(parent, name, one, extras[number] if number < len(extras) else None)


def _member(parent: Element, name: str, value: Any, extra: Any) -> None:
    if name == "div":
        parent.append(Element("div", xmlns=XHTML))
        SubElement(parent[-1], "p").text = "Narrative: code 4711 of the system of someone"
        return
    made = SubElement(parent, name)
    if isinstance(value, dict) and "resourceType" in value:
        _members(SubElement(made, value["resourceType"]), value, resource=True)
    elif isinstance(value, dict):
        # A member called ``url`` is an attribute in extensions only.
        if "url" in value and name not in ("extension", "modifierExtension"):
            value = dict(value)
            SubElement(made, "url", value=value.pop("url"))
        _members(made, value)
    elif value is not None:
        made.set("value", str(value).lower() if isinstance(value, bool) else str(value))
    if isinstance(extra, dict):
        _members(made, extra)
