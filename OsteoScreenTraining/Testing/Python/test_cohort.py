"""The simulated cohort: who is in it, what reference and scanners make of the truth, and its CT."""

from __future__ import annotations

import csv
import datetime
import json
from collections import Counter

import numpy as np
import pytest

from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.densitometry.calibration import NOMINAL_INTERCEPT, NOMINAL_SLOPE
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.levels import parse_level
from OsteoScreenLib.segmentation_io import write_segmentation
from OsteoScreenTrainingLib.datasets.folder import LEVELS, DataSet
from OsteoScreenTrainingLib.datasets.inclusion import exclusion, include
from OsteoScreenTrainingLib.simulation.cohort import Fleet, draw_population, scanners
from OsteoScreenTrainingLib.simulation.cohort.rendering import SubjectScan
from OsteoScreenTrainingLib.simulation.cohort.scanners import MODELS

#: Table 1 of the paper: first and last age, men and women, and their BMD.
TABLE_1 = (
    (18, 29, 40, 173.85, 31.38, 20, 180.18, 20.80),
    (30, 39, 85, 160.27, 28.37, 80, 177.08, 23.22),
    (40, 49, 157, 139.14, 25.06, 99, 162.76, 25.18),
    (50, 59, 207, 120.48, 33.20, 115, 124.25, 31.30),
    (60, 69, 57, 96.66, 29.52, 60, 92.36, 27.41),
    (70, 79, 41, 102.64, 31.91, 45, 66.70, 23.85),
    (80, 89, 17, 71.88, 33.45, 23, 62.51, 29.54),
    (90, 125, 1, 38.85, None, 1, 38.70, None),
)


@pytest.fixture(scope="module")
def people():
    return draw_population(1048, 1)


@pytest.fixture(scope="module")
def included(people):
    return [person for person in people if person.exclusion is None]


def _mean(bmd):
    return (bmd["L1"] + bmd["L2"]) / 2


def _cells():
    for first, last, men, men_mean, men_sd, women, women_mean, women_sd in TABLE_1:
        yield first, last, "M", men, men_mean, men_sd
        yield first, last, "F", women, women_mean, women_sd


# -- who


def test_ages_and_sexes_are_those_of_table_1(included):
    assert len(included) == 1048
    for first, last, sex, count, _, _ in _cells():
        assert sum(p.sex == sex and first <= p.age_years <= last for p in included) == count, (first, sex)


def test_the_reference_has_the_means_and_scatters_of_table_1(included):
    """Within four standard errors, cell by cell."""
    for first, last, sex, count, mean, sd in _cells():
        if count < 15:
            continue
        bmd = [_mean(p.reference_bmd) for p in included if p.sex == sex and first <= p.age_years <= last]
        assert np.mean(bmd) == pytest.approx(mean, abs=4 * sd / np.sqrt(count)), (first, sex)
        assert np.std(bmd, ddof=1) == pytest.approx(sd, abs=4 * sd / np.sqrt(2 * count)), (first, sex)
    assert np.mean([_mean(p.reference_bmd) for p in included]) == pytest.approx(130.28, abs=4 * 42.76 / np.sqrt(1048))


def test_the_error_of_the_reference_is_as_large_as_stated(people):
    errors = np.array([[p.reference_bmd[level] - p.true_bmd[level] for level in LEVELS] for p in people])
    mean = errors.mean(axis=1)
    assert mean.std() == pytest.approx(10.0, abs=0.6)
    assert mean.mean() == pytest.approx(0.0, abs=0.9)
    assert np.corrcoef(errors.T)[0, 1] == pytest.approx(0.8 / 1.2, abs=0.06)
    exact = draw_population(100, 1, reference_sd=0.0)
    assert all(p.reference_bmd == pytest.approx(p.true_bmd, abs=1e-9) for p in exact)


def test_l1_is_denser_than_l2_by_as_much_as_stated(people):
    steps = np.array([p.true_bmd["L1"] - p.true_bmd["L2"] for p in people])
    assert steps.mean() == pytest.approx(1.5, abs=0.6)
    assert steps.std() == pytest.approx(7.0, abs=0.5)
    assert min(min(p.true_bmd.values()) for p in people) > 0


def test_the_excluded_come_on_top_in_their_proportions(people):
    found = Counter(p.exclusion for p in people if p.exclusion)
    assert found == {
        "field of view": 450, "implant": 52, "fracture": 78, "degeneration": 112, "tube voltage": 69,
        "no reference": 87, "age": 17,
    }  # fmt: skip
    assert all((p.age_years < 18) == (p.exclusion == "age") for p in people)


def test_dates_are_weekdays_of_the_study_in_order(people):
    dates = [p.study_date for p in people]
    assert dates == sorted(dates)
    assert dates[0] >= datetime.date(2021, 1, 4) and dates[-1] <= datetime.date(2021, 10, 29)
    assert {date.weekday() for date in dates} == set(range(5))
    share = np.mean([date < datetime.date(2021, 8, 1) for date in dates])
    assert share == pytest.approx(630 / 1048, abs=4 * 0.5 / np.sqrt(len(dates)))
    assert [p.number for p in people] == list(range(1, len(people) + 1))


