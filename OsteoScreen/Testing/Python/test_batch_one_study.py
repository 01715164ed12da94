"""One order of a batch, without its processes: what a worker answers to whatever it is asked."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from phantom_ct import CENTRES, make_phantom
from tiny_bundle import write_tiny_bundle
from written_study import write_study

from OsteoScreenLib import sagittal
from OsteoScreenLib.batch.one_study import screen_order
from OsteoScreenLib.batch.outcome import Order, Outcome, Trouble
from OsteoScreenLib.batch.publish import prepare_set
from OsteoScreenLib.batch.settings import BatchSettings, used_bundles, versions
from OsteoScreenLib.batch.study import BatchStudy, State
from OsteoScreenLib.reports.kinds import RESULT

SLICER_TESTS = Path(__file__).resolve().parents[1] / "Slicer"


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    make_phantom().write(folder / "scan.nrrd")
    write_tiny_bundle(folder / "outliner")
    return folder


def order_of(scan: Path, out: Path, **changes) -> Order:
    settings = BatchSettings(segmentation_model=str(scan / "outliner"), device="cpu", force=True)
    settings = replace(settings, **{key: changes.pop(key) for key in list(changes) if hasattr(settings, key)})
    study = BatchStudy("case-1", str(scan / "scan.nrrd"), l1=f"#{CENTRES['L1']}", age_years=60.0, sex="F")
    study = replace(study, **{key: changes.pop(key) for key in list(changes) if hasattr(study, key)})
    prepare_set(out, "set-1", {})
    whole = {"bundles": used_bundles(settings), "versions": versions(), **changes}
    return Order(study, settings, str(out), "set-1", "hash", timeout_s=60.0, **whole)


def ask(order: Order) -> Outcome:
    return Outcome.from_json(json.loads(json.dumps(screen_order(json.loads(json.dumps(order.to_json()))))))


def test_a_study_is_screened_once_and_then_known(scan, tmp_path):
    order = order_of(scan, tmp_path)
    first, second = ask(order), ask(order)
    assert first.state is State.SCREENED and not first.taken_over and first.seconds > 0
    assert first.measures["l1_set_by"] == "user" and 0 < first.doubt < 1
    assert first.found[1] == order.study.ct
    assert replace(second, seconds=first.seconds) == replace(first, taken_over=True)
    moved = ask(replace(order, study=replace(order.study, l1=f"#{CENTRES['L1'] + 1}")))
    assert not moved.taken_over and moved.measures["l1_slice_index"] == CENTRES["L1"] + 1


def test_a_refused_study_keeps_its_page_and_says_why(scan, tmp_path):
    order = order_of(scan, tmp_path, force=False)
    found = ask(order)
    assert (found.state, found.doubt) == (State.REFUSED, None)
    assert found.kind and found.reason
    assert (order.place.folder / "report.html").is_file()


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [
        ({"ct": "/nowhere/scan.nrrd"}, Trouble.MISSING),
        ({"ct": "/nowhere/scan.nrrd", "witnesses": ["/nowhere/other.nrrd"]}, Trouble.GONE),
        ({"levels_from": "/nowhere/seg.nrrd", "l1": None}, Trouble.MISSING),
        ({"bundles": []}, Trouble.UNUSABLE),
        ({"versions": {"osteoscreen": "0"}}, Trouble.UNUSABLE),
        ({"segmentation_model": "/nowhere/bundle", "bundles": []}, Trouble.UNUSABLE),
    ],
)
def test_what_is_not_the_studys_fault_is_trouble_and_no_state(scan, tmp_path, changes, trouble):
    found = (
        ask(order_of(scan, tmp_path, **changes)) if "bundles" not in changes else ask(_with(scan, tmp_path, changes))
    )
    assert (found.state, found.trouble, found.kind) == (None, trouble, trouble.value)
    assert found.reason.endswith((".", "?"))
    assert not list(tmp_path.rglob(RESULT))


def _with(scan: Path, out: Path, changes: dict) -> Order:
    order = order_of(scan, out, bundles=changes["bundles"])
    model = changes.get("segmentation_model")
    return order if model is None else replace(order, settings=replace(order.settings, segmentation_model=model))


def test_what_is_no_scan_fails_with_a_kind_and_a_sentence(scan, tmp_path):
    text = tmp_path / "scan.nrrd"
    text.write_text("NRRD0004\nnothing of the kind\n")
    found = ask(order_of(scan, tmp_path / "out", ct=str(text)))
    assert (found.state, found.kind) == (State.FAILED, "unreadable") and found.reason.endswith(".")
    below = ask(order_of(scan, tmp_path / "out", l1="#4000"))
    assert (below.state, below.kind) == (State.FAILED, "unusable levels")
    other = ask(order_of(scan, tmp_path / "out", series="1.2.3"))
    assert (other.state, other.kind) == (State.FAILED, "no such series")


def test_what_makes_a_set_is_what_bundles_and_calibration_hold_and_not_where_they_lie(scan, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(scan / "outliner", tmp_path / name)
        (tmp_path / f"{name}.json").write_text("{}")
    (tmp_path / "three.json").write_text("{ }")
    one, two, three = (
        BatchSettings(segmentation_model=str(tmp_path / bundle), calibration=str(tmp_path / f"{name}.json"))
        for bundle, name in (("one", "one"), ("two", "two"), ("two", "three"))
    )
    assert (one.identity(), used_bundles(one)) == (two.identity(), used_bundles(two))
    assert two.identity() != three.identity()
    for change in ({"suggest": True}, {"snap": True}, {"force": True}, {"device": "cuda"}, {"write": ("pdf",)}):
        assert replace(one, **change).identity() != one.identity()
    assert BatchSettings.from_json(json.loads(json.dumps(asdict(one)))) == one


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """A trunk with a rod that stands for the spine, and bundles that count it: one is certain, one is not."""
    sys.path.insert(0, str(SLICER_TESTS))
    try:
        import CountingBundle
    finally:
        sys.path.remove(str(SLICER_TESTS))
    folder = tmp_path_factory.mktemp("counting")
    image = sitk.GetImageFromArray(CountingBundle.withRod(np.full((54, 320, 320), 40, np.int16)))
    image.SetSpacing((0.7, 0.7, 2.0))
    sitk.WriteImage(image, str(folder / "scan.nrrd"))
    write_tiny_bundle(folder / "outliner")
    CountingBundle.writeBundle(folder / "certain")
    CountingBundle.writeBundle(folder / "uncertain", temperature=40.0)
    return folder


def test_levels_that_nobody_gave_are_suggested_and_stay_unconfirmed(counting, tmp_path):
    order = order_of(counting, tmp_path, l1=None, suggest=True, localisation_model=str(counting / "certain"))
    ask(order)
    levels = json.loads((order.place.folder / RESULT).read_text())["levels"]
    assert {(level["set_by"], level["confirmed"]) for level in levels.values()} == {("suggested", False)}
    assert set(levels) == {"L1", "L2"}


def test_a_study_may_ask_for_a_suggestion_where_others_get_none(counting, tmp_path):
    order = order_of(counting, tmp_path, l1="auto", localisation_model=str(counting / "certain"))
    assert ask(order).trouble is None
    levels = json.loads((order.place.folder / RESULT).read_text())["levels"]
    assert (levels["L1"]["set_by"], levels["L1"]["confirmed"]) == ("suggested", False)


def test_a_study_whose_levels_cannot_be_suggested_needs_levels(counting, tmp_path):
    uncertain = order_of(counting, tmp_path, l1=None, suggest=True, localisation_model=str(counting / "uncertain"))
    found = ask(uncertain)
    assert (found.state, found.kind) == (State.NEEDS_LEVELS, "level_suggestion")
    assert found.reason.startswith("L1 could not be suggested.")


def test_a_scan_that_vanishes_before_its_sagittal_view_is_read_again_later(scan, tmp_path, monkeypatch):
    study, away = write_study(tmp_path / "study"), tmp_path / "elsewhere"
    order = order_of(scan, tmp_path / "out", ct=str(study.series))

    def vanishing(*arguments):
        study.series.rename(away)
        return seen(*arguments)

    seen = sagittal.sagittal_view
    monkeypatch.setattr(sagittal, "sagittal_view", vanishing)
    outcome = ask(replace(order, witnesses=(str(study.series),)))
    assert outcome.trouble is Trouble.GONE
    assert outcome.found[1] == str(study.series)
    assert order.place.finished() is None
    away.rename(study.series)
    monkeypatch.undo()
    assert ask(order).state is State.SCREENED
    assert "sagittal_view" not in {check.check for check in order.place.finished().eligibility}
