"""Bland-Altman plot: how two measurements of the same subjects agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .style import BLUE, INK, SINGLE_IN, SMALL_PT, VERMILION, styled

#: A value with its lower and upper confidence limit.
Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Limits:
    """Bias and limits of agreement, each (value, low, high), in the unit of the measurements."""

    bias: Interval
    lower: Interval
    upper: Interval


@styled
def bland_altman(mean: ArrayLike, difference: ArrayLike, limits: Limits, quantity: str, unit: str) -> Figure:
    """Return the differences (n,) over the means (n,) of two measurements, with the bands of bias and limits.

    ``quantity`` names what was measured and what is subtracted from what, such as "BMD, network − reference". Raises
    ValueError where the two differ in length.
    """
    x, y = np.asarray(mean, float), np.asarray(difference, float)
    if x.shape != y.shape:
        raise ValueError(f"{x.shape} means and {y.shape} differences are not of the same subjects.")
    figure = Figure(figsize=(SINGLE_IN, 3.7), layout="constrained")
    axes = figure.subplots()
    axes.scatter(x, y, s=11, color=BLUE, alpha=0.45, linewidths=0)
    _line(axes, limits.upper, "upper limit", VERMILION, (0, (5, 2)))
    _line(axes, limits.bias, "bias", INK, "-")
    _line(axes, limits.lower, "lower limit", VERMILION, (0, (5, 2)))
    axes.set(xlabel=f"Mean of the two, {unit}", ylabel=f"{quantity}, {unit}")
    axes.grid(axis="y")
    return figure


def _line(axes: Axes, interval: Interval, name: str, colour: str, style: str | tuple[int, tuple[int, int]]) -> None:
    value, low, high = interval
    axes.axhspan(low, high, color=colour, alpha=0.14, linewidth=0)
    axes.axhline(value, color=colour, linewidth=1.2, linestyle=style)
    text = f"{name}\n{value:+.1f}".replace("-", "−")
    axes.annotate(text, (1, value), (4, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                  va="center", fontsize=SMALL_PT, color=colour)  # fmt: skip
