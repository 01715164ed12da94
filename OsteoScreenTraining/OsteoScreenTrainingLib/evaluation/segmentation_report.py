"""The files of a segmentation's evaluation: a CSV table, a JSON summary and a sheet of pictures, worst first."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from OsteoScreenLib.densitometry.outline import outlines_of
from OsteoScreenLib.results_io import write_bytes_atomically, write_text_atomically

from .segmentation import SegmentationScore

#: What a picture shows around the body [mm], its side [pixels], and the grey scale [HU].
_VIEW_MM, _SIDE, _WINDOW_HU = 90.0, 240, (-200.0, 500.0)
_TRUTH_RGB, _FOUND_RGB, _SECOND_RGB = (255, 190, 0), (0, 200, 255), (255, 80, 200)
_CAPTION = 26


def write_table(path: Path, scores: Mapping[str, Sequence[SegmentationScore]]) -> None:
    """Write one row per slice, in the order given, with the columns of each bundle (by name) side by side."""
    names = list(scores)
    header = ["data", "kind", "slice", "level", "true_hu"]
    measures = ("dsc", "hausdorff95_mm", "hu", "hu_error", "confidence")
    header += [measure if len(names) == 1 else f"{name}: {measure}" for name in names for measure in measures]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    for row in zip(*scores.values(), strict=True):
        case = row[0].case
        values = [getattr(score, measure) for score in row for measure in measures]
        writer.writerow([case.data, case.kind, case.name, case.level, *map(_number, [row[0].true_hu, *values])])
    write_text_atomically(text.getvalue(), path)


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else ""


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Write ``summary`` as JSON."""
    write_text_atomically(json.dumps(summary, indent=2, allow_nan=False) + "\n", path)


def write_sheet(
    path: Path, scores: Mapping[str, Sequence[SegmentationScore]], most: int = 40, columns: int = 8
) -> None:
    """Write a PNG of the first ``most`` slices: the truth in amber, the first bundle in blue, the second in pink."""
    rows = list(zip(*scores.values(), strict=True))[:most]
    columns = max(1, min(columns, len(rows)))
    height = _SIDE + _CAPTION
    sheet = Image.new("RGB", (columns * _SIDE, max(1, -(-len(rows) // columns)) * height), (20, 20, 20))
    for number, row in enumerate(rows):
        place = (number % columns * _SIDE, number // columns * height)
        sheet.paste(_picture(row), place)
        caption = f"{row[0].case.data[:22]} {row[0].case.name}\n" + "  ".join(_caption(score) for score in row)
        ImageDraw.Draw(sheet).multiline_text(
            (place[0] + 3, place[1] + _SIDE + 1), caption, fill=(230, 230, 230), spacing=1
        )
    data = io.BytesIO()
    sheet.save(data, "PNG", optimize=True)
    write_bytes_atomically(data.getvalue(), path)


def _caption(score: SegmentationScore) -> str:
    if not score.has_body:
        return "false outline" if score.found else "empty, right"
    return f"DSC {score.dsc:.3f} {score.hu_error:+.0f} HU" if score.found else "not found"


def _picture(row: Sequence[SegmentationScore]) -> Image.Image:
    case = row[0].case
    grid = case.grid
    centre = _centre(row)
    low, high = _WINDOW_HU
    offsets = (np.arange(_SIDE) - (_SIDE - 1) / 2) * _VIEW_MM / _SIDE
    places = np.meshgrid(centre[0] + offsets / grid.row_mm, centre[1] + offsets / grid.column_mm, indexing="ij")
    hu = ndimage.map_coordinates(case.hu, places, order=1, mode="constant", cval=-1024)
    picture = Image.fromarray((np.clip((hu - low) / (high - low), 0, 1) * 255).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    maps = [case.truth, *(score.probability for score in row)]
    for coverage, colour in zip(maps, (_TRUTH_RGB, _FOUND_RGB, _SECOND_RGB), strict=False):
        for outline in outlines_of(coverage, grid)[:1]:
            from_centre = outline.points - [centre[1] * grid.column_mm, centre[0] * grid.row_mm]
            on_picture = from_centre * _SIDE / _VIEW_MM + (_SIDE - 1) / 2
            draw.line([tuple(p) for p in np.vstack([on_picture, on_picture[:1]])], fill=colour, width=1)
    return picture


def _centre(row: Sequence[SegmentationScore]) -> tuple[float, float]:
    """Return the (row, column) to look at: the true body, else a found one, else the middle."""
    for coverage in (row[0].case.truth, *(score.probability for score in row)):
        if (coverage >= 0.5).any():
            place = ndimage.center_of_mass(coverage >= 0.5)
            return float(place[0]), float(place[1])
    return row[0].case.hu.shape[0] / 2, row[0].case.hu.shape[1] / 2
