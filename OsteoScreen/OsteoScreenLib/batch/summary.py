"""The summary of a set of results, on one page: counts, what to look at first, distributions, refusals, failures."""

from __future__ import annotations

import heapq
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from ..reports.opinion import UNDECIDED_WITHIN
from ..reports.phrases import check_name, joined, number
from ..request import LEVEL_NAMES
from ..results import BONE_STATUSES
from .distributions import SEXES, Classes, Values, age_words, group_of, histogram, quantile
from .pages import report_link, setting_words, write_page
from .reasons import reason_of
from .store import ResultSet
from .study import State, StudyRow

#: So many doubtful cases, so many studies of each reason, and so many failures are on the page; the table has them all.
MOST_DOUBTFUL, MOST_OF_A_REASON, MOST_FAILED = 100, 12, 50
#: So many of the doubtful cases are seen at once, the others when they are asked for.
_SEEN_AT_ONCE = 20

_HU_STEP, _BMD_STEP = 20, 10
#: The outline's network was less sure than this: `confidence` warns below it too.
_UNSURE_OUTLINE = 0.7


def write_summary(rows: Iterable[StudyRow], result_set: ResultSet, path: str | os.PathLike[str]) -> Path:
    """Write the page into the set's folder, since its links to reports start there; returns its path.

    The rows are gone through once, and a few of them are kept. Neither a patient nor a path is on the page.

    Raises OsteoScreenError where it cannot be written.
    """
    tally = Tally(result_set.id)
    for row in rows:
        tally.add(row)
    return write_page("summary.html", path, tally=tally, set=result_set, **_about(result_set))


def _about(result_set: ResultSet) -> dict[str, Any]:
    settings = {
        name: setting_words(value) for name, value in result_set.settings.items() if value not in (None, "", [], False)
    }
    states = [(state, state.value.partition(" ")[0]) for state in State if state is not State.RUNNING]
    named = {
        "needs_levels": State.NEEDS_LEVELS,
        "refused": State.REFUSED,
        "failed": State.FAILED,
        "seen_at_once": _SEEN_AT_ONCE,
    }
    return {"settings": settings, "states": states, "sexes": SEXES, **named}


@dataclass(frozen=True)
class Case:
    """A study in a list: its link, and what is said of it."""

    id: str
    link: str | None
    doubt: float = 0.0
    bmd: float | None = None
    category: str = ""
    opinion: str = ""
    words: list[str] = field(default_factory=list)


