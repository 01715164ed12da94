"""Outlines that a segmentation bundle drew on the slices of a data set: what a classifier will see when it is used.

They lie in ``predictions/<hash of the weights>/masks.npy``, as the drawn ones do in ``slices/masks.npy``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from OsteoScreenLib.errors import InputError, SegmentationFailed, system_reason
from OsteoScreenLib.models import Bundle, load_bundle
from OsteoScreenLib.progress import Progress, silent
from OsteoScreenLib.results_io import write_text_atomically
from OsteoScreenLib.segmentation import Segmenter

from .folder import DataSet
from .prediction_files import DONE, FOLDER, MASKS
from .slices import SliceDataset

_CHUNK = 16


def predictions_folder(data: DataSet, bundle: Bundle) -> Path:
    """Return where the outlines of a bundle lie, whether or not they have been drawn."""
    return data.folder / FOLDER / bundle.sha256[:16]


def predict_masks(
    data: DataSet, bundle: Bundle, *, device: str = "auto", workers: int = 1, progress: Progress = silent
) -> Path:
    """Draw the outlines of every slice with a bundle, unless that was done before; return the file of them.

    They are drawn again where the slices were built again meanwhile. A slice on which nothing is found has an empty
    outline, and is counted in ``predictions.json``.

    Raises:
        InputError: the data set cannot be written to.
    """
    folder = predictions_folder(data, bundle)
    slices = data.slices.fingerprint()
    if _drawn_on(folder / DONE) == slices:
        return folder / MASKS
    count = len(data.slices)
    # Processes of torchrun may come here at once: each draws its own, and the last one stays.
    temporary = folder / f".{os.getpid()}.{MASKS}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        masks = open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(count, data.slices.rows, data.slices.columns))
        empty = 0
        for place, mask in enumerate(_draw_all(data, bundle, device, workers)):
            masks[place] = mask
            empty += not (mask > 127).any()
            progress("Outlining the slices", place + 1, count)
        masks.flush()
        os.replace(temporary, folder / MASKS)
    except OSError as error:
        raise InputError(f"The outlines cannot be written to {folder}: {system_reason(error)}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    document = {
        "bundle": bundle.name,
        "version": bundle.version,
        "sha256": bundle.sha256,
        "slices": slices,
        "not_found": empty,
    }
    write_text_atomically(json.dumps(document, indent=1) + "\n", folder / DONE)
    return folder / MASKS


def _drawn_on(path: Path) -> str | None:
    """Return the fingerprint of the slices that finished outlines were drawn on, None where there are none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found.get("slices") if isinstance(found, dict) else None


def _draw_all(data: DataSet, bundle: Bundle, device: str, workers: int) -> Iterator[np.ndarray]:
    """Yield the coverage (rows, columns) uint8 of every slice, in order."""
    count = len(data.slices)
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    folder = data.slices.folders[0]
    if workers <= 1:
        artist = _Artist(folder, bundle, device)
        for chunk in chunks:
            yield from artist.draw(chunk)
        return
    with ProcessPoolExecutor(workers, initializer=_start, initargs=(folder, bundle.path, device)) as pool:
        for masks in pool.map(_work, chunks):
            yield from masks


class _Artist:
    """A segmenter with the slices to draw on."""

    def __init__(self, folder: Path, bundle: Bundle, device: str):
        self._slices = SliceDataset([folder])
        self._segmenter = Segmenter(bundle, device)

    def draw(self, indices: range) -> list[np.ndarray]:
        return [self._one(index) for index in indices]

    def _one(self, index: int) -> np.ndarray:
        images, _ = self._slices.read([index])
        pixel = self._slices.records[index].pixel_mm
        try:
            found = self._segmenter.segment(images[0].astype(np.float32), (pixel, pixel))
        except SegmentationFailed:
            return np.zeros(images.shape[1:], np.uint8)
        return np.round(found.probability * 255).astype(np.uint8)


_artist: _Artist | None = None


def _start(folder: Path, bundle: Path, device: str) -> None:
    """Open the bundle once in each worker process, on one core."""
    import torch

    global _artist
    torch.set_num_threads(1)
    _artist = _Artist(folder, load_bundle(bundle), device)


def _work(indices: range) -> list[np.ndarray]:
    assert _artist is not None
    return _artist.draw(indices)
