"""What the worker does with a message, without the process."""

from __future__ import annotations

import json
import logging
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from worker_study import FINDINGS, make_study, write_silent

from OsteoScreenLib import loaded
from OsteoScreenLib.classification import Classifier
from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import acquisition_to_dict, open_ct
from OsteoScreenLib.levels import level_at
from OsteoScreenLib.results_io import assemble, from_dict, to_dict
from OsteoScreenLib.screening import ScreeningRequest, screen
from OsteoScreenLib.segmentation import Segmenter
from OsteoScreenLib.worker import exchange, operations
from OsteoScreenLib.worker.operations import handle


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield make_study(tmp_path_factory.mktemp("studies") / "a study – ünïcode")
    torch.set_num_threads(threads)


def ask(message):
    """The last answer, and the progress before it; as JSON has them."""
    answers = []
    handle(json.loads(json.dumps(message)), lambda answer: answers.append(json.loads(json.dumps(answer))))
    assert all(answer["id"] == message.get("id") for answer in answers)
    assert all("progress" in answer for answer in answers[:-1])
    return answers[-1], [answer["progress"] for answer in answers[:-1]]


def done(message):
    answer, _ = ask(message)
    assert "done" in answer, answer
    return answer["done"]


def error(message):
    answer, _ = ask(message)
    assert "error" in answer, answer
    return answer["error"]


def in_process(study, **changes):
    levels = {
        name.lower(): level_at(study.ct, level["slice_index"], name, "user") for name, level in study.levels.items()
    }
    return screen(ScreeningRequest(study.ct, **levels, **study.options, **changes))


def without_time(document):
    document = dict(document)
    del document["timing_s"]
    return document


# -- the operations


def test_a_screening_is_the_one_in_process_to_the_last_bit(study):
    answer, told = ask(study.message("screen"))
    expected = in_process(study)
    found = exchange.read_done(answer["done"])
    assert without_time(answer["done"]["result"]) == without_time(to_dict(expected.result))
    assert found.result.roi == expected.result.roi
    assert (found.device, found.bundle) == ("cpu", expected.result.bundles[0])
    for name, outline in expected.outlines.items():
        np.testing.assert_array_equal(found.outlines[name].mask, outline.mask)
        np.testing.assert_array_equal(found.outlines[name].probability, outline.probability)
        assert found.outlines[name].confidence == outline.confidence
        assert found.outlines[name].slice_index == study.levels[name]["slice_index"]
    assert ["Outlining and measuring", 0, 2] in told
    assert found.result.input.series_instance_uid == "1.2.3"
    assert FINDINGS[0] in found.result.eligibility


def test_outlines_alone_are_the_same(study):
    found = exchange.read_done(done(study.message("outline")))
    expected = in_process(study)
    assert found.result is None
    assert found.bundle == expected.result.bundles[0]
    for name, outline in expected.outlines.items():
        np.testing.assert_array_equal(found.outlines[name].mask, outline.mask)


def test_the_users_masks_are_measured(study):
    k = study.levels["L1"]["slice_index"]
    mask = study.phantom.trabecular[study.phantom.hu.shape[0] - 1 - k] > 0
    masks = exchange.write_masks({"L1": mask}, study.folder)
    answer = done(study.message("screen", masks=masks))
    expected = in_process(study, masks={"L1": mask})
    assert without_time(answer["result"]) == without_time(to_dict(expected.result))
    assert answer["result"]["roi"]["L1"]["mask_source"] == "user"
    assert answer["outlines"]["L1"]["probability"] is None


def test_options_reach_the_screening(study):
    options = {**study.options, "age_years": 71.0, "sex": "M"}
    result = done(study.message("screen", options=options))["result"]
    assert (result["input"]["age_years"], result["input"]["sex"]) == (71.0, "M")


def test_a_refused_study_is_a_result(study):
    child = {**study.described, "acquisition": acquisition_to_dict(replace(study.ct.acquisition, age_years=5.0))}
    answer = done(study.message("screen", ct=child, options={**study.options, "force": False}))
    assert answer["result"]["status"] == "refused"
    assert (answer["outlines"], answer["bundle"], answer["device"]) == ({}, None, "cpu")


def test_warming_up_holds_the_networks_that_the_screening_uses(study, monkeypatch):
    monkeypatch.setattr(loaded, "SEGMENTERS", loaded.LastLoaded(Segmenter))
    monkeypatch.setattr(loaded, "CLASSIFIERS", loaded.LastLoaded(Classifier))
    options = {key: study.options[key] for key in ("segmentation_model", "classification_model", "device")}
    answer = done({"id": "warm", "do": "warm_up", "options": {**options, "levels": ["L1", "L2"]}})
    assert answer == {"device": "cpu", "torch": torch.__version__}
    warm = loaded.SEGMENTERS._held, loaded.CLASSIFIERS._held
    assert None not in warm
    done(study.message("screen"))
    assert (loaded.SEGMENTERS._held, loaded.CLASSIFIERS._held) == warm


