"""The row of pictures: which there are, each with its caption, and the legend of the lines over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...results import RoiMeasures
from .. import phrases
from ..drawing import Figure
from ..views import LevelView
from .figures import LINES, draw_figure, size_of
from .layout import GAP_MM, INNER_MM, MARGIN_MM, RIGHT_MM, TINY
from .paper import Paper, Style

#: Captions run over their picture's edge rather than into a second line.
CAPTION_MM = 58.0
LEGEND_MM = 3.6
MOST_FIGURES = 3


@dataclass(frozen=True)
class Shown:
    """A picture of the sheet; ``letters`` are the patient's directions at its top, right, bottom and left."""

    figure: Figure
    letters: str
    caption: str


def shown_pictures(levels: Sequence[LevelView], sagittal: Figure | None) -> list[Shown]:
    """What there is to draw, the levels first."""
    shown = []
    for view in levels:
        figure = view.close_up or view.whole
        if figure is not None:
            what = "close-up" if view.close_up else "whole slice, not outlined"
            where = f", slice #{view.level.slice_index}, S {phrases.number(view.level.z_mm)} mm" if view.level else ""
            mark = "" if view.confirmed else ", not confirmed"
            shown.append(Shown(figure, "ALPR", f"{view.name}{mark}: {what}{where}"))
    if sagittal is not None:
        shown.append(Shown(sagittal, "SPIA", "Levels on the sagittal view"))
    return shown[:MOST_FIGURES]


def draw_pictures(
    paper: Paper,
    pictures: Sequence[Shown],
    open_levels: frozenset[str],
    roi: RoiMeasures | None,
    y: float,
    height: float,
) -> float:
    """Draw them in a row, not higher than ``height`` with captions and legend; returns where the row ends.

    ``open_levels`` are those that nobody confirmed; ``roi`` is a measured level's, whose outlines the legend explains.
    """
    outlined = [shown.figure for shown in pictures if "outline" in shown.figure.paths]
    caption_mm = 2 * paper.line_height(TINY) + 0.8
    most_width = (INNER_MM - GAP_MM * (len(pictures) - 1)) / len(pictures)
    tallest, x = 0.0, MARGIN_MM
    for shown in pictures:
        width, tall = size_of(shown.figure, most_width, height - caption_mm - (LEGEND_MM if outlined else 0.0))
        draw_figure(paper, shown.figure, x, y, width, shown.letters, open_levels)
        column = min(most_width, max(width, CAPTION_MM))
        paper.text(x, y + tall + 0.4, column, shown.caption, TINY, caption_mm)
        tallest = max(tallest, tall)
        x += column + GAP_MM
    y += tallest + caption_mm
    return _draw_legend(paper, outlined[0], roi, y) if outlined and roi is not None else y


def _draw_legend(paper: Paper, figure: Figure, roi: RoiMeasures, y: float) -> float:
    x = MARGIN_MM
    words = {
        "outline": "outline",
        "inset": f"{phrases.number(roi.inset_mm, 0)} mm inset, which the BMD is made from",
        "circle": f"{phrases.number(roi.circle_area_mm2, 0)} mm² circle",
    }
    for kind, label in words.items():
        if kind in figure.paths:
            stroke, points, dash = LINES[kind]
            paper.box(x, y, 8.0, 2.6, fill="#222222")
            paper.lines([[(x + 0.6, y + 1.3), (x + 7.4, y + 1.3)]], stroke, points, closed=False, dash=dash)
            paper.word(x + 9.2, y + 2.1, label, TINY)
            x += 13.0 + paper.width(label, TINY)
    note = "Seen from the feet: the patient's right is on the left."
    paper.word(RIGHT_MM, y + 2.1, note, Style(TINY.size, TINY.colour, align="right"))
    return y + 3.0
