"""Figures of the page: HU arrays to PNG data URIs, and the geometry of what is drawn over them.

A figure's coordinates are millimetres in the picture's plane, (0, 0) at its upper left corner, so that non-square
pixels, outlines and scale bars need no further care. Images and path data are base64 and numbers
that are made here, which is why they may count as markup: no text from a header gets in.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from markupsafe import Markup
from PIL import Image
from scipy import ndimage

from ..densitometry.contours import level_lines
from ..densitometry.outline import Outline
from ..results import RoiMeasures
from .pictures import LevelPicture, SagittalPicture, SpinePicture

#: Shows fat (-100), soft tissue (50), trabecular bone (50-250) and cortex (> 400) apart in one window.
DISPLAY_WINDOW_HU = (-150.0, 500.0)
#: What is brighter on the sagittal view is the body or the table: between lung (-700) and fat (-100).
BODY_THRESHOLD_HU = -250.0
#: The rim that the sagittal view keeps around the body, so that it is seen to be whole.
BODY_PAD_MM = 12.0
#: Five evenly spaced anchors of matplotlib's "viridis" (public domain, CC0), whose lightness rises evenly.
PROBABILITY_COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
#: The close-up's side, as a multiple of the outline's extent and at the least: canal and pedicles are on it, by which a
#: reader knows the level.
CLOSE_UP_MARGIN = 1.75
CLOSE_UP_LEAST_MM = 72.0
#: Pixels along the longer side: what a page of 1600 px shows of them.
WHOLE_SLICE_PIXELS = 400
SAGITTAL_PIXELS = 480
#: Pixels a side for one of the spine view's, which are 3 mm and 4 mm large.
SPINE_ENLARGED = 2
#: Depth is interpolated between grid points, which is exact but for corners.
INSET_GRID_MM = 0.5
#: Letters as a share of the figure's width: small figures are shown 140 px wide on a phone, large ones 300 px.
SMALL_FIGURE_TEXT = 0.07
LARGE_FIGURE_TEXT = 0.045
#: Names have to stand within the bodies, the lowest of which is 15 mm high: 10 mm of 280 mm.
SPINE_TEXT = 0.036


@dataclass(frozen=True)
class ScaleBar:
    """A bar of ``length_mm`` that starts at (x, y) mm."""

    x: float
    y: float
    length_mm: int


@dataclass(frozen=True)
class LevelLine:
    """A level on the sagittal view: its line at ``y`` mm, and where its label stands."""

    name: str
    y: float
    label_y: float


@dataclass(frozen=True)
class NameMark:
    """A vertebra's name, its middle at (x, y) mm, and whether it is a level."""

    name: str
    x: float
    y: float
    is_level: bool


