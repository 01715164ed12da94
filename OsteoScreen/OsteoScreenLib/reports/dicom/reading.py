"""An OsteoScreen report of measurements read back: for comparing a later scan with it."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from ...errors import InputError, system_reason
from ...results import Calibration, DecisionKind, EarlierResult
from . import codes, values

#: A report is some ten kilobytes; what is larger or deeper is no report of ours.
MOST_BYTES = 8 << 20
_MOST_DEPTH, _MOST_ITEMS = 8, 20_000
_SR_CLASSES = (Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage)
#: No tissue lies outside it [mg/cm3]: cortical bone is of about 1200.
_PLAUSIBLE_BMD = (-1000.0, 5000.0)


@dataclass(frozen=True)
class LevelMeasures:
    """What a report says of one level: HU inside the inset outline, its area in mm2, BMD in mg/cm3, and whether a
    reader confirmed the level. None where it does not say."""

    mean_hu: float | None
    median_hu: float | None
    sd_hu: float | None
    area_mm2: float | None
    bmd_mg_cm3: float | None
    confirmed: bool | None


@dataclass(frozen=True)
class ReadReport:
    """An earlier report: its result, and what tells whether another scan may be compared with it.

    Texts are empty and numbers None where the report does not say; ``study_date`` is ISO 8601, ``birth_date`` YYYYMMDD.
    ``decision`` is the reader's, None where there was none (of a discarded result there is no density to read).
    ``forced`` is whether an eligibility check refused the study, and it was screened all the same.
    """

    earlier: EarlierResult
    levels: dict[str, LevelMeasures]
    calibration: Calibration
    decision: DecisionKind | None
    patient_id: str
    study_instance_uid: str
    study_date: str | None
    manufacturer: str = ""
    model_name: str = ""
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    kernel: str = ""
    contrast: bool | None = None
    birth_date: str = ""
    sha256: str = ""
    forced: bool = False


def read_measurement_report(path: str | os.PathLike[str]) -> ReadReport:
    """Read an OsteoScreen DICOM SR.

    Raises InputError where the file cannot be read, is no DICOM, another object or another program's report, is
    damaged, or holds no density: its study was refused, its result discarded, or nothing calibrated it.
    """
    name = Path(path).name
    try:
        dataset = _dataset(Path(path))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{name} cannot be read: {system_reason(error)}; check the path.") from None
    except Exception:  # whatever a damaged file provokes in pydicom
        raise InputError(f"{name} is damaged, or no DICOM file; give a DICOM SR that OsteoScreen wrote.") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _Reader(dataset, name).report()
    except InputError:
        raise
    except Exception:
        raise InputError(f"{name} is a damaged DICOM SR; fetch it again from where it is archived.") from None


def _dataset(path: Path) -> Dataset:
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path.name} is larger than any OsteoScreen report; give a DICOM SR that OsteoScreen wrote.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(path)


@dataclass
class _Item:
    """A content item as it is used here: its concept, its data set and its children."""

    concept: tuple[str, str]
    dataset: Dataset
    children: list[_Item] = field(default_factory=list)

    def find(self, concept: Code) -> Iterator[_Item]:
        """The children of a concept."""
        return (child for child in self.children if child.concept == _key(concept))

    def first(self, concept: Code) -> _Item | None:
        return next(self.find(concept), None)

    def number(self, concept: Code) -> float | None:
        """The finite number of a child; None where there is none."""
        child = self.first(concept)
        return None if child is None else child.value()

    def value(self) -> float | None:
        """The item's own number."""
        measured = self.dataset.get("MeasuredValueSequence")
        if not measured:
            return None
        stated = measured[0].get("FloatingPointValue", measured[0].get("NumericValue"))
        found = float(stated) if stated is not None else math.nan
        return found if math.isfinite(found) else None

    def code(self, concept: Code) -> tuple[str, str] | None:
        """The coded value of a child."""
        child = self.first(concept)
        return None if child is None else _code_of(child.dataset.get("ConceptCodeSequence"))

    def text(self, concept: Code) -> str:
        """The text of a child, on one line."""
        child = self.first(concept)
        return "" if child is None else values.text(child.dataset.get("TextValue", ""))


