"""Measures and looks that all parts of the sheet share [mm]."""

from __future__ import annotations

from .paper import HEIGHT_MM, WIDTH_MM, Paper, Style

MARGIN_MM = 13.0
RIGHT_MM = WIDTH_MM - MARGIN_MM
INNER_MM = WIDTH_MM - 2 * MARGIN_MM
BOTTOM_MM = HEIGHT_MM - 10.0
GAP_MM = 3.0

BODY, SMALL, TINY = Style(8.0), Style(7.2), Style(6.4, "soft")
HEADING = Style(8.6, "accent", bold=True)
#: The colour of an eligibility check's outcome, and of a category.
TONES = {"pass": "good", "warn": "warn", "refuse": "bad"}
CATEGORY_TONES = {"normal": "good", "osteopenia": "warn", "osteoporosis": "bad"}


def draw_badge(paper: Paper, x: float, y: float, text: str, tone: str, fill: str, bold: bool = False) -> float:
    """Draw a short text in a rounded frame; returns its width."""
    style = Style(7.6, tone, bold=bold)
    width = paper.width(text, style) + 4.0
    paper.box(x, y, width, 4.6, fill=fill, edge=tone if bold else "edge", round_mm=2.0)
    paper.word(x + 2.0, y + 3.25, text, style)
    return width


def shortened(text: str, most: int = 60) -> str:
    """A name or a version that leaves room for the others."""
    return text if len(text) <= most else text[: most - 1] + "…"