@dataclass(frozen=True)
class Figure:
    """An image and the overlays on it; ``paths`` maps outline, inset, circle and box to SVG path data.

    ``text_mm`` is the height of letters in mm of the figure.
    """

    image: Markup
    width_mm: float
    height_mm: float
    scale_bar: ScaleBar
    paths: dict[str, Markup] = field(default_factory=dict)
    lines: list[LevelLine] = field(default_factory=list)
    names: list[NameMark] = field(default_factory=list)
    text_mm: float = 0.0


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels: rows and columns, the ends left out."""

    row: int
    column: int
    row_end: int
    column_end: int

    def cut(self, image: np.ndarray) -> np.ndarray:
        return image[self.row : self.row_end, self.column : self.column_end]


def close_up(picture: LevelPicture, roi: RoiMeasures, box: Box) -> Figure:
    """The vertebra, with its outline, the inset outline and the circle as far as they were measured."""
    spacing = picture.spacing_mm
    outline = picture.pixels(np.asarray(roi.outline_ras_mm, dtype=float))
    paths = {"outline": _path([outline], spacing, box)}
    paths["inset"] = _path(_inset(outline, spacing, roi.inset_mm), spacing, box)
    if roi.circle_centre_ras_mm is not None:
        paths["circle"] = _path([_circle(picture, roi)], spacing, box)
    image = Image.fromarray(grey(box.cut(picture.hu)))
    # Twice the pixels: a browser's own enlargement is bilinear at best, and shows the grid.
    image = image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)
    return _figure(image, box, spacing, paths, LARGE_FIGURE_TEXT)


def probability_map(picture: LevelPicture, roi: RoiMeasures, box: Box) -> Figure | None:
    """The network's probability over the same rectangle, or None where there is none (the outline is a user's)."""
    if picture.probability is None:
        return None
    values = np.clip(np.nan_to_num(box.cut(picture.probability).astype(float)), 0.0, 1.0)
    anchors = np.linspace(0.0, 1.0, len(PROBABILITY_COLOURS))
    channels = [np.interp(values, anchors, [colour[c] for colour in PROBABILITY_COLOURS]) for c in range(3)]
    coloured = Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))
    outline = picture.pixels(np.asarray(roi.outline_ras_mm, dtype=float))
    return _figure(coloured, box, picture.spacing_mm, {"outline": _path([outline], picture.spacing_mm, box)})


def whole_slice(picture: LevelPicture, box: Box | None) -> Figure:
    """The whole slice, made small, with the rectangle of the close-up."""
    rows, columns = picture.hu.shape
    whole = Box(0, 0, rows, columns)
    paths = {}
    if box is not None:
        corners = [(box.column, box.row), (box.column_end, box.row), (box.column_end, box.row_end)]
        corners.append((box.column, box.row_end))
        paths["box"] = _path([np.array(corners, dtype=float) - 0.5], picture.spacing_mm, whole)
    return _figure(_shrunk(grey(picture.hu), WHOLE_SLICE_PIXELS), whole, picture.spacing_mm, paths)


def sagittal_view(picture: SagittalPicture, level_slices: Sequence[tuple[str, int]]) -> Figure:
    """The sagittal view cut to the body, with a line for each (name, slice index)."""
    row_step, column_step = picture.spacing_mm
    rows = picture.image.shape[0]
    first, last = _body_columns(picture.image, max(1, round(BODY_PAD_MM / column_step)))
    box = Box(0, first, rows, last)
    # Resampled to square pixels: thick slices would otherwise be drawn as steps.
    step = max(rows * row_step, (last - first) * column_step) / SAGITTAL_PIXELS
    size = (max(1, round((last - first) * column_step / step)), max(1, round(rows * row_step / step)))
    image = Image.fromarray(grey(box.cut(picture.image))).resize(size, Image.Resampling.BICUBIC)
    figure = _figure(image, box, picture.spacing_mm, {}, LARGE_FIGURE_TEXT)
    text = figure.text_mm
    bar = ScaleBar(figure.scale_bar.x, 2.0 * text, figure.scale_bar.length_mm)
    lines: list[LevelLine] = []
    for row, name in sorted((picture.row_of_slice(k), name) for name, k in level_slices):
        y = round((row + 0.5) * row_step, 2)
        # Under its line where another level, or the direction's letter at the top, leaves no room above.
        crowded = y < 2.6 * text or (bool(lines) and y - lines[-1].y < 1.5 * text)
        lines.append(LevelLine(name, y, round(y + 1.05 * text if crowded else y - 0.35 * text, 2)))
    return replace(figure, scale_bar=bar, lines=lines)


def spine_view(picture: SpinePicture, levels: Collection[str]) -> Figure:
    """The curved coronal view with the vertebrae's names, those of ``levels`` marked."""
    row_step, column_step = picture.spacing_mm
    rows, columns = picture.image.shape
    step = min(row_step, column_step) / SPINE_ENLARGED
    size = (round(columns * column_step / step), round(rows * row_step / step))
    image = Image.fromarray(grey(picture.image)).resize(size, Image.Resampling.BICUBIC)
    figure = _figure(image, Box(0, 0, rows, columns), picture.spacing_mm, {}, SPINE_TEXT)
    names = [
        NameMark(
            place.name,
            round((place.column + 0.5) * column_step, 2),
            round((place.row + 0.5) * row_step + 0.35 * figure.text_mm, 2),
            place.name in levels,
        )
        for place in picture.names
    ]
    return replace(figure, names=names)


def close_up_box(picture: LevelPicture, roi: RoiMeasures) -> Box:
    """A square in mm around the outline, cut at the edges of the slice."""
    outline = picture.pixels(np.asarray(roi.outline_ras_mm, dtype=float))
    row_step, column_step = picture.spacing_mm
    low, high = outline.min(axis=0), outline.max(axis=0)
    extent = (high - low) * (column_step, row_step)
    side = max(CLOSE_UP_LEAST_MM, CLOSE_UP_MARGIN * float(extent.max()))
    column, row = (low + high) / 2
    rows, columns = picture.hu.shape
    top, bottom = _span(row, side / row_step, rows)
    left, right = _span(column, side / column_step, columns)
    return Box(top, left, bottom, right)


