"""`result.json`: what it holds, that it comes back, and that nothing invalid is written."""

from __future__ import annotations

import copy
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from OsteoScreenLib.densitometry import calibration_schema
from OsteoScreenLib.errors import InputError, OsteoScreenError
from OsteoScreenLib.models import bundle_schema
from OsteoScreenLib.results import (
    SCHEMA,
    BundleUse,
    Calibration,
    Check,
    Classification,
    Densitometry,
    InputDescription,
    Level,
    RoiMeasures,
    ScreeningResult,
)
from OsteoScreenLib.results_io import from_dict, read_result, result_schema, to_dict, write_result

INPUT = InputDescription("ct", "dicom", "1.2.3", "ab" * 32, 120, (0.7, 0.7, 2.0), 120.0, 2.0, "B31f", False, "SIEMENS")
SQUARE = [(0.0, 0.0), (30.0, 0.0), (30.0, 30.0), (0.0, 30.0), (0.0, 0.0)]


def roi(mean_hu: float = 110.0) -> RoiMeasures:
    return RoiMeasures(
        mean_hu=mean_hu,
        median_hu=109.0,
        sd_hu=35.0,
        pixels=900,
        inset_mm=2.0,
        area_mm2=800.0,
        outline_area_mm2=1000.0,
        outline_mean_hu=125.0,
        circle_mean_hu=None,
        circle_area_mm2=200.0,
        circle_centre_ras_mm=None,
        outline_ras_mm=SQUARE,
        centroid_ras_mm=(15.0, 15.0, -300.0),
        confidence=0.97,
        mask_source="model",
    )


def screened() -> ScreeningResult:
    return ScreeningResult(
        status="screened",
        input=INPUT,
        eligibility=[
            Check("kvp", "pass", "120 kVp.", 120.0),
            Check("contrast", "warn", "Not said.", None),
            Check("spacing", "pass", "Even.", [2.0, 2.0]),
        ],
        levels={name: Level(name, z, k, "user", True) for name, z, k in (("L1", -300.0, 40), ("L2", -335.0, 22))},
        roi={"L1": roi(), "L2": replace(roi(), circle_mean_hu=98.0, circle_centre_ras_mm=(15.0, 18.0, -335.0))},
        densitometry=Densitometry(
            Calibration("nominal", 0.68, 22.0, "CaHA", 20.0, "Nominal line"),
            {"L1": 97.0, "L2": 99.0, "individual": 98.0},
            "osteopenia",
        ),
        classification=Classification(None, None, None, "No classification bundle is installed."),
        bundles=[BundleUse("segmentation", "study-segmentation", "1.0.0", "cd" * 32)],
        software={"osteoscreen": "0.1.0", "torch": "2.5", "device": "cpu"},
        timing_s={"read": 0.4, "segment": 0.5, "classify": 0.0, "total": 1.0},
    )


def refused() -> ScreeningResult:
    return ScreeningResult(
        status="refused",
        input=replace(INPUT, kvp=None, contrast=True),
        eligibility=[Check("contrast", "refuse", "The scan is enhanced; take an unenhanced one.", True)],
    )


def test_keys_are_those_of_the_design() -> None:
    document = to_dict(screened())
    assert set(document) >= {
        *("schema", "status", "input", "eligibility", "levels", "roi", "densitometry", "classification", "agreement"),
        *("bundles", "software", "timing_s", "disclaimer"),
    }
    assert document["schema"] == SCHEMA == "osteoscreen-result/1"
    assert set(document["levels"]["L1"]) == {"z_mm", "slice_index", "set_by", "confirmed"}
    assert set(document["eligibility"][0]) == {"check", "outcome", "message", "value"}
    assert set(document["roi"]["L1"]) >= {
        *("mean_hu", "median_hu", "sd_hu", "pixels", "inset_mm", "outline_area_mm2", "outline_mean_hu"),
        *("circle_mean_hu", "circle_area_mm2", "outline_ras_mm", "centroid_ras_mm", "confidence", "mask_source"),
    }
    assert set(document["densitometry"]["bmd_mg_cm3"]) == {"L1", "L2", "individual"}
    assert document["agreement"] is None
    assert document["classification"]["reason"]


@pytest.mark.parametrize("schema", [result_schema, bundle_schema, calibration_schema])
def test_schemas_are_schemas(schema: Any) -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("result", [screened(), refused()], ids=["screened", "refused"])
def test_written_result_comes_back(result: ScreeningResult, tmp_path: Path) -> None:
    path = write_result(result, tmp_path / "new" / "result.json")
    assert read_result(path) == result
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]
    Draft202012Validator(result_schema()).validate(json.loads(path.read_text(encoding="utf-8")))


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-1000.0, 3000.0),
    st.floats(0.0, 1.0),
    st.lists(st.tuples(st.floats(-500, 500), st.floats(-500, 500)), min_size=4, max_size=20),
)
def test_any_finite_measures_come_back(mean: float, confidence: float, points: list[tuple[float, float]]) -> None:
    result = screened()
    result.roi["L1"] = replace(roi(mean), confidence=confidence, outline_ras_mm=points)
    assert from_dict(json.loads(json.dumps(to_dict(result)))) == result


def test_classifiers_opinion_comes_back() -> None:
    result = screened()
    probabilities = {"normal": 0.1, "osteopenia": 0.8, "osteoporosis": 0.1}
    result.classification = Classification("model1", probabilities, "osteopenia")
    result.agreement = True
    assert from_dict(to_dict(result)) == result