def test_the_last_ct_is_kept_until_it_changes(study, tmp_path):
    done(study.message("screen"))
    kept = operations._LAST._ct
    done(study.message("outline"))
    assert operations._LAST._ct is kept
    moved = exchange.write_array(np.asarray(kept._source._array), tmp_path, "ct")
    done(study.message("outline", ct={**study.described, "array": str(moved)}))
    other = operations._LAST._ct
    assert other is not kept
    np.save(moved, np.asarray(kept._source._array) + 1)
    done(study.message("outline", ct={**study.described, "array": str(moved)}))
    assert operations._LAST._ct is not other
    assert done({"id": 5, "do": "forget"}) == {}
    assert operations._LAST._ct is None


# -- the page


def page(path):
    """The page's text but for the time at which it was written."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "TIME", path.read_text(encoding="utf-8"))


def from_the_command_line(study, tmp_path, *more):
    scan = study.phantom.write(tmp_path / "scan.nrrd")
    given = [
        *("screen", str(scan), "-o", str(tmp_path / "out"), "--l1=#18", "--l2=#6", "--device", "cpu", *more),
        *("--segmentation-model", study.options["segmentation_model"]),
        *("--classification-model", study.options["classification_model"]),
    ]
    code = main(given)
    return scan, json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8")), code


def outlines_of(scan, study, **options):
    levels = {"l1": "#18", "l2": "#6"}
    return screen(ScreeningRequest(scan, **levels, **{**study.options, **options})).outlines


def test_the_page_is_the_command_lines(study, tmp_path):
    scan, result, code = from_the_command_line(study, tmp_path, "--force")
    assert code == 0
    array = exchange.write_array(study.phantom.hu, tmp_path, "ct")
    message = {
        "id": 3,
        "do": "report",
        "ct": exchange.describe_ct(array, open_ct(scan).geometry.ijk_to_ras),
        "result": result,
        "outlines": exchange.write_outlines(outlines_of(scan, study), tmp_path),
        "to": str(tmp_path / "report.html"),
    }
    assert done(message) == {"written": str(tmp_path / "report.html")}
    expected = page(tmp_path / "out" / "report.html")
    assert page(tmp_path / "report.html") == expected
    assert expected.count("data:image/") >= 5
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_page_of_a_refused_study_is_the_command_lines(study, tmp_path):
    silent = {"segmentation_model": write_silent(tmp_path)}
    scan = study.phantom.write(tmp_path / "scan.nrrd")
    main(["screen", str(scan), "-o", str(tmp_path / "out"), "--l1=#18", "--l2=#6", "--device", "cpu",
          "--segmentation-model", silent["segmentation_model"]])  # fmt: skip
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["status"] == "refused"
    array = exchange.write_array(study.phantom.hu, tmp_path, "ct")
    described = exchange.describe_ct(array, open_ct(scan).geometry.ijk_to_ras)
    target = tmp_path / "report.html"
    done({"id": 3, "do": "report", "ct": described, "result": result, "outlines": {}, "to": str(target)})
    assert page(target) == page(tmp_path / "out" / "report.html")


def test_a_screening_can_be_reported(study, tmp_path):
    answer = done(study.message("screen"))
    message = study.message("report", result=answer["result"], outlines=answer["outlines"], to=str(tmp_path / "r.html"))
    assert done(message)["written"].endswith("r.html")
    assert "data:image/png" in page(tmp_path / "r.html")


# -- errors


def test_a_result_that_is_none_is_an_input_error(study, tmp_path):
    message = study.message("report", result={"status": "fine"}, outlines={}, to=str(tmp_path / "r.html"))
    assert error(message)["kind"] == "InputError"


def test_a_page_that_cannot_be_written_says_why(study, tmp_path):
    answer = done(study.message("screen"))
    found = error(study.message("report", result=answer["result"], outlines=answer["outlines"], to=str(tmp_path)))
    assert found["kind"] == "OsteoScreenError"
    assert "cannot be written" in found["message"]


@pytest.mark.parametrize("message", [None, 3, "screen", [], [{"do": "screen"}]])
def test_what_is_no_message_is_a_usage_error(message):
    answers = []
    handle(message, answers.append)
    assert [(answer["id"], answer["error"]["kind"]) for answer in answers] == [(None, "UsageError")]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"do": "dance"}, "UsageError"),
        ({"do": None}, "UsageError"),
        ({"ct": None}, "UsageError"),
        ({"ct": {}}, "UsageError"),
        ({"levels": None}, "UsageError"),
        ({"levels": {}}, "UsageError"),
        ({"levels": {"T12": {"slice_index": 3}}}, "UsageError"),
        ({"levels": {"L1": {"slice_index": "3"}}}, "UsageError"),
        ({"levels": {"L1": {"slice_index": 4000}}}, "UsageError"),
        ({"levels": {"L1": {"slice_index": 3, "set_by": "nobody"}}}, "UsageError"),
        ({"folder": None}, "UsageError"),
        ({"folder": "/no/such/folder"}, "UsageError"),
        ({"masks": {"L1": "/no/such.npy"}}, "InputError"),
        ({"masks": {"L1": 3}}, "UsageError"),
        ({"options": [3]}, "UsageError"),
        ({"options": {"speed": "high"}}, "UsageError"),
        ({"options": {"segmentation_model": "no-such-bundle"}}, "BundleError"),
        ({"options": {"device": "abacus"}}, "UsageError"),
        ({"options": {"calibration": "/no/such.json"}}, "InputError"),
    ],
)
def test_every_error_has_its_kind(study, changes, kind):
    if isinstance(changes.get("options"), dict):
        changes = {"options": {**study.options, **changes["options"]}}
    found = error(study.message("screen") | changes)
    assert found["kind"] == kind
    assert found["message"] and "\n" not in found["message"]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"array": "/no/such.npy"}, "InputError"),
        ({"kind": "papyrus"}, "UsageError"),
        ({"ijk_to_ras": [[1, 2], [3, 4]]}, "InputError"),
        ({"ijk_to_ras": "north"}, "UsageError"),
        ({"acquisition": {"kvp": "high"}}, "InputError"),
        ({"findings": [{"check": "x"}]}, "UsageError"),
    ],
)
def test_a_ct_that_makes_no_sense_is_an_error(study, changes, kind):
    assert error(study.message("outline", ct={**study.described, **changes}))["kind"] == kind


def test_a_slice_without_an_outline(study, tmp_path):
    options = {**study.options, "segmentation_model": write_silent(tmp_path)}
    found = error(study.message("outline", options=options))
    assert found["kind"] == "SegmentationFailed"
    assert found["message"].startswith("L1: ")
    result = done(study.message("screen", options=options))["result"]
    assert result["status"] == "refused"


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (MemoryError(), "OutOfMemory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), "OutOfMemory"),
        (ImportError("cannot import name 'x'", name="safetensors.torch"), "MissingPackage"),
        (KeyError("Mustermann^Max"), "Unexpected"),
    ],
)
def test_other_errors_by_kind_and_without_patients(study, raised, kind, monkeypatch, caplog):
    def fail(*_):
        raise raised

    monkeypatch.setattr("OsteoScreenLib.screening.screen", fail)
    with caplog.at_level(logging.ERROR):
        found = error(study.message("screen"))
    assert found["kind"] == kind
    assert "Mustermann" not in found["message"] + caplog.text
    if kind == "Unexpected":
        assert "KeyError in test_worker.py, line" in found["message"]
        assert "fail" in caplog.text


def test_a_package_that_is_not_there_and_one_that_does_not_load(tmp_path, monkeypatch):
    monkeypatch.setattr(operations, "_PACKAGES", {"no_such_package": "NoSuch"})
    found = error({"id": 1, "do": "warm_up"})
    assert (found["kind"], found["message"].split(";")[0]) == ("MissingPackage", "NoSuch is not installed")

    (tmp_path / "broken_package.py").write_text("raise OSError('[WinError 126] Error loading c10.dll')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(operations, "_PACKAGES", {"broken_package": "Broken"})
    found = error({"id": 1, "do": "warm_up"})
    assert found["kind"] == "MissingPackage"
    assert "Broken is installed but does not load ([WinError 126] Error loading c10.dll)" in found["message"]


def test_a_torch_that_does_not_load_says_how_to_repair_it(tmp_path, monkeypatch):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import a_part_that_is_missing")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch")
    found = error({"id": 1, "do": "warm_up"})
    assert "PyTorch is installed but does not load (No module named 'a_part_that_is_missing')" in found["message"]
    assert "PyTorch Utils" in found["message"]


def test_what_the_caller_raises_passes_through(study):
    class Cancelled(Exception):
        pass

    answers = []

    def cancel(answer):
        answers.append(answer)
        raise Cancelled

    for do in ("screen", "outline"):
        with pytest.raises(Cancelled):
            handle(study.message(do), cancel)
    assert all("progress" in answer for answer in answers)
    done(study.message("screen"))


def test_a_result_is_read_without_its_schemas_validator(study):
    document = done(study.message("screen"))["result"]
    assert assemble(document) == from_dict(document)
