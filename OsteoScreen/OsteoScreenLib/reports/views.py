"""What a report shows of a result, whatever it is written as: levels, checks in order, place on the scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from ..results import Check, Identity, Level, RoiMeasures, ScreeningResult
from . import drawing, wording
from .phrases import mineral, number
from .pictures import LevelPicture, StudyPictures

#: Where the scale of BMD ends [mg/cm3]: above what young adults have, so that no usual value lies at its edge.
BMD_SCALE_TOP = 220.0


@dataclass(frozen=True)
class LevelView:
    """What the page shows of one level; figures are None where there is nothing to draw."""

    name: str
    level: Level | None
    roi: RoiMeasures | None
    close_up: drawing.Figure | None
    probability: drawing.Figure | None
    whole: drawing.Figure | None

    @property
    def confirmed(self) -> bool:
        return self.level is None or self.level.confirmed


def level_views(result: ScreeningResult, pictures: StudyPictures) -> list[LevelView]:
    """Every level that was set, measured or pictured, in that order, with its figures."""
    names = list(dict.fromkeys([*result.levels, *result.roi, *pictures.levels]))
    return [
        _level_view(name, result.levels.get(name), result.roi.get(name), pictures.levels.get(name)) for name in names
    ]


def _level_view(name: str, level: Level | None, roi: RoiMeasures | None, picture: LevelPicture | None) -> LevelView:
    if picture is None:
        return LevelView(name, level, roi, None, None, None)
    if roi is None or len(roi.outline_ras_mm) < 3:
        return LevelView(name, level, roi, None, None, drawing.whole_slice(picture, None))
    box = drawing.close_up_box(picture, roi)
    return LevelView(
        name,
        level,
        roi,
        drawing.close_up(picture, roi, box),
        drawing.probability_map(picture, roi, box),
        drawing.whole_slice(picture, box),
    )


def sagittal_figure(result: ScreeningResult, pictures: StudyPictures) -> drawing.Figure | None:
    """The sagittal view with a line for each level, or None where there is no such picture."""
    if pictures.sagittal is None:
        return None
    marks = [(name, level.slice_index) for name, level in result.levels.items()]
    return drawing.sagittal_view(pictures.sagittal, marks)


def sorted_checks(checks: list[Check]) -> list[Check]:
    """Refusals first, then warnings, then what passed."""
    order = {"refuse": 0, "warn": 1, "pass": 2}
    return sorted(checks, key=lambda check: order.get(check.outcome, 0))


def bmd_scale(result: ScreeningResult) -> dict[str, Any] | None:
    """Positions in per cent along the scale of the individual's BMD, or None where there is none."""
    if result.densitometry is None or "individual" not in result.densitometry.bmd_mg_cm3:
        return None
    value = result.densitometry.bmd_mg_cm3["individual"]
    reach = result.densitometry.calibration.uncertainty_mg_cm3

    def place(bmd: float) -> float:
        return round(100 * min(max(bmd / BMD_SCALE_TOP, 0.0), 1.0), 2)

    return {
        "value": value,
        "reach": reach,
        "at": place(value),
        "low": place(value - reach),
        "high": place(value + reach),
        "osteoporosis": place(OSTEOPOROSIS_BELOW_MG_CM3),
        "normal": place(NORMAL_ABOVE_MG_CM3),
    }


@dataclass(frozen=True)
class MeasureRow:
    """A line of the table of measures: a value for each level, or one for all of them (then ``is_total``)."""

    label: str
    unit: str
    values: list[str]
    is_total: bool = False


@dataclass(frozen=True)
class MeasureGroup:
    """Lines that belong together, under a heading."""

    heading: str
    rows: list[MeasureRow]


def measure_groups(result: ScreeningResult) -> list[MeasureGroup]:
    """The table of measures, a column for each level that was measured, in the order of `level_views`."""
    if not result.roi:
        return []
    measured = list(measured_levels(result).values())
    first = measured[0]

    def row(label: str, unit: str, attribute: str, digits: int) -> MeasureRow:
        return MeasureRow(label, unit, [number(getattr(roi, attribute), digits) for roi in measured])

    circle = ["does not fit" if roi.circle_mean_hu is None else number(roi.circle_mean_hu) for roi in measured]
    groups = [
        MeasureGroup(
            f"Inside the outline inset by {number(first.inset_mm, 0)} mm: what the BMD is made from",
            [
                row("Mean", "HU", "mean_hu", 1),
                row("Median", "HU", "median_hu", 1),
                row("Standard deviation", "HU", "sd_hu", 1),
                row("Area", "mm²", "area_mm2", 0),
                row("Pixels", "", "pixels", 0),
            ],
        ),
        MeasureGroup(
            "Beside it, for comparison",
            [
                row("Whole outline, mean", "HU", "outline_mean_hu", 1),
                row("Whole outline, area", "mm²", "outline_area_mm2", 0),
                MeasureRow(f"Circle of {number(first.circle_area_mm2, 0)} mm², mean", "HU", circle),
            ],
        ),
        MeasureGroup("Outline and level", _outline_rows(result)),
    ]
    return [*groups, *_density_group(result)]


def measured_levels(result: ScreeningResult) -> dict[str, RoiMeasures]:
    """The levels that were measured, in the order of `level_views`."""
    return {name: result.roi[name] for name in dict.fromkeys([*result.levels, *result.roi]) if name in result.roi}


def identity_lines(identity: Identity | None) -> list[tuple[str, str]]:
    """Whose study it is, as (label, value), of what the scan says; empty where nobody asked for it."""
    if identity is None:
        return []
    labels = {
        "Patient": identity.patient_name,
        "ID": identity.patient_id,
        "Born": _date(identity.birth_date),
        "Study of": _date(identity.study_date),
        "Accession": identity.accession_number,
        "Study UID": identity.study_instance_uid,
    }
    return [(label, value) for label, value in labels.items() if value]


def _date(text: str) -> str:
    """A date of DICOM (YYYYMMDD) as ISO 8601; anything else as it is."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdecimal() and text.isascii() else text


def _outline_rows(result: ScreeningResult) -> list[MeasureRow]:
    measured = list(measured_levels(result).values())
    levels = [result.levels.get(name) for name in measured_levels(result)]
    return [
        MeasureRow(
            "Outline drawn by", "", ["the network" if roi.mask_source == "model" else "the user" for roi in measured]
        ),
        MeasureRow("Confidence of the outline", "0 to 1", [number(roi.confidence, 2) for roi in measured]),
        MeasureRow(
            "Level set by", "", [wording.level_set_short(level) if level else "not recorded" for level in levels]
        ),
    ]


def _density_group(result: ScreeningResult) -> list[MeasureGroup]:
    density = result.densitometry
    if density is None:
        return []
    line = density.calibration
    heading = f"BMD, mg/cm³ {mineral(line.mineral)}, ± {number(line.uncertainty_mg_cm3, 0)}"
    individual = f"Individual{' (mean)' if len(result.roi) > 1 else ''}"
    rows = [
        MeasureRow("BMD", "mg/cm³", [number(density.bmd_mg_cm3.get(name)) for name in measured_levels(result)]),
        MeasureRow(individual, "mg/cm³", [number(density.bmd_mg_cm3.get("individual"))], is_total=True),
    ]
    return [MeasureGroup(heading, rows)]
