"""The picture of a secondary capture: the whole slice, the vertebra close by, and in words what it is and is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ...decisions import is_discarded
from ...results import Densitometry, Level, RoiMeasures, ScreeningResult
from ..drawing import Box, close_up_box, grey
from ..pictures import LevelPicture

PANEL, MARGIN, LINE, LETTERS = 640, 16, 34, 22
#: Seen on grey by colour-blind readers too (Okabe and Ito 2008): orange, yellow, vermilion; white for what is plain.
OUTLINE_COLOUR, BOX_COLOUR = (230, 159, 0), (240, 228, 66)
WARNING_COLOUR, PLAIN_COLOUR, BACKGROUND = (255, 120, 60), (255, 255, 255), (0, 0, 0)
SCALE_BAR_MM = 20


def capture_picture(result: ScreeningResult, picture: LevelPicture) -> npt.NDArray[np.uint8]:
    """Return the picture of a level that was outlined and measured, (rows, columns, 3) RGB.

    Anterior is up and the patient's left on the right, in both panels.
    """
    name = picture.name
    level, roi = result.levels[name], result.roi[name]
    warnings = _warnings(result, level)
    plain = [f"{name} vertebral body - OsteoScreen - RESEARCH USE ONLY", _slice_words(level), *_measures(result, name)]
    lines = [(line, PLAIN_COLOUR) for line in plain] + [(line, WARNING_COLOUR) for line in warnings]
    canvas = Image.new("RGB", (2 * PANEL + 3 * MARGIN, PANEL + 3 * MARGIN + LINE * len(lines)), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(LETTERS)
    for row, (words, colour) in enumerate(lines):
        draw.text((MARGIN, MARGIN + LINE * row), words, fill=colour, font=font)
    top = 2 * MARGIN + LINE * len(lines)
    rows, columns = picture.hu.shape
    whole = _Panel(picture, Box(0, 0, rows, columns), MARGIN, top)
    box = close_up_box(picture, roi)
    near = _Panel(picture, box, PANEL + 2 * MARGIN, top)
    for panel in (whole, near):
        canvas.paste(panel.image(), (panel.left, panel.top))
        panel.ring(draw, _outline(picture, roi), OUTLINE_COLOUR, 3 if panel is near else 2)
    whole.ring(draw, _corners(box), BOX_COLOUR, 1)
    whole.letters(draw, font)
    near.scale_bar(draw, font)
    return np.asarray(canvas)


class _Panel:
    """A part of a slice drawn into a square of the canvas, with square pixels in mm."""

    def __init__(self, picture: LevelPicture, box: Box, left: int, top: int) -> None:
        self._picture, self._box = picture, box
        row_step, column_step = picture.spacing_mm
        height, width = (box.row_end - box.row) * row_step, (box.column_end - box.column) * column_step
        self.per_mm = PANEL / max(height, width)
        self._size = max(1, round(width * self.per_mm)), max(1, round(height * self.per_mm))
        self.left, self.top = left + (PANEL - self._size[0]) // 2, top + (PANEL - self._size[1]) // 2

    def image(self) -> Image.Image:
        image = Image.fromarray(grey(self._box.cut(self._picture.hu)))
        return image.resize(self._size, Image.Resampling.BICUBIC).convert("RGB")

    def ring(self, draw: ImageDraw.ImageDraw, pixels: npt.NDArray, colour: tuple[int, int, int], width: int) -> None:
        """Draw a closed ring of (column, row) positions, pixel centres being whole numbers."""
        row_step, column_step = self._picture.spacing_mm
        x = self.left + (pixels[:, 0] + 0.5 - self._box.column) * column_step * self.per_mm
        y = self.top + (pixels[:, 1] + 0.5 - self._box.row) * row_step * self.per_mm
        points = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
        draw.line([*points, points[0]], fill=colour, width=width, joint="curve")

    def letters(self, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> None:
        """Say which side is which."""
        width, height = self._size
        places = {"A": (0.5, 0.02), "P": (0.5, 0.94), "R": (0.015, 0.48), "L": (0.965, 0.48)}
        for letter, (x, y) in places.items():
            place = (self.left + x * width, self.top + y * height)
            draw.text(place, letter, PLAIN_COLOUR, font, stroke_width=2, stroke_fill=BACKGROUND)

    def scale_bar(self, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> None:
        """Draw a bar of `SCALE_BAR_MM` at the lower left."""
        x, y = self.left + MARGIN, self.top + self._size[1] - MARGIN
        end = x + SCALE_BAR_MM * self.per_mm
        draw.line([(x - 2, y), (end + 2, y)], fill=BACKGROUND, width=8)
        draw.line([(x, y), (end, y)], fill=PLAIN_COLOUR, width=4)
        words = f"{SCALE_BAR_MM} mm"
        draw.text((x, y - LETTERS - 12), words, PLAIN_COLOUR, font, stroke_width=2, stroke_fill=BACKGROUND)


def _outline(picture: LevelPicture, roi: RoiMeasures) -> npt.NDArray:
    return picture.pixels(np.asarray(roi.outline_ras_mm, dtype=float))


def _corners(box: Box) -> npt.NDArray:
    columns, rows = (box.column - 0.5, box.column_end - 0.5), (box.row - 0.5, box.row_end - 0.5)
    return np.array([(columns[0], rows[0]), (columns[1], rows[0]), (columns[1], rows[1]), (columns[0], rows[1])])


def _slice_words(level: Level) -> str:
    return f"Slice #{level.slice_index}, S {level.z_mm:.1f} mm. The outline is the measured trabecular compartment."


def _measures(result: ScreeningResult, name: str) -> list[str]:
    if is_discarded(result):
        return []
    roi = result.roi[name]
    words = f"Mean {roi.mean_hu:.1f} HU, {roi.inset_mm:g} mm inside the outline ({roi.area_mm2:.0f} mm2)."
    if result.densitometry is not None:
        words += f" {_density(result.densitometry, name)}"
    return [words]


def _density(found: Densitometry, name: str) -> str:
    line = found.calibration
    return (
        f"BMD {found.bmd_mg_cm3[name]:.1f} +/- {line.uncertainty_mg_cm3:g} mg/cm3 ({line.mineral}, calibration: "
        f"{line.source})."
    )


def _warnings(result: ScreeningResult, level: Level) -> list[str]:
    found = []
    if is_discarded(result):
        found.append("DISCARDED BY THE READER: the values are not to be used.")
    if not level.confirmed:
        found.append(f"LEVEL NOT CONFIRMED: no reader has said that this is {level.name}.")
    refusals = sum(check.outcome == "refuse" for check in result.eligibility)
    if refusals:
        found.append(f"Screened although {refusals} eligibility check{'s' if refusals > 1 else ''} refused it.")
    return found
