"""The change in BMD since an earlier result: its arithmetic, and every reason not to compare."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest
from report_cases import screened

from OsteoScreenLib import decisions
from OsteoScreenLib.decisions import accept, discard
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.follow_up import (
    ComparedScan,
    compared,
    least_significant_change,
    least_significant_change_of_level,
    scan_of_result,
)
from OsteoScreenLib.reports import change, timeline
from OsteoScreenLib.results import Calibration, Densitometry, EarlierResult, FollowUp, Identity, Level
from OsteoScreenLib.results_io import from_dict, read_result, to_dict, write_result

NOW = ComparedScan(
    bmd_mg_cm3={"L1": 90.0, "L2": 100.0, "individual": 95.0},
    mineral="CaHA",
    calibration="user",
    slope=0.79,
    intercept=-3.1,
    kvp=120.0,
    slice_thickness_mm=2.0,
    kernel="Br38f",
    contrast=False,
    manufacturer="SIEMENS",
    model_name="SOMATOM Force",
    study_date=date(2026, 3, 10),
    patient_id="4711",
    sha256="ab" * 32,
)
THEN = replace(
    NOW,
    bmd_mg_cm3={"L1": 101.5, "L2": 118.5, "individual": 110.0},
    study_date=date(2024, 3, 10),
    sha256="cd" * 32,
)
KEPT = EarlierResult(None, dict(THEN.bmd_mg_cm3), "CaHA", "user", "result.json")


def test_the_change_is_this_result_less_the_earlier_one_for_each_level():
    found = compared(NOW, THEN, KEPT)
    assert found.change_mg_cm3 == {"L1": -11.5, "L2": -18.5, "individual": -15.0}
    assert found.interval_days == 730
    assert found.not_comparable == []


@pytest.mark.parametrize(
    ("bodies", "precision", "by_hand"),
    [
        # 2.77 times the precision error (ISCD): 1.96 x sqrt(2) = 2.772.
        (2, 3.0, 8.31),
        (2, None, 16.62),
        (1, 3.0, 11.752),
        (1, None, 23.504),
    ],
)
def test_the_least_significant_change_is_the_iscds(bodies, precision, by_hand):
    assert least_significant_change(bodies, precision) == pytest.approx(by_hand, abs=1e-3)
    assert least_significant_change(bodies, precision) == pytest.approx(
        1.96 * math.sqrt(2) * (precision or 6.0) * math.sqrt(2 / bodies), rel=1e-3
    )


def test_one_level_varies_more_than_the_mean_of_two():
    assert least_significant_change_of_level(8.31, 2) == pytest.approx(11.752, abs=1e-3)
    assert least_significant_change_of_level(11.752, 1) == 11.752


@pytest.mark.parametrize(
    ("lower_by", "verdict"), [(8.3, "within the least significant change"), (8.4, "more than the least")]
)
def test_a_change_counts_from_the_least_significant_one_on(lower_by, verdict):
    now = replace(NOW, bmd_mg_cm3={name: value - lower_by for name, value in THEN.bmd_mg_cm3.items()})
    found = compared(now, THEN, KEPT, 3.0)
    result = screened()
    result.follow_up = [found]
    (sentence,) = change.follow_up_sentences(result)
    assert verdict in sentence
    assert f"lower by {lower_by} mg/cm³ than 24 months before (110.0 then" in sentence
    assert f"about {lower_by / 730 * 365.25:.1f} mg/cm³ a year" in sentence


REASONS = {
    "tube voltage": ({"kvp": 100.0}, "The tube voltage differs: 120 kVp then, 100 kVp now."),
    "unknown voltage": (
        {"kvp": None},
        "Whether the tube voltage was the same is not known: this scan does not say it.",
    ),
    "contrast": ({"contrast": True}, "Contrast medium was given for this scan, which makes bone read too dense."),
    "unknown contrast": ({"contrast": None}, "Whether contrast medium was given is not known"),
    "kernel of another kind": ({"kernel": "Br64f"}, "The kernel was soft then (Br38f)"),
    "kernel of the same kind": ({"kernel": "Br40f"}, "The kernel differs: Br38f then, Br40f now."),
    "unknown kernel": ({"kernel": ""}, "Whether the kernel was the same is not known"),
    "thickness": ({"slice_thickness_mm": 3.1}, "The slice thickness differs: 2 mm then, 3.1 mm now."),
    "unknown thickness": ({"slice_thickness_mm": None}, "Whether the slice thickness was the same is not known"),
    "maker": ({"manufacturer": "GE"}, "The scanner's maker differs: SIEMENS then, GE now."),
    "unknown maker": ({"manufacturer": None}, "Whether the scanner's maker was the same is not known"),
    "model": ({"model_name": "Revolution"}, "The scanner's model differs: SOMATOM Force then, Revolution now."),
    "unknown model": ({"model_name": None}, "Whether the scanner's model was the same is not known"),
    "mineral": ({"mineral": "K2HPO4"}, "The BMD was in mg/cm³ CaHA then, and is in mg/cm³ K2HPO4 now."),
    "calibration": (
        {"calibration": "scanner header"},
        "The BMD came from a calibration file then, and from the scanner's own line now.",
    ),
    "slope": ({"slope": 0.80}, "The line from HU to BMD was another then."),
    "intercept": ({"intercept": 0.0}, "The line from HU to BMD was another then."),
    "levels": ({"bmd_mg_cm3": {"L1": 90.0, "individual": 90.0}}, "The two were not measured on the same levels."),
    "unknown patient": ({"patient_id": " "}, "It could not be checked that both are of the same patient: this scan"),
    "unknown date": ({"study_date": None}, "The time between them is not known: this scan does not say"),
    "order": ({"study_date": date(2020, 1, 1)}, "The earlier result is of a scan that was made after this one."),
    "problem": ({"problems": ("A reader discarded this result.",)}, "A reader discarded this result."),
}


@pytest.mark.parametrize("case", REASONS)
def test_each_reason_not_to_compare_is_given_and_nothing_is_said_of_a_change(case):
    changes, reason = REASONS[case]
    found = compared(replace(NOW, **changes), THEN, KEPT)
    (given,) = found.not_comparable
    assert given.startswith(reason)
    result = screened()
    result.follow_up = [found]
    (sentence,) = change.follow_up_sentences(result)
    assert "is not comparable with this one, so nothing is said of a change" in sentence and reason in sentence
    assert "lower by" not in sentence and change.per_year(found) is None


def test_every_property_of_a_scan_has_a_reason():
    """A property that is compared by nothing would be compared in silence."""
    told = {name for changes, _ in REASONS.values() for name in changes}
    # What is refused outright, before anything is compared.
    refused = {"sha256", "study_instance_uid", "birth_date"}
    assert told | refused == set(ComparedScan.__dataclass_fields__)


def test_what_is_the_same_in_other_words_is_compared():
    same = {"kvp": 120.2, "slice_thickness_mm": 3.0, "kernel": " br38F ", "manufacturer": "Siemens"}
    assert compared(replace(NOW, **same), THEN, KEPT).not_comparable == []


def test_two_nominal_lines_are_not_compared():
    nominal = {"calibration": "nominal"}
    (reason,) = compared(replace(NOW, **nominal), replace(THEN, **nominal), KEPT).not_comparable
    assert "nominal line" in reason


def test_silence_on_both_sides_is_not_sameness():
    nothing = {"kvp": None, "kernel": None, "contrast": None, "model_name": None, "patient_id": "", "study_date": None}
    reasons = compared(replace(NOW, **nothing), replace(THEN, **nothing), KEPT).not_comparable
    assert len(reasons) == 6
    assert all("the earlier result and this scan do not say" in reason for reason in reasons)


# -- after a decision


def followed(*, confirmed=True, levels=("L1", "L2")):
    """A result that was compared with one of L1 and L2."""
    result = screened()
    result.levels = {name: replace(result.levels[name], confirmed=confirmed) for name in levels}
    result.roi = {name: result.roi[name] for name in levels}
    bmd = {name: {"L1": 90.0, "L2": 100.0}[name] for name in levels}
    bmd["individual"] = sum(bmd.values()) / len(bmd)
    result.densitometry = Densitometry(Calibration("user", 0.79, -3.1, "CaHA", 5.0), bmd, "osteopenia")
    now = scan_of_result(result, NOW.study_date, "4711", called="this result")
    now = replace(now, **{name: getattr(NOW, name) for name in SCANNED})
    result.follow_up = [compared(now, THEN, KEPT, 3.0)]
    return result


SCANNED = ("kvp", "slice_thickness_mm", "kernel", "contrast", "manufacturer", "model_name")
READER = "N. N."


def test_confirming_the_levels_makes_a_change_comparable():
    result = followed(confirmed=False)
    assert result.follow_up[0].not_comparable == ["No reader has confirmed the levels of this result."]
    assert accept(result, READER).follow_up[0].not_comparable == []


def test_discarding_ends_the_comparison_and_accepting_brings_it_back():
    dropped = discard(followed(), READER)
    assert dropped.follow_up[0].not_comparable == ["A reader discarded this result."]
    assert change.follow_up_sentences(dropped) == [
        "A reader discarded this result, so nothing is said of a change in BMD."
    ]
    assert timeline.timeline(dropped) is None
    assert accept(dropped, READER).follow_up == followed().follow_up


def test_a_corrected_result_is_compared_as_it_is_now():
    old, new = followed(levels=("L1",)), followed()
    assert old.follow_up[0].not_comparable == ["The two were not measured on the same levels."]
    assert old.follow_up[0].least_significant_change_mg_cm3 == pytest.approx(11.752, abs=1e-3)
    new.follow_up = []
    corrected = decisions.corrected(new, old, READER)
    assert corrected.decisions[-1].corrections == ["level L2"]
    assert corrected.follow_up == followed().follow_up
    assert corrected.follow_up[0].least_significant_change_mg_cm3 == pytest.approx(8.31)


def test_what_the_scans_speak_against_it_stays_after_a_decision():
    result = followed()
    result.follow_up = [replace(result.follow_up[0], not_comparable=[REASONS["tube voltage"][1]])]
    assert accept(result, READER).follow_up[0].not_comparable == [REASONS["tube voltage"][1]]


def test_results_of_two_scans_are_no_correction():
    new = followed()
    new.input = replace(new.input, sha256="ef" * 32)
    with pytest.raises(UsageError, match="different scans"):
        decisions.corrected(new, followed(), READER)


def test_a_time_without_its_offset_is_no_time():
    from datetime import datetime

    with pytest.raises(UsageError, match="offset from UTC"):
        accept(screened(), READER, at=datetime(2026, 1, 1))


def test_decisions_and_changes_come_back_from_the_file(tmp_path):
    result = accept(discard(followed(), "First", comment="No."), "Second")
    result.levels["L2"] = Level("L2", -360.0, 11, "user", True)
    result.identity = Identity("Doe^Jane", "4711")
    assert read_result(write_result(result, tmp_path / "result.json")) == result
    assert from_dict(to_dict(result)).follow_up == result.follow_up


# -- the picture and the table


def with_changes(*days_and_values):
    result = followed()
    result.follow_up = [
        FollowUp(replace(KEPT, bmd_mg_cm3={"individual": value}), {"individual": 95.0 - value}, 8.31, days, reasons)
        for days, value, reasons in days_and_values
    ]
    return result


def test_the_timeline_puts_values_in_order_of_time_and_height():
    drawn = timeline.timeline(with_changes((1000, 115.0, []), (400, 105.0, []), (20, 97.0, ["Otherwise made."])))
    assert [point.kind for point in drawn.points] == ["comparable", "comparable", "other", "now"]
    x, y = [point.x for point in drawn.points], [point.y for point in drawn.points]
    assert x == sorted(x) and y == sorted(y)  # falling BMD goes down the page
    first, *_, other, now = drawn.points
    ticks = {float(text): place for place, text in drawn.ticks}
    per_mg = (ticks[80.0] - ticks[120.0]) / 40
    assert (first.low - first.y, first.y - first.high) == pytest.approx((8.31 * per_mg, 8.31 * per_mg), abs=0.2)
    assert other.low is None and now.low is None
    # 20 days are too near for two labels: the later value keeps its own.
    assert (other.label, now.label) == ("", "95")


@pytest.mark.parametrize("changes", [[], [(None, 100.0, ["Unknown."])], [(-3, 100.0, ["Later."])], [(0, 100.0, [])]])
def test_without_a_time_there_is_no_timeline(changes):
    assert timeline.timeline(with_changes(*changes)) is None


@pytest.mark.parametrize(
    ("days", "chosen"), [([900, 300], 1), ([300, None], 0), ([None, None], 1), ([200, -5], 0), ([], None)]
)
def test_the_latest_earlier_result_is_the_nearest_before(days, chosen):
    result = with_changes(*((day, 100.0 + n, []) for n, day in enumerate(days)))
    found = change.latest(SimpleNamespace(follow_up=result.follow_up))
    assert found is (None if chosen is None else result.follow_up[chosen])
