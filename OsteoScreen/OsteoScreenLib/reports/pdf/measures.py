"""The table of measures."""

from __future__ import annotations

from collections.abc import Sequence

from ..views import MeasureGroup
from .layout import HEADING, MARGIN_MM
from .paper import Paper, Style

_ROW_MM = 3.45
_COLUMN_MM = 33.0


def measures_height(groups: Sequence[MeasureGroup]) -> float:
    """How high the table is."""
    rows = sum(1 + len(group.rows) for group in groups)
    return (rows + 1) * _ROW_MM + 1.5


def draw_measures(
    paper: Paper, heading: str, groups: Sequence[MeasureGroup], columns: Sequence[str], y: float, width: float
) -> None:
    """Draw the table at the left margin; ``columns`` are the headings of the measured levels."""
    places = [MARGIN_MM + width - (len(columns) - place) * _COLUMN_MM for place in range(len(columns))]
    style, soft = Style(6.8), Style(6.4, "soft")
    for name, x in zip(columns, places, strict=True):
        paper.word(x, y + 2.5, name, Style(7, bold=True))
    paper.word(MARGIN_MM, y + 2.5, heading, HEADING)
    y += _ROW_MM + 0.6
    for group in groups:
        paper.word(MARGIN_MM, y + 2.6, group.heading, Style(6.6, "soft", bold=True))
        y += _ROW_MM
        for row in group.rows:
            look = Style(7, bold=row.is_total)
            paper.word(MARGIN_MM + 1.5, y + 2.5, row.label, look)
            paper.word(MARGIN_MM + 3.0 + paper.width(row.label, look), y + 2.5, row.unit, soft)
            for value, x in zip(row.values, places, strict=False):
                paper.text(x, y + 0.1, _COLUMN_MM, value, look if row.is_total else style, _ROW_MM)
            paper.lines([[(MARGIN_MM, y + 3.35), (MARGIN_MM + width, y + 3.35)]], "edge", 0.3, closed=False)
            y += _ROW_MM
