"""What the figures share: sizes, colours, line styles, and how a figure becomes its two files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from OsteoScreenLib.results import BONE_STATUSES
from OsteoScreenLib.results_io import write_bytes_atomically

#: Widths [inch]. At 8 pt, a wide figure that is shown 600 pixels wide has letters of 9 pixels.
WIDE_IN, SINGLE_IN = 7.2, 4.4
DPI = 160
SMALL_PT, TEXT_PT = 8.0, 9.0

#: The page's ink, soft text and edges, so that a figure belongs to it.
INK, SOFT, EDGE = "#16202b", "#4d5a68", "#d5dbe2"
#: Okabe and Ito's colours, which the common kinds of colour blindness leave apart.
BLUE, VERMILION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
PURPLE = "#A33E7C"

#: The panels' and matrices' order.
CLASSES: tuple[str, ...] = BONE_STATUSES

_SERIES = (
    (BLUE, "-", "o"),
    (VERMILION, (0, (5, 1.6)), "s"),
    (GREEN, (0, (6, 1.4, 1.2, 1.4)), "^"),
    (INK, (0, (1.2, 1.2)), "D"),
    (PURPLE, (0, (3, 1.2, 1.2, 1.2, 1.2, 1.2)), "v"),
    (ORANGE, (0, (9, 2)), "P"),
)

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": TEXT_PT,
    "axes.titlesize": TEXT_PT,
    "axes.titleweight": "bold",
    "axes.labelsize": TEXT_PT,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "legend.fontsize": SMALL_PT,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": EDGE,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "OsteoScreen",
}

#: Decorates whatever draws: matplotlib's settings hold only inside, and a user's own do not get in.
styled = matplotlib.style.context(["default", _SETTINGS])


def series(index: int) -> dict[str, Any]:
    """Return colour, line style and marker of the ``index``-th series; all three differ between any two.

    Raises ValueError where there are more series than styles: a figure of that many lines cannot be read.
    """
    if not 0 <= index < len(_SERIES):
        raise ValueError(f"A figure holds at most {len(_SERIES)} series.")
    colour, line, marker = _SERIES[index]
    return {"color": colour, "linestyle": line, "marker": marker}


def line(index: int) -> dict[str, Any]:
    """Return the style of the ``index``-th series without its marker."""
    return {**series(index), "marker": ""}


def panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``width`` x ``height`` inches with ``count`` axes side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def letter(axes: Axes, text: str) -> None:
    """Write the letter of a panel at its upper left, outside the axes."""
    axes.set_title(text, loc="left", fontsize=TEXT_PT + 2)


@styled
def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write ``folder/NAME.png`` and ``folder/NAME.svg``, each whole or not at all, and return their paths.

    The same figure gives the same bytes: neither file holds a date. Raises OsteoScreenError where that fails.
    """
    # Laid out once: each format measures text a little differently, and the two files shall not differ.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    _put(png, figure, "png", {"Software": None})
    _put(svg, figure, "svg", {"Date": None, "Creator": None})
    return png, svg


def _put(path: Path, figure: Figure, kind: str, metadata: dict[str, None]) -> None:
    data = io.BytesIO()
    figure.savefig(data, format=kind, dpi=DPI, metadata=metadata)
    write_bytes_atomically(data.getvalue(), path)
