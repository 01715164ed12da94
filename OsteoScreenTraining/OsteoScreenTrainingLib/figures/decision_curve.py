"""Decision curves: what acting on a model is worth, for every threshold of acting."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from .style import INK, SINGLE_IN, SOFT, line, styled


@styled
def decision_curve(thresholds: ArrayLike, net_benefit: Mapping[str, ArrayLike], treat_all: ArrayLike) -> Figure:
    """Return the net benefit (t,) of every model over the threshold probabilities (t,), with treat all and treat none.

    Raises ValueError where a curve differs from the thresholds in length.
    """
    x, everyone = np.asarray(thresholds, float), np.asarray(treat_all, float)
    curves = {name: np.asarray(values, float) for name, values in net_benefit.items()}
    for name, values in {**curves, "treat all": everyone}.items():
        if values.shape != x.shape:
            raise ValueError(f"The net benefit of {name} is {values.shape}, the thresholds are {x.shape}.")
    figure = Figure(figsize=(SINGLE_IN, 3.9), layout="constrained")
    axes = figure.subplots()
    for number, (name, values) in enumerate(curves.items()):
        axes.plot(x, values, **line(number), label=name)
    axes.plot(x, everyone, color=SOFT, linewidth=1.2, label="treat all")
    axes.axhline(0, color=INK, linewidth=1.0, linestyle=(0, (1, 2)), label="treat none")
    top = max(float(values.max()) for values in (*curves.values(), everyone))
    # Treat all falls without end towards a threshold of 1, and would press everything else flat.
    axes.set(xlim=(float(x.min()), float(x.max())), ylim=(-0.25 * top, 1.08 * top))
    axes.set(xlabel="Threshold probability", ylabel="Net benefit")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.grid()
    figure.legend(loc="outside lower center", ncols=2)
    return figure
