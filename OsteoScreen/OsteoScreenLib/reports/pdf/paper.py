"""One sheet of paper: text that is fitted into its place, lines and pictures, in mm from the upper left corner."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph

from ...printable import printable

#: The page's colours in light, as in report.css.
COLOURS = {
    "page": "#f4f5f7", "card": "#ffffff", "ink": "#16202b", "soft": "#4d5a68", "edge": "#d5dbe2", "accent": "#0b5c7d",
    "good": "#17663a", "good-fill": "#dff2e6", "warn": "#7a4b00", "warn-fill": "#fff0cf", "bad": "#9c1c1c",
    "bad-fill": "#fde3e1", "zone-osteoporosis": "#c2584f", "zone-osteopenia": "#e2b04a", "zone-normal": "#6fae86",
}  # fmt: skip

WIDTH_MM, HEIGHT_MM = A4[0] / mm, A4[1] / mm
LEADING = 1.28
#: Longest text that is fitted into a place of the sheet.
LONGEST_TEXT = 1200
#: What is shown in the place of a character that the font lacks.
MISSING_GLYPH = "□"

_REGULAR, _BOLD = "DejaVuSans", "DejaVuSans-Bold"


@dataclass(frozen=True)
class Style:
    """How text looks: its size in points, colour (a name in `COLOURS`, or hexadecimal), weight and alignment."""

    size: float = 8.0
    colour: str = "ink"
    bold: bool = False
    align: str = "left"


@dataclass(frozen=True)
class Run:
    """A piece of a text, bold or not."""

    text: str
    bold: bool = False


Text = str | Sequence[Run]


class Paper:
    """A sheet of A4, drawn on from the upper left corner.

    ``title`` and ``written`` go into the document's properties, which hold nothing of the patient; the same calls with
    the same ``written`` give the same bytes. All text is one-line `printable` text, never markup.
    """

    def __init__(self, title: str, written: datetime) -> None:
        _register_fonts()
        self._buffer = io.BytesIO()
        # The font that a canvas begins with would be one that is not embedded.
        self._canvas = Canvas(self._buffer, pagesize=A4, invariant=1, lang="en", initialFontName=_REGULAR)
        self._canvas.setTitle(_shown(title))
        self._canvas.setAuthor("OsteoScreen")
        self._canvas.setCreator("OsteoScreen")
        self._canvas.setSubject("Research use only")
        self._canvas.setDateFormatter(lambda *parts: written.strftime("D:%Y%m%d%H%M%S+00'00'"))

    def finished(self) -> bytes:
        """The document; nothing can be drawn afterwards."""
        self._canvas.showPage()
        self._canvas.save()
        return self._buffer.getvalue()

    def height(self, text: Text, width: float, style: Style = Style()) -> float:
        """How high the text is where it is ``width`` wide [mm]."""
        return _paragraph(_runs(text), style).wrap(width * mm, 1e6)[1] / mm if _runs(text) else 0.0

    def text(
        self, x: float, y: float, width: float, text: Text, style: Style = Style(), most: float | None = None
    ) -> float:
        """Write text below ``y``, cut with an ellipsis where it would be higher than ``most``; returns its height."""
        runs = _runs(text)
        if not runs:
            return 0.0
        if most is not None:
            runs = self._fitted(runs, width, style, most)
        paragraph = _paragraph(runs, style)
        height = paragraph.wrap(width * mm, 1e6)[1]
        paragraph.drawOn(self._canvas, x * mm, A4[1] - y * mm - height)
        return float(height / mm)

    def width(self, text: str, style: Style = Style()) -> float:
        """How wide the text is on one line."""
        return float(pdfmetrics.stringWidth(_shown(text), _font(style), style.size) / mm)

    def line_height(self, style: Style = Style()) -> float:
        """How high one line of text is."""
        return style.size * LEADING / mm

    def word(self, x: float, baseline: float, text: str, style: Style = Style()) -> None:
        """Write one short line on a baseline, aligned at ``x``."""
        canvas = self._canvas
        canvas.setFillColor(colour(style.colour))
        canvas.setFont(_font(style), style.size)
        draw = {"left": canvas.drawString, "right": canvas.drawRightString, "centre": canvas.drawCentredString}
        draw[style.align](x * mm, A4[1] - baseline * mm, _shown(text))

    def box(
        self, x: float, y: float, width: float, height: float, fill: str | None = None, edge: str | None = None,
        round_mm: float = 0.0, opacity: float = 1.0,
    ) -> None:  # fmt: skip
        """Draw a rectangle, filled, edged, or both."""
        canvas = self._canvas
        canvas.saveState()
        canvas.setLineWidth(0.6)
        if fill:
            canvas.setFillColor(colour(fill, opacity))
        if edge:
            canvas.setStrokeColor(colour(edge))
        place = (x * mm, A4[1] - (y + height) * mm, width * mm, height * mm)
        canvas.roundRect(*place, round_mm * mm, fill=int(bool(fill)), stroke=int(bool(edge)))
        canvas.restoreState()

    def lines(
        self, rings: Sequence[Sequence[tuple[float, float]]], stroke: str, width_pt: float, *, closed: bool = True,
        dash: tuple[float, ...] = (), opacity: float = 1.0, round_ends: bool = False,
    ) -> None:  # fmt: skip
        """Draw lines through points (x, y)."""
        canvas = self._canvas
        canvas.saveState()
        canvas.setStrokeColor(colour(stroke, opacity))
        canvas.setLineWidth(width_pt)
        canvas.setLineJoin(1)
        canvas.setLineCap(int(round_ends))
        canvas.setDash(*([list(dash)] if dash else []))
        path = canvas.beginPath()
        for ring in rings:
            for number, (x, y) in enumerate(ring):
                (path.lineTo if number else path.moveTo)(x * mm, A4[1] - y * mm)
            if closed and ring:
                path.close()
        canvas.drawPath(path, fill=0, stroke=1)
        canvas.restoreState()

    def image(self, image: io.BytesIO, x: float, y: float, width: float, height: float) -> None:
        """Draw a PNG."""
        from reportlab.lib.utils import ImageReader

        self._canvas.drawImage(ImageReader(image), x * mm, A4[1] - (y + height) * mm, width * mm, height * mm)

    def _fitted(self, runs: list[Run], width: float, style: Style, most: float) -> list[Run]:
        """The runs, the last ones cut so that they are not higher than ``most`` (one line at least)."""
        most = max(most, self.line_height(style)) + 0.01
        if self.height(runs, width, style) <= most:
            return runs
        low, high = 0, sum(len(run.text) for run in runs)
        while high - low > 1:
            middle = (low + high) // 2
            fits = self.height(_cut(runs, middle), width, style) <= most
            low, high = (middle, high) if fits else (low, middle)
        return _cut(runs, low)


def colour(name: str, opacity: float = 1.0) -> Color:
    """A colour by its name in `COLOURS`, or by its hexadecimal value."""
    found = HexColor(COLOURS.get(name, name))
    return Color(found.red, found.green, found.blue, alpha=opacity)


def _cut(runs: list[Run], length: int) -> list[Run]:
    """The first ``length`` characters of the runs, and an ellipsis."""
    kept: list[Run] = []
    for run in runs:
        if length <= 0:
            break
        kept.append(replace(run, text=run.text[:length]))
        length -= len(run.text)
    last = kept[-1] if kept else Run("")
    return [*kept[:-1], replace(last, text=last.text.rstrip() + " …")]


def _runs(text: Text) -> list[Run]:
    runs = [Run(text)] if isinstance(text, str) else list(text)
    return [replace(run, text=shown) for run in runs if (shown := _shown(run.text)).strip()]


def _shown(text: str) -> str:
    """Text as the font can show it."""
    glyphs = _register_fonts()
    return "".join(
        character if ord(character) in glyphs else MISSING_GLYPH for character in printable(text, LONGEST_TEXT)
    )


def _paragraph(runs: Sequence[Run], style: Style) -> Paragraph:
    parts = [f"<b>{escape(run.text)}</b>" if run.bold else escape(run.text) for run in runs]
    look = ParagraphStyle(
        "text",
        fontName=_font(style),
        fontSize=style.size,
        leading=style.size * LEADING,
        textColor=colour(style.colour),
        alignment={"left": 0, "centre": 1, "right": 2}[style.align],
        splitLongWords=1,
    )
    return Paragraph("".join(parts), look)


def _font(style: Style) -> str:
    return _BOLD if style.bold else _REGULAR


@lru_cache(maxsize=1)
def _register_fonts() -> frozenset[int]:
    """Make matplotlib's DejaVu Sans known (it has µ, ², ±, Greek, Cyrillic …); returns the characters of both weights.

    Fonts that a reader's machine may lack have to be embedded, and these may be (Bitstream Vera licence).
    """
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [TTFont(name, str(folder / f"{name}.ttf")) for name in (_REGULAR, _BOLD)]
    for font in fonts:
        pdfmetrics.registerFont(font)
    pdfmetrics.registerFontFamily(_REGULAR, normal=_REGULAR, bold=_BOLD, italic=_REGULAR, boldItalic=_BOLD)
    pdfmetrics.registerFontFamily(_BOLD, normal=_BOLD, bold=_BOLD, italic=_BOLD, boldItalic=_BOLD)
    return frozenset.intersection(*(frozenset(font.face.charToGlyph) for font in fonts))
