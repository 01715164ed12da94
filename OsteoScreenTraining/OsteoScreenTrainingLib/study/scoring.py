"""Scores and measures of many slices of a data set, on as many processes as there are workers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from OsteoScreenLib.densitometry import measure_roi
from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.progress import Progress
from OsteoScreenLib.segmentation import Segmenter

from ..datasets.slices import SliceDataset
from ..evaluation.cases import slice_case
from ..evaluation.segmentation import score_case

_CHUNK = 8


@dataclass(frozen=True)
class SliceScorer:
    """Scores a segmentation bundle on the slices of a folder: one row of plain values per slice."""

    slices: Path
    bundle: Path
    device: str

    def __call__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        dataset = SliceDataset([self.slices])
        segmenter = Segmenter(load_bundle(self.bundle), self.device)
        return [self._row(segmenter, dataset, index) for index in indices]

    def _row(self, segmenter: Segmenter, dataset: SliceDataset, index: int) -> dict[str, Any]:
        score = score_case(segmenter, slice_case(dataset, index, self.slices.name))
        record = dataset.records[index]
        return {
            "index": index,
            "subject": record.subject,
            "level": record.values.get("level", ""),
            "found": score.found,
            "dsc": _plain(score.dsc),
            "hausdorff95_mm": _plain(score.hausdorff95_mm),
            "mean_hu": _plain(score.hu),
            "reference_mean_hu": _plain(score.true_hu),
            "confidence": _plain(score.confidence),
        }


@dataclass(frozen=True)
class RoiMeasurer:
    """Measures slices inside the outlines of a file: mean and SD of HU 2 mm inside them, None where that fails."""

    slices: Path
    masks: Path | None

    def __call__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        dataset = SliceDataset([self.slices])
        masks = None if self.masks is None else np.load(self.masks, mmap_mode="r", allow_pickle=False)
        return [self._row(dataset, masks, index) for index in indices]

    def _row(self, dataset: SliceDataset, masks: np.ndarray | None, index: int) -> dict[str, Any]:
        case = slice_case(dataset, index, self.slices.name)
        coverage = case.truth if masks is None else masks[index].astype(np.float32) / 255
        row: dict[str, Any] = {"subject": dataset.records[index].subject, "level": case.level}
        try:
            roi = measure_roi(case.hu, coverage, case.geometry, case.k)
        except OsteoScreenError as error:
            return row | {"mean_hu": None, "sd_hu": None, "problem": str(error)}
        return row | {"mean_hu": roi.mean_hu, "sd_hu": roi.sd_hu, "problem": None}


def run_all(
    work: Callable[[Sequence[int]], list[dict[str, Any]]], indices: Sequence[int], workers: int, progress: Progress,
    what: str,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return ``work`` of all slices, in order; ``work`` takes some of them and returns a row for each."""
    rows: list[dict[str, Any]] = []
    for part in _parts(work, indices, workers):
        rows += part
        progress(what, len(rows), len(indices))
    return rows


def _parts(
    work: Callable[[Sequence[int]], list[dict[str, Any]]], indices: Sequence[int], workers: int
) -> Iterator[list[dict[str, Any]]]:
    chunks = [list(indices[start : start + _CHUNK]) for start in range(0, len(indices), _CHUNK)]
    if workers <= 1:
        yield from map(work, chunks)
        return
    with ProcessPoolExecutor(workers, initializer=_one_thread) as pool:
        yield from pool.map(work, chunks)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
