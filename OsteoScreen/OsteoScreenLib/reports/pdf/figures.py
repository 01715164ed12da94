"""The page's figures on paper: the picture, and over it the lines, letters and scale bar as vectors."""

from __future__ import annotations

import base64
import io

from ..drawing import Figure
from .paper import Paper, Style

#: Colour, width [pt] and dash of each line over a picture, as in report.css.
LINES: dict[str, tuple[str, float, tuple[float, ...]]] = {
    "outline": ("#ffd83d", 1.0, ()),
    "inset": ("#4fe0ff", 1.0, (3.5, 2.0)),
    "circle": ("#ff9df2", 1.2, (0.1, 2.2)),
    "box": ("#ffd83d", 0.8, ()),
}
_LEVEL_LINE = ("#ffd83d", 0.8)
_HALO_PT, _HALO_OPACITY = 1.0, 0.55
_LETTER = Style(6.5, "#ffffff", bold=True)
_POINT_MM = 25.4 / 72


def size_of(figure: Figure, most_width: float, most_height: float) -> tuple[float, float]:
    """Width and height [mm] of the figure where it fills a place as far as its shape lets it."""
    scale = min(most_width / figure.width_mm, most_height / figure.height_mm)
    return figure.width_mm * scale, figure.height_mm * scale


def draw_figure(
    paper: Paper,
    figure: Figure,
    x: float,
    y: float,
    width: float,
    letters: str = "",
    open_levels: frozenset[str] = frozenset(),
) -> None:
    """Draw the figure ``width`` mm wide at (x, y).

    ``letters`` are the patient's directions at the top, right, bottom and left; ``open_levels`` are the levels that
    nobody has confirmed, whose lines are dashed and say so.
    """
    scale = width / figure.width_mm
    height = figure.height_mm * scale
    paper.image(io.BytesIO(base64.b64decode(figure.image.partition(",")[2])), x, y, width, height)
    for kind, path in figure.paths.items():
        rings = [[(x + a * scale, y + b * scale) for a, b in ring] for ring in _rings(path)]
        stroke, points, dash = LINES[kind]
        paper.lines(rings, "#000000", points + _HALO_PT, dash=dash, opacity=_HALO_OPACITY, round_ends=kind == "circle")
        paper.lines(rings, stroke, points, dash=dash, round_ends=kind == "circle")
    for line in figure.lines:
        is_open = line.name in open_levels
        ends = [[(x, y + line.y * scale), (x + width, y + line.y * scale)]]
        paper.lines(ends, "#000000", _LEVEL_LINE[1] + _HALO_PT, closed=False, opacity=_HALO_OPACITY)
        paper.lines(ends, *_LEVEL_LINE, closed=False, dash=(3.0, 2.0) if is_open else ())
        label = f"{line.name} not confirmed" if is_open else line.name
        above = line.label_y < line.y
        baseline = y + line.y * scale + (-1.0 if above else 1.0 + _LETTER.size * _POINT_MM)
        style = Style(_LETTER.size, _LEVEL_LINE[0], bold=True)
        # On the right, away from the scale bar.
        _letter(paper, x + width - 4.0 - paper.width(label, style), baseline, label, style)
    _directions(paper, x, y, width, height, letters)
    _scale_bar(paper, figure, x, y, scale)


def _directions(paper: Paper, x: float, y: float, width: float, height: float, letters: str) -> None:
    if not letters:
        return
    top, right, bottom, left = tuple(letters)
    tall = _LETTER.size * _POINT_MM
    _letter(paper, x + width / 2, y + 1.0 + 0.8 * tall, top, _LETTER)
    _letter(paper, x + width - 2.4, y + height / 2, right, _LETTER)
    _letter(paper, x + width / 2, y + height - 1.2, bottom, _LETTER)
    _letter(paper, x + 1.0, y + height / 2, left, _LETTER)


def _scale_bar(paper: Paper, figure: Figure, x: float, y: float, scale: float) -> None:
    bar = figure.scale_bar
    ends = [(x + bar.x * scale, y + bar.y * scale), (x + (bar.x + bar.length_mm) * scale, y + bar.y * scale)]
    paper.lines([ends], "#000000", 2.2, closed=False, opacity=_HALO_OPACITY)
    paper.lines([ends], "#ffffff", 1.4, closed=False)
    _letter(paper, ends[0][0], ends[0][1] - 0.9, f"{bar.length_mm} mm", _LETTER)


def _letter(paper: Paper, x: float, baseline: float, text: str, style: Style) -> None:
    """Letters that stay readable on any grey: on a dark, half transparent ground."""
    tall = style.size * _POINT_MM
    width = paper.width(text, style)
    paper.box(x - 0.4, baseline - 0.82 * tall, width + 0.8, 1.08 * tall, fill="#000000", opacity=0.5)
    paper.word(x, baseline, text, style)


def _rings(path: str) -> list[list[tuple[float, float]]]:
    """The points of SVG path data as `reports.drawing` makes it: closed rings of straight lines."""
    rings = []
    for part in path.split("Z"):
        if part:
            points = (point.split() for point in part.removeprefix("M").split("L"))
            rings.append([(float(a), float(b)) for a, b in points])
    return rings
