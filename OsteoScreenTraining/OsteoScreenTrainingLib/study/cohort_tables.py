"""Who was studied: the paper's Tables 1 and 2 on these subjects, and the prevalence of its Fig. 4."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.results import BONE_STATUSES

from ..datasets.folder import bone_status
from ..datasets.manifest import Subject
from ..datasets.splits import PARTS
from ..figures.cohort import DECADES, decades
from ..statistics.cohort_tests import Group, anova, chi_square, t_test
from ..tables import fixed, p_value, plus_minus
from .results import StudyResults
from .study_table import Row, StudyTable

#: The age from which on the paper gives prevalences (Discussion), years.
OLD_YEARS = 50


def decade(subject: Subject) -> str:
    """Return a subject's row of Table 1."""
    assert subject.age_years is not None
    return DECADES[int(decades(subject.age_years))]


def flow_counts(results: StudyResults) -> StudyTable:
    """Return the counts of the flow chart (Fig. 1)."""
    rows: list[Row] = [["all subjects", results.inclusion.total]]
    rows += [[f"excluded: {reason}", count] for reason, count in results.inclusion.excluded.items()]
    rows.append(["included", len(results.inclusion.included)])
    for part in PARTS:
        statuses = [bone_status(subject) for subject in results.subjects(part)]
        rows.append([part, len(statuses)])
        rows += [[f"{part}: {status}", statuses.count(k)] for k, status in enumerate(BONE_STATUSES)]
    return StudyTable("figure-1-flow", "Subjects", ["step", "subjects"], rows, ["step", "subjects"], rows)


def table_1(results: StudyResults) -> StudyTable:
    """Return BMD by decade and sex, with the pooled t-test of women less men, and chi-square of sex by decade."""
    values: list[Row] = []
    rows: list[Row] = []
    counts = []
    for name in DECADES:
        men, women = (_bmd(results, name, sex) for sex in ("M", "F"))
        if not men and not women:
            continue
        counts.append([len(men), len(women)])
        t, p = _t_test(women, men)
        (men_mean, men_sd), (women_mean, women_sd) = _summary(men), _summary(women)
        summaries: Row = [len(men), men_mean, men_sd, len(women), women_mean, women_sd]
        values.append([name, *summaries, t, p])
        rows.append(
            [name, len(men), plus_minus(men_mean, men_sd, 2), len(women), plus_minus(women_mean, women_sd, 2)]
            + [fixed(t, 3), p_value(p)]
        )
    return StudyTable(
        "table-1",
        "BMD by age and sex (the paper's Table 1)",
        ["age", "men", "men_bmd_mean", "men_bmd_sd", "women", "women_bmd_mean", "women_bmd_sd", "t", "p"],
        values,
        ["age, years", "men", "BMD, mg/cm³", "women", "BMD, mg/cm³", "t (women − men)", "P"],
        rows,
        _sex_by_age(counts),
    )


def _sex_by_age(counts: Sequence[Sequence[int]]) -> str:
    try:
        test = chi_square(counts)
    except UsageError:
        return "Sex by age: no chi-square, since a row or a column is empty."
    return f"Sex by age: χ² = {test.chi2:.3f}, df {test.df}, P = {p_value(test.p)}. Pooled t-tests."


def _bmd(results: StudyResults, name: str, sex: str) -> list[float]:
    return [s.bmd for s in results.subjects() if s.bmd is not None and s.sex == sex and decade(s) == name]


