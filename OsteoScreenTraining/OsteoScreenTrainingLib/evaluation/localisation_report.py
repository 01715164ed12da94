"""The files of a localiser's evaluation: tables, a summary, and pictures of spines with their names."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from OsteoScreenLib.localisation.evidence import Evidence
from OsteoScreenLib.localisation.spine import LocalisedSpine
from OsteoScreenLib.results_io import write_text_atomically

from .localisation import CaseScore
from .localisation_cases import KnownVertebra

#: Grey scale of the pictures [HU], pixels per mm, and the mm about the line that are averaged.
_WINDOW_HU, _SCALE, _SLAB_MM = (-150.0, 500.0), 1.6, 12.0
_FOUND_RGB, _TRUTH_RGB, _LOW_RGB = (0, 220, 255), (255, 190, 0), (255, 80, 120)
_CERTAIN = 0.95


def write_tables(folder: Path, scores: Sequence[CaseScore]) -> None:
    """Write ``vertebrae.csv``, ``levels.csv`` and ``cases.json``."""
    _write_rows(folder / "vertebrae.csv", [vars(v) for score in scores for v in score.vertebrae])
    _write_rows(folder / "levels.csv", [vars(level) for score in scores for level in score.levels])
    write_json(folder / "cases.json", [score.as_dict() for score in scores])


def write_json(path: Path, document: Any) -> None:
    """Write a document as JSON, whole or not at all."""
    write_text_atomically(json.dumps(document, indent=1, allow_nan=False) + "\n", path)


def _write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({key: " ".join(value) if isinstance(value, tuple) else value for key, value in row.items()})
    write_text_atomically(text.getvalue(), path)


def draw_spine(evidence: Evidence, spine: LocalisedSpine, known: Sequence[KnownVertebra] = ()) -> Image.Image:
    """Return sagittal and coronal views that follow the centre line, beside them the evidence, with the names.

    Names found are blue, or red where they are less probable than :data:`_CERTAIN`; known ones are amber.
    """
    trunk = evidence.trunk
    line = _line(evidence, spine)
    views = [
        _view(trunk.hu, line, trunk.grid_mm, sagittal=True, window=_WINDOW_HU),
        _view(trunk.hu, line, trunk.grid_mm, sagittal=False, window=_WINDOW_HU),
    ]
    column = np.repeat(np.repeat(evidence.body - evidence.disc, 2, axis=1), 2, axis=2)
    ribs = np.repeat(np.repeat(np.maximum(evidence.rib, evidence.sacrum), 2, axis=1), 2, axis=2)
    views.append(_view(column, line, trunk.grid_mm, sagittal=True, window=(-1.0, 1.0)))
    views.append(_view(ribs, line, trunk.grid_mm, sagittal=False, window=(0.0, 1.0)))
    width, height = sum(view.width for view in views) + 4 * (len(views) - 1), views[0].height
    sheet = Image.new("RGB", (width, height), (20, 20, 20))
    left = 0
    for n, view in enumerate(views):
        sheet.paste(view, (left, 0))
        if n < 2:
            _mark(sheet, left, view.width, evidence, spine, known)
        left += view.width + 4
    return sheet


def _line(evidence: Evidence, spine: LocalisedSpine) -> NDArray[np.float64]:
    """Return row and column of the trunk's grid on every slice, (slices, 2); the middle where there is no spine."""
    slices, rows, columns = evidence.trunk.hu.shape
    if not len(spine.centre_line):
        return np.tile([rows / 2, columns / 2], (slices, 1))
    places = evidence.trunk.places(spine.centre_line)
    order = np.argsort(places[:, 0])
    at = np.arange(slices)
    return np.stack([np.interp(at, places[order, 0], places[order, axis]) for axis in (1, 2)], axis=1)


def _view(
    volume: NDArray[np.floating], line: NDArray[np.float64], grid_mm: tuple[float, float, float], *,
    sagittal: bool, window: tuple[float, float],
) -> Image.Image:  # fmt: skip
    axis = 2 if sagittal else 1
    half = max(0, round(_SLAB_MM / 2 / grid_mm[axis]))
    size = volume.shape[axis]
    strip = []
    for k, plane in enumerate(volume):
        middle = int(np.clip(round(line[k, axis - 1]), 0, size - 1))
        part = slice(max(0, middle - half), middle + half + 1)
        strip.append(plane[:, part].mean(axis=1) if sagittal else plane[part].mean(axis=0))
    image = np.array(strip)[::-1]
    grey = np.clip((image - window[0]) / (window[1] - window[0]), 0, 1)
    across = grid_mm[1] if sagittal else grid_mm[2]
    side = (round(image.shape[1] * across * _SCALE), round(image.shape[0] * grid_mm[0] * _SCALE))
    picture = Image.fromarray((255 * grey).astype(np.uint8)).resize(side, Image.Resampling.BILINEAR)
    return picture.convert("RGB")


def _mark(
    sheet: Image.Image, left: int, width: int, evidence: Evidence, spine: LocalisedSpine,
    known: Sequence[KnownVertebra],
) -> None:  # fmt: skip
    draw = ImageDraw.Draw(sheet)
    trunk = evidence.trunk
    for vertebra in spine.vertebrae:
        y = _height(trunk.places(vertebra.centre)[0], trunk.hu.shape[0], trunk.grid_mm[0])
        colour = _FOUND_RGB if vertebra.probability >= _CERTAIN and spine.abstains is None else _LOW_RGB
        draw.text((left + width - 62, y - 6), f"{vertebra.name} {vertebra.probability:.2f}", fill=colour)
        draw.line((left + width - 76, y, left + width - 66, y), fill=colour)
    for one in known:
        y = _height(trunk.places(one.centre)[0], trunk.hu.shape[0], trunk.grid_mm[0])
        draw.text((left + 4, y - 6), one.name, fill=_TRUTH_RGB)
        draw.line((left + 26, y, left + 40, y), fill=_TRUTH_RGB)


def _height(k: float, slices: int, step_mm: float) -> float:
    return float((slices - 0.5 - k) * step_mm * _SCALE)
