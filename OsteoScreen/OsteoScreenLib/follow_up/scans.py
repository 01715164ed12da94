"""What has to be known of two results of a patient before their BMD may be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from ..results import Identity, ScreeningResult


@dataclass(frozen=True)
class ComparedScan:
    """One result as the comparison sees it; None and empty texts are "not known", never "the same".

    bmd_mg_cm3 : of each level, and of "individual"
    slope, intercept : the line from HU to BMD
    contrast : by the header, or else by the aorta where every slice showed it unenhanced
    problems : what speaks against using the result at all, sentences about "the result"
    sha256 : the scan's hash
    study_instance_uid, birth_date : of the scan's study and patient, the date as YYYYMMDD
    """

    bmd_mg_cm3: Mapping[str, float]
    mineral: Literal["CaHA", "K2HPO4"]
    calibration: Literal["user", "scanner header", "nominal"]
    slope: float | None = None
    intercept: float | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    kernel: str | None = None
    contrast: bool | None = None
    manufacturer: str | None = None
    model_name: str | None = None
    study_date: date | None = None
    patient_id: str = ""
    problems: tuple[str, ...] = field(default=())
    sha256: str = ""
    study_instance_uid: str = ""
    birth_date: str = ""


NOT_CONFIRMED = "No reader has confirmed the levels of {}."
DISCARDED = "A reader discarded {}."
FORCED = "{} comes from a study that an eligibility check refused."


def scan_of_result(
    result: ScreeningResult,
    study_date: date | None = None,
    patient_id: str | None = None,
    *,
    called: str,
    header: Identity | None = None,
) -> ComparedScan | None:
    """Return a result as the comparison sees it, None where it holds no BMD.

    ``header`` is whose the scan is by its own header; where it is None, that is what the result says, which does so
    only where it was asked for. ``study_date`` and ``patient_id`` go before both, where they are not None. ``called``
    names the result in sentences ("this result").
    """
    found, whose = result.densitometry, header or result.identity or Identity()
    if found is None:
        return None
    line = found.calibration
    return ComparedScan(
        bmd_mg_cm3=dict(found.bmd_mg_cm3),
        mineral=line.mineral,
        calibration=line.source,
        slope=line.slope,
        intercept=line.intercept,
        kvp=result.input.kvp,
        slice_thickness_mm=result.input.slice_thickness_mm,
        kernel=result.input.kernel,
        contrast=contrast_given(result),
        manufacturer=result.input.manufacturer,
        model_name=result.input.model_name,
        study_date=parsed_date(whose.study_date) if study_date is None else study_date,
        patient_id=whose.patient_id if patient_id is None else patient_id,
        problems=tuple(problems(result, called)),
        sha256=result.input.sha256,
        study_instance_uid=whose.study_instance_uid,
        birth_date=whose.birth_date,
    )


def problems(result: ScreeningResult, called: str) -> list[str]:
    """Return what speaks against using a result at all, as sentences about ``called`` ("this result")."""
    from ..decisions import is_discarded  # which imports this package

    found = []
    if is_discarded(result):
        found.append(DISCARDED.format(called))
    if not all(level.confirmed for level in result.levels.values()):
        found.append(NOT_CONFIRMED.format(called))
    if any(check.outcome == "refuse" for check in result.eligibility):
        found.append(FORCED.format(called[:1].upper() + called[1:]))
    return found


def parsed_date(text: str) -> date | None:
    """Return the date that ISO 8601 or DICOM (YYYYMMDD) text names, None where it names none."""
    for form in ("%Y-%m-%d", "%Y%m%d"):
        try:
            return datetime.strptime(text.strip(), form).date()
        except ValueError:
            continue
    return None


def contrast_given(result: ScreeningResult) -> bool | None:
    """Return whether contrast medium was given, by the header or else by the aorta; None where neither says."""
    if result.input.contrast is not None:
        return result.input.contrast
    aorta = [check.outcome for check in result.eligibility if check.check.startswith("aorta")]
    return False if aorta and all(outcome == "pass" for outcome in aorta) else None
