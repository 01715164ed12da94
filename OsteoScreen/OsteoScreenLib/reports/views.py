"""What a report shows of a result, whatever it is written as: levels, checks in order, place on the scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from ..results import Check, Level, RoiMeasures, ScreeningResult
from . import drawing
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