class _Reader:
    """One report, as its tree of items."""

    def __init__(self, dataset: Dataset, name: str) -> None:
        self._dataset, self._name, self._count = dataset, name, 0
        if dataset.get("SOPClassUID") not in _SR_CLASSES:
            raise InputError(f"{name} is no DICOM SR; give a report that OsteoScreen wrote (sr.dcm).")
        self._root = self._item(dataset, 0)
        measurements = self._root.first(codes.IMAGING_MEASUREMENTS)
        self._groups = [] if measurements is None else list(measurements.find(codes.MEASUREMENT_GROUP))
        individual = self._group(codes.private("INDIVIDUAL"))
        if self._root.concept != _key(codes.IMAGING_MEASUREMENT_REPORT) or individual is None:
            raise InputError(f"{name} is a report of another program; give a DICOM SR that OsteoScreen wrote.")
        self._individual = individual

    def report(self) -> ReadReport:
        density = self._individual.first(codes.private("BMD"))
        if density is None:
            raise InputError(f"{self._name} holds no bone density ({self._why_none()}); give another report.")
        calibration = self._calibration(density)
        levels = {name: self._level(group) for name, group in self._level_groups()}
        bmd = {name: found.bmd_mg_cm3 for name, found in levels.items()}
        bmd["individual"] = density.value()
        known = {name: value for name, value in bmd.items() if value is not None}
        low, high = _PLAUSIBLE_BMD
        if "individual" not in known or not all(low < value < high for value in known.values()):
            raise InputError(f"The bone density in {self._name} is no number of mg/cm³; fetch the report again.")
        day = self._study_date()
        return ReadReport(
            earlier=EarlierResult(day, known, calibration.mineral, calibration.source, "DICOM SR"),
            levels=levels,
            calibration=calibration,
            decision=self._decision(),
            patient_id=values.text(self._dataset.get("PatientID") or ""),
            study_instance_uid=values.uid(self._dataset.get("StudyInstanceUID") or ""),
            study_date=day,
            birth_date=values.dicom_date(self._dataset.get("PatientBirthDate") or ""),
            forced=any(self._outcomes("refuse")),
            **self._scanner(),
        )

    def _item(self, dataset: Dataset, depth: int) -> _Item:
        self._count += 1
        if depth > _MOST_DEPTH or self._count > _MOST_ITEMS:
            raise InputError(f"{self._name} holds more than any OsteoScreen report; give another one.")
        concept = _code_of(dataset.get("ConceptNameCodeSequence")) or ("", "")
        children = [self._item(child, depth + 1) for child in dataset.get("ContentSequence") or ()]
        return _Item(concept, dataset, children)

    def _group(self, finding: Code) -> _Item | None:
        return next((group for group in self._groups if group.code(codes.FINDING) == _key(finding)), None)

    def _level_groups(self) -> Iterator[tuple[str, _Item]]:
        for name, code in codes.VERTEBRAE.items():
            group = self._group(code)
            if group is not None:
                yield name, group

    def _level(self, group: _Item) -> LevelMeasures:
        def attenuation(derivation: Code) -> float | None:
            return _inset(group, codes.ATTENUATION, derivation)

        confirmed = group.code(codes.private("LEVEL_CONFIRMED"))
        return LevelMeasures(
            mean_hu=attenuation(codes.MEAN),
            median_hu=attenuation(codes.MEDIAN),
            sd_hu=attenuation(codes.STANDARD_DEVIATION),
            area_mm2=_inset(group, codes.AREA, None),
            bmd_mg_cm3=group.number(codes.private("BMD")),
            confirmed=_truth(confirmed),
        )

    def _calibration(self, density: _Item) -> Calibration:
        mineral = _name_of(density.code(codes.private("MINERAL")), codes.MINERALS)
        source = _name_of(density.code(codes.private("CAL_SOURCE")), codes.CALIBRATION_SOURCES)
        slope, intercept = (density.number(codes.private(value)) for value in ("CAL_SLOPE", "CAL_INTERCEPT"))
        uncertainty = density.number(codes.UNCERTAINTY)
        if mineral is None or source is None or slope is None or intercept is None or uncertainty is None:
            raise InputError(f"{self._name} does not say how its density was calibrated; give another report.")
        return Calibration(source, slope, intercept, mineral, uncertainty)

    def _decision(self) -> DecisionKind | None:
        return _name_of(self._individual.code(codes.private("DECISION")), codes.DECISIONS)

    def _outcomes(self, outcome: str) -> Iterator[_Item]:
        """The eligibility checks of that outcome."""
        wanted = _key(codes.OUTCOMES[outcome])
        for found in self._individual.find(codes.QUALITY_FINDING):
            if _code_of(found.dataset.get("ConceptCodeSequence")) == wanted:
                yield found

    def _why_none(self) -> str:
        if self._decision() == "discarded":
            return "a reader discarded its result"
        refused = self._individual.code(codes.private("STATUS")) == _key(codes.private("REFUSED"))
        return "its study was refused" if refused else "no calibration was known"

    def _study_date(self) -> str | None:
        digits = values.dicom_date(self._dataset.get("StudyDate") or "")
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).isoformat() if digits else None

    def _scanner(self) -> dict[str, Any]:
        """What the scan was made with, from the image library."""
        library = self._root.first(codes.IMAGE_LIBRARY)
        group = None if library is None else library.first(codes.IMAGE_LIBRARY_GROUP)
        if group is None:
            return {}
        return {
            "manufacturer": group.text(codes.DEVICE_MANUFACTURER),
            "model_name": group.text(codes.DEVICE_MODEL),
            "kvp": group.number(codes.KVP),
            "slice_thickness_mm": group.number(codes.SLICE_THICKNESS),
            "kernel": group.text(codes.private("KERNEL")),
            "sha256": group.text(codes.private("SCAN_SHA256")),
            "contrast": _truth(group.code(codes.private("CONTRAST"))),
        }


def _inset(group: _Item, concept: Code, derivation: Code | None) -> float | None:
    """The measure inside the inset outline, of that derivation."""
    for item in group.find(concept):
        wanted = None if derivation is None else _key(derivation)
        if item.code(codes.METHOD) == _key(codes.private("INSET")) and item.code(codes.DERIVATION) == wanted:
            return item.value()
    return None


def _key(code: Code) -> tuple[str, str]:
    return code.value, code.scheme_designator


def _code_of(sequence: Any) -> tuple[str, str] | None:
    if not sequence:
        return None
    return str(sequence[0].get("CodeValue", "")), str(sequence[0].get("CodingSchemeDesignator", ""))


def _name_of(code: tuple[str, str] | None, known: dict[Any, Code]) -> Any:
    """The name that a code stands for in a table of ours; None where it is not in there."""
    return next((name for name, candidate in known.items() if _key(candidate) == code), None)


def _truth(code: tuple[str, str] | None) -> Literal[True, False] | None:
    return {_key(codes.YES): True, _key(codes.NO): False}.get(code) if code else None  # type: ignore[return-value]
