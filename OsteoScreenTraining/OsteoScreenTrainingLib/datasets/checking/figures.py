"""The distributions of a data set as figures for its page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from OsteoScreenLib.densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3

from ...figures.style import DPI, SMALL_PT, SOFT, WIDE_IN, line, styled
from ...tables import plus_minus

_ROW_IN, _BINS = 1.35, 24


@styled
def distributions(values: Mapping[str, Sequence[float]], label: str, limits: bool) -> Figure:
    """Return a histogram for each group, below each other on one scale.

    Args:
        values: group -> its values; empty groups are said to be.
        label: name and unit of the values.
        limits: whether to draw the limits of the QCT categories (mg/cm3).
    """
    figure = Figure(figsize=(WIDE_IN, _ROW_IN * len(values) + 0.5), layout="constrained")
    rows = figure.subplots(len(values), 1, sharex=True, squeeze=False)[:, 0]
    everything = [value for group in values.values() for value in group]
    edges = np.histogram_bin_edges(everything, _BINS) if everything else np.linspace(0, 1, _BINS)
    for place, (axes, (name, group)) in enumerate(zip(rows, values.items(), strict=True)):
        axes.hist(group, edges, color=line(place % 4)["color"], edgecolor="white", linewidth=0.5)
        if len(group) == 0:
            axes.set_ylim(0, 1)
        axes.set_ylabel("subjects", fontsize=SMALL_PT)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set_title(_title(name, group), loc="left", fontsize=SMALL_PT, weight="normal")
        for limit in (OSTEOPOROSIS_BELOW_MG_CM3, NORMAL_ABOVE_MG_CM3) if limits else ():
            axes.axvline(limit, color=SOFT, linestyle=(0, (4, 3)), linewidth=0.9)
    rows[-1].set_xlabel(label)
    return figure


def _title(name: str, group: Sequence[float]) -> str:
    # A name from a file is no formula.
    name = name.replace("$", r"\$")
    if len(group) == 0:
        return f"{name}: nobody"
    sd = float(np.std(group, ddof=1)) if len(group) > 1 else math.nan
    return f"{name}: n = {len(group)}, {plus_minus(float(np.mean(group)), sd, 1)}"


@styled
def embedded(figure: Figure) -> Markup:
    """Return a figure as a PNG data URI."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data_uri(data.getvalue())


def data_uri(png: bytes) -> Markup:
    """Return a PNG as a data URI, which is markup that was made here."""
    return Markup("data:image/png;base64," + base64.b64encode(png).decode("ascii"))
