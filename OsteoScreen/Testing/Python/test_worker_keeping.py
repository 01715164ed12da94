"""What the worker keeps of a screening, and what it says to a server: kinds of output, and its refusals."""

from __future__ import annotations

import json

import pytest
from worker_study import make_study

from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.reports.kinds.registry import WRITERS
from OsteoScreenLib.worker.operations import handle


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def screened(study):
    return answer(study.message("screen"))["done"]


def answer(message):
    answers = []
    handle(message, answers.append)
    return answers[-1]


def kept(study, screened, do, to, **more):
    message = {"id": 1, "do": do, "ct": study.described, "to": str(to), **more}
    return answer({**message, "result": screened["result"], "outlines": screened["outlines"]})


def test_the_kinds_of_output_that_are_named_are_written(study, screened, tmp_path):
    done = kept(study, screened, "write", tmp_path / "kept", kinds=["pdf,sr", "fhir"])["done"]
    files = {"pdf": [str(tmp_path / "kept" / "report.pdf")], "fhir": [str(tmp_path / "kept" / "fhir.json")]}
    assert done["written"] == files
    assert (tmp_path / "kept" / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert json.loads((tmp_path / "kept" / "fhir.json").read_text(encoding="utf-8"))["resourceType"] == "Bundle"
    assert list(done["unwritten"]) == ["sr"]
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_ct_without_its_files_gives_no_dicom_objects(study, screened, tmp_path):
    error = kept(study, screened, "write", tmp_path / "objects", kinds=["dicom"])["error"]
    assert "no DICOM headers to refer to" in error["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_fails_leaves_nothing_of_the_others(study, screened, tmp_path, monkeypatch):
    def fail(output):
        raise OsteoScreenError("The disk is full.")

    monkeypatch.setitem(WRITERS, "pdf", fail)
    error = kept(study, screened, "write", tmp_path / "kept", kinds=["csv", "pdf"])["error"]
    assert error["message"] == "The disk is full."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes", [{"files": "ct.dcm"}, {"kinds": [1]}, {"kinds": []}, {"kinds": ["picture"]}, {"to": None}]
)
def test_a_message_to_write_that_makes_no_sense_is_a_usage_error(study, screened, tmp_path, changes):
    message = {"id": 1, "do": "write", "kinds": ["csv"], "ct": study.described, "to": str(tmp_path / "kept"), **changes}
    error = answer({**message, "result": screened["result"], "outlines": screened["outlines"]})["error"]
    assert error["kind"] == "UsageError"


def test_the_facilitys_precision_comes_back_with_a_screening(study, screened, tmp_path):
    assert screened["precision_mg_cm3"] is None
    path = tmp_path / "calibration.json"
    path.write_text(
        '{"slope": 0.8, "intercept": 1, "mineral": "CaHA", "uncertainty_mg_cm3": 8, "precision_mg_cm3": 2.5, '
        '"scanner": "x", "kvp": 120, "kernel": "Br38f", "date": "2026-01-01", "expires": "2027-01-01"}'
    )
    done = answer(study.message("screen", options={**study.options, "calibration": str(path)}))["done"]
    assert done["precision_mg_cm3"] == 2.5


SERVER = {"at": "https://pacs.example.org/dicom-web", "insecure_http": False}


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"do": "pacs_find"}, "lacks server"),
        ({"do": "pacs_find", "server": {}}, "lacks at"),
        ({"do": "pacs_find", "server": {"at": "http://pacs.example.org/dicom-web"}}, "use https"),
        ({"do": "pacs_find", "server": SERVER, "wanted": {"patient_name": "x"}}, "what can be searched for"),
        ({"do": "pacs_find", "server": SERVER, "credentials": {"password": "x"}}, "user's name must not be empty"),
        ({"do": "pacs_series", "server": SERVER, "study": "../x"}, "UID of the study"),
        ({"do": "pacs_fetch", "server": SERVER, "study": "1.2"}, "lacks series"),
        ({"do": "pacs_send", "server": SERVER, "paths": []}, "lacks paths"),
    ],
)
def test_a_message_to_a_server_that_makes_no_sense_reaches_none(message, told, monkeypatch):
    def reached(*_):
        raise AssertionError("a server was asked")

    monkeypatch.setattr("socket.socket.connect", reached)
    error = answer({"id": 1, **message})["error"]
    assert error["kind"] == "UsageError"
    assert told in error["message"]
