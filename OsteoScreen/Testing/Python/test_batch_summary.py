"""The summary of a set: its numbers are those of the rows, the doubtful come first, and it names nobody."""

from __future__ import annotations

import dataclasses
import random
import re
from collections import Counter

import pyarrow.parquet as pq
import pytest
from batch_pages import checked, filled_store
from batch_rows import SET, rows, screened

from OsteoScreenLib.batch import distributions
from OsteoScreenLib.batch.distributions import Classes, Group, Values, histogram, quantile
from OsteoScreenLib.batch.manifest import read_manifest
from OsteoScreenLib.batch.overview import write_overview
from OsteoScreenLib.batch.store import ResultSet, study_folder
from OsteoScreenLib.batch.study import BatchStudy, State, StudyRow
from OsteoScreenLib.batch.summary import MOST_DOUBTFUL, Tally, why_doubtful, write_summary

ABOUT = ResultSet(SET, "0" * 64, "2026-11-26T00:00:00+00:00", {}, {"osteoscreen": "0.1.0"}, [])


def tally_of(some):
    tally = Tally(SET)
    for row in some:
        tally.add(row)
    return tally


def test_the_page_of_a_store_has_its_counts_and_links(tmp_path):
    store, (about,) = filled_store(tmp_path, one=0.0)
    with store:
        written = write_overview(store, about.id)
        counts = store.counts(about.id)
    assert [path.name for path in written] == [
        "summary.html", "results.csv", "studies.csv", "levels-queue.html", "levels-queue.csv", "results.parquet"
    ]  # fmt: skip
    text, links = checked(tmp_path / about.id / "summary.html")
    for state in (State.SCREENED, State.REFUSED, State.FAILED, State.NEEDS_LEVELS):
        assert f'<span class="figure">{counts[state]}</span> {state.value}' in text
    assert "ax17.json" in text and "vertebral-body-dcnn" in text
    reports = {study_folder(tmp_path, about.id, row.study.id) / "report.html" for row in rows(120)}
    assert {tmp_path / about.id / link for link in links} <= reports | {tmp_path / about.id / "levels-queue.html"}
    assert len(links) > 30
    assert pq.read_table(tmp_path / about.id / "results.parquet").num_rows == 120
    listed = list(read_manifest(tmp_path / about.id / "studies.csv"))
    assert listed == [row.study for row in rows(120)]


def test_the_most_doubtful_come_first_and_are_linked(tmp_path):
    rng = random.Random(1)
    some = [dataclasses.replace(screened(n, rng), doubt=n / 500) for n in rng.sample(range(400), 400)]
    tally = tally_of(some)
    assert [case.id for case in tally.doubtful] == [f"case-{n:04d}" for n in range(399, 399 - MOST_DOUBTFUL, -1)]
    text, links = checked(write_summary(some, ABOUT, tmp_path / "summary.html"))
    assert "case-0399/report.html" in links[1] and text.index("case-0399") < text.index("case-0398")
    assert "100 most doubtful of 400" in text


def test_why_a_case_is_doubtful_is_said():
    measures = {
        "l1_confirmed": "no", "l2_confirmed": "no", "l1_name_probability": 0.9, "l2_name_probability": 0.81,
        "agreement": "no", "l2_confidence": 0.4, "warnings": "noise_L1, kvp", "probability_normal": 0.45,
        "probability_osteopenia": 0.42, "bmd_mg_cm3": 84.0, "bmd_uncertainty_mg_cm3": 5.0,
    }  # fmt: skip
    said = list(why_doubtful(StudyRow(BatchStudy("a", "x"), State.SCREENED, measures=measures)))
    assert said == [
        "L1 and L2 not confirmed (probability 0.81)", "class and category differ", "outline of L2 unsure (0.40)",
        "the network is undecided", "BMD within its uncertainty of a limit", "warnings: Noise L1, kVp",
    ]  # fmt: skip


def test_what_a_reader_discarded_is_in_no_distribution():
    rng = random.Random(2)
    kept, gone = screened(1, rng), screened(2, rng, status="discarded", decision="discarded")
    tally = tally_of([kept, gone])
    assert (tally.measured, tally.discarded, tally.decided) == (1, 1, 1)
    assert tally.bmd.of().total() == tally.classes.by_group[next(iter(tally.classes.by_group))].total() == 1
    assert "case-0002" not in [case.id for case in tally.doubtful]


