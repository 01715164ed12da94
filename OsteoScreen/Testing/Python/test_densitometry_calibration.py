"""From HU to BMD: which line is used, whether it fits the scan, and the categories' exact borders."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from OsteoScreenLib.ct.acquisition import Acquisition, SiemensOsteo
from OsteoScreenLib.densitometry import (
    bmd,
    choose_calibration,
    densitometry,
    kvp_factor,
    load_calibration,
    qct_category,
)
from OsteoScreenLib.densitometry.calibration import NOMINAL_INTERCEPT, NOMINAL_SLOPE
from OsteoScreenLib.errors import InputError, StudyRefused, UsageError
from OsteoScreenLib.results import Calibration, RoiMeasures

GOOD: dict[str, Any] = {
    "slope": 0.8,
    "intercept": -3.0,
    "mineral": "K2HPO4",
    "uncertainty_mg_cm3": 5.0,
    "scanner": "SOMATOM Force",
    "kvp": 120,
    "kernel": "Br40",
    "date": "2024-01-10",
    "expires": "2025-01-10",
}
SCAN = {
    "kvp": 120.0,
    "model_name": "SOMATOM Force",
    "manufacturer": "SIEMENS",
    "kernel": "Br40",
    "study_date": date(2024, 6, 1),
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(**changes: Any) -> Path:
        document = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
        path = tmp_path / "calibration.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return written


def roi(mean_hu: float) -> RoiMeasures:
    corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)]
    return RoiMeasures(
        mean_hu, mean_hu, 30.0, 900, 2.0, 800.0, 1000.0, mean_hu, None, 200.0, None, corners, (0, 0, 0), 1.0, "model"
    )


@pytest.mark.parametrize(
    ("value", "category"),
    [
        (79.999, "osteoporosis"),
        (80.0, "osteopenia"),
        (120.0, "osteopenia"),
        (120.001, "normal"),
        (-20.0, "osteoporosis"),
        (300.0, "normal"),
    ],
)
def test_category_borders_are_on_unrounded_values(value: float, category: str) -> None:
    assert qct_category(value) == category


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_category_without_a_number(value: float) -> None:
    with pytest.raises(UsageError):
        qct_category(value)


@given(st.floats(-200.0, 500.0), st.floats(-200.0, 500.0))
def test_category_never_gets_worse_with_more_bone(one: float, other: float) -> None:
    order = ["osteoporosis", "osteopenia", "normal"]
    low, high = sorted((one, other))
    assert order.index(qct_category(low)) <= order.index(qct_category(high))


@given(
    st.floats(-100.0, 400.0),
    st.floats(-100.0, 400.0),
    st.floats(0.0, 1.0),
    st.floats(0.3, 2.0),
    st.floats(-30.0, 30.0),
    st.sampled_from([100.0, 120.0, 140.0]),
)
def test_bmd_is_linear_and_grows_with_hu(
    one: float, other: float, part: float, slope: float, intercept: float, kvp: float
) -> None:
    line = Calibration("user", slope, intercept, "CaHA", 5.0)
    factor = kvp_factor(kvp)
    between = bmd(part * one + (1 - part) * other, line, factor)
    assert between == pytest.approx(part * bmd(one, line, factor) + (1 - part) * bmd(other, line, factor), abs=1e-6)
    if one < other:
        assert bmd(one, line, factor) <= bmd(other, line, factor)


@pytest.mark.parametrize(("hu", "caha"), [(41, 50), (114, 100), (187, 150), (261, 200)])
def test_nominal_line_returns_the_tables_bmd(hu: float, caha: float) -> None:
    assert NOMINAL_SLOPE * hu + NOMINAL_INTERCEPT == pytest.approx(caha, abs=0.5)


@pytest.mark.parametrize(("kvp", "factor"), [(120, 1.0), (100, 0.927), (140, 1.053)])
def test_kvp_factors(kvp: float, factor: float) -> None:
    assert kvp_factor(kvp) == factor


@pytest.mark.parametrize("kvp", [80, 70, 110, 130, 0, float("nan")])
def test_no_factor_is_invented(kvp: float) -> None:
    with pytest.raises(StudyRefused, match="No factor is known"):
        kvp_factor(kvp)


def test_nominal_line_is_named_with_its_uncertainty_and_warned_of() -> None:
    found, checks = densitometry({"L1": roi(114.0), "L2": roi(187.0)}, Acquisition(kvp=120.0))
    assert found.calibration.source == "nominal"
    assert found.calibration.mineral == "CaHA"
    assert found.calibration.uncertainty_mg_cm3 == 20.0
    assert found.kvp_factor == 1.0
    assert found.bmd_mg_cm3["individual"] == pytest.approx((found.bmd_mg_cm3["L1"] + found.bmd_mg_cm3["L2"]) / 2)
    assert found.bmd_mg_cm3["individual"] == pytest.approx(125.0, abs=0.5)
    assert found.category == "normal"
    assert [(check.check, check.outcome) for check in checks] == [("calibration", "warn")]
    assert "±20 mg/cm³" in checks[0].message


def test_l1_alone_is_the_individual() -> None:
    found, _ = densitometry({"L1": roi(114.0)}, Acquisition(kvp=120.0))
    assert found.bmd_mg_cm3 == {"L1": found.bmd_mg_cm3["L1"], "individual": found.bmd_mg_cm3["L1"]}
    assert found.category == "osteopenia"


def test_individual_needs_l1() -> None:
    with pytest.raises(UsageError, match="L1"):
        densitometry({"L2": roi(114.0)}, Acquisition(kvp=120.0))


@pytest.mark.parametrize(("kvp", "factor"), [(100.0, 0.927), (140.0, 1.053)])
def test_kvp_is_corrected_and_said(kvp: float, factor: float) -> None:
    found, checks = densitometry({"L1": roi(100.0)}, Acquisition(kvp=kvp))
    assert found.kvp_factor == factor
    assert found.bmd_mg_cm3["L1"] == pytest.approx(NOMINAL_SLOPE * 100.0 * factor + NOMINAL_INTERCEPT)
    assert ("kvp_correction", "warn") in [(check.check, check.outcome) for check in checks]


def test_unknown_kvp_is_not_taken_as_normal_silently() -> None:
    found, checks = densitometry({"L1": roi(100.0)}, Acquisition())
    assert found.kvp_factor == 1.0
    assert ("kvp_correction", "warn") in [(check.check, check.outcome) for check in checks]


def test_80_kvp_has_no_bmd_without_its_own_calibration(write: Write) -> None:
    scan = Acquisition(**{**SCAN, "kvp": 80.0})
    with pytest.raises(StudyRefused):
        densitometry({"L1": roi(100.0)}, scan)
    found, checks = densitometry({"L1": roi(100.0)}, scan, load_calibration(write(kvp=80)))
    assert found.bmd_mg_cm3["L1"] == pytest.approx(77.0)
    assert {check.outcome for check in checks} == {"pass"}


def test_scanners_own_line_goes_before_the_nominal() -> None:
    scan = Acquisition(kvp=120.0, osteo=SiemensOsteo(0.9179, -0.21, 3))
    found, checks = densitometry({"L1": roi(100.0)}, scan)
    assert found.calibration.source == "scanner header"
    assert found.calibration.mineral == "CaHA"
    assert found.calibration.uncertainty_mg_cm3 == 10.0
    assert found.bmd_mg_cm3["L1"] == pytest.approx(91.58)
    assert [check.outcome for check in checks] == ["pass"]


@pytest.mark.parametrize("slope", [0.0, -0.9, 92.0, float("nan")])
def test_impossible_header_line_is_not_used_and_said(slope: float) -> None:
    line, checks = choose_calibration(Acquisition(kvp=120.0, osteo=SiemensOsteo(slope, 0.0)))
    assert line.source == "nominal"
    assert checks[0].outcome == "warn"
    assert "slope" in checks[0].message


def test_users_line_goes_before_all(write: Write) -> None:
    user = load_calibration(write())
    scan = Acquisition(**SCAN, osteo=SiemensOsteo(0.92, -1.0))
    found, checks = densitometry({"L1": roi(100.0)}, scan, user)
    assert found.calibration.source == "user"
    assert found.calibration.mineral == "K2HPO4"
    assert found.calibration.uncertainty_mg_cm3 == 5.0
    assert found.bmd_mg_cm3["L1"] == pytest.approx(77.0)
    assert [(check.check, check.outcome) for check in checks] == [("calibration", "pass")]


@pytest.mark.parametrize("scanner", ["somatom  force", "SIEMENS SOMATOM Force", "CT-4711"])
def test_scanner_is_named_by_model_maker_or_number(write: Write, scanner: str) -> None:
    user = load_calibration(write(scanner=scanner))
    _, checks = choose_calibration(Acquisition(**SCAN, scanner_id="CT-4711"), user)
    assert [check.outcome for check in checks] == ["pass"]


@pytest.mark.parametrize(
    ("change", "check", "outcome"),
    [
        ({"kvp": 100.0}, "calibration_kvp", "refuse"),
        ({"kvp": None}, "calibration_kvp", "warn"),
        ({"model_name": "Revolution CT", "manufacturer": "GE"}, "calibration_scanner", "refuse"),
        ({"model_name": None, "manufacturer": None}, "calibration_scanner", "warn"),
        ({"kernel": "Br64"}, "calibration_kernel", "warn"),
        ({"kernel": None}, "calibration_kernel", "warn"),
        ({"study_date": date(2025, 1, 11)}, "calibration_date", "refuse"),
        ({"study_date": date(2023, 12, 1)}, "calibration_date", "warn"),
        ({"study_date": None}, "calibration_date", "warn"),
    ],
)
def test_calibration_that_does_not_fit_is_said(write: Write, change: dict[str, Any], check: str, outcome: str) -> None:
    _, checks = choose_calibration(Acquisition(**{**SCAN, **change}), load_calibration(write()))
    assert [(found.check, found.outcome) for found in checks] == [(check, outcome)]
    assert checks[0].message.endswith(".")


def test_last_day_is_still_good(write: Write) -> None:
    scan = Acquisition(**{**SCAN, "study_date": date(2025, 1, 10)})
    assert [check.outcome for check in choose_calibration(scan, load_calibration(write()))[1]] == ["pass"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"slope": ...}, "slope"),
        ({"slope": 0}, "slope"),
        ({"slope": "0.8"}, "slope"),
        ({"slope": True}, "slope"),
        ({"intercept": float("nan")}, "NaN"),
        ({"intercept": float("inf")}, "Infinity"),
        ({"mineral": "calcium"}, "mineral"),
        ({"sloep": 0.8}, "sloep"),
        ({"kvp": -120}, "kvp"),
        ({"expires": "soon"}, "expires"),
        ({"expires": "2024-02-30"}, "no date"),
        ({"expires": "2023-01-01"}, "expires before"),
        ({"scanner": ""}, "scanner"),
        ({"uncertainty_mg_cm3": ...}, "uncertainty_mg_cm3"),
    ],
)
def test_faulty_file_is_refused_with_the_reason(write: Write, change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_calibration(write(**change))


@pytest.mark.parametrize("content", [b"", b"slope: 0.8", b"[]", b"\xff\xfe\x00", b"{" * 100_000, b"null"])
def test_what_is_no_calibration_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calibration.json"
    path.write_bytes(content)
    with pytest.raises(InputError):
        load_calibration(path)


def test_missing_file_or_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_calibration(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read"):
        load_calibration(tmp_path)
