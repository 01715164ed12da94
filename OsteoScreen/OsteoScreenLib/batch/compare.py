"""Two sets of results of the same studies, side by side: what another bundle, setting or version changed."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..results import BONE_STATUSES
from .export import whole_file
from .pages import report_link, setting_words, write_page
from .store import ResultSet
from .study import State, StudyRow

#: So many of the changed studies are on the page; the table has them all.
MOST_SHOWN = 200

Sort = Literal["category", "class"]


@dataclass(frozen=True)
class Side:
    """What a set says of a study; None where it says nothing.

    hu : mean HU of L1; bmd : of the individual, in mg/cm3; category : from BMD; opinion : the network's class
    """

    state: State
    hu: float | None
    bmd: float | None
    category: str | None
    opinion: str | None


@dataclass(frozen=True)
class Pair:
    """A study in both sets."""

    id: str
    before: Side
    after: Side

    @property
    def bmd_difference(self) -> float | None:
        """The second set's BMD less the first's."""
        return _difference(self.before.bmd, self.after.bmd)

    @property
    def hu_difference(self) -> float | None:
        """The same of the mean HU of L1."""
        return _difference(self.before.hu, self.after.hu)

    @property
    def is_changed(self) -> bool:
        """Whether its state, category or class is another."""
        before, after = self.before, self.after
        kept = (before.state, before.category, before.opinion) == (after.state, after.category, after.opinion)
        return not kept

    @property
    def order(self) -> tuple[int, float, str]:
        """Changed states first, then the classes and categories that moved farthest, then the largest change of BMD."""
        if self.before.state is not self.after.state:
            rank = -10
        else:
            rank = -max(
                _steps(self.before.opinion, self.after.opinion), _steps(self.before.category, self.after.category)
            )
        return rank, -abs(self.bmd_difference or 0.0), self.id


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _steps(before: str | None, after: str | None) -> int:
    """How many classes lie between two; one that came or went counts as one step."""
    if before == after:
        return 0
    if before not in BONE_STATUSES or after not in BONE_STATUSES:
        return 1
    return abs(_rank(before) - _rank(after))


def _rank(name: str) -> int:
    return [str(status) for status in BONE_STATUSES].index(name)


@dataclass(frozen=True)
class Agreement:
    """How two readings of the same cases agree: ``matrix[before][after]`` counts them.

    kappa : Cohen's, and weighted (linearly, by the distance of the classes); None where it is not defined
    """

    matrix: dict[str, dict[str, int]]
    total: int
    same: int
    kappa: float | None
    weighted_kappa: float | None


def agreement(pairs: Iterable[tuple[str, str]]) -> Agreement:
    """Count pairs of classes.

    Kappa is that of Cohen (Educ Psychol Meas 1960;20:37-46), 1 - sum(w o) / sum(w e), with o the observed and e the
    expected shares and w the disagreement: 0 or 1, or (Psychol Bull 1968;70:213-220) the number of classes between.
    """
    matrix = {before: dict.fromkeys(BONE_STATUSES, 0) for before in map(str, BONE_STATUSES)}
    for before, after in pairs:
        matrix[before][after] += 1  # type: ignore[index]
    total = sum(sum(row.values()) for row in matrix.values())
    same = sum(matrix[name][name] for name in BONE_STATUSES)
    counts = {before: {str(after): count for after, count in row.items()} for before, row in matrix.items()}
    return Agreement(counts, total, same, _kappa(counts, total, weighted=False), _kappa(counts, total, weighted=True))


def _kappa(matrix: Mapping[str, Mapping[str, int]], total: int, *, weighted: bool) -> float | None:
    observed = expected = 0.0
    for before, row in matrix.items():
        for after, count in row.items():
            steps = abs(_rank(before) - _rank(after))
            weight = steps if weighted else min(steps, 1)
            column = sum(other[after] for other in matrix.values())
            observed += weight * count
            expected += weight * sum(row.values()) * column / max(total, 1)
    return None if expected == 0 else 1.0 - observed / expected


@dataclass(frozen=True)
class Differences:
    """Of a measure, the second set's less the first's: how many, mean, SD, limits of agreement (mean ± 1.96 SD; Bland
    and Altman, Lancet 1986;1:307-310), and the largest amount."""

    count: int
    mean: float
    sd: float | None
    limits: tuple[float, float] | None
    largest: float


def differences(values: Iterable[float]) -> Differences | None:
    """Return what the differences come to, None where there is none."""
    every = list(values)
    if not every:
        return None
    mean = math.fsum(every) / len(every)
    largest = max(every, key=abs)
    if len(every) < 2:
        return Differences(1, mean, None, None, largest)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in every) / (len(every) - 1))
    return Differences(len(every), mean, sd, (mean - 1.96 * sd, mean + 1.96 * sd), largest)


@dataclass(frozen=True)
class Comparison:
    """Two sets: the studies in both, those that changed first, and how many are in one alone."""

    pairs: list[Pair]
    only_before: int
    only_after: int

    @property
    def changed(self) -> list[Pair]:
        """The studies whose state, category or class is another."""
        return [pair for pair in self.pairs if pair.is_changed]

    @property
    def both_screened(self) -> list[Pair]:
        """The studies that both sets screened."""
        return [pair for pair in self.pairs if pair.before.state is pair.after.state is State.SCREENED]

    def classes(self, sort: Sort) -> Agreement:
        """The agreement of the categories from BMD, or of the network's classes."""
        sides = ((pair.before, pair.after) for pair in self.both_screened)
        named = ((_class(before, sort), _class(after, sort)) for before, after in sides)
        return agreement((before, after) for before, after in named if before is not None and after is not None)

    @property
    def bmd(self) -> Differences | None:
        """Of the individuals' BMD, in mg/cm3."""
        return differences(d for pair in self.both_screened if (d := pair.bmd_difference) is not None)

    @property
    def hu(self) -> Differences | None:
        """Of the mean HU of L1."""
        return differences(d for pair in self.both_screened if (d := pair.hu_difference) is not None)


