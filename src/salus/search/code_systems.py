"""One short name for each well-known code system, whatever a format calls it.

A laboratory code is ``http://loinc.org`` in FHIR, ``LN`` in HL7 v2 and DICOM, ``2.16.840.1.113883.6.1`` in C-CDA: a question
must find all of them. Sources: HL7 Terminology (system URIs, OIDs), HL7 v2 table 0396, DICOM PS3.16 table 8-1.
"""

from __future__ import annotations

import re
from typing import Final

_OID: Final = "2.16.840.1.113883."

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "loinc": ("http://loinc.org", _OID + "6.1", "ln", "loinc"),
    "snomed": ("http://snomed.info/sct", _OID + "6.96", "sct", "snomed", "snomed ct", "snomed-ct", "snomedct"),
    "srt": (_OID + "6.5", "srt", "snm", "snm3", "99sdm"),
    "rxnorm": ("http://www.nlm.nih.gov/research/umls/rxnorm", _OID + "6.88", "rxnorm", "rxn"),
    "icd10": ("http://hl7.org/fhir/sid/icd-10", _OID + "6.3", "i10", "icd10", "icd-10"),
    "icd10cm": ("http://hl7.org/fhir/sid/icd-10-cm", _OID + "6.90", "i10c", "icd10cm", "icd-10-cm"),
    "icd10pcs": ("http://www.cms.gov/medicare/coding/icd10", _OID + "6.4", "i10p", "icd10pcs", "icd-10-pcs"),
    "icd9": ("http://hl7.org/fhir/sid/icd-9",),
    "icd9cm": ("http://hl7.org/fhir/sid/icd-9-cm", _OID + "6.103", _OID + "6.104", _OID + "6.2", "i9", "i9c", "i9cdx", "icd9cm"),
    "cpt": ("http://www.ama-assn.org/go/cpt", _OID + "6.12", "c4", "cpt", "cpt4", "cpt-4"),
    "hcpcs": ("https://www.cms.gov/medicare/coding/hcpcsreleasecodesets", _OID + "6.285", _OID + "6.14", "hcpcs"),
    "cvx": ("http://hl7.org/fhir/sid/cvx", _OID + "12.292", "cvx"),
    "mvx": ("http://hl7.org/fhir/sid/mvx", _OID + "12.227", "mvx"),
    "ndc": ("http://hl7.org/fhir/sid/ndc", _OID + "6.69", "ndc"),
    "unii": ("http://fdasis.nlm.nih.gov", _OID + "4.9", "unii"),
    "atc": ("http://www.whocc.no/atc", _OID + "6.73", "atc", "wc"),
    "ucum": ("http://unitsofmeasure.org", _OID + "6.8", "ucum"),
    "dcm": ("http://dicom.nema.org/resources/ontology/dcm", "1.2.840.10008.2.16.4", "dcm"),
    "fma": ("http://sig.biostr.washington.edu/projects/fm/aboutfm", _OID + "6.119", "fma"),
    "radlex": ("http://www.radlex.org", "http://radlex.org", _OID + "6.256", "radlex"),
    "dbsnp": ("http://www.ncbi.nlm.nih.gov/snp", "http://www.ncbi.nlm.nih.gov/projects/snp", _OID + "6.284", "dbsnp"),
    "actcode": ("http://terminology.hl7.org/codesystem/v3-actcode", _OID + "5.4", "actcode"),
}
"""Short name -> what formats call the system, in normal form."""

_SHORT: Final = {alias: short for short, aliases in _NAMES.items() for alias in aliases}
_URN: Final = re.compile(r"urn:(oid|uuid):")

_FORMS: Final = (
    ("loinc", re.compile(r"\d{1,7}-\d")),
    ("snomed", re.compile(r"\d{6,18}")),
    ("rxnorm", re.compile(r"\d{3,7}")),
    ("icd10cm", re.compile(r"[a-z]\d[0-9a-z](\.[0-9a-z]{1,4})?")),
    ("icd10", re.compile(r"[a-z]\d[0-9a-z](\.[0-9a-z]{1,4})?")),
    ("icd9cm", re.compile(r"\d{3}(\.\d{1,2})?")),
    ("cpt", re.compile(r"\d{4}[0-9fu]")),
    ("cvx", re.compile(r"\d{2,3}")),
    ("dcm", re.compile(r"\d{6}")),
    ("dbsnp", re.compile(r"rs\d{1,12}")),
)
"""What codes of the systems that people quote without naming them look like."""


def short_name(system: str) -> str:
    """The short name of a code system in normal form; an unknown one stays as it is.

    >>> short_name("urn:oid:2.16.840.1.113883.6.1")
    'loinc'
    """
    bare = _URN.sub("", system, count=1).rstrip("/")
    return _SHORT.get(bare, bare)


def known(short: str) -> bool:
    """Whether this is the short name of a well-known system."""
    return short in _NAMES


def resembling(text: str) -> tuple[str, ...]:
    """Short names of the systems whose codes look like ``text``, which is in normal form."""
    return tuple(system for system, form in _FORMS if form.fullmatch(text))