def _body_columns(sagittal: np.ndarray, pad: int) -> tuple[int, int]:
    """First and last + 1 column of the body: the heaviest run of filled columns, which leaves the table out."""
    filled = (sagittal > BODY_THRESHOLD_HU).mean(axis=0)
    runs, count = ndimage.label(filled > 0.25)
    if count == 0:
        return 0, sagittal.shape[1]
    weights = ndimage.sum_labels(filled, runs, np.arange(1, count + 1))
    columns = np.flatnonzero(runs == 1 + int(np.argmax(weights)))
    return max(int(columns[0]) - pad, 0), min(int(columns[-1]) + 1 + pad, sagittal.shape[1])


def _span(centre: float, length: float, limit: int) -> tuple[int, int]:
    first = min(max(int(math.floor(centre - length / 2)), 0), limit - 1)
    last = max(min(int(math.ceil(centre + length / 2)), limit), first + 1)
    return first, last


def grey(hu: np.ndarray) -> np.ndarray:
    """HU in the display window as grey values from 0 to 255."""
    low, high = DISPLAY_WINDOW_HU
    scaled = (np.nan_to_num(np.asarray(hu, dtype=np.float32), nan=low) - low) * (255.0 / (high - low))
    return np.clip(scaled, 0, 255).round().astype(np.uint8)


def _shrunk(pixels: np.ndarray, most: int) -> Image.Image:
    image = Image.fromarray(pixels)
    factor = most / max(image.size)
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _figure(
    image: Image.Image,
    box: Box,
    spacing: tuple[float, float],
    paths: dict[str, Markup],
    text: float = SMALL_FIGURE_TEXT,
) -> Figure:
    width = (box.column_end - box.column) * spacing[1]
    height = (box.row_end - box.row) * spacing[0]
    length = next((mm for mm in (100, 50, 20, 10, 5) if mm <= 0.3 * width), 1)
    bar = ScaleBar(0.04 * width, height - 0.035 * width, length)
    return Figure(_data_uri(image), round(width, 3), round(height, 3), bar, paths, text_mm=round(text * width, 3))


def _data_uri(image: Image.Image) -> Markup:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=6)
    return Markup("data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"))


def _path(rings: Sequence[np.ndarray], spacing: tuple[float, float], box: Box) -> Markup:
    """SVG path data, in mm of the figure, of closed rings of (column, row) pixel centres."""
    parts = []
    for ring in rings:
        if len(ring) < 3:
            continue
        x = (ring[:, 0] + 0.5 - box.column) * spacing[1]
        y = (ring[:, 1] + 0.5 - box.row) * spacing[0]
        parts.append("M" + "L".join(f"{a:.2f} {b:.2f}" for a, b in zip(x, y, strict=True)) + "Z")
    return Markup("".join(parts))


def _circle(picture: LevelPicture, roi: RoiMeasures) -> np.ndarray:
    """The measured circle as a ring of (column, row)."""
    assert roi.circle_centre_ras_mm is not None
    centre = picture.pixels(np.asarray([roi.circle_centre_ras_mm], dtype=float))[0]
    radius = math.sqrt(roi.circle_area_mm2 / math.pi)
    angle = np.linspace(0, 2 * math.pi, 73)[:-1]
    row_step, column_step = picture.spacing_mm
    return np.stack(
        [centre[0] + radius / column_step * np.cos(angle), centre[1] + radius / row_step * np.sin(angle)], axis=1
    )


def _inset(outline: np.ndarray, spacing: tuple[float, float], inset_mm: float) -> list[np.ndarray]:
    """The rings that lie ``inset_mm`` inside an outline of (column, row): what the measures were taken in."""
    if len(outline) < 3:
        return []
    step = np.array([spacing[1], spacing[0]])
    ring = outline * step
    low = ring.min(axis=0)
    columns, rows = np.ceil((ring.max(axis=0) - low) / INSET_GRID_MM).astype(int) + 1
    places = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1) * INSET_GRID_MM + low
    depth = Outline(ring).depth_mm(places.reshape(-1, 2)).reshape(rows, columns)
    return [(line * INSET_GRID_MM + low) / step for line in level_lines(depth, inset_mm)]