class Tally:
    """What the page shows, counted row by row."""

    def __init__(self, set_id: str) -> None:
        self._set_id = set_id
        self.states: Counter[State] = Counter()
        self.unconfirmed = self.disagreeing = self.discarded = self.decided = 0
        self.hu = Values()
        self.bmd = Values()
        self.categories = Classes()
        self.classes = Classes()
        self.refusals: Counter[str] = Counter()
        self.refused: dict[str, list[Case]] = defaultdict(list)
        self.failures: Counter[str] = Counter()
        self.failed: list[Case] = []
        self._doubtful: list[tuple[float, int, Case]] = []

    def add(self, row: StudyRow) -> None:
        """Count one study."""
        self.states[row.state] += 1
        if row.state is State.SCREENED:
            self._add_screened(row)
        elif row.state is State.REFUSED:
            self._add_refused(row)
        elif row.state is State.FAILED:
            self.failures[row.kind or "not said"] += 1
            if len(self.failed) < MOST_FAILED:
                self.failed.append(Case(row.study.id, None, words=[row.kind, reason_of(row)]))

    def _add_screened(self, row: StudyRow) -> None:
        measures = row.measures
        self.decided += bool(measures.get("decision"))
        if measures.get("status") == "discarded":
            self.discarded += 1
            return
        self.unconfirmed += is_unconfirmed(row)
        self.disagreeing += measures.get("agreement") == "no"
        group = group_of(row)
        self.hu.add(group, measures.get("l1_mean_hu"))
        self.bmd.add(group, measures.get("bmd_mg_cm3"))
        self.categories.add(group, measures.get("qct_category"))
        self.classes.add(group, measures.get("class"))
        if row.doubt:
            # The number breaks ties in the order of the rows, so that the page is the same the next time.
            entry = (row.doubt, -self.states[State.SCREENED], self._case(row))
            if len(self._doubtful) < MOST_DOUBTFUL:
                heapq.heappush(self._doubtful, entry)
            else:
                heapq.heappushpop(self._doubtful, entry)

    def _case(self, row: StudyRow) -> Case:
        measures = row.measures
        return Case(
            id=row.study.id,
            link=report_link(self._set_id, row.study.id),
            doubt=row.doubt or 0.0,
            bmd=row.number("bmd_mg_cm3"),
            category=str(measures.get("qct_category") or ""),
            opinion=str(measures.get("class") or ""),
            words=list(why_doubtful(row)),
        )

    def _add_refused(self, row: StudyRow) -> None:
        names = str(row.measures.get("refusals") or row.kind or "not said").split(", ")
        for name in dict.fromkeys(names):
            self.refusals[name] += 1
            if len(self.refused[name]) < MOST_OF_A_REASON:
                link = report_link(self._set_id, row.study.id) if row.measures else None
                self.refused[name].append(Case(row.study.id, link))

    # -- as it is shown

    @property
    def total(self) -> int:
        """All studies."""
        return self.states.total()

    @property
    def unfinished(self) -> int:
        """Studies that wait or run."""
        return self.states[State.WAITING] + self.states[State.RUNNING]

    @property
    def measured(self) -> int:
        """Studies whose values are in the distributions."""
        return self.states[State.SCREENED] - self.discarded

    @property
    def doubtful(self) -> list[Case]:
        """The cases to look at first, the most doubtful first."""
        return [case for _, _, case in sorted(self._doubtful, key=lambda entry: (-entry[0], -entry[1]))]

    @property
    def hu_histogram(self) -> Any:
        """Of the mean HU of L1."""
        return histogram(self.hu, _HU_STEP)

    @property
    def bmd_histogram(self) -> Any:
        """Of the individuals' BMD."""
        return histogram(self.bmd, _BMD_STEP, zones=True)

    def medians(self) -> Iterator[tuple[str, list[tuple[int, str, str]]]]:
        """For each age: its words and, for each sex of `categories`, how many, the median BMD and HU with quartiles."""
        decades = sorted({group.decade for group in self.bmd.by_group}, key=lambda decade: (decade < 0, decade))
        for decade in decades:
            cells = []
            for sex in self.categories.sexes:
                bmd, hu = self.bmd.of(sex=sex, decade=decade), self.hu.of(sex=sex, decade=decade)
                cells.append((bmd.total(), _median(bmd), _median(hu)))
            yield age_words(decade), cells


def _median(counts: Counter[int]) -> str:
    low, middle, high = (quantile(counts, share) for share in (0.25, 0.5, 0.75))
    if low is None or middle is None or high is None:
        return ""
    return f"{number(middle, 0)} ({number(low, 0)} to {number(high, 0)})"


def is_unconfirmed(row: StudyRow) -> bool:
    """Whether a level of a result was confirmed by nobody."""
    return any(row.measures.get(f"{level.lower()}_confirmed") == "no" for level in LEVEL_NAMES)


def why_doubtful(row: StudyRow) -> Iterator[str]:
    """What speaks for looking at a result first, the weightiest first, in a few words each."""
    open_levels = [level for level in LEVEL_NAMES if row.measures.get(f"{level.lower()}_confirmed") == "no"]
    if open_levels:
        probability = name_probability(row)
        said = f" (probability {number(probability, 2)})" if probability is not None else ""
        yield f"{joined(open_levels)} not confirmed{said}"
    if row.measures.get("agreement") == "no":
        yield "class and category differ"
    for level in LEVEL_NAMES:
        confidence = row.number(f"{level.lower()}_confidence")
        if confidence is not None and confidence < _UNSURE_OUTLINE:
            yield f"outline of {level} unsure ({number(confidence, 2)})"
    ranked = sorted((row.number(f"probability_{status}") or 0.0 for status in BONE_STATUSES), reverse=True)
    if ranked[0] and ranked[0] - ranked[1] < UNDECIDED_WITHIN:
        yield "the network is undecided"
    bmd, uncertainty = row.number("bmd_mg_cm3"), row.number("bmd_uncertainty_mg_cm3")
    limits = (OSTEOPOROSIS_BELOW_MG_CM3, NORMAL_ABOVE_MG_CM3)
    if bmd is not None and uncertainty is not None and any(abs(bmd - limit) <= uncertainty for limit in limits):
        yield "BMD within its uncertainty of a limit"
    warnings = [name for name in str(row.measures.get("warnings") or "").split(", ") if name]
    if warnings:
        yield f"warnings: {', '.join(check_name(name) for name in warnings)}"


def name_probability(row: StudyRow) -> float | None:
    """How probable the least probable name of a suggested level is; None where none was suggested."""
    known = [row.number(f"{level.lower()}_name_probability") for level in LEVEL_NAMES]
    return min((probability for probability in known if probability is not None), default=None)
