"""The queue of levels: the studies whose L1 a reader has to set or confirm, as a page, and as a list to be filled in.

The list is a manifest (:mod:`.manifest`): filled in and given to the same `osteoscreen batch` in the place of the
first one, its studies are screened with the reader's levels, and all others stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..reports.phrases import number
from ..request import LEVEL_NAMES
from .manifest import NOTES, write_manifest
from .pages import report_link, write_page
from .reasons import reason_of
from .store import ResultSet
from .study import BatchStudy, State, StudyRow
from .summary import is_unconfirmed, name_probability

#: So many cases are on the page; the list has them all.
MOST_SHOWN = 300
_NOTES = tuple(f"{NOTES}_{name}" for name in ("state", "suggested_l1", "suggested_l2", "probability", "report"))


@dataclass(frozen=True)
class OpenCase:
    """A study whose levels are open, and what helps a reader to set them.

    suggested : where the levels were suggested, in words, by level
    probability : of the least certain name, None where none was suggested
    link : to its report, from the set's folder, where there is one
    """

    study: BatchStudy
    words: str
    suggested: dict[str, str]
    probability: float | None
    link: str | None

    @property
    def order(self) -> tuple[float, bool]:
        """The least certain come first, and those without any suggestion before all others."""
        return (-1.0 if self.probability is None else self.probability, not self.link)


def open_cases(rows: Iterable[StudyRow], set_id: str) -> list[OpenCase]:
    """Return the studies of a set that need levels, or have one that nobody confirmed, the least certain first."""
    cases = [_case(row, set_id) for row in rows if _is_open(row)]
    return sorted(cases, key=lambda case: case.order)


def _is_open(row: StudyRow) -> bool:
    if row.state is State.NEEDS_LEVELS:
        return True
    return row.state is State.SCREENED and row.measures.get("status") != "discarded" and is_unconfirmed(row)


def _case(row: StudyRow, set_id: str) -> OpenCase:
    needs = row.state is State.NEEDS_LEVELS
    return OpenCase(
        study=row.study,
        words=reason_of(row) if needs else "",
        suggested={} if needs else {level: said for level in LEVEL_NAMES if (said := _suggested(row, level))},
        probability=None if needs else name_probability(row),
        # What needs levels was never opened, unless suggesting them was tried.
        link=report_link(set_id, row.study.id) if row.measures else None,
    )


def _suggested(row: StudyRow, level: str) -> str:
    prefix = level.lower()
    index, height = row.measures.get(f"{prefix}_slice_index"), row.measures.get(f"{prefix}_z_ras_mm")
    if index is None or row.measures.get(f"{prefix}_confirmed") != "no":
        return ""
    return f"#{index} (S {number(height, 1)} mm)"


def write_queue_page(cases: list[OpenCase], result_set: ResultSet, path: str | os.PathLike[str]) -> Path:
    """Write the page into the set's folder; returns its path.

    Neither a patient nor a path is on it. Raises OsteoScreenError where it cannot be written.
    """
    needing = sum(case.probability is None for case in cases)
    return write_page(
        "queue.html",
        path,
        set=result_set,
        cases=cases[:MOST_SHOWN],
        total=len(cases),
        needing=needing,
        levels=LEVEL_NAMES,
    )


def write_queue_list(cases: list[OpenCase], path: str | os.PathLike[str]) -> Path:
    """Write the list to be filled in (CSV); returns its path.

    It says where the scans are, since it is a manifest: it is for those who may see the archive. The levels are as they
    were asked for, and only what a reader writes over them counts as set; what was suggested stands in the notes.

    Raises OsteoScreenError where it cannot be written.
    """
    return write_manifest(((case.study, _notes(case)) for case in cases), path, _NOTES)


def _notes(case: OpenCase) -> dict[str, str]:
    values = (
        "suggested" if case.probability is not None else "needs levels",
        *(case.suggested.get(level, "") for level in LEVEL_NAMES),
        "" if case.probability is None else f"{case.probability:.2f}",
        case.link or "",
    )
    return dict(zip(_NOTES, values, strict=True))
