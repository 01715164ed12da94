"""The paper's Fig. 4: prevalence of low bone mass, and BMD, by decade of age and sex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from OsteoScreenLib.densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3, qct_category

from .style import BLUE, INK, ORANGE, PURPLE, SMALL_PT, SOFT, VERMILION, WIDE_IN, letter, styled

#: The decades of the paper's Table 1, in years.
DECADES = ("<30", "30-39", "40-49", "50-59", "60-69", "70-79", "80-89", ">=90")
_SEXES = {"M": ("men", BLUE, "o", -0.21), "F": ("women", PURPLE, "s", 0.21)}
_BAR, _BESIDE = 0.36, 0.15


def decades(ages: ArrayLike) -> NDArray[np.int_]:
    """Return the place in :data:`DECADES` of each of some ages in years."""
    return np.clip(np.asarray(ages, float) // 10 - 2, 0, len(DECADES) - 1).astype(int)


class PaperBmd(NamedTuple):
    """One cell of the paper's Table 1 in mg/cm3; ``sd`` is None where there is one subject."""

    decade: str
    sex: str
    mean: float
    sd: float | None


@dataclass(frozen=True)
class _Group:
    """The BMD of one decade and sex, and where its middle stands on the x axis."""

    x: float
    sex: str
    bmd: NDArray[np.float64]

    def percent(self, category: str) -> float:
        return 100 * sum(qct_category(float(value)) == category for value in self.bmd) / len(self.bmd)


@styled
def cohort_by_age(ages: ArrayLike, sex: Sequence[str], bmd: ArrayLike, paper: Sequence[PaperBmd], ours: str) -> Figure:
    """Return Fig. 4 with (a) the prevalence of osteopenia and osteoporosis and (b) mean BMD with its SD.

    Args:
        ages: (n,), years.
        sex: (n,), "M" or "F".
        bmd: (n,), mg/cm3.
        paper: rows of the paper's Table 1, drawn hollow beside ours.
        ours: what the legend calls these subjects, such as "simulated".

    Raises ValueError where the lengths differ, or a sex or decade is none of those known.
    """
    groups = _groups(np.asarray(ages, float), sex, np.asarray(bmd, float))
    figure = Figure(figsize=(WIDE_IN, 6.6), layout="constrained")
    upper, lower = figure.subplots(2, 1)
    _prevalence(upper, groups)
    _density(lower, groups, paper, ours)
    for axes, name in ((upper, "a"), (lower, "b")):
        letter(axes, name)
        axes.set_xlim(-0.6, len(DECADES) - 0.4)
        axes.grid(axis="y")
    return figure


def _groups(ages: NDArray[np.float64], sex: Sequence[str], bmd: NDArray[np.float64]) -> list[_Group]:
    if not len(ages) == len(sex) == len(bmd):
        raise ValueError(f"{len(ages)} ages, {len(sex)} sexes and {len(bmd)} densities are not one per subject.")
    if unknown := set(sex) - set(_SEXES):
        raise ValueError(f"A sex is M or F, not {sorted(unknown)}.")
    decade = decades(ages)
    is_sex = np.asarray(sex)
    return [
        _Group(index + offset, name, bmd[(decade == index) & (is_sex == name)])
        for index in range(len(DECADES))
        for name, (_, _, _, offset) in _SEXES.items()
    ]


def _prevalence(axes: Axes, groups: Sequence[_Group]) -> None:
    filled = [group for group in groups if len(group.bmd)]
    places = [group.x for group in filled]
    porosis = [group.percent("osteoporosis") for group in filled]
    penia = [group.percent("osteopenia") for group in filled]
    axes.bar(places, porosis, _BAR, color=VERMILION, edgecolor=INK, linewidth=0.6, label="osteoporosis")
    axes.bar(
        places, penia, _BAR, bottom=porosis, color=ORANGE, edgecolor=INK, linewidth=0.6, hatch="///", label="osteopenia"
    )
    axes.set(ylim=(0, 100), ylabel="Subjects, %")
    axes.set_xticks([group.x for group in groups], [f"{group.sex}\n{len(group.bmd)}" for group in groups], minor=True)
    axes.set_xticks(range(len(DECADES)), _decade_labels())
    axes.tick_params(axis="x", which="major", length=0, pad=28)
    axes.annotate("sex\nn", (0, 0), (-10, -6), va="top", ha="right", fontsize=SMALL_PT, color=SOFT,
                  xycoords="axes fraction", textcoords="offset points")  # fmt: skip
    axes.set_xlabel("Age, years (M men, F women)")
    axes.legend(loc="upper left", reverse=True)


def _density(axes: Axes, groups: Sequence[_Group], paper: Sequence[PaperBmd], ours: str) -> None:
    for limit, text in ((NORMAL_ABOVE_MG_CM3, "normal above"), (OSTEOPOROSIS_BELOW_MG_CM3, "osteoporosis below")):
        axes.axhline(limit, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        axes.text(0.005, limit - 2, f"{text} {limit:g}", transform=axes.get_yaxis_transform(), va="top",
                  fontsize=SMALL_PT, color=SOFT)  # fmt: skip
    for group in groups:
        if len(group.bmd):
            sd = float(group.bmd.std(ddof=1)) if len(group.bmd) > 1 else None
            _point(axes, group.sex, group.x - _BESIDE / 2, float(group.bmd.mean()), sd, hollow=False)
    for row in paper:
        if row.decade not in DECADES or row.sex not in _SEXES:
            raise ValueError(f"The paper's row {tuple(row)} is of no known decade and sex.")
        place = DECADES.index(row.decade) + _SEXES[row.sex][3] + _BESIDE / 2
        _point(axes, row.sex, place, row.mean, row.sd, hollow=True)
    axes.set_xticks(range(len(DECADES)), _decade_labels())
    axes.set(xlabel="Age, years", ylabel="BMD, mean ± SD, mg/cm³")
    axes.set_ylim(bottom=0)
    sources = ((ours, False), ("paper", True)) if paper else ((ours, False),)
    handles = [_handle(sex, hollow, source) for source, hollow in sources for sex in _SEXES]
    axes.legend(handles=handles, loc="upper right", ncols=len(sources))


def _point(axes: Axes, sex: str, x: float, mean: float, sd: float | None, hollow: bool) -> None:
    axes.errorbar([x], [mean], None if sd is None else [sd], **_marker(sex, hollow), capsize=2, elinewidth=1.2)


def _handle(sex: str, hollow: bool, source: str) -> Line2D:
    return Line2D([], [], linestyle="", label=f"{_SEXES[sex][0]}, {source}", **_marker(sex, hollow))


def _marker(sex: str, hollow: bool) -> dict[str, Any]:
    _, colour, shape, _ = _SEXES[sex]
    return {"color": colour, "marker": shape, "markerfacecolor": "white" if hollow else colour}


def _decade_labels() -> list[str]:
    return [name.replace(">=", "≥ ").replace("<", "< ").replace("-", "–") for name in DECADES]
