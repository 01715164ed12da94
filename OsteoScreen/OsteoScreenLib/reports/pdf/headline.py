"""The BMD of the individual in large figures, on its scale, and the probabilities of the classes."""

from __future__ import annotations

from collections.abc import Mapping

from ...results import Classification, Densitometry
from .. import phrases
from .layout import CATEGORY_TONES, MARGIN_MM, draw_badge
from .paper import Paper, Style


def draw_headline(
    paper: Paper,
    density: Densitometry,
    scale: Mapping[str, float],
    opinion: Classification | None,
    y: float,
    width: float,
) -> float:
    """Draw it at the left margin, ``width`` mm wide, on ``scale`` as of `views.bmd_scale`; returns where it ends."""
    shown, big = phrases.bmd_number(scale["value"]), Style(25, bold=True)
    paper.word(MARGIN_MM, y + 8.4, shown, big)
    x = MARGIN_MM + paper.width(shown, big) + 1.5
    reach, middle = f"± {phrases.number(scale['reach'], 0)}", Style(12)
    paper.word(x, y + 8.4, reach, middle)
    x += paper.width(reach, middle) + 1.5
    paper.word(x, y + 8.4, f"mg/cm³ {phrases.mineral(density.calibration.mineral)}", Style(8, "soft"))
    tone = CATEGORY_TONES[density.category]
    chip = draw_badge(paper, MARGIN_MM, y + 11.0, density.category, tone, f"{tone}-fill", bold=True)
    paper.word(MARGIN_MM + chip + 1.5, y + 14.2, "range of the QCT criterion", Style(7.2, "soft"))
    y = _draw_scale(paper, scale, y + 18.0, width)
    return _draw_probabilities(paper, opinion, y, width)


def _draw_scale(paper: Paper, scale: Mapping[str, float], y: float, width: float) -> float:
    def at(share: float) -> float:
        return MARGIN_MM + width * share / 100

    zones = [("osteoporosis", 0.0, scale["osteoporosis"]), ("osteopenia", scale["osteoporosis"], scale["normal"])]
    for name, begin, end in [*zones, ("normal", scale["normal"], 100.0)]:
        paper.box(at(begin), y + 3.6, at(end) - at(begin), 3.0, fill=f"zone-{name}")
        paper.word(at((begin + end) / 2), y + 12.4, name, Style(6.6, "soft", align="centre"))
    for limit, share in (("80", scale["osteoporosis"]), ("120", scale["normal"])):
        paper.word(at(share), y + 9.4, limit, Style(6.8, align="centre"))
    low, high, middle = at(scale["low"]), at(scale["high"]), at(scale["at"])
    ticks = [[(end, y + 0.9), (end, y + 2.5)] for end in (low, high)]
    paper.lines([[(low, y + 1.7), (high, y + 1.7)], *ticks], "ink", 0.9, closed=False)
    paper.lines([[(middle, y + 0.5), (middle, y + 7.1)]], "ink", 1.9, closed=False)
    return y + 14.4


def _draw_probabilities(paper: Paper, opinion: Classification | None, y: float, width: float) -> float:
    if opinion is None or not opinion.probabilities or opinion.category is None:
        return y
    paper.word(MARGIN_MM, y + 3.0, f"Class from the network: {opinion.category}", Style(7.6, bold=True))
    y += 4.6
    for name, share in opinion.probabilities.items():
        paper.word(MARGIN_MM, y + 2.6, name, Style(7))
        paper.word(MARGIN_MM + 30.0, y + 2.6, phrases.number(share, 2), Style(7, align="right"))
        bar = width - 33.0
        paper.box(MARGIN_MM + 33.0, y + 0.4, bar, 2.4, fill="edge")
        paper.box(MARGIN_MM + 33.0, y + 0.4, bar * min(max(share, 0.0), 1.0), 2.4, fill="accent")
        y += 3.8
    return y + 0.6
