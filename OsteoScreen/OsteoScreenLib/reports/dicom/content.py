"""The content items of a measurement report: measures, evaluations and what modifies them (PS3.16, TID 300, 1419)."""

from __future__ import annotations

from collections.abc import Iterable

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    ContentItem,
    ContentSequence,
    Measurement,
    NumContentItem,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from ...densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from ...results import BoneStatus, BundleUse, Calibration, Check, Densitometry, RoiMeasures
from ..phrases import joined
from . import codes, values

#: In plain ASCII, because some viewers show SR text in no other way.
CRITERION = (
    "QCT criterion of the ACR and the ISCD for the mean of two lumbar vertebral bodies: under "
    f"{OSTEOPOROSIS_BELOW_MG_CM3:g} mg/cm3 osteoporosis, {OSTEOPOROSIS_BELOW_MG_CM3:g} to {NORMAL_ABOVE_MG_CM3:g} "
    f"mg/cm3 osteopenia, over {NORMAL_ABOVE_MG_CM3:g} mg/cm3 normal. These are not DXA T-scores, and no diagnosis."
)
_MODIFIES, _HAS = RelationshipTypeValues.HAS_CONCEPT_MOD, RelationshipTypeValues.HAS_PROPERTIES


def text_item(name: Code, value: str, relationship: RelationshipTypeValues = _HAS) -> TextContentItem:
    """Return a text; an empty one, which DICOM does not allow, as a dash."""
    return TextContentItem(name=name, value=values.text(value, "UT") or "-", relationship_type=relationship)


def code_item(name: Code, value: Code, relationship: RelationshipTypeValues = _MODIFIES) -> CodeContentItem:
    """Return a coded value."""
    return CodeContentItem(name=name, value=value, relationship_type=relationship)


def number_item(name: Code, value: float, unit: Code, relationship: RelationshipTypeValues = _HAS) -> NumContentItem:
    """Return a number."""
    return NumContentItem(name=name, value=float(value), unit=unit, relationship_type=relationship)


def evaluation(name: Code, value: Code, said_of_it: Iterable[ContentItem] = ()) -> QualitativeEvaluation:
    """Return a coded answer, and what is said of it below it."""
    found = QualitativeEvaluation(name=name, value=value)
    _extend(found[0], said_of_it)
    return found


def attenuation_measures(roi: RoiMeasures) -> list[Measurement]:
    """Return a level's areas in mm2 and attenuations in HU, each with the region that it was taken in."""
    inset, outline, circle = (codes.private(value) for value in ("INSET", "OUTLINE", "CIRCLE"))
    measures = [
        _measure(codes.AREA, roi.area_mm2, codes.SQUARE_MM, None, inset),
        _measure(codes.ATTENUATION, roi.mean_hu, codes.HOUNSFIELD, codes.MEAN, inset),
        _measure(codes.ATTENUATION, roi.median_hu, codes.HOUNSFIELD, codes.MEDIAN, inset),
        _measure(codes.ATTENUATION, roi.sd_hu, codes.HOUNSFIELD, codes.STANDARD_DEVIATION, inset),
        _measure(codes.AREA, roi.outline_area_mm2, codes.SQUARE_MM, None, outline),
        _measure(codes.ATTENUATION, roi.outline_mean_hu, codes.HOUNSFIELD, codes.MEAN, outline),
    ]
    if roi.circle_mean_hu is not None:
        measures.append(_measure(codes.AREA, roi.circle_area_mm2, codes.SQUARE_MM, None, circle))
        measures.append(_measure(codes.ATTENUATION, roi.circle_mean_hu, codes.HOUNSFIELD, codes.MEAN, circle))
    measures.append(_measure(codes.private("INSET_MM"), roi.inset_mm, codes.MILLIMETRE))
    measures.append(_measure(codes.private("CONFIDENCE"), roi.confidence, codes.NO_UNITS))
    return measures


def density_measure(found: Densitometry, name: str) -> Measurement:
    """Return the BMD of a level, or of the "individual", in mg/cm3, with its mineral, calibration and uncertainty."""
    averaged = name == "individual" and len(found.bmd_mg_cm3) > 2
    measure = _measure(codes.private("BMD"), found.bmd_mg_cm3[name], codes.MG_PER_CM3, codes.MEAN if averaged else None)
    _extend(measure[0], _calibration_items(found.calibration, found.kvp_factor))
    return measure


def probability_measures(probabilities: dict[str, float], bundle: BundleUse | None) -> list[Measurement]:
    """Return the classifier's probabilities, each with the model that gave it."""
    algorithm = None if bundle is None else algorithm_of(bundle)
    return [
        Measurement(name=name, value=float(probabilities[status]), unit=codes.NO_UNITS, algorithm_id=algorithm)
        for status, name in codes.PROBABILITIES.items()
    ]


def algorithm_of(bundle: BundleUse) -> AlgorithmIdentification:
    """Return a bundle's name, version and hash (TID 4019)."""
    return AlgorithmIdentification(
        name=values.text(bundle.name) or "-",
        version=values.text(bundle.version) or "-",
        parameters=[f"sha256={values.text(bundle.sha256)}"],
    )


def range_evaluation(category: BoneStatus) -> QualitativeEvaluation:
    """Return the range of the QCT criterion that the density lies in, with the criterion."""
    criterion = text_item(codes.private("CRITERION"), CRITERION, _MODIFIES)
    return evaluation(codes.private("QCT_RANGE"), codes.BONE_STATUS[category], [criterion])


def check_evaluation(check: Check) -> QualitativeEvaluation:
    """Return an eligibility check that did not pass, with its name and its message."""
    said = [text_item(codes.private("CHECK"), check.check), text_item(codes.COMMENT, check.message)]
    return evaluation(codes.QUALITY_FINDING, codes.OUTCOMES[check.outcome], said)


def not_confirmed(names: list[str]) -> str:
    """Return what an object says of levels that no reader has confirmed."""
    if len(names) == 1:
        return f"Level not confirmed: no reader has said that this is {names[0]}. Its values hold only if it is."
    return f"Levels not confirmed: no reader has said that these are {joined(names)}. The values hold only if they are."


def yes_or_no(truth: bool) -> Code:
    """Return the code for yes or no."""
    return codes.YES if truth else codes.NO


def _calibration_items(line: Calibration, kvp_factor: float) -> list[ContentItem]:
    source = code_item(codes.private("CAL_SOURCE"), codes.CALIBRATION_SOURCES[line.source])
    if line.description:
        _extend(source, [text_item(codes.COMMENT, line.description)])
    return [
        code_item(codes.private("MINERAL"), codes.MINERALS[line.mineral]),
        source,
        number_item(codes.UNCERTAINTY, line.uncertainty_mg_cm3, codes.MG_PER_CM3),
        number_item(codes.private("CAL_SLOPE"), line.slope, codes.MG_PER_CM3_PER_HU),
        number_item(codes.private("CAL_INTERCEPT"), line.intercept, codes.MG_PER_CM3),
        number_item(codes.private("KVP_FACTOR"), kvp_factor, codes.NO_UNITS),
    ]


def _measure(
    name: Code, value: float, unit: Code, derivation: Code | None = None, method: Code | None = None
) -> Measurement:
    return Measurement(name=name, value=float(value), unit=unit, derivation=derivation, method=method)


def _extend(item: Dataset, children: Iterable[ContentItem]) -> None:
    children = list(children)
    if not children:
        return
    if "ContentSequence" not in item:
        item.ContentSequence = ContentSequence()
    item.ContentSequence.extend(children)
