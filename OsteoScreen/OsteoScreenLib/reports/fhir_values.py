"""The data types of HL7 FHIR R4 that the report is made of, as JSON values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydicom.sr.coding import Code

from ..printable import one_line
from .dicom import codes

#: The private scheme of `dicom.codes` as a code system.
PRIVATE_SYSTEM = "urn:osteoscreen:codes"
#: Code systems' names in FHIR (R4, "Using Codes") by their designators in DICOM.
SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    codes.SCHEME: PRIVATE_SYSTEM,
}
UCUM = "http://unitsofmeasure.org"
HL7 = "http://terminology.hl7.org/CodeSystem"

#: Longest text: a conclusion holds every sentence of the result.
LONGEST_TEXT = 8000
#: As in the table.
DECIMALS = 4

Resource = dict[str, Any]


def coding(code: Code) -> Resource:
    """A code as a Coding."""
    return {"system": SYSTEMS[code.scheme_designator], "code": code.value, "display": code.meaning}


def concept(code: Code, text: str = "") -> Resource:
    """A code as a CodeableConcept, with what is said of it in words."""
    return {"coding": [coding(code)], "text": string(text)}


def quantity(value: float, unit: Code) -> Resource:
    """A value with its unit, rounded to `DECIMALS`."""
    return {"value": round(float(value), DECIMALS), "unit": unit.meaning, "system": UCUM, "code": unit.value}


def quantity_component(code: Code, value: float | None, unit: Code) -> Resource:
    """A measure beside the main one; where it could not be taken, that there is none."""
    if value is None:
        missing = {"system": f"{HL7}/data-absent-reason", "code": "not-applicable", "display": "Not Applicable"}
        return {"code": concept(code), "dataAbsentReason": {"coding": [missing]}}
    return {"code": concept(code), "valueQuantity": quantity(value, unit)}


def string(text: str) -> str:
    """Text as FHIR allows it (R4, "string": no control characters, not only blanks), on one line."""
    return one_line(text, LONGEST_TEXT)


def fhir_date(text: str) -> str | None:
    """A date of DICOM (YYYYMMDD) as FHIR's; None for anything else."""
    try:
        return datetime.strptime(text, "%Y%m%d").date().isoformat() if len(text) == 8 else None
    except ValueError:
        return None


def without_empty(value: Any) -> Any:
    """The value without empty texts, lists and objects, however deep, which FHIR does not allow."""
    if isinstance(value, dict):
        parts = {key: without_empty(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if not _is_empty(part)}
    if isinstance(value, list):
        return [part for part in map(without_empty, value) if not _is_empty(part)]
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)