def test_distributions_are_those_of_the_rows():
    some = [row for row in rows(400) if row.state is State.SCREENED]
    tally = tally_of(some)
    women = [row for row in some if row.measures["sex"] == "F" and 60 <= row.measures["age_years"] < 70]
    label, cells = next(row for row in tally.categories.table() if row[0] == "60 to 69")
    drawn = {portion.name: portion.count for portion in cells[0].portions if portion.count}
    assert label and drawn == Counter(row.measures["qct_category"] for row in women)
    bmd = sorted(row.measures["bmd_mg_cm3"] for row in women)
    middle = quantile(tally.bmd.of(sex="F", decade=60), 0.5)
    assert abs(middle - bmd[(len(bmd) - 1) // 2]) <= 0.06
    drawn = tally.bmd_histogram
    assert sum(bar.count for row in drawn.rows for bar in row.bars) == len(some)
    assert max(bar.height for row in drawn.rows for bar in row.bars) == distributions.BAR_HEIGHT
    assert {bar.zone for row in drawn.rows for bar in row.bars if bar.end <= 80} == {"osteoporosis"}
    assert [value for _, value in drawn.limits] == [80, 120]


@pytest.mark.parametrize(("value", "whole"), [(102.6, 103), (108.97, 109), (102.4, 102), (-3.6, -4)])
def test_a_median_is_rounded_as_its_value_is(value, whole):
    values = Values()
    values.add(Group(60, "M"), value)
    assert round(quantile(values.of(), 0.5)) == whole
    assert [bar.start for bar in histogram(values, 20).rows[0].bars] == [value // 20 * 20]


def test_the_page_speaks_of_limits_only_where_they_are_drawn(tmp_path):
    some = [row for row in rows(400) if row.state is State.SCREENED]
    near = [row for row in some if 90 < row.measures["bmd_mg_cm3"] < 99]
    assert near
    dashed = "Dashed: the limits of the QCT criterion"
    assert dashed in checked(write_summary(some, ABOUT, tmp_path / "all.html"))[0]
    assert dashed not in checked(write_summary(near, ABOUT, tmp_path / "near.html"))[0]


def test_odd_values_do_not_break_a_histogram():
    values = Values()
    for value in (None, "x", float("nan"), float("inf"), True, -5000, 9000, 100.5):
        values.add(Group(-1, ""), value)
    drawn = histogram(values, 20)
    assert sum(bar.count for bar in drawn.rows[0].bars) == 3 and drawn.rows[0].label == "Sex not known"
    assert histogram(Values(), 20) is None
    classes = Classes()
    classes.add(Group(60, "F"), "unknown")
    assert classes.by_group == {}


@pytest.mark.parametrize("some", [[], [StudyRow(BatchStudy("a", "x"), State.WAITING)]], ids=["none", "waiting"])
def test_a_set_without_results_has_a_page_too(tmp_path, some):
    text, links = checked(write_summary(some, ABOUT, tmp_path / "summary.html"))
    assert links == [] and "Distributions" not in text


def test_refusals_are_counted_by_reason_and_failures_name_no_file(tmp_path):
    some = list(rows(300))
    text, _ = checked(write_summary(some, ABOUT, tmp_path / "summary.html"))
    tally = tally_of(some)
    expected = Counter(row.kind for row in some if row.state is State.REFUSED)
    assert tally.refusals == expected
    assert "the CT is damaged" in text and "unreadable" in text


def test_hostile_text_stays_text(tmp_path):
    bad = "<script>alert(1)</script>\u202egnp"
    some = [
        StudyRow(BatchStudy("a", "x"), State.FAILED, 1, bad, bad),
        StudyRow(BatchStudy("b", "x"), State.REFUSED, 1, bad, bad, measures={"refusals": bad}),
        StudyRow(BatchStudy("c", "x"), State.SCREENED, measures={"warnings": bad, "class": bad, "sex": bad}, doubt=0.5),
    ]
    about = dataclasses.replace(ABOUT, versions={bad: bad}, settings={bad: bad})
    text, _ = checked(write_summary(some, about, tmp_path / "summary.html"))
    assert "<script" not in text and "\u202e" not in text and "&lt;script&gt;" in text


def test_the_page_stays_small_however_many_studies_there_are(tmp_path):
    sizes = [write_summary(rows(count), ABOUT, tmp_path / "s.html").stat().st_size for count in (600, 2400)]
    assert sizes[1] < sizes[0] * 1.2
    assert re.search("The first [0-9]+ of", (tmp_path / "s.html").read_text(encoding="utf-8"))