def _class(side: Side, sort: Sort) -> str | None:
    return side.category if sort == "category" else side.opinion


def compare(before: Iterable[StudyRow], after: Iterable[StudyRow]) -> Comparison:
    """Compare two sets by the ids of their studies; what is not finished in either is left out."""
    first = {row.study.id: _side(row) for row in before if row.state.is_final}
    pairs, only_after = [], 0
    for row in after:
        if not row.state.is_final:
            first.pop(row.study.id, None)
            continue
        side = first.pop(row.study.id, None)
        if side is None:
            only_after += 1
        else:
            pairs.append(Pair(row.study.id, side, _side(row)))
    return Comparison(sorted(pairs, key=lambda pair: pair.order), len(first), only_after)


def _side(row: StudyRow) -> Side:
    measures = row.measures
    counts = row.state is State.SCREENED and measures.get("status") != "discarded"
    if not counts:
        return Side(row.state, None, None, None, None)
    hu, bmd = row.number("l1_mean_hu"), row.number("bmd_mg_cm3")
    return Side(row.state, hu, bmd, _status(measures.get("qct_category")), _status(measures.get("class")))


def _status(value: object) -> str | None:
    return str(value) if value in BONE_STATUSES else None


# -- as files

_COLUMNS = (
    *("id", "changed", "state_before", "state_after", "class_before", "class_after"),
    *("category_before", "category_after", "bmd_before_mg_cm3", "bmd_after_mg_cm3", "bmd_difference_mg_cm3"),
    *("l1_mean_before_hu", "l1_mean_after_hu", "l1_mean_difference_hu"),
)


def write_comparison_table(comparison: Comparison, path: str | os.PathLike[str]) -> Path:
    """Write a row for each study in both sets, those that changed first (CSV); returns the path.

    Raises OsteoScreenError where it cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow(_COLUMNS)
        writer.writerows(_cells(pair) for pair in comparison.pairs)
    return Path(path)


def _cells(pair: Pair) -> Iterator[Any]:
    before, after = pair.before, pair.after
    yield from (pair.id, "yes" if pair.is_changed else "no", before.state.value, after.state.value)
    yield from (before.opinion, after.opinion, before.category, after.category)
    numbers = (before.bmd, after.bmd, pair.bmd_difference, before.hu, after.hu, pair.hu_difference)
    yield from (None if number is None else round(number, 4) for number in numbers)


def write_comparison_page(
    comparison: Comparison, before: ResultSet, after: ResultSet, path: str | os.PathLike[str]
) -> Path:
    """Write the page into the output folder, beside the folders of its sets; returns its path.

    Raises OsteoScreenError where it cannot be written.
    """
    links = {one.id: lambda study, one=one: f"{one.id}/{report_link(one.id, study)}" for one in (before, after)}
    return write_page(
        "compare.html",
        path,
        comparison=comparison,
        shown=comparison.changed[:MOST_SHOWN],
        changed=len(comparison.changed),
        before=before,
        after=after,
        links=links,
        statuses=BONE_STATUSES,
        differing=list(_differing(before, after)),
    )


def _differing(before: ResultSet, after: ResultSet) -> Iterator[tuple[str, str, str]]:
    """What of the two sets is not the same: its name, and how each has it."""
    first, second = dict(_made_with(before)), dict(_made_with(after))
    for name in dict.fromkeys((*first, *second)):
        one, other = first.get(name, "none"), second.get(name, "none")
        if one != other:
            yield name, one, other


def _made_with(one: ResultSet) -> Iterator[tuple[str, str]]:
    for bundle in one.bundles:
        yield f"{bundle['role']} bundle", f"{bundle['name']} {bundle['version']} ({bundle['sha256'][:12]}…)"
    yield from ((name, str(version)) for name, version in one.versions.items())
    yield from ((name, setting_words(value)) for name, value in one.settings.items())
