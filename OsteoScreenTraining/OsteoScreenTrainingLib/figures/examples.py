"""The paper's Fig. 6: slices with the probability map, the reference label and the networks' masks."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from .style import SKY, SMALL_PT, TEXT_PT, WIDE_IN, styled

#: Shows fat, soft tissue, trabecular bone and cortex apart, HU.
WINDOW_HU = (-150.0, 500.0)
_COLUMNS = ("CT", "heat map", "reference label", "DCNN", "U-Net")
_ROW_IN, _HEADING_IN, _KEY_IN = 1.66, 0.2, 0.6
#: These lie on a dark CT, where the palette of the other figures would be too dark.
_AMBER, _PINK = "#ffbe00", "#ff7fd0"
_SEX = {"M": "Man", "F": "Woman"}


@dataclass(frozen=True)
class ExampleRow:
    """A slice of one subject, as (rows, columns) arrays of square pixels.

    ``ct`` in HU; ``probability`` of the DCNN in 0..1; the masks as coverage in 0..1; ``age`` in years; ``bmd`` in
    mg/cm3.
    """

    ct: NDArray[np.float64]
    probability: NDArray[np.float64]
    reference: NDArray[np.float64]
    dcnn: NDArray[np.float64]
    unet: NDArray[np.float64]
    sex: str
    age: float
    bmd: float
    category: str

    @property
    def title(self) -> str:
        return f"{_SEX[self.sex]}, {self.age:.0f} years, BMD {self.bmd:.1f} mg/cm³: {self.category}"


@styled
def example_rows(rows: Sequence[ExampleRow]) -> Figure:
    """Return Fig. 6, one row of five pictures per example; the reference's outline is repeated on both masks.

    Raises ValueError where there is no row, or a row's arrays differ in shape.
    """
    if not rows:
        raise ValueError("There is no example to show.")
    for number, row in enumerate(rows, start=1):
        if len({picture.shape for picture in (row.ct, row.probability, row.reference, row.dcnn, row.unet)}) != 1:
            raise ValueError(f"The pictures of example {number} differ in shape.")
    heights = [_ROW_IN + _HEADING_IN, *[_ROW_IN] * (len(rows) - 1), _KEY_IN]
    figure = Figure(figsize=(WIDE_IN, sum(heights)), layout=ConstrainedLayoutEngine(w_pad=0.025, h_pad=0.035, wspace=0))
    parts = list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    for number, (part, row) in enumerate(zip(parts, rows, strict=False)):
        _row(part, row, number)
    for axes, name in zip(parts[0].axes, _COLUMNS, strict=True):
        axes.set_title(name, fontsize=SMALL_PT, weight="normal")
    _key(parts[-1])
    return figure


def _row(part: SubFigure, row: ExampleRow, number: int) -> None:
    part.suptitle(row.title, fontsize=TEXT_PT, weight="bold", x=0.004, ha="left")
    ct, heat, reference, dcnn, unet = part.subplots(1, len(_COLUMNS))
    for axes in (ct, reference, dcnn, unet):
        axes.imshow(row.ct, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1])
    heat.imshow(row.probability, cmap="viridis", vmin=0, vmax=1)
    _mask(reference, row.reference, _AMBER)
    for axes, found, colour in ((dcnn, row.dcnn, SKY), (unet, row.unet, _PINK)):
        _mask(axes, found, colour)
        axes.contour(row.reference, levels=[0.5], colors=[_AMBER], linewidths=1.0, linestyles="dashed")
    for index, axes in enumerate((ct, heat, reference, dcnn, unet)):
        axes.set_axis_off()
        _corner(axes, string.ascii_lowercase[(len(_COLUMNS) * number + index) % 26])


def _mask(axes: Axes, coverage: NDArray[np.float64], colour: str) -> None:
    """Tint what a mask covers at least by half, which is how a network's answer becomes an outline."""
    tint = np.zeros((*coverage.shape, 4))
    tint[coverage >= 0.5] = to_rgba(colour, 0.55)
    axes.imshow(tint, interpolation="nearest")


def _corner(axes: Axes, text: str) -> None:
    axes.text(0.04, 0.95, text, transform=axes.transAxes, va="top", color="white", weight="bold",
              bbox={"facecolor": "black", "edgecolor": "none", "alpha": 0.6, "pad": 1.5})  # fmt: skip


def _key(part: SubFigure) -> None:
    left, right = part.subplots(1, 2, width_ratios=[2, 3])
    right.set_axis_off()
    part.colorbar(ScalarMappable(cmap="viridis"), cax=left, orientation="horizontal", ticks=[0, 0.5, 1])
    left.set_title("probability of the DCNN", fontsize=SMALL_PT, weight="normal")
    left.set_xticklabels(["0", "0.5", "1"])
    handles: list[Artist] = [
        Patch(facecolor=_AMBER, label="reference"),
        Patch(facecolor=SKY, label="DCNN"),
        Patch(facecolor=_PINK, label="U-Net"),
        Line2D([], [], color=_AMBER, linestyle="--", label="outline of the reference"),
    ]
    right.legend(handles=handles, loc="center", ncols=2)
