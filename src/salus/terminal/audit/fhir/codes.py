"""Code systems of FHIR R4 and the codes that are used of them, with the displays that their authorities give."""

from __future__ import annotations

from typing import Any, Final

Coding = dict[str, str]

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
_PROFILES: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/"
ACT_REASON: Final = _TERMINOLOGY + "v3-ActReason"
"""Codes of the v3 value set PurposeOfUse."""

# Names of what only this project knows.
NETWORK: Final = "urn:salus:network"
SCOPE: Final = "urn:salus:scope"
INSTITUTION: Final = "urn:salus:institution"
RECORD: Final = "urn:salus:record"
DELEGATION: Final = "urn:salus:delegation"
SHARE: Final = "urn:salus:share"
TRANSACTION: Final = "urn:salus:transaction"
POLICY: Final = "urn:salus:attribute-policy"
ACT: Final = "urn:salus:access-act"
CATEGORY: Final = "urn:salus:record-category"


def coding(system: str, code: str, display: str = "") -> Coding:
    """A Coding."""
    found = {"system": system, "code": code}
    return {**found, "display": display} if display else found


def concept(*codings: Coding, text: str = "") -> dict[str, Any]:
    """A CodeableConcept."""
    found: dict[str, Any] = {"coding": list(codings)} if codings else {}
    return {**found, "text": text} if text else found


def hl7(system: str, code: str, display: str) -> Coding:
    """A Coding of one of HL7's systems, by the last part of its address."""
    return coding(_TERMINOLOGY + system, code, display)


PURPOSES: Final = {
    "treatment": (coding(ACT_REASON, "TREAT", "treatment"),),
    "emergency": (coding(ACT_REASON, "ETREAT", "Emergency Treatment"), coding(ACT_REASON, "BTG", "break the glass")),
    "payment": (coding(ACT_REASON, "HPAYMT", "healthcare payment"),),
    "operations": (coding(ACT_REASON, "HOPERAT", "healthcare operations"),),
    "research": (coding(ACT_REASON, "HRESCH", "healthcare research"),),
    "public-health": (coding(ACT_REASON, "PUBHLTH", "public health"),),
    "patient-request": (coding(ACT_REASON, "PATRQT", "patient requested"),),
}
"""Purpose of use on the ledger -> codes of v3 PurposeOfUse."""

# AuditEvent
QUERY: Final = coding(DCM, "110112", "Query")
SECURITY_ALERT: Final = coding(DCM, "110113", "Security Alert")
EMERGENCY_OVERRIDE: Final = coding(DCM, "110127", "Emergency Override Started")
DECISION: Final = coding(_PROFILES + "AuthZsubType", "AuthZ-Consent", "Authorization Decision using Roles and Consent")
SECURITY_SERVER: Final = hl7("security-source-type", "6", "Security Server")
PERSON: Final = hl7("audit-entity-type", "1", "Person")
SYSTEM_OBJECT: Final = hl7("audit-entity-type", "2", "System Object")
PATIENT_ROLE: Final = hl7("object-role", "1", "Patient")
DOMAIN_RESOURCE: Final = hl7("object-role", "4", "Domain Resource")
SECURITY_RESOURCE: Final = hl7("object-role", "13", "Security Resource")
RECIPIENT: Final = hl7("v3-ParticipationType", "IRCP", "information recipient")
AUTHORISER: Final = hl7("extra-security-role-type", "authserver", "authorization server")
CONSENTER: Final = hl7("v3-RoleCode", "CONSENTER", "consenter")
SUCCESS: Final = "0"
MINOR_FAILURE: Final = "4"
"""Not let through now; what was asked for may still be granted."""
SERIOUS_FAILURE: Final = "8"
"""Denied: this request is over."""

# Consent
PRIVACY: Final = hl7("consentscope", "patient-privacy", "Privacy Consent")
DISCLOSURE: Final = hl7("v3-ActCode", "IDSCL", "information disclosure")
EMERGENCY_ONLY: Final = hl7("consentcategorycodes", "emrgonly", "Emergency Only")
OPT_IN: Final = hl7("v3-ActCode", "OPTIN", "opt-in")
OPT_OUT: Final = hl7("v3-ActCode", "OPTOUT", "")
ACCESS: Final = hl7("consentaction", "access", "Access")

# Provenance
AUTHOR: Final = hl7("provenance-participant-type", "author", "Author")
CREATE: Final = hl7("v3-DataOperation", "CREATE", "create")
UPDATE: Final = hl7("v3-DataOperation", "UPDATE", "update")
DELETE: Final = hl7("v3-DataOperation", "DELETE", "delete")
ABORT: Final = hl7("v3-DataOperation", "ABORT", "abort")
ORIGINATE: Final = hl7("iso-21089-lifecycle", "originate", "Originate/Retain Record Lifecycle Event")
AMEND: Final = hl7("iso-21089-lifecycle", "amend", "Amend (Update) Record Lifecycle Event")
DEPRECATE: Final = hl7("iso-21089-lifecycle", "deprecate", "Deprecate Record Lifecycle Event")
ENCRYPT: Final = hl7("iso-21089-lifecycle", "encrypt", "Encrypt Record Lifecycle Event")
DESTROY: Final = hl7("iso-21089-lifecycle", "destroy", "Destroy/Delete Record Lifecycle Event")

PSEUDONYM: Final = hl7("v3-ObservationValue", "PSEUDED", "pseudonymized")

_STANDARD_CATEGORIES: Final = {
    "lab": hl7("observation-category", "laboratory", "Laboratory"),
    "vitals": hl7("observation-category", "vital-signs", "Vital Signs"),
    "imaging": hl7("observation-category", "imaging", "Imaging"),
    "medication": coding("http://loinc.org", "10160-0", "History of Medication use Narrative"),
    "condition": coding("http://loinc.org", "11450-4", "Problem list - Reported"),
    "note": coding("http://loinc.org", "34109-9", "Note"),
}


def category(name: str) -> dict[str, Any]:
    """A record category as a CodeableConcept: the project's word, and a standard code where there is one."""
    standard = _STANDARD_CATEGORIES.get(name)
    return concept(coding(CATEGORY, name, name), *([standard] if standard else []))