def test_the_same_seed_gives_the_same_people(people):
    assert draw_population(1048, 1) == people
    assert draw_population(1048, 2) != people


@pytest.mark.parametrize(("count", "sd"), [(7, 10.0), (100, 20.1), (100, -1.0), (100, float("nan"))])
def test_a_cohort_that_makes_no_sense_is_refused(count, sd):
    with pytest.raises(UsageError, match=r"8 subjects; raise --count|between 0 and 20"):
        draw_population(count, 1, sd)


# -- on what


def test_the_calibration_is_the_last_one_before_the_scan(monkeypatch):
    fleet, model = Fleet(3), MODELS[1]
    day = datetime.date(2021, 4, 1)  # two times 91 days after the first measurement
    lines = [fleet.calibration(model, day + datetime.timedelta(days)) for days in (-1, 0, 90, 91)]
    assert lines[1] == lines[2]
    assert len({lines[0], lines[1], lines[3]}) == 3
    slope, intercept = model.line_on(day)
    assert lines[1][0] == pytest.approx(slope, rel=0.03)
    assert lines[1][1] == pytest.approx(intercept, abs=4)
    monkeypatch.setattr(scanners, "CALIBRATION_SLOPE_SD", 0.0)
    monkeypatch.setattr(scanners, "CALIBRATION_INTERCEPT_SD", 0.0)
    exact = Fleet(3)
    for days, measured in ((-1, -91), (0, 0), (90, 0), (91, 91)):
        found = exact.calibration(model, day + datetime.timedelta(days))
        assert found == model.line_on(day + datetime.timedelta(measured)), days


def test_a_scanner_drifts_and_its_line_follows():
    model = MODELS[1]
    start, later = datetime.date(2021, 1, 4), datetime.date(2022, 1, 4)
    bone = np.array([100.0], np.float32)
    shown = [float(model.respond(bone, day)[0]) for day in (start, later)]
    assert shown[1] - shown[0] == pytest.approx(-2.2, abs=0.01)
    for day, hu in zip((start, later), shown, strict=True):
        slope, intercept = model.line_on(day)
        assert slope * hu + intercept == pytest.approx((100 + 32.5) / 1.466, abs=0.01)


def test_every_scanners_line_gives_back_the_truth(cohort):
    """What is left is texture, veins, noise and the calibration's own error; without its line a scanner is off."""
    data = DataSet(cohort)
    truth = data.truth()
    own: dict[str, list[float]] = {}
    nominal: dict[str, list[float]] = {}
    for subject in include(data).included:
        for level in LEVELS:
            images, masks = data.slices.read([data.slice_index(subject.subject, level)])
            hu, bmd = images[0][masks[0] == 255].mean(), truth[subject.subject][f"bmd_{level.lower()}"]
            own.setdefault(subject.scanner, []).append(
                hu * subject.calibration_slope + subject.calibration_intercept - bmd
            )
            nominal.setdefault(subject.scanner, []).append(hu * NOMINAL_SLOPE + NOMINAL_INTERCEPT - bmd)
    assert set(own) == {"SIM-A", "SIM-B", "SIM-C"}
    for scanner, errors in own.items():
        assert abs(np.mean(errors)) < 5, scanner
        assert np.sqrt(np.mean(np.square(errors))) < 7, scanner
    assert np.mean(nominal["SIM-B"]) < -7
    assert np.mean(nominal["SIM-C"]) - np.mean(own["SIM-C"]) > 4


# -- as a data set


def test_the_planted_exclusions_are_what_inclusion_finds(cohort):
    reasons = {
        "field of view": "the scan does not hold all of L2",
        "implant": "implant or foreign material in L1 or L2",
        "fracture": "fracture deformity of L1 or L2",
        "degeneration": "severe degeneration",
        "tube voltage": "tube voltage not 120 kVp",
        "no reference": "no reference BMD",
        "age": "younger than 18 years",
        "": None,
    }
    data = DataSet(cohort)
    with open(cohort / "truth.csv", newline="") as file:
        planted = {row["subject"]: reasons[row["exclusion"]] for row in csv.DictReader(file)}
    assert {subject.subject: exclusion(subject, data) for subject in data.subjects} == planted
    assert len(include(data).included) == 16
    assert len(data.subjects) == 16 + round(16 * 865 / 1048)


def test_the_manifest_holds_the_reference_and_not_the_truth(cohort):
    data = DataSet(cohort)
    assert data.header.reference_sd_mg_cm3 == 10.0
    drawn = {f"S{p.number:06d}": p for p in draw_population(16, 4)}
    for subject in include(data).included:
        person = drawn[subject.subject]
        assert subject.bmd == pytest.approx(_mean(person.reference_bmd), abs=0.01)
        assert data.truth()[subject.subject]["bmd_individual"] == pytest.approx(_mean(person.true_bmd), abs=1e-3)
        assert (subject.age_years, subject.sex, subject.study_date) == (person.age_years, person.sex, person.study_date)


