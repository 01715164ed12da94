"""The paper's Fig. 5: how good the outlines are for how many training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from .style import INK, SINGLE_IN, SOFT, series, styled


class PaperDsc(NamedTuple):
    """The paper's DSC on its test set, mean and SD over images, with so many training images."""

    images: int
    mean: float
    sd: float


class PaperPlateau(NamedTuple):
    """The DSC that the paper gives for every training set from ``first`` to ``last`` images."""

    first: int
    last: int
    mean: float
    half_width: float


@dataclass(frozen=True)
class LearningCurve:
    """DSC (k,) with its confidence limits (k,) at training sizes (k,) in images."""

    name: str
    sizes: ArrayLike
    mean: ArrayLike
    low: ArrayLike
    high: ArrayLike


@styled
def learning_curve(curves: Sequence[LearningCurve], paper: PaperDsc, plateau: PaperPlateau) -> Figure:
    """Return Fig. 5 with the paper's values beside ours, on a logarithmic axis of sizes; bands are 95 % CI.

    Raises ValueError where a curve's arrays differ in length.
    """
    figure = Figure(figsize=(SINGLE_IN, 4.2), layout="constrained")
    axes = figure.subplots()
    sizes = {paper.images}
    lowest = paper.mean - paper.sd
    for index, curve in enumerate(curves):
        x, mean, low, high = (np.asarray(part, float) for part in (curve.sizes, curve.mean, curve.low, curve.high))
        if not x.shape == mean.shape == low.shape == high.shape:
            raise ValueError(f"The curve {curve.name} has arrays of different lengths.")
        look = series(index)
        axes.fill_between(x, low, high, color=look["color"], alpha=0.18, linewidth=0)
        axes.plot(x, mean, **look, label=f"{curve.name} (95 % CI)")
        sizes |= {round(size) for size in x}
        lowest = min(lowest, float(low.min()))
    _published(axes, paper, plateau)
    _axes(axes, sorted(sizes), paper.images, lowest)
    figure.legend(loc="outside lower center")
    return figure


def _published(axes: Axes, paper: PaperDsc, plateau: PaperPlateau) -> None:
    first, last, level, half = plateau
    axes.fill_between(
        [first, last], level - half, level + half, facecolor="none", edgecolor=SOFT, hatch="////", linewidth=0.8,
        label=f"paper, {first}–{last} images: {level:.3f} ± {half:.3f}",
    )  # fmt: skip
    axes.errorbar(
        [paper.images], [paper.mean], [paper.sd], color=INK, marker="D", markersize=6, markerfacecolor="white",
        capsize=3, elinewidth=1.2, linestyle="", zorder=1.9,
        label=f"paper, {paper.images} images: {paper.mean:.3f} ± {paper.sd:.3f} (SD)",
    )  # fmt: skip


def _axes(axes: Axes, sizes: Sequence[int], always: int, lowest: float) -> None:
    axes.set_xscale("log")
    shown = _apart(sizes, always)
    axes.set_xticks(shown, [str(size) for size in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="Training images", ylabel="DSC on the test set", ylim=(max(0.0, lowest - 0.02), 1.0))
    axes.grid(axis="y")


def _apart(sizes: Sequence[int], always: int) -> list[int]:
    """Return the sizes whose labels do not run into each other on the logarithmic axis, ``always`` among them."""
    least = 0.11 * np.log(max(sizes) / min(sizes)) if len(sizes) > 1 else 0.0
    shown = [always]
    for size in sorted(sizes, reverse=True):
        if all(abs(np.log(size / other)) >= least for other in shown):
            shown.append(size)
    return sorted(shown)
