"""The paper's Fig. 7: receiver operating characteristic curves, one class against the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..tables import with_interval
from .style import CLASSES, EDGE, SOFT, WIDE_IN, letter, line, panels, series, styled

#: AUC with its lower and upper confidence limit; sensitivity and specificity.
Interval = tuple[float, float, float]
Point = tuple[float, float]


@styled
def roc_curves(
    labels: ArrayLike,
    scores: Mapping[str, ArrayLike],
    auc: Mapping[str, Sequence[Interval]],
    points: Mapping[str, Sequence[Point]] | None = None,
) -> Figure:
    """Return Fig. 7: a panel per class (normal, osteopenia, osteoporosis) with a curve per name of ``scores``.

    Args:
        labels: (n,), the true class as 0, 1 or 2.
        scores: name to (n, 3), higher for more of that class.
        auc: name to three (AUC, low, high), 95 % CI, for the legends.
        points: name to three (sensitivity, specificity), marked: filled on the curve of that name, hollow where there
            is no such curve (the paper's).

    Raises ValueError where a shape is wrong, a name has no AUC, or a class has no subject on one side.
    """
    truth = np.asarray(labels)
    shaped = {name: np.asarray(values, float) for name, values in scores.items()}
    _check(truth, shaped, auc)
    points = points or {}
    figure, places = panels(len(CLASSES), WIDE_IN, 2.7 + 0.33 * len(scores) + 0.2 * len(set(points) - set(scores)))
    for index, (axes, name) in enumerate(zip(places, CLASSES, strict=True)):
        _panel(axes, "abc"[index], name)
        for number, (curve, values) in enumerate(shaped.items()):
            told = with_interval(*auc[curve][index], 3)
            axes.plot(*_curve(truth == index, values[:, index]), **line(number), label=f"{curve}\n{told}")
        _mark(axes, index, list(shaped), points)
        axes.legend(loc="upper left", bbox_to_anchor=(-0.12, -0.22), borderaxespad=0, handlelength=2.2)
    places[0].set_ylabel("Sensitivity")
    return figure


def _check(
    truth: NDArray[np.int64], scores: Mapping[str, NDArray[np.float64]], auc: Mapping[str, Sequence[Interval]]
) -> None:
    if set(np.unique(truth)) != set(range(len(CLASSES))):
        raise ValueError(f"The labels have to hold every class 0 to {len(CLASSES) - 1}, and nothing else.")
    for name, values in scores.items():
        if values.shape != (len(truth), len(CLASSES)):
            raise ValueError(f"The scores of {name} are {values.shape}, not ({len(truth)}, {len(CLASSES)}).")
        if len(auc.get(name, ())) != len(CLASSES):
            raise ValueError(f"There is no AUC of {name} for every class.")


def _curve(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return false and true positive rates (k,), from (0, 0) to (1, 1); subjects of equal score share a step."""
    order = np.argsort(-score, kind="stable")
    last_of_score = np.append(np.diff(score[order]) != 0, True)
    found = np.cumsum(positive[order])[last_of_score]
    false = np.cumsum(~positive[order])[last_of_score]
    return np.append(0.0, false / false[-1]), np.append(0.0, found / found[-1])


def _panel(axes: Axes, name: str, title: str) -> None:
    letter(axes, name)
    axes.set_title(title)
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", anchor="N", xlabel="1 − specificity")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.grid(color=EDGE)


def _mark(axes: Axes, index: int, curves: Sequence[str], points: Mapping[str, Sequence[Point]]) -> None:
    """Mark the operating points; the hollow ones of the paper continue the order of the filled ones."""
    hollow = 0
    for name, of_class in points.items():
        sensitivity, specificity = of_class[index]
        own = name in curves
        look = series(curves.index(name) if own else hollow)
        hollow += not own
        axes.plot(
            [1 - specificity], [sensitivity], linestyle="", marker=look["marker"], markersize=6, zorder=5,
            color=look["color"], markerfacecolor=look["color"] if own else "white",
            label=None if own else name,
        )  # fmt: skip
