"""One study of a batch: what is to be screened, its state, and what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum


class State(str, Enum):
    """Where a study stands; ``waiting`` and ``running`` go on when the batch is started again, the others are final."""

    WAITING = "waiting"
    RUNNING = "running"
    SCREENED = "screened"
    REFUSED = "refused"
    FAILED = "failed"
    NEEDS_LEVELS = "needs levels"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is done for such a study unless it is asked for."""
        return self not in (State.WAITING, State.RUNNING)


@dataclass(frozen=True)
class BatchStudy:
    """What is to be screened.

    id : names the study's folder, its row and its events; of letters, digits, ``.``, ``_`` and ``-`` alone, unique in
        the batch, and nothing of the patient's
    ct : a folder or file, or ``dicomweb:…``
    l1, l2 : centre slices as on the command line ("-812.5", "#123", "auto"), None where none is given
    levels_from, masks : files as on the command line
    age_years, sex : where the scan lacks them
    series : UID of the series to read, where the folder holds several
    """

    id: str
    ct: str
    l1: str | None = None
    l2: str | None = None
    levels_from: str | None = None
    masks: str | None = None
    age_years: float | None = None
    sex: str | None = None
    series: str | None = None

    @property
    def has_levels(self) -> bool:
        """Whether it says where L1 is, or lets it be suggested."""
        return self.l1 is not None or self.levels_from is not None or self.masks is not None


@dataclass(frozen=True)
class StudyRow:
    """What the store knows of a study in one set of results.

    tries : how often it was begun
    kind, reason : why it was refused, failed or needs levels: a few words ("unreadable", "timeout", …; the
        checks' names of a refused study) and one sentence
    seconds : that the last try took
    measures : the flat row of :mod:`OsteoScreenLib.reports.table`, where there is a result
    doubt : how much a reader should look at it first, 0 to 1
    """

    study: BatchStudy
    state: State
    tries: int = 0
    kind: str = ""
    reason: str = ""
    seconds: float | None = None
    measures: dict[str, str | float | int | bool | None] = field(default_factory=dict)
    doubt: float | None = None

    def number(self, name: str) -> float | None:
        """Return a measure as a number, None where there is none."""
        value = self.measures.get(name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if is_number and value is not None else None