def test_workers_do_not_change_the_bytes(tmp_path):
    for workers in ("1", "2"):
        command = ["simulate", "cohort", "--count", "8", "--seed", "5", "--workers", workers]
        assert main([*command, "-o", str(tmp_path / workers)]) == 0
    one, two = tmp_path / "1", tmp_path / "2"
    files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert {"dataset.json", "subjects.csv", "truth.csv", "slices/images.npy", "slices/masks.npy"} <= {
        path.as_posix() for path in files
    }
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file


def test_every_slice_has_noise_of_its_own(people):
    scan = SubjectScan(people[0], MODELS[0], 1)
    slices = [scan.slice(number) for number in (-1, 0, 1)]
    inside = np.minimum.reduce([item.coverage for item in slices]) == 255
    for one, other in ((0, 1), (1, 2), (0, 2)):
        difference = slices[one].hu[inside] - slices[other].hu[inside]
        assert difference.std() > scan.acquisition.noise_sd
    again = SubjectScan(people[0], MODELS[0], 1).slice(-1)
    np.testing.assert_array_equal(again.hu, slices[0].hu)


def test_another_seed_is_another_scan(people):
    first, other = (SubjectScan(people[0], MODELS[0], seed).slice(0).hu for seed in (1, 2))
    assert (first != other).mean() > 0.5


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["simulate", "cohort", "--count", "8", "-o", str(tmp_path)]) == 2
    assert "exists already; name a new folder with -o" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert main(["simulate", "cohort", "--count", "8", "--dicom", "9", "-o", str(tmp_path / "new")]) == 2
    assert "--dicom from 0 to --count" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


# -- as CT


def _with_ct(cohort):
    data = DataSet(cohort)
    found = [subject for subject in data.subjects if subject.ct]
    assert len(found) == 2
    return data, found


def test_the_series_holds_the_slices_at_their_levels(cohort):
    data, subjects = _with_ct(cohort)
    for subject in subjects:
        ct = open_ct(cohort / subject.ct)
        for level, z in (("L1", subject.l1_z_mm), ("L2", subject.l2_z_mm)):
            k = parse_level(str(z), ct, level).slice_index
            assert ct.geometry.slice_z(k) == pytest.approx(z, abs=1e-3)
            hu = data.slices.read([data.slice_index(subject.subject, level)])[0][0]
            np.testing.assert_array_equal(ct.slice(k), np.clip(hu, -1024, 3071))
            assert (ct.slice(k + 1) != hu).any()


def test_the_header_says_what_the_manifest_says(cohort):
    data, subjects = _with_ct(cohort)
    for subject in subjects:
        ct = open_ct(cohort / subject.ct)
        said = ct.acquisition
        model = next(model for model in MODELS if model.name == subject.scanner)
        assert (said.kvp, said.age_years, said.sex) == (subject.kvp, subject.age_years, subject.sex)
        assert (said.study_date, said.scanner_id, said.kernel) == (subject.study_date, model.name, model.kernel)
        record = data.slices.records[data.slice_index(subject.subject, "L1")]
        assert ct.geometry.pixel_spacing_mm == pytest.approx((record.pixel_mm, record.pixel_mm), abs=1e-6)


def test_screening_the_series_with_its_calibration_finds_the_truth(cohort, tmp_path, capsys):
    data, subjects = _with_ct(cohort)
    for subject in subjects:
        ct = open_ct(cohort / subject.ct)
        masks = {}
        for level, z in (("L1", subject.l1_z_mm), ("L2", subject.l2_z_mm)):
            drawn = data.slices.read([data.slice_index(subject.subject, level)])[1][0]
            masks[level] = (parse_level(str(z), ct, level).slice_index, drawn > 127)
        outlines = write_segmentation(masks, ct.geometry, tmp_path / f"{subject.subject}.seg.nrrd")
        calibration = {
            "slope": subject.calibration_slope, "intercept": subject.calibration_intercept, "mineral": "CaHA",
            "uncertainty_mg_cm3": 5, "scanner": subject.scanner, "kvp": 120, "kernel": ct.acquisition.kernel,
            "date": "2020-12-31", "expires": "2021-12-31",
        }  # fmt: skip
        (tmp_path / "line.json").write_text(json.dumps(calibration))
        out = tmp_path / subject.subject
        words = [str(cohort / subject.ct), "-o", str(out), f"--l1={subject.l1_z_mm}", f"--l2={subject.l2_z_mm}"]
        words += ["--masks", str(outlines), "--calibration", str(tmp_path / "line.json"), "--device", "cpu"]
        assert main(["screen", *words]) == 0, capsys.readouterr().err
        result = json.loads((out / "result.json").read_text(encoding="utf-8"))
        assert result["densitometry"]["calibration"]["source"] == "user"
        truth = data.truth()[subject.subject]
        measured = result["densitometry"]["bmd_mg_cm3"]
        for name in ("L1", "L2", "individual"):
            assert measured[name] == pytest.approx(truth[f"bmd_{name.lower()}"], abs=10), name
