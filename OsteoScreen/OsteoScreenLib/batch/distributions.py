"""Distributions of what was measured, counted row by row, and as they are drawn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from ..results import BONE_STATUSES
from .study import StudyRow

SEXES = {"F": "Women", "M": "Men", "": "Sex not known"}
#: Ages are in ten years; whoever is younger than the first or older than the last is with them.
FIRST_DECADE, LAST_DECADE = 40, 80
#: Values beyond these are counted at the ends: no trabecular bone is there.
_LOW, _HIGH = -200, 600
#: Values are counted to a tenth of their unit, so that a quartile rounds to the whole number that its value does.
_PARTS = 10
#: Height of the highest bar of a histogram, in CSS pixels.
BAR_HEIGHT = 64


@dataclass(frozen=True, order=True)
class Group:
    """People of one sex and one age: ``decade`` is -1 where the age is not known."""

    decade: int
    sex: str


def group_of(row: StudyRow) -> Group:
    """Return the group of a study's patient, as the scan or the manifest says."""
    age = row.measures.get("age_years")
    if age is None:
        age = row.study.age_years
    sex = str(row.measures.get("sex") or row.study.sex or "")
    known = isinstance(age, (int, float)) and math.isfinite(age)
    decade = min(max(int(age) // 10 * 10, FIRST_DECADE - 10), LAST_DECADE) if known and age is not None else -1
    return Group(decade, sex if sex in SEXES else "")


def age_words(decade: int) -> str:
    """A group's age in words."""
    if decade < 0:
        return "age not known"
    if decade < FIRST_DECADE:
        return f"under {FIRST_DECADE}"
    return f"{LAST_DECADE} and over" if decade >= LAST_DECADE else f"{decade} to {decade + 9}"


@dataclass
class Values:
    """How often each tenth of a unit occurred, by group: as much memory for a million values as for a thousand."""

    by_group: dict[Group, Counter[int]] = field(default_factory=dict)

    def add(self, group: Group, value: object) -> None:
        """Count a value where there is one."""
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            part = math.floor(min(max(value, _LOW), _HIGH) * _PARTS)
            self.by_group.setdefault(group, Counter())[part] += 1

    def of(self, *, sex: str | None = None, decade: int | None = None) -> Counter[int]:
        """The counts of all groups of a sex, an age, or both, by tenths of a unit."""
        total: Counter[int] = Counter()
        for group, counts in self.by_group.items():
            if sex in (None, group.sex) and decade in (None, group.decade):
                total.update(counts)
        return total


def quantile(counts: Counter[int], share: float) -> float | None:
    """Return the value below which a share of the values lies, to a tenth of a unit; None where there is none."""
    wanted = share * counts.total()
    below = 0
    for value in sorted(counts):
        below += counts[value]
        if below >= wanted:
            return (value + 0.5) / _PARTS
    return None


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram: left edge and width in percent of the drawing, height in pixels, what it counts."""

    left: float
    width: float
    height: float
    start: int
    end: int
    count: int
    zone: str


@dataclass(frozen=True)
class HistogramRow:
    """The histogram of one sex, its number of values, and their quartiles."""

    label: str
    total: int
    quartiles: tuple[float | None, float | None, float | None]
    bars: list[Bar]


@dataclass(frozen=True)
class Histogram:
    """Histograms of the sexes on one axis; ``ticks`` and ``limits`` are (percent, value)."""

    rows: list[HistogramRow]
    ticks: list[tuple[float, int]]
    limits: list[tuple[float, int]]


def histogram(values: Values, step: int, *, zones: bool = False) -> Histogram | None:
    """Draw histograms of ``step`` units a bar, one for each sex; ``zones`` marks the QCT criterion's limits.

    Returns None where there is no value.
    """
    everyone = values.of()
    if not everyone:
        return None
    first = min(everyone) // (step * _PARTS) * step
    last = (max(everyone) // (step * _PARTS) + 1) * step
    rows = list(_rows(values, range(first, last, step), zones))
    scale = 100.0 / (last - first)
    every = next((size for size in (step, 50, 100, 200) if (last - first) / size <= 8), 200)
    ticks = [((tick - first) * scale, tick) for tick in range(math.ceil(first / every) * every, last + 1, every)]
    edges = (int(OSTEOPOROSIS_BELOW_MG_CM3), int(NORMAL_ABOVE_MG_CM3)) if zones else ()
    return Histogram(rows, ticks, [((edge - first) * scale, edge) for edge in edges if first < edge < last])


def _rows(values: Values, starts: range, zones: bool) -> Iterator[HistogramRow]:
    for sex, label in SEXES.items():
        counts = values.of(sex=sex)
        if counts:
            quartiles = (quantile(counts, 0.25), quantile(counts, 0.5), quantile(counts, 0.75))
            yield HistogramRow(label, counts.total(), quartiles, _bars(counts, starts, zones))


def _bars(counts: Counter[int], starts: range, zones: bool) -> list[Bar]:
    width = 100.0 / len(starts)
    found = Counter(dict.fromkeys(starts, 0))
    for part, count in counts.items():
        found[part // (starts.step * _PARTS) * starts.step] += count
    heights = [found[start] for start in starts]
    scale = BAR_HEIGHT / max(heights)
    return [
        Bar(n * width, width, scale * height, start, start + starts.step, height, _zone(start) if zones else "")
        for n, (start, height) in enumerate(zip(starts, heights, strict=True))
        if height
    ]


def _zone(start: int) -> str:
    if start < OSTEOPOROSIS_BELOW_MG_CM3:
        return "osteoporosis"
    return "osteopenia" if start < NORMAL_ABOVE_MG_CM3 else "normal"


@dataclass(frozen=True)
class Portion:
    """A class's part of a group: left edge and width in percent, and how many there are."""

    name: str
    left: float
    width: float
    count: int


@dataclass(frozen=True)
class ClassCell:
    """The classes of one group."""

    total: int
    portions: list[Portion]


@dataclass
class Classes:
    """How often each class occurred, by group."""

    by_group: dict[Group, Counter[str]] = field(default_factory=dict)

    def add(self, group: Group, name: object) -> None:
        """Count a class where there is one."""
        if name in BONE_STATUSES:
            self.by_group.setdefault(group, Counter())[str(name)] += 1

    @property
    def sexes(self) -> list[str]:
        """The sexes that occur, in the order of `SEXES`."""
        return [sex for sex in SEXES if any(group.sex == sex for group in self.by_group)]

    def table(self) -> list[tuple[str, list[ClassCell]]]:
        """A row for each age, and one for all: its words, and the cells of `sexes`."""
        decades = sorted({group.decade for group in self.by_group}, key=lambda decade: (decade < 0, decade))
        rows = [(age_words(decade), [self._cell(sex, [decade]) for sex in self.sexes]) for decade in decades]
        return [*rows, ("all", [self._cell(sex, decades) for sex in self.sexes])]

    def _cell(self, sex: str, decades: Iterable[int]) -> ClassCell:
        total: Counter[str] = Counter()
        for decade in decades:
            total.update(self.by_group.get(Group(decade, sex), Counter()))
        return ClassCell(total.total(), _portions(total, BONE_STATUSES[::-1]))


def _portions(counts: Counter[str], order: Sequence[str]) -> list[Portion]:
    portions, left = [], 0.0
    for name in order:
        width = 100.0 * counts[name] / max(counts.total(), 1)
        portions.append(Portion(name, left, width, counts[name]))
        left += width
    return portions
