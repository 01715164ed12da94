"""Calibration: how often a class occurs among subjects who were given it with a certain probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ..statistics.calibration import ReliabilityBin
from .style import CLASSES, SOFT, WIDE_IN, letter, series, styled


@dataclass(frozen=True)
class ReliabilityBins:
    """Bins (b,) of one model and class: mean probability, observed share with its confidence limits, subjects."""

    predicted: ArrayLike
    observed: ArrayLike
    low: ArrayLike
    high: ArrayLike
    count: ArrayLike


def reliability_of(curve: Sequence[ReliabilityBin]) -> ReliabilityBins:
    """Return the bins of a reliability curve that hold subjects, as they are drawn."""
    filled = [one for one in curve if one.observed.n]
    return ReliabilityBins(
        predicted=[one.mean_predicted for one in filled],
        observed=[one.observed.value for one in filled],
        low=[one.observed.low for one in filled],
        high=[one.observed.high for one in filled],
        count=[one.observed.n for one in filled],
    )


@styled
def reliability_diagram(models: Mapping[str, Sequence[ReliabilityBins]]) -> Figure:
    """Return a panel per class (normal, osteopenia, osteoporosis), with the number of subjects per bin below it.

    ``models`` maps a name to its bins of every class; bins without a subject are left out. Raises ValueError where a
    class is missing.
    """
    for name, bins in models.items():
        if len(bins) != len(CLASSES):
            raise ValueError(f"{name} has bins of {len(bins)} classes, not of {len(CLASSES)}.")
    figure = Figure(figsize=(WIDE_IN, 3.9), layout="constrained")
    upper, lower = figure.subplots(2, len(CLASSES), height_ratios=[4, 1.1], sharex=True)
    for index, name in enumerate(CLASSES):
        _panel(upper[index], "abc"[index], name)
        for number, bins in enumerate(models.values()):
            _model(upper[index], lower[index], bins[index], number, len(models))
        lower[index].set_xlabel("Predicted probability")
    upper[0].set_ylabel("Observed share (95 % CI)")
    lower[0].set_ylabel("Subjects")
    handles = [upper[0].errorbar([], [], [], **series(number), label=name) for number, name in enumerate(models)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(models))
    return figure


def _panel(axes: Axes, name: str, title: str) -> None:
    letter(axes, name)
    axes.set_title(title)
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.9, linestyle=(0, (2, 3)))
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.grid()


def _model(axes: Axes, below: Axes, bins: ReliabilityBins, number: int, models: int) -> None:
    columns = (bins.predicted, bins.observed, bins.low, bins.high, bins.count)
    predicted, observed, low, high, count = (np.asarray(column, float) for column in columns)
    held = count > 0
    reach = np.clip([observed - low, high - observed], 0, None)[:, held]
    look = series(number)
    axes.errorbar(predicted[held], observed[held], reach, **look, capsize=2, elinewidth=1, linewidth=1.2)
    width = 0.06 / models
    shift = (number - (models - 1) / 2) * width
    below.bar(predicted[held] + shift, count[held], width, color=look["color"])
