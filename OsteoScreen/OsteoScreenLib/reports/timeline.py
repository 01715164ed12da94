"""The BMD of a patient over time, laid out for the page: across in per cent of its width, down in pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..decisions import is_discarded
from ..densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from ..results import ScreeningResult
from .change import when
from .phrases import bmd_number

HEIGHT, _TOP, _BOTTOM = 210, 14, 168
#: The first and the last value's place across, in per cent: beside the numbers of the axis, and with room for a label.
_LEFT, _RIGHT = 16.0, 88.0
#: Values whose places lie closer than this across carry one label, in per cent: "112" is so wide on a phone.
_LABEL_WIDTH = 9.0
_TICK_MG_CM3 = 20.0


@dataclass(frozen=True)
class Point:
    """One value: its place, the place of its whisker's ends (None without one), and what it is.

    kind : "now", "comparable" or "other"; label : the value, empty where a neighbour's stands in its place
    """

    x: float
    y: float
    low: float | None
    high: float | None
    kind: str
    label: str


@dataclass(frozen=True)
class Timeline:
    """The drawing: its points from the oldest to now, the axis's ticks (place, text), and the criterion's limits."""

    points: list[Point]
    ticks: list[tuple[float, str]]
    limits: list[tuple[float, str]]
    first: str
    said: str

    height = HEIGHT
    bottom = _BOTTOM


def timeline(result: ScreeningResult) -> Timeline | None:
    """Return the drawing of the BMD over time; None where no earlier result's age is known, or a reader discarded
    this one.

    The whisker of an earlier value that may be compared reaches as far as the least significant change.
    """
    dated = [change for change in result.follow_up if change.interval_days is not None and change.interval_days > 0]
    if not dated or result.densitometry is None or is_discarded(result):
        return None
    now = result.densitometry.bmd_mg_cm3["individual"]
    days = [change.interval_days or 0 for change in dated]
    values = [change.earlier.bmd_mg_cm3["individual"] for change in dated]
    reaches = [None if change.not_comparable else change.least_significant_change_mg_cm3 for change in dated]
    ends = [value + sign * (reach or 0.0) for value, reach in zip(values, reaches, strict=True) for sign in (-1, 1)]
    low = math.floor(min([now, *ends]) / _TICK_MG_CM3) * _TICK_MG_CM3
    high = max(math.ceil(max([now, *ends]) / _TICK_MG_CM3) * _TICK_MG_CM3, low + _TICK_MG_CM3)

    def down(value: float) -> float:
        return round(_BOTTOM - (value - low) / (high - low) * (_BOTTOM - _TOP), 1)

    points: list[Point] = []
    for day, value, reach in zip([*days, 0], [*values, now], [*reaches, None], strict=True):
        x = round(_RIGHT - day / max(days) * (_RIGHT - _LEFT), 2)
        foot, top = (None, None) if reach is None else (down(value - reach), down(value + reach))
        kind = "now" if len(points) == len(days) else "other" if reach is None else "comparable"
        points.append(Point(x, down(value), foot, top, kind, bmd_number(value)))
    ticks = [low + n * _TICK_MG_CM3 for n in range(round((high - low) / _TICK_MG_CM3) + 1)]
    limits = [limit for limit in (OSTEOPOROSIS_BELOW_MG_CM3, NORMAL_ABOVE_MG_CM3) if low <= limit <= high]
    told = [f"{bmd_number(value)} {when(change)}" for value, change in zip(values, dated, strict=True)]
    return Timeline(
        points=_without_crowding(points),
        ticks=[(down(tick), f"{tick:.0f}") for tick in ticks],
        limits=[(down(limit), f"{limit:.0f}") for limit in limits],
        first=when(dated[0]),
        said=f"BMD in mg/cm³ over time: {', '.join(told)}, {bmd_number(now)} now",
    )


def _without_crowding(points: list[Point]) -> list[Point]:
    """The points with the labels that fit, those of later values first."""
    kept: list[Point] = []
    last = math.inf
    for point in reversed(points):
        fits = last - point.x >= _LABEL_WIDTH
        last = point.x if fits else last
        kept.insert(0, point if fits else Point(point.x, point.y, point.low, point.high, point.kind, ""))
    return kept
