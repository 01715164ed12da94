"""The paper's Fig. 1: how the subjects came to be, were left out, and were split."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from .style import EDGE, INK, SOFT, WIDE_IN, styled

_LINE_IN, _PAD_IN, _GAP_IN = 0.175, 0.1, 0.32
_EDGE_IN, _BETWEEN_IN, _SIDE_IN, _SIDE_CHARACTERS = 0.1, 0.15, 3.3, 44
#: A third of the width, so that the main boxes stand above the first of three splits.
_MAIN_IN = (WIDE_IN - 2 * _EDGE_IN - 2 * _BETWEEN_IN) / 3


@dataclass(frozen=True)
class _Box:
    """A box in inches; ``top`` grows upwards."""

    left: float
    top: float
    width: float
    lines: tuple[str, ...]

    @property
    def height(self) -> float:
        return len(self.lines) * _LINE_IN + 2 * _PAD_IN

    @property
    def middle(self) -> float:
        return self.left + self.width / 2

    @property
    def bottom(self) -> float:
        return self.top - self.height


@styled
def flow_chart(
    total: int,
    excluded: Sequence[tuple[str, int]],
    included: int,
    splits: Sequence[tuple[str, int, Mapping[str, int]]],
) -> Figure:
    """Return the flow chart of a cohort.

    ``excluded`` holds (reason, subjects), each subject under one reason; ``splits`` holds (name, subjects, subjects by
    class). Raises ValueError where the counts do not add up: a chart that contradicts itself is worth none.
    """
    _check_counts(total, excluded, included, splits)
    start = _Box(_EDGE_IN, 0.0, _MAIN_IN, ("All subjects", f"n = {total}"))
    side = _exclusions(excluded, start.bottom - _GAP_IN)
    side_bottom = side.bottom if side else start.bottom
    kept = _Box(_EDGE_IN, side_bottom - _GAP_IN, _MAIN_IN, ("Included", f"n = {included}"))
    ends = _split_boxes(splits, kept.bottom - 2 * _GAP_IN)
    low = min((box.bottom for box in ends), default=kept.bottom)

    figure = Figure(figsize=(WIDE_IN, 0.1 - low))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDE_IN), ylim=(low - 0.05, 0.05))
    axes.set_axis_off()
    for box in (start, kept, *ends, *((side,) if side else ())):
        _draw(axes, box, bold=box is not side)
    _arrow(axes, (start.middle, start.bottom), (start.middle, kept.top))
    if side:
        middle = (side.top + side.bottom) / 2
        _arrow(axes, (start.middle, middle), (side.left, middle))
    _fork(axes, kept, ends)
    return figure


def _check_counts(
    total: int,
    excluded: Sequence[tuple[str, int]],
    included: int,
    splits: Sequence[tuple[str, int, Mapping[str, int]]],
) -> None:
    if total - sum(count for _, count in excluded) != included:
        raise ValueError(f"{total} subjects less those excluded are not the {included} included.")
    if splits and sum(count for _, count, _ in splits) != included:
        raise ValueError(f"The splits do not add up to the {included} included.")
    for name, count, classes in splits:
        if sum(classes.values()) != count:
            raise ValueError(f"The classes of {name} do not add up to its {count} subjects.")


def _exclusions(excluded: Sequence[tuple[str, int]], top: float) -> _Box | None:
    if not excluded:
        return None
    lines = [f"Excluded (n = {sum(count for _, count in excluded)})"]
    for reason, count in excluded:
        # No-break spaces keep a count in one piece.
        text = f"{reason} (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{count})"
        lines += textwrap.wrap(text, _SIDE_CHARACTERS, initial_indent="• ", subsequent_indent="   ")
    return _Box(WIDE_IN - _SIDE_IN - _EDGE_IN, top, _SIDE_IN, tuple(lines))


def _split_boxes(splits: Sequence[tuple[str, int, Mapping[str, int]]], top: float) -> list[_Box]:
    if not splits:
        return []
    pitch = (WIDE_IN - 2 * _EDGE_IN + _BETWEEN_IN) / len(splits)
    return [
        _Box(
            _EDGE_IN + index * pitch,
            top,
            pitch - _BETWEEN_IN,
            (name, f"n = {count}", *(f"{label}: {of_class}" for label, of_class in classes.items())),
        )
        for index, (name, count, classes) in enumerate(splits)
    ]


def _draw(axes: Axes, box: _Box, bold: bool) -> None:
    """Draw a box: centred lines under a bold first one, or (the exclusions) all from the left."""
    axes.add_patch(
        FancyBboxPatch(
            (box.left, box.bottom), box.width, box.height, boxstyle="round,pad=0,rounding_size=0.06",
            facecolor="#f4f5f7" if bold else "#ffffff", edgecolor=SOFT if bold else EDGE, linewidth=1.0,
        )
    )  # fmt: skip
    for number, text in enumerate(box.lines):
        y = box.top - _PAD_IN - (number + 0.5) * _LINE_IN
        weight = "bold" if number == 0 else "normal"
        x, side = (box.middle, "center") if bold else (box.left + _PAD_IN, "left")
        axes.text(x, y, text, ha=side, va="center", weight=weight, color=INK)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate(
        "", end, start,
        arrowprops={"arrowstyle": "-|>", "color": SOFT, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip


def _fork(axes: Axes, kept: _Box, ends: Sequence[_Box]) -> None:
    """Draw the line that leads from the included to every split."""
    if not ends:
        return
    level = kept.bottom - _GAP_IN
    axes.plot([kept.middle, kept.middle], [kept.bottom, level], color=SOFT, linewidth=1.2)
    reach = [kept.middle, *(box.middle for box in ends)]
    axes.plot([min(reach), max(reach)], [level, level], color=SOFT, linewidth=1.2)
    for box in ends:
        _arrow(axes, (box.middle, level), (box.middle, box.top))
