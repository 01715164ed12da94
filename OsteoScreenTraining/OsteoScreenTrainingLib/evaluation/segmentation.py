"""Scores of a segmentation bundle on annotated slices, through the same path that screening takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats
from scipy.spatial import cKDTree

from OsteoScreenLib.densitometry import measure_roi
from OsteoScreenLib.densitometry.outline import PixelGrid, outlines_of
from OsteoScreenLib.errors import OsteoScreenError, SegmentationFailed
from OsteoScreenLib.segmentation import Segmenter

from .cases import SegmentationCase

#: Coverage or probability at which the outline runs.
_EDGE = 0.5
#: Outlines are sampled this finely for distances [mm].
_SAMPLING_MM = 0.2


@dataclass(frozen=True)
class SegmentationScore:
    """What one slice scored. Numbers that do not exist are NaN.

    Attributes:
        case: the slice, with its truth.
        probability: (rows, columns) as segmented; all 0 where nothing was found.
        found: whether an outline was found.
        dsc: Dice coefficient of the pixels inside both outlines; 0 when nothing was found, NaN without a truth.
        hausdorff95_mm: the larger of the two directed 95th percentiles of the distance between the outlines.
        hu: mean HU inside the found outline inset by 2 mm; ``true_hu`` inside the true one.
        confidence: what the segmentation says of itself.
        variants: DSC against the other readings of the truth.
    """

    case: SegmentationCase
    probability: np.ndarray
    found: bool
    dsc: float
    hausdorff95_mm: float
    hu: float
    true_hu: float
    confidence: float
    variants: dict[str, float] = field(default_factory=dict)

    @property
    def hu_error(self) -> float:
        """Found less true mean HU."""
        return self.hu - self.true_hu

    @property
    def has_body(self) -> bool:
        """Whether there is something to outline."""
        return bool((self.case.truth >= _EDGE).any())


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice coefficient of two boolean masks; NaN when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else math.nan


def hausdorff95(a: np.ndarray, b: np.ndarray, grid: PixelGrid) -> float:
    """Return the 95 % Hausdorff distance in mm between the largest outlines of two coverage maps.

    The larger of the two directed 95th percentiles, outlines sampled every 0.2 mm; NaN where one has no outline.
    """
    outlines = [outlines_of(field_, grid) for field_ in (a, b)]
    if not all(outlines):
        return math.nan
    first, second = (_sampled(found[0].points) for found in outlines)
    there, back = cKDTree(second).query(first)[0], cKDTree(first).query(second)[0]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def _sampled(points: np.ndarray) -> np.ndarray:
    closed = np.vstack([points, points[:1]])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    places = np.linspace(0, along[-1], max(8, int(along[-1] / _SAMPLING_MM)), endpoint=False)
    return np.column_stack([np.interp(places, along, closed[:, axis]) for axis in (0, 1)])


def score_case(segmenter: Segmenter, case: SegmentationCase) -> SegmentationScore:
    """Segment one slice and score it; a slice on which nothing is found scores 0."""
    row_mm, column_mm = case.geometry.pixel_spacing_mm
    truth = case.truth >= _EDGE
    try:
        found = segmenter.segment(np.ascontiguousarray(case.hu, np.float32), (row_mm, column_mm))
        mask, probability, confidence = found.mask, found.probability, found.confidence
    except SegmentationFailed:
        mask = np.zeros(truth.shape, bool)
        probability, confidence = mask.astype(np.float32), 0.0
    return SegmentationScore(
        case=case,
        probability=probability,
        found=bool(mask.any()),
        dsc=dice(mask, truth) if truth.any() else math.nan,
        hausdorff95_mm=hausdorff95(probability, case.truth, case.grid),
        hu=_mean_hu(case, probability),
        true_hu=_mean_hu(case, case.truth),
        confidence=confidence,
        variants={name: dice(mask, other >= _EDGE) for name, other in case.variants.items()},
    )


def _mean_hu(case: SegmentationCase, coverage: np.ndarray) -> float:
    if not (coverage >= _EDGE).any():
        return math.nan
    try:
        return measure_roi(case.hu, coverage, case.geometry, case.k).mean_hu
    except OsteoScreenError:
        # An outline too thin, or over air, has no measure; its DSC tells that it is bad.
        return math.nan


def worst_first(scores: Iterable[SegmentationScore]) -> list[SegmentationScore]:
    """Return the scores sorted by DSC; slices without a body, false outlines first, come last."""
    return sorted(scores, key=lambda s: (not s.has_body, s.dsc if s.has_body else -float(s.found)))


def summarise(scores: Sequence[SegmentationScore]) -> dict[str, Any]:
    """Return counts, DSC, Hausdorff distance and HU error of some scores; ``None`` where there is nothing to tell.

    Standard deviations are of the sample (n - 1).
    """
    bodies = [score for score in scores if score.has_body]
    empty = [score for score in scores if not score.has_body]
    error = _finite([score.hu_error for score in bodies])
    summary: dict[str, Any] = {
        "slices": len(bodies),
        "not_found": sum(not score.found for score in bodies),
        "dsc": _describe([score.dsc for score in bodies]),
        "hausdorff95_mm": _describe([score.hausdorff95_mm for score in bodies]),
        "hu_error": _describe(error),
        "hu_absolute_error": _describe(np.abs(error)),
        "slices_without_body": len(empty),
        "false_outlines": sum(score.found for score in empty),
    }
    names = dict.fromkeys(name for score in bodies for name in score.variants)
    if names:
        summary["dsc_other_readings"] = {
            name: _describe([score.variants[name] for score in bodies if name in score.variants]) for name in names
        }
    return summary


def compare(first: Sequence[SegmentationScore], second: Sequence[SegmentationScore]) -> dict[str, Any]:
    """Return how the second bundle differs from the first on the same slices: paired differences of DSC and of
    absolute HU error, each with a Wilcoxon signed-rank P."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a.has_body]
    return {
        "dsc_difference": _paired([(a.dsc, b.dsc) for a, b in pairs]),
        "hu_absolute_error_difference": _paired([(abs(a.hu_error), abs(b.hu_error)) for a, b in pairs]),
    }


def _paired(values: Sequence[tuple[float, float]]) -> dict[str, Any] | None:
    difference = np.array([b - a for a, b in values if math.isfinite(a) and math.isfinite(b)])
    described = _describe(difference)
    if described is None:
        return None
    p = float(stats.wilcoxon(difference).pvalue) if (difference != 0).any() else 1.0
    return {**described, "better_second": int((difference > 0).sum()), "wilcoxon_p": p}


def _finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values, float)
    return array[np.isfinite(array)]


def _describe(values: Sequence[float] | np.ndarray) -> dict[str, Any] | None:
    array = _finite(values)
    if not len(array):
        return None
    return {
        "n": len(array),
        "mean": float(array.mean()),
        "sd": float(array.std(ddof=1)) if len(array) > 1 else 0.0,
        "median": float(np.median(array)),
        "min": float(array.min()),
        "max": float(array.max()),
    }
