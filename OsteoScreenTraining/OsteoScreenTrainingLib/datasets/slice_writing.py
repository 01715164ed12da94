"""Writing a slice data set (see :mod:`.slices`), slice by slice, so that it is finished or plainly not."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from scipy import ndimage

from OsteoScreenLib.results_io import write_text_atomically

from .slices import HEADER, SCHEMA


class SliceSetWriter:
    """Writes ``count`` square slices of ``size`` pixels to a folder; use it as a context manager.

    ``dataset.json`` is written last, when the context ends without an error: a folder without it is unfinished.

    Raises:
        FileExistsError: the folder holds a finished data set.
    """

    def __init__(self, folder: Path, count: int, size: int, kind: str, generator: str, **header: Any):
        self.folder = Path(folder)
        if (self.folder / HEADER).exists():
            raise FileExistsError(f"{folder} already holds a data set; choose another folder.")
        self._header = {
            "schema": SCHEMA, "kind": kind, "generator": generator, "count": count, "rows": size, "columns": size,
            **header,
        }  # fmt: skip
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> SliceSetWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        shape = (self._header["count"], self._header["rows"], self._header["columns"])
        self._images = open_memmap(self.folder / "images.npy", mode="w+", dtype=np.int16, shape=shape)
        self._masks = open_memmap(self.folder / "masks.npy", mode="w+", dtype=np.uint8, shape=shape)
        return self

    def add(self, hu: np.ndarray, coverage: np.ndarray, values: dict[str, Any]) -> None:
        """Add one slice: (rows, columns) int16 HU, uint8 coverage 0..255, and its row of slices.csv."""
        place = len(self._rows)
        self._images[place], self._masks[place] = hu, coverage
        self._rows.append(values)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._images.flush()
        self._masks.flush()
        if kind is not None:
            return
        if len(self._rows) != self._header["count"]:
            raise ValueError(f"{len(self._rows)} slices were added, not {self._header['count']}")
        with open(self.folder / "slices.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(self._rows[0]))
            writer.writeheader()
            writer.writerows(self._rows)
        write_text_atomically(json.dumps(self._header, indent=2), self.folder / HEADER)


def level_values(index: int, subject: str, level: str, coverage: np.ndarray, pixel_mm: float) -> dict[str, Any]:
    """Return the row of slices.csv of a subject's level; ``coverage`` is 0..255."""
    inside = coverage > 127
    row, column = ndimage.center_of_mass(inside) if inside.any() else (float("nan"), float("nan"))
    return {
        "index": index,
        "subject": subject,
        "level": level,
        "pixel_spacing_mm": pixel_mm,
        "has_body": int(inside.any()),
        "body_row": float(row),
        "body_column": float(column),
        "area_mm2": float(coverage.sum()) / 255 * pixel_mm**2,
    }
