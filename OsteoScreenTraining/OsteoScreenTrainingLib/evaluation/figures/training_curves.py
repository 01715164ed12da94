"""How a training went: the loss and the validation's scores over the steps, as log.csv holds them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .style import BLUE, SINGLE_IN, letter, series, styled


def read_log(path: Path) -> dict[str, NDArray[np.float64]]:
    """Return the columns of a run's log.csv, (rows,) each; a row that has no such value holds NaN.

    Raises OSError where the file cannot be read, and ValueError where a cell is no number.
    """
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0]) if rows else []
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}


@styled
def training_curves(columns: Mapping[str, NDArray[np.float64]], scores: Mapping[str, str]) -> Figure:
    """Return (a) the loss and (b) the validation's scores over the steps.

    ``columns`` are those of :func:`read_log`; ``scores`` maps the columns to draw, such as "val_dsc", to their labels.
    Raises KeyError where a column is missing.
    """
    figure = Figure(figsize=(SINGLE_IN, 4.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    _curve(upper, columns["step"], columns["loss"], {"color": BLUE, "linewidth": 1.2})
    upper.set(yscale="log", ylabel="Training loss")
    for number, (name, label) in enumerate(scores.items()):
        _curve(lower, columns["step"], columns[name], {**series(number), "label": label})
    lower.set(xlabel="Step", ylabel="Validation score")
    lower.legend(loc="best")
    for axes, name in ((upper, "a"), (lower, "b")):
        letter(axes, name)
        axes.grid()
    return figure


def _curve(axes: Axes, steps: NDArray[np.float64], values: NDArray[np.float64], look: dict[str, Any]) -> None:
    """Draw one column over the steps at which it was written down."""
    held = np.isfinite(values)
    axes.plot(steps[held], values[held], **look)