def _summary(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return math.nan, math.nan
    group = Group.of(values)
    return group.mean, group.sd if group.n > 1 else math.nan


def _t_test(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    if min(len(first), len(second)) < 2:
        return math.nan, math.nan
    test = t_test(Group.of(first), Group.of(second))
    return test.t, test.p


def table_2(results: StudyResults) -> StudyTable:
    """Return sex, age, BMD and classes overall and by part, with the tests between the parts."""
    groups = [results.subjects(), *(results.subjects(part) for part in PARTS)]
    parts = groups[1:]
    values: list[Row] = [
        ["subjects", *(len(group) for group in groups), None, None],
        ["men", *(_count(group, "M") for group in groups), *_chi2(parts, lambda s: s.sex, ("M", "F"))],
        ["women", *(_count(group, "F") for group in groups), None, None],
        ["age_mean", *(Group.of(_ages(group)).mean for group in groups), *_anova([_ages(part) for part in parts])],
        ["age_sd", *(Group.of(_ages(group)).sd for group in groups), None, None],
        ["bmd_mean", *(Group.of(_values(group)).mean for group in groups), *_anova([_values(part) for part in parts])],
        ["bmd_sd", *(Group.of(_values(group)).sd for group in groups), None, None],
    ]
    for k, status in enumerate(BONE_STATUSES):
        test = _chi2(parts, bone_status, range(len(BONE_STATUSES))) if k == 0 else [None, None]
        values.append([status, *(sum(bone_status(s) == k for s in group) for group in groups), *test])
    return StudyTable(
        "table-2",
        "The parts of the data set (the paper's Table 2)",
        ["variable", "overall", *PARTS, "statistic", "p"],
        values,
        ["", "overall", *PARTS, "χ² or F", "P"],
        _table_2_rows(values),
        "Sex and class: χ² without Yates's correction; age and BMD: F of a one-way analysis of variance.",
    )


def _table_2_rows(values: Sequence[Row]) -> list[Row]:
    by_name = {str(row[0]): row for row in values}
    totals = by_name["subjects"][1:5]

    def tests(row: Row) -> Row:
        return ["" if row[5] is None else fixed(row[5], 3), "" if row[6] is None else p_value(row[6])]

    def share(name: str, words: str) -> Row:
        row = by_name[name]
        cells = zip(row[1:5], totals, strict=True)
        return [words, *(f"{n}, {100 * n / total:.1f} %" for n, total in cells), *tests(row)]

    def mean(name: str, words: str) -> Row:
        row, sd = by_name[f"{name}_mean"], by_name[f"{name}_sd"]
        cells = zip(row[1:5], sd[1:5], strict=True)
        return [words, *(plus_minus(m, s, 2) for m, s in cells), *tests(row)]

    return [
        ["n", *totals, "", ""],
        share("men", "men"),
        share("women", "women"),
        mean("age", "age, years"),
        mean("bmd", "BMD, mg/cm³"),
        *(share(status, status) for status in BONE_STATUSES),
    ]


def _count(group: Sequence[Subject], sex: str) -> int:
    return sum(subject.sex == sex for subject in group)


def _ages(group: Sequence[Subject]) -> list[float]:
    return [subject.age_years for subject in group if subject.age_years is not None]


def _values(group: Sequence[Subject]) -> list[float]:
    return [subject.bmd for subject in group if subject.bmd is not None]


def _chi2(parts: Sequence[Sequence[Subject]], value: Callable[[Subject], Any], kinds: Iterable[Any]) -> Row:
    try:
        test = chi_square([[sum(value(subject) == kind for subject in part) for part in parts] for kind in kinds])
    except UsageError:
        return [None, None]
    return [test.chi2, test.p]


def _anova(groups: Sequence[Sequence[float]]) -> Row:
    test = anova([Group.of(group) for group in groups])
    return [test.f, test.p]


def prevalence(results: StudyResults) -> StudyTable:
    """Return the prevalence of osteopenia and osteoporosis by decade and sex, and above 50 years (Fig. 4a)."""
    values: list[Row] = []
    for label, chosen in [*((name, [name]) for name in DECADES), (f"{OLD_YEARS} and older", list(DECADES[3:]))]:
        for sex in ("M", "F"):
            group = [s for s in results.subjects() if s.sex == sex and decade(s) in chosen]
            if group:
                statuses = [bone_status(subject) for subject in group]
                shares = [100 * statuses.count(k) / len(group) for k in (1, 2)]
                values.append([label, sex, len(group), *shares])
    rows = [[label, sex, n, f"{a:.1f} %", f"{b:.1f} %"] for label, sex, n, a, b in values]
    return StudyTable(
        "figure-4-prevalence",
        "Prevalence by age and sex",
        ["age", "sex", "subjects", "osteopenia_percent", "osteoporosis_percent"],
        values,
        ["age, years", "sex", "subjects", "osteopenia", "osteoporosis"],
        rows,
        "The paper, from 50 years on: osteopenia 39 % of men and 49 % of women, osteoporosis 15.4 % and 32.7 %.",
    )
