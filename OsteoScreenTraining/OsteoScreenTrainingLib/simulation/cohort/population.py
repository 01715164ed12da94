"""Who is in a simulated cohort: age, sex, true and reference BMD, dates, and reasons to be excluded.

The reference follows the paper's Table 1; the truth has less scatter, by the error of the reference.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from OsteoScreenLib.errors import UsageError

from ...paper import paper
from ...statistics.cohort_tests import Group

#: Reference BMD is QCT with an error of its own, SD of an individual's value in mg/cm3: the paper's Model 1 reaches
#: its accuracy where Table 1's distribution is blurred by 10-11 mg/cm3 (Docs/sources.md).
REFERENCE_SD_MG_CM3 = 10.0
#: The share of that variance which L1 and L2 have in common (positioning, phantom): assumed; the rest is each body's.
SHARED_VARIANCE = 0.8
#: L1 less L2, mg/cm3: mean from the fall of 1.2 to 1.7 mg/cm3 a level between T12 and L4 in 50 volunteers (Yoganandan
#: group, J Comput Assist Tomogr 2001;25:146, abstract); the SD between neighbouring levels is assumed.
LEVEL_STEP_MEAN_MG_CM3, LEVEL_STEP_SD_MG_CM3 = 1.5, 7.0
#: No trabecular BMD is drawn below this, mg/cm3.
LEAST_BMD_MG_CM3 = 10.0
#: The scatter of the true BMD where the table gives none (its two oldest subjects), mg/cm3.
LONE_SD_MG_CM3 = 10.0
#: Scale of the vertebrae against Panjabi's mean: women about 0.90 of men (Docs/sources.md), SD assumed.
SCALE = {"M": (1.05, 0.05), "F": (0.95, 0.05)}
#: Subjects who are excluded, for each that is included: 865 for 1048 (paper, Methods).
EXCLUDED_PER_INCLUDED = 865 / 1048
#: What excludes them, and in which shares. The paper's criteria; the shares are assumed, since its Fig. 1 is a picture.
EXCLUSION_SHARES = {
    "field of view": 0.52, "implant": 0.06, "fracture": 0.09, "degeneration": 0.13, "tube voltage": 0.08,
    "no reference": 0.10, "age": 0.02,
}  # fmt: skip
#: The paper's recruitment, and the date from which on its subjects were the test set.
FIRST_DAY, TEST_FROM, LAST_DAY = datetime.date(2021, 1, 4), datetime.date(2021, 8, 1), datetime.date(2021, 10, 29)
#: Development subjects among the included: 530 + 100 of 1048.
DEVELOPMENT_SHARE = 630 / 1048

#: Completed years, first and last, of the rows of Table 1.
AGES = ((18, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, 79), (80, 89), (90, 94))

Exclusion = Literal[
    "field of view", "implant", "fracture", "degeneration", "tube voltage", "no reference", "age"
]  # fmt: skip


@dataclass(frozen=True)
class Person:
    """One simulated subject; BMD in mg/cm3 of CaHA, truth and reference of L1 and L2.

    ``scale`` is the size of the vertebrae, ``exclusion`` what there is to find against the subject, or ``None``.
    """

    number: int
    age_years: int
    sex: Literal["F", "M"]
    scale: float
    true_bmd: dict[str, float]
    reference_bmd: dict[str, float]
    study_date: datetime.date
    exclusion: Exclusion | None


def draw_population(count: int, seed: int, reference_sd: float = REFERENCE_SD_MG_CM3) -> list[Person]:
    """Return ``count`` subjects to include, and in proportion those to exclude, in order of their dates.

    Ages and sexes have the shares of Table 1's cells, to the subject where ``count`` is 1048.

    Raises:
        UsageError: ``count`` is below 8, or the reference's SD is not from 0 to 20 mg/cm3.
    """
    if count < 8:
        raise UsageError("A cohort needs at least 8 subjects; raise --count.")
    if not (math.isfinite(reference_sd) and 0 <= reference_sd <= 20):
        raise UsageError("The SD of the reference's error lies between 0 and 20 mg/cm³.")
    rng = np.random.default_rng([seed, 21])
    excluded = round(count * EXCLUDED_PER_INCLUDED)
    reasons: list[Exclusion | None] = [None] * count
    for reason, number in zip(EXCLUSION_SHARES, _shares(list(EXCLUSION_SHARES.values()), excluded), strict=True):
        reasons += [reason] * number  # type: ignore[list-item]
    cells = _cells(count, rng) + _cells(excluded, rng)
    people = [_Draft.of(rng, cell, reason, reference_sd) for cell, reason in zip(cells, reasons, strict=True)]
    people.sort(key=lambda draft: draft.study_date)
    return [draft.numbered(number) for number, draft in enumerate(people, 1)]


@dataclass(frozen=True)
class _Cell:
    """A cell of Table 1: completed years, sex, and the reference BMD of its subjects."""

    ages: tuple[int, int]
    sex: Literal["F", "M"]
    bmd: Group


def _table_1() -> list[_Cell]:
    rows = zip(AGES, paper().age_groups, strict=True)
    return [cell for ages, row in rows for cell in (_Cell(ages, "M", row.men), _Cell(ages, "F", row.women))]


def _cells(count: int, rng: np.random.Generator) -> list[_Cell]:
    """Return a cell of Table 1 for each of ``count`` subjects, in random order."""
    table = _table_1()
    numbers = _shares([cell.bmd.n for cell in table], count)
    cells = [cell for cell, number in zip(table, numbers, strict=True) for _ in range(number)]
    return [cells[place] for place in rng.permutation(len(cells))]


def _shares(weights: list[float] | list[int], total: int) -> list[int]:
    """Return whole numbers in proportion to ``weights`` that add up to ``total`` (largest remainders)."""
    exact = np.asarray(weights, float) * total / float(sum(weights))
    whole = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(-(exact - whole), kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    return [int(number) for number in whole]


@dataclass(frozen=True)
class _Draft:
    """A person before the dates give the number."""

    age_years: int
    sex: Literal["F", "M"]
    scale: float
    true_bmd: dict[str, float]
    reference_bmd: dict[str, float]
    study_date: datetime.date
    exclusion: Exclusion | None

    @classmethod
    def of(cls, rng: np.random.Generator, cell: _Cell, exclusion: Exclusion | None, reference_sd: float) -> _Draft:
        low, high = cell.ages
        truth = _true_bmd(rng, cell, reference_sd)
        mean, sd = SCALE[cell.sex]
        return cls(
            age_years=int(rng.integers(12, 18) if exclusion == "age" else rng.integers(low, high + 1)),
            sex=cell.sex,
            scale=float(np.clip(rng.normal(mean, sd), 0.78, 1.25)),
            true_bmd=truth,
            reference_bmd=_measured(rng, truth, reference_sd),
            study_date=_date(rng),
            exclusion=exclusion,
        )

    def numbered(self, number: int) -> Person:
        return Person(number=number, **vars(self))


def _true_bmd(rng: np.random.Generator, cell: _Cell, reference_sd: float) -> dict[str, float]:
    """Draw L1's and L2's true BMD so that the blurred mean of the two has the cell's mean and SD."""
    spread = LONE_SD_MG_CM3**2 if cell.bmd.n == 1 else cell.bmd.sd**2
    individual = max(rng.normal(cell.bmd.mean, math.sqrt(max(spread - reference_sd**2, 1.0))), LEAST_BMD_MG_CM3)
    step = rng.normal(LEVEL_STEP_MEAN_MG_CM3, LEVEL_STEP_SD_MG_CM3)
    step = float(np.clip(step, -1.6 * individual, 1.6 * individual))
    return {"L1": float(individual + step / 2), "L2": float(individual - step / 2)}


def _measured(rng: np.random.Generator, truth: dict[str, float], sd: float) -> dict[str, float]:
    """Return what the reference says; the error of the mean of the two levels has the SD ``sd``."""
    shared = rng.normal(0, sd * math.sqrt(SHARED_VARIANCE))
    own = sd * math.sqrt(2 * (1 - SHARED_VARIANCE))
    return {level: float(bmd + shared + rng.normal(0, own)) for level, bmd in truth.items()}


def _date(rng: np.random.Generator) -> datetime.date:
    """Draw a weekday: in the months of development or of the test, in the paper's proportion."""
    early = rng.random() < DEVELOPMENT_SHARE
    first, last = (FIRST_DAY, TEST_FROM - datetime.timedelta(1)) if early else (TEST_FROM, LAST_DAY)
    while True:
        day = first + datetime.timedelta(int(rng.integers((last - first).days + 1)))
        if day.weekday() < 5:
            return day
