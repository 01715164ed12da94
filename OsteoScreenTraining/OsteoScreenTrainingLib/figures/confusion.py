"""Confusion matrices, ours beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from .style import BLUE, CLASSES, INK, SMALL_PT, TEXT_PT, WIDE_IN, styled

_BLUES = LinearSegmentedColormap.from_list("white to blue", ["#ffffff", BLUE])


@styled
def confusion_matrices(matrices: Mapping[str, ArrayLike]) -> Figure:
    """Return one panel per title, two to a row: counts, and per cent of the row, which is the true class.

    Each matrix is (3, 3), truth by prediction, in the order normal, osteopenia, osteoporosis. Raises ValueError for
    another shape.
    """
    rows = -(-len(matrices) // 2)
    figure = Figure(figsize=(WIDE_IN, 2.75 * rows + 0.2), layout="constrained")
    places = figure.subplots(rows, 2, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, (title, matrix) in zip(places, matrices.items(), strict=False):
        counts = np.asarray(matrix)
        if counts.shape != (len(CLASSES), len(CLASSES)):
            raise ValueError(f"The matrix of {title} is {counts.shape}, not ({len(CLASSES)}, {len(CLASSES)}).")
        axes.set_title(title)
        _matrix(axes, counts)
    for axes in places[len(matrices) :]:
        axes.set_axis_off()
    figure.supxlabel("Predicted class", fontsize=TEXT_PT)
    figure.supylabel("True class", fontsize=TEXT_PT)
    return figure


def _matrix(axes: Axes, counts: NDArray[np.int64]) -> None:
    totals = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.maximum(totals, 1)
    axes.imshow(percent, cmap=_BLUES, vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(CLASSES)), CLASSES)
    axes.set_yticks(range(len(CLASSES)), CLASSES)
    axes.tick_params(length=0)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if percent[row, column] > 80 else INK
        look: dict[str, Any] = {"ha": "center", "va": "center", "color": colour}
        axes.text(column, row - 0.1, f"{count}", weight="bold", size=TEXT_PT + 2, **look)
        axes.text(column, row + 0.24, f"{percent[row, column]:.1f} %", size=SMALL_PT, **look)
