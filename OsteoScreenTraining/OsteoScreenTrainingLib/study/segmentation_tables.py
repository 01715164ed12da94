"""How good the outlines are: by number of training images (Fig. 5), and the study's network against the U-Net."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..statistics.intervals import bootstrap_interval
from ..tables import fixed, p_value, plus_minus, with_interval
from .results import Network, StudyResults
from .study_table import Row, StudyTable

NAMES = {"study_segmentation": "DCNN", "unet": "U-Net"}


@dataclass(frozen=True)
class CurvePoint:
    """The DSC of the networks of one architecture and training size, with a bootstrap interval over subjects."""

    architecture: str
    images: int
    networks: int
    mean: float
    low: float
    high: float
    sd: float
    worst: float


def curve_points(results: StudyResults, seed: int) -> list[CurvePoint]:
    """Return a point per architecture and training size; the repeats of a size are pooled, slice by slice."""
    sizes = dict.fromkeys((network.architecture, network.images) for network in results.networks)
    return [_point([n for n in results.networks if (n.architecture, n.images) == key], seed) for key in sizes]


def _point(networks: list[Network], seed: int) -> CurvePoint:
    dsc = np.concatenate([network.column("dsc") for network in networks])
    subjects = [name for network in networks for name in network.subjects]
    interval = bootstrap_interval(lambda rows: float(dsc[rows].mean()), subjects, seed=seed)
    first = networks[0]
    return CurvePoint(
        architecture=first.architecture,
        images=first.images,
        networks=len(networks),
        mean=interval.value,
        low=interval.low,
        high=interval.high,
        sd=float(dsc.std(ddof=1)),
        worst=float(dsc.min()),
    )


def learning_curve_table(points: list[CurvePoint]) -> StudyTable:
    """Return the points of Fig. 5."""
    values: list[Row] = [
        [NAMES[p.architecture], p.images, p.networks, p.mean, p.low, p.high, p.sd, p.worst] for p in points
    ]
    rows: list[Row] = [
        [NAMES[p.architecture], p.images, p.networks, with_interval(p.mean, p.low, p.high, 3), fixed(p.sd, 3)]
        + [fixed(p.worst, 3)]
        for p in points
    ]
    return StudyTable(
        "figure-5-learning-curve",
        "DSC by number of training images",
        ["network", "training_images", "networks", "dsc_mean", "dsc_low", "dsc_high", "dsc_sd", "dsc_worst"],
        values,
        ["network", "training images", "networks", "mean DSC (95 % CI)", "SD", "worst slice"],
        rows,
        "95 % CI: bootstrap over subjects; it tells nothing of how much a network varies when it is trained again. The "
        "paper: 0.951 ± 0.030 with 300 images, 0.95 ± 0.004 for 300 to 1096.",
    )


def segmentation_table(results: StudyResults) -> StudyTable:
    """Return DSC, Hausdorff distance and HU error of the study's network and of the U-Net on all test slices."""
    measures = (
        ("dsc", "DSC", 3), ("hausdorff95_mm", "Hausdorff 95 %, mm", 2), ("hu_error", "error of mean HU", 2),
        ("hu_absolute_error", "absolute error of mean HU", 2),
    )  # fmt: skip
    values: list[Row] = []
    rows: list[Row] = []
    for measure, words, digits in measures:
        for network in (results.network("dcnn"), results.network("unet")):
            name = NAMES[network.architecture]
            n, mean, sd, worst = _described(_measure(network, measure), measure == "dsc")
            values.append([name, measure, n, mean, sd, worst])
            rows.append([words, name, n, plus_minus(mean, sd, digits), fixed(worst, digits)])
    return StudyTable(
        "segmentation",
        "The study's network and the U-Net, on every test slice",
        ["network", "measure", "slices", "mean", "sd", "worst"],
        values,
        ["measure", "network", "slices", "mean ± SD", "worst"],
        rows,
        _comparison(results) + _not_found(results),
    )


def _described(found: np.ndarray, low_is_bad: bool) -> tuple[int, float, float, float]:
    """Return number, mean, SD and worst of what exists; NaN where nothing does."""
    known = found[np.isfinite(found)]
    if not len(known):
        return 0, math.nan, math.nan, math.nan
    sd = float(known.std(ddof=1)) if len(known) > 1 else math.nan
    return len(known), float(known.mean()), sd, float(known.min() if low_is_bad else known.max())


def _measure(network: Network, measure: str) -> np.ndarray:
    if not measure.startswith("hu_"):
        return network.column(measure)
    error = network.column("mean_hu") - network.column("reference_mean_hu")
    return np.abs(error) if measure == "hu_absolute_error" else error


def _comparison(results: StudyResults) -> str:
    """Say how the two differ, subject by subject, because two slices of one subject are not independent."""
    by_subject = [_by_subject(results.network(name)) for name in ("dcnn", "unet")]
    difference = np.array([by_subject[0][name] - by_subject[1][name] for name in by_subject[0]])
    p = float(stats.wilcoxon(difference).pvalue) if (difference != 0).any() else math.nan
    return (
        f"DSC, DCNN less U-Net, mean over {len(difference)} subjects: {fixed(float(difference.mean()), 4)} "
        f"(Wilcoxon signed-rank P {p_value(p)}). The paper gives no DSC for its U-Net."
    )


def _by_subject(network: Network) -> dict[str, float]:
    dsc, names = network.column("dsc"), np.array(network.subjects)
    return {str(name): float(dsc[names == name].mean()) for name in dict.fromkeys(names)}


def _not_found(results: StudyResults) -> str:
    counts = [(NAMES[n.architecture], int((n.column("found") == 0).sum())) for n in results.networks[-2:]]
    missing = [f"{name} {count}" for name, count in counts if count]
    return f" Slices on which nothing was found (DSC 0): {', '.join(missing)}." if missing else ""
