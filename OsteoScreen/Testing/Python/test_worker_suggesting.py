"""The worker's "suggest", and what a screening makes of it: without the process, with a network that is set by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from OsteoScreenLib.worker.operations import handle

SLICER_TESTS = Path(__file__).resolve().parents[1] / "Slicer"
#: Slices, and what lies between their neighbours, mm; the rod of the bundle is made for these.
SPACING_MM = (2.0, 0.7, 0.7)


@pytest.fixture(scope="module")
def counting():
    """The module of the Slicer tests that makes the bundle."""
    sys.path.insert(0, str(SLICER_TESTS))
    import CountingBundle

    yield CountingBundle
    sys.path.remove(str(SLICER_TESTS))


@pytest.fixture(scope="module")
def study(counting, tmp_path_factory):
    """A trunk of soft tissue with the rod, as a message's "ct", and the folder with the bundles."""
    folder = tmp_path_factory.mktemp("suggesting")
    np.save(folder / "ct.npy", counting.withRod(np.full((54, 320, 320), 40, np.int16)))
    matrix = np.diag([-SPACING_MM[2], -SPACING_MM[1], SPACING_MM[0], 1.0])
    counting.writeBundle(folder / "certain")
    counting.writeBundle(folder / "uncertain", temperature=40.0)
    return {"array": str(folder / "ct.npy"), "ijk_to_ras": matrix.tolist()}, folder


def answer(message):
    answers = []
    handle(json.loads(json.dumps({"id": 1, **message})), lambda given: answers.append(json.loads(json.dumps(given))))
    return answers[-1]


def suggest(study, bundle="certain", levels=("L1", "L2")):
    ct, folder = study
    options = {"localisation_model": str(folder / bundle), "device": "cpu"}
    return answer({"do": "suggest", "ct": ct, "levels": list(levels), "options": options})


def test_the_levels_and_the_chain_are_answered(study, counting):
    done = suggest(study)["done"]
    assert {name: level["slice_index"] for name, level in done["levels"].items()} == {
        name: counting.sliceOf(name) for name in ("L1", "L2")
    }
    assert done["refused"] == {} and done["probability"] > 0.99
    assert [vertebra["name"] for vertebra in done["vertebrae"]] == list(counting.NAMES)
    assert [vertebra["whole"] for vertebra in done["vertebrae"]] == [True, True, True, True, False]
    assert done["bundle"]["name"] == "counting-rod" and done["device"] == "cpu"


def test_what_is_uncertain_is_refused_and_still_named(study):
    done = suggest(study, "uncertain")["done"]
    assert done["levels"] == {} and "not certain enough" in done["refused"]["L1"]
    assert len(done["vertebrae"]) == 5 and 0.5 < done["probability"] < 0.95
    assert done["numbering"]["levels"] == {}


@pytest.mark.parametrize("levels", [[], ["L3"], "L1", None])
def test_other_levels_are_not_suggested(study, levels):
    ct, folder = study
    options = {"localisation_model": str(folder / "certain")}
    error = answer({"do": "suggest", "ct": ct, "levels": levels, "options": options})["error"]
    assert error["kind"] == "UsageError" and "levels to suggest" in error["message"]


def test_a_bundle_that_is_not_there_is_told(study):
    error = suggest(study, "nowhere")["error"]
    assert error["kind"] == "BundleError" and "nowhere" in error["message"]


def screen(study, levels, suggested):
    ct, folder = study
    message = {"do": "screen", "ct": ct, "levels": levels, "suggested": suggested, "folder": str(folder)}
    mask = np.zeros((320, 320), bool)
    mask[200:245, 130:190] = True
    np.save(folder / "mask.npy", mask)
    options = {"device": "cpu", "force": True}
    return answer({**message, "masks": {name: str(folder / "mask.npy") for name in levels}, "options": options})


def test_a_screening_puts_down_what_the_levels_rest_on(study):
    done = suggest(study)["done"]
    levels = {
        name: {"slice_index": level["slice_index"], "set_by": "suggested", "confirmed": False}
        for name, level in done["levels"].items()
    }
    done["numbering"]["levels"]["L1"]["tilt_deg"] = 25.0
    result = screen(study, levels, {"numbering": done["numbering"], "bundle": done["bundle"]})["done"]["result"]
    assert result["numbering"] == done["numbering"]
    assert result["bundles"][0] == done["bundle"]
    assert [check["message"][:22] for check in result["eligibility"] if check["check"] == "level_suggestion"] == [
        "L1 leans by 25 degrees"
    ]
    assert all(not level["confirmed"] for level in result["levels"].values())


@pytest.mark.parametrize("suggested", [{}, [], "x", {"numbering": {}, "bundle": {}}, {"numbering": 1, "bundle": 2}])
def test_a_suggestion_that_is_none_is_told(study, suggested):
    levels = {"L1": {"slice_index": 42, "set_by": "suggested", "confirmed": False}}
    error = screen(study, levels, suggested)["error"]
    assert error["kind"] == "UsageError" and "ask for one again" in error["message"]