def test_numbers_of_numpy_are_plain_numbers() -> None:
    result = screened()
    result.roi["L1"] = replace(roi(), mean_hu=np.float32(110.5), pixels=np.int64(900))
    result.eligibility = [Check("metal", "pass", "None.", {"pixels": np.int32(0), "share": np.array([0.5])})]
    document = json.loads(json.dumps(to_dict(result)))
    assert document["roi"]["L1"]["mean_hu"] == 110.5
    assert document["eligibility"][0]["value"] == {"pixels": 0, "share": [0.5]}


def test_keys_of_later_versions_are_ignored() -> None:
    document = to_dict(screened())
    document["new"] = document["roi"]["L1"]["new"] = document["input"]["new"] = 1
    assert from_dict(document) == screened()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), np.float32("nan")])
def test_number_that_is_not_finite_is_not_written(number: float, tmp_path: Path) -> None:
    result = screened()
    result.roi["L2"] = replace(roi(), sd_hu=number)
    with pytest.raises(OsteoScreenError, match=r"roi\.L2\.sd_hu is not a finite number"):
        write_result(result, tmp_path / "result.json")
    result = screened()
    result.eligibility.append(Check("noise", "warn", "Unknown.", [1.0, number]))
    with pytest.raises(OsteoScreenError, match=r"eligibility\[3\]\.value\[1\]"):
        write_result(result, tmp_path / "result.json")
    assert list(tmp_path.iterdir()) == []


def spoil(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    spoiled = copy.deepcopy(document)
    *parents, last = path.split("/")
    place: Any = spoiled
    for key in parents:
        place = place[int(key) if isinstance(place, list) else key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return spoiled


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "osteoscreen-result/2"),
        ("schema", ...),
        ("status", "done"),
        ("input", ...),
        ("input/spacing_mm", [1.0, 2.0]),
        ("eligibility/0/outcome", "maybe"),
        ("levels/L1", ...),
        ("levels/L1/set_by", "guess"),
        ("levels/L1/slice_index", 1.5),
        ("roi/L1", ...),
        ("roi/L1/mean_hu", None),
        ("roi/L1/pixels", 0),
        ("roi/L1/confidence", 1.1),
        ("roi/L1/mask_source", "atlas"),
        ("densitometry/category", "fine"),
        ("densitometry/bmd_mg_cm3/individual", ...),
        ("densitometry/calibration/mineral", "calcium"),
        ("classification/reason", None),
        ("classification/category", "normal"),
        ("agreement", True),
        ("agreement", "yes"),
        ("bundles/0/sha256", "short"),
        ("disclaimer", ""),
    ],
)
def test_document_against_the_schema_is_refused(path: str, value: Any) -> None:
    with pytest.raises(InputError, match="not a valid OsteoScreen result"):
        from_dict(spoil(to_dict(screened()), path, value))


def test_refused_study_must_say_why(tmp_path: Path) -> None:
    result = refused()
    result.eligibility = [Check("kvp", "pass", "120 kVp.", 120)]
    with pytest.raises(OsteoScreenError, match="does not follow its schema"):
        write_result(result, tmp_path / "result.json")
    assert list(tmp_path.iterdir()) == []


def test_forced_study_keeps_its_refusals() -> None:
    result = screened()
    result.eligibility.append(Check("kvp", "refuse", "80 kVp.", 80.0))
    result.densitometry = None
    assert from_dict(to_dict(result)) == result


def test_earlier_result_survives_a_failed_write(tmp_path: Path) -> None:
    path = write_result(screened(), tmp_path / "result.json")
    before = path.read_bytes()
    bad = screened()
    bad.roi["L1"] = replace(roi(), mean_hu=float("nan"))
    with pytest.raises(OsteoScreenError):
        write_result(bad, path)
    assert path.read_bytes() == before
    write_result(refused(), path)
    assert read_result(path).status == "refused"


def test_unwritable_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OsteoScreenError, match="cannot be written"):
        write_result(screened(), tmp_path / "file" / "result.json")
    (tmp_path / "result.json").mkdir()
    with pytest.raises(OsteoScreenError, match="cannot be written"):
        write_result(screened(), tmp_path / "result.json")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "result.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_result_is_as_readable_as_any_new_file(tmp_path: Path) -> None:
    path = write_result(screened(), tmp_path / "result.json")
    (tmp_path / "plain").write_text("", encoding="utf-8")
    assert path.stat().st_mode == os.stat(tmp_path / "plain").st_mode


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": NaN}', b"[" * 100_000])
def test_what_is_no_result_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(InputError):
        read_result(path)


def test_a_measure_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = write_result(screened(), tmp_path / "result.json")
    text = path.read_text(encoding="utf-8")
    value = json.loads(text)["roi"]["L1"]["mean_hu"]
    path.write_text(text.replace(f'"mean_hu": {value}', '"mean_hu": NaN', 1), encoding="utf-8")
    with pytest.raises(InputError, match="NaN is not a JSON number"):
        read_result(path)


def test_missing_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_result(tmp_path / "none.json")


def test_text_beyond_ascii_comes_back(tmp_path: Path) -> None:
    result = screened()
    result.eligibility = [Check("kernel", "warn", "Kernel “I30f” ± 骨.", "骨")]
    assert read_result(write_result(result, tmp_path / "result.json")) == result
