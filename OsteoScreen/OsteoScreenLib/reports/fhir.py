"""The result as HL7 FHIR R4: a Bundle (collection) of a DiagnosticReport, its Observations and what made them.

Codes are those of the DICOM objects (:mod:`.dicom.codes`): SNOMED CT, DICOM, LOINC and UCUM, and for what these lack
the private scheme listed there, here as the code system `fhir_values.PRIVATE_SYSTEM`. Nothing is said of the patient
unless the result has an identity.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydicom.sr.coding import Code

from ..decisions import in_force
from ..densitometry.bmd import NORMAL_ABOVE_MG_CM3
from ..results import BundleUse, Check, Classification, Densitometry, Identity, RoiMeasures, ScreeningResult
from ..results_io import write_text_atomically
from . import wording
from .change import follow_up_sentences
from .decided import decision_sentence
from .dicom import codes, values
from .fhir_values import (
    HL7,
    PRIVATE_SYSTEM,
    Resource,
    coding,
    concept,
    fhir_date,
    quantity,
    quantity_component,
    string,
    without_empty,
)

#: What the input's hash is called as an identifier.
INPUT_SYSTEM = "urn:osteoscreen:input-sha256"
#: FHIR's example code of an imaging report, and the sections of R4's value sets that ours belong to.
REPORT_CODE = Code("18748-4", "LN", "Diagnostic imaging study")
_RADIOLOGY = {"system": f"{HL7}/v2-0074", "code": "CT", "display": "CAT Scan"}
_IMAGING = {"system": f"{HL7}/observation-category", "code": "imaging", "display": "Imaging"}
#: A density below the normal range is low; how low is the category's to say.
_INTERPRETATIONS = {"normal": ("N", "Normal"), "osteopenia": ("L", "Low"), "osteoporosis": ("L", "Low")}
#: Status by the reader's decision in force. Discarded results are withdrawn; see `_status` for the rest.
_DECIDED = {"accepted": "final", "corrected": "final", "discarded": "entered-in-error"}
_GENDERS = {"F": "female", "M": "male", "O": "other"}


def write_fhir(result: ScreeningResult, path: str | os.PathLike[str], written: datetime | None = None) -> Path:
    """Write the bundle as JSON, whole or not at all; returns the path. Raises OsteoScreenError where that fails."""
    document = fhir_bundle(result, written)
    return write_text_atomically(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def fhir_bundle(result: ScreeningResult, written: datetime | None = None) -> Resource:
    """The Bundle as JSON values; ``written`` is when (now, by default), and with it the same result gives the same.

    The report is "preliminary" until a reader accepts or corrects it, then "final"; "entered-in-error" where a reader
    discarded it, and "cancelled" where the study was refused, so that nothing was measured.
    """
    return _Maker(result, (written or datetime.now(timezone.utc)).astimezone(timezone.utc)).bundle()


class _Maker:
    """Makes the resources of one result, and the references between them."""

    def __init__(self, result: ScreeningResult, written: datetime) -> None:
        self.result = result
        self.written = written.isoformat(timespec="seconds").replace("+00:00", "Z")
        self.entries: list[Resource] = []
        self.status = _status(result)

    def bundle(self) -> Resource:
        patient = self._patient()
        self.subject = {"subject": patient} if patient else {}
        self.devices = self._devices()
        observations = [self._attenuation(name, roi) for name, roi in self.result.roi.items()]
        observations += self._densities()
        observations += self._opinion()
        observations += self._checks()
        report = self._report(observations)
        first = next(entry for entry in self.entries if entry["fullUrl"] == report["reference"])
        entries = [first, *(entry for entry in self.entries if entry is not first)]
        return {
            "resourceType": "Bundle",
            "meta": {"tag": [coding(codes.private("RESEARCH"))]},
            "type": "collection",
            "timestamp": self.written,
            "entry": entries,
        }

    def _add(self, key: str, resource: Resource) -> Resource:
        """Add a resource under a name of its own; returns the reference to it."""
        named = f"{PRIVATE_SYSTEM}:{self.result.input.sha256}:{self.written}:{key}"
        url = uuid.uuid5(uuid.NAMESPACE_URL, named.encode("utf-8", "replace").decode()).urn
        self.entries.append({"fullUrl": url, "resource": without_empty(resource)})
        return {"reference": url}

    # -- the report

    def _report(self, observations: Sequence[Resource]) -> Resource:
        result = self.result
        digest = string(result.input.sha256)
        report: Resource = {
            "resourceType": "DiagnosticReport",
            "identifier": [{"system": INPUT_SYSTEM, "value": digest}] if digest else [],
            "status": self.status,
            "category": [{"coding": [_RADIOLOGY]}],
            "code": {"coding": [coding(REPORT_CODE)], "text": string(wording.title(result))},
            **self.subject,
            "issued": self.written,
            "result": list(observations),
            "conclusion": string(" ".join(_conclusion(result))),
        }
        if decision := in_force(result):
            report["resultsInterpreter"] = [{"display": string(decision.by)}]
        report |= self._study()
        return self._add("report", report)

    def _study(self) -> Resource:
        """When the scan was made, and of which study it is: the patient's matter, so only with an identity."""
        identity = self.result.identity
        if identity is None:
            return {}
        uid = values.uid(identity.study_instance_uid)
        study = {"type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}}
        found: Resource = {"imagingStudy": [study]} if uid else {}
        if date := fhir_date(identity.study_date):
            found["effectiveDateTime"] = date
        if number := string(identity.accession_number):
            kind = {"coding": [{"system": f"{HL7}/v2-0203", "code": "ACSN", "display": "Accession ID"}]}
            found["basedOn"] = [{"identifier": {"type": kind, "value": number}}]
        return found

    def _patient(self) -> Resource | None:
        identity = self.result.identity
        if identity is None or identity == Identity():
            return None
        patient = {
            "resourceType": "Patient",
            "identifier": [{"value": string(identity.patient_id)}],
            "name": [{"text": string(identity.patient_name)}],
            "gender": _GENDERS.get(self.result.input.sex or ""),
            "birthDate": fhir_date(identity.birth_date),
        }
        return self._add("patient", patient)

    # -- who made it

    def _devices(self) -> dict[str, Resource]:
        """The program and each bundle, by "software" or the bundle's role."""
        version = self.result.software.get("osteoscreen", "")
        software = self._add("device", _device("OsteoScreen", [version]))
        found = {"software": software}
        for bundle in self.result.bundles:
            found[bundle.role] = self._add(f"device-{bundle.role}", _bundle_device(bundle, software))
        return found

    # -- what was measured

    def _observation(self, key: str, code: Code, device: str, **parts: Any) -> Resource:
        observation: Resource = {
            "resourceType": "Observation",
            "status": self.status,
            "category": [{"coding": [_IMAGING]}],
            "code": concept(code),
            **self.subject,
            "issued": self.written,
            "device": self.devices.get(device, self.devices["software"]),
            **parts,
        }
        return self._add(key, observation)

    def _attenuation(self, name: str, roi: RoiMeasures) -> Resource:
        hounsfield, square_mm = codes.HOUNSFIELD, codes.SQUARE_MM
        components = [
            quantity_component(codes.MEDIAN, roi.median_hu, hounsfield),
            quantity_component(codes.STANDARD_DEVIATION, roi.sd_hu, hounsfield),
            quantity_component(codes.AREA, roi.area_mm2, square_mm),
            quantity_component(codes.private("INSET_MM"), roi.inset_mm, codes.MILLIMETRE),
            quantity_component(codes.private("OUTLINE"), roi.outline_mean_hu, hounsfield),
            quantity_component(codes.private("CIRCLE"), roi.circle_mean_hu, hounsfield),
            quantity_component(codes.private("CONFIDENCE"), roi.confidence, codes.NO_UNITS),
            *self._level_components(name),
        ]
        return self._observation(
            f"attenuation-{name}",
            codes.ATTENUATION,
            "segmentation" if roi.mask_source == "model" else "software",
            bodySite=_site(name),
            method=concept(codes.private("INSET")),
            valueQuantity=quantity(roi.mean_hu, hounsfield),
            component=components,
            note=self._notes([name]),
        )

    def _level_components(self, name: str) -> list[Resource]:
        level = self.result.levels.get(name)
        if level is None:
            return []
        return [
            {
                "code": concept(codes.private("LEVEL_SET_BY")),
                "valueCodeableConcept": concept(codes.SET_BY[level.set_by]),
            },
            {"code": concept(codes.private("LEVEL_CONFIRMED")), "valueBoolean": level.confirmed},
        ]

    def _notes(self, names: Sequence[str]) -> list[Resource]:
        """That a level is not confirmed stands with every value that rests on it."""
        found = ((name, self.result.levels.get(name)) for name in names)
        open_ones = [f"{name}: {wording.level_set(level)}." for name, level in found if level and not level.confirmed]
        return [{"text": string(" ".join(open_ones))}] if open_ones else []

    def _densities(self) -> list[Resource]:
        density = self.result.densitometry
        if density is None:
            return []
        mineral = _mineral(density)
        levels = {name: value for name, value in density.bmd_mg_cm3.items() if name != "individual"}
        of_levels = [
            self._observation(
                f"bmd-{name}",
                codes.private("BMD"),
                "software",
                bodySite=_site(name),
                valueQuantity=quantity(value, codes.MG_PER_CM3),
                component=[mineral],
                note=self._notes([name]),
            )
            for name, value in levels.items()
        ]
        return [self._individual(density, list(levels), of_levels), *of_levels]

    def _individual(self, density: Densitometry, names: list[str], of_levels: list[Resource]) -> Resource:
        line = density.calibration
        low, words = _INTERPRETATIONS[density.category]
        interpretation = {"system": f"{HL7}/v3-ObservationInterpretation", "code": low, "display": words}
        # A part of the observation and no conclusion code, which would be a finding about the patient.
        range_of = concept(codes.BONE_STATUS[density.category], wording.category_sentence(density, names))
        limit = quantity(NORMAL_ABOVE_MG_CM3, codes.MG_PER_CM3)
        calibration = codes.CALIBRATION_SOURCES[line.source]
        components = [
            {"code": concept(codes.private("QCT_RANGE")), "valueCodeableConcept": range_of},
            _mineral(density),
            quantity_component(codes.UNCERTAINTY, line.uncertainty_mg_cm3, codes.MG_PER_CM3),
            {"code": concept(codes.private("CAL_SOURCE")), "valueCodeableConcept": concept(calibration)},
            quantity_component(codes.private("CAL_SLOPE"), line.slope, codes.MG_PER_CM3_PER_HU),
            quantity_component(codes.private("CAL_INTERCEPT"), line.intercept, codes.MG_PER_CM3),
            quantity_component(codes.private("KVP_FACTOR"), density.kvp_factor, codes.NO_UNITS),
        ]
        return self._observation(
            "bmd-individual",
            codes.private("INDIVIDUAL"),
            "software",
            bodySite=concept(codes.LUMBAR_SPINE),
            valueQuantity=quantity(density.bmd_mg_cm3["individual"], codes.MG_PER_CM3),
            interpretation=[{"coding": [interpretation]}],
            referenceRange=[{"low": limit, "text": string(wording.CRITERION)}],
            derivedFrom=of_levels,
            component=components,
            note=self._notes(names),
        )

    def _opinion(self) -> list[Resource]:
        found = self.result.classification
        if found is None or found.category is None:
            return []
        shown = self._observation(
            "class",
            codes.private("NETWORK_CLASS"),
            "classification",
            valueCodeableConcept=concept(codes.BONE_STATUS[found.category]),
            component=[*_probabilities(found), *self._agreement()],
            note=self._notes(list(self.result.levels)),
        )
        return [shown]

    def _agreement(self) -> list[Resource]:
        if self.result.agreement is None:
            return []
        return [{"code": concept(codes.private("AGREEMENT")), "valueBoolean": self.result.agreement}]

    def _checks(self) -> list[Resource]:
        """What did not pass, as an observation of image quality each."""
        checks = [check for check in self.result.eligibility if check.outcome != "pass"]
        return [self._check(number, check) for number, check in enumerate(checks)]

    def _check(self, number: int, check: Check) -> Resource:
        name = {"code": concept(codes.private("CHECK")), "valueString": string(check.check) or "-"}
        value = concept(codes.OUTCOMES[check.outcome], check.message)
        return self._observation(
            f"check-{number}", codes.QUALITY_FINDING, "software", valueCodeableConcept=value, component=[name]
        )


def _status(result: ScreeningResult) -> str:
    if result.status == "refused":
        return "cancelled"
    decision = in_force(result)
    return "preliminary" if decision is None else _DECIDED[decision.decision]


def _conclusion(result: ScreeningResult) -> list[str]:
    refusals = [check.message for check in result.eligibility if check.outcome == "refuse"]
    first, *others = wording.summary(result)
    decision = decision_sentence(result)
    return [
        first,
        *(refusals if result.status == "refused" else []),
        *others,
        *([decision] if decision else []),
        *follow_up_sentences(result),
        result.disclaimer,
    ]


def _device(name: str, versions: Sequence[str], **parts: Any) -> Resource:
    return {
        "resourceType": "Device",
        "deviceName": [{"name": string(name) or "-", "type": "user-friendly-name"}],
        "version": [{"value": string(version)} for version in versions],
        **parts,
    }


def _bundle_device(bundle: BundleUse, software: Resource) -> Resource:
    digest = string(bundle.sha256)
    named = [{"system": "urn:osteoscreen:bundle-sha256", "value": digest}] if digest else []
    return _device(bundle.name, [bundle.version], identifier=named, parent=software)


def _mineral(density: Densitometry) -> Resource:
    mineral = codes.MINERALS[density.calibration.mineral]
    return {"code": concept(codes.private("MINERAL")), "valueCodeableConcept": concept(mineral)}


def _probabilities(found: Classification) -> list[Resource]:
    shares = (found.probabilities or {}).items()
    return [
        quantity_component(codes.PROBABILITIES[name], share, codes.NO_UNITS)
        for name, share in shares
        if name in codes.PROBABILITIES
    ]


def _site(name: str) -> Resource:
    return concept(codes.VERTEBRAE[name]) if name in codes.VERTEBRAE else {"text": string(name) or "-"}
