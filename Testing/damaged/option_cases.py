"""Calibration, age and device."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from .table import INPUT, LEVELS, REFUSED, SCREENED, USAGE, Sources, case, measured, write_text

CALIBRATION = {
    "slope": 0.8, "intercept": -5.0, "mineral": "K2HPO4", "uncertainty_mg_cm3": 6.0, "scanner": "Simulated",
    "kvp": 120, "kernel": "Br38f", "date": "2024-01-01", "expires": "2025-01-01",
}  # fmt: skip


def calibrated(**changes) -> Callable[[Sources, Path], list[str]]:
    def words(sources: Sources, folder: Path) -> list[str]:
        document = {key: value for key, value in {**CALIBRATION, **changes}.items() if value is not None}
        (folder / "calibration.json").write_text(json.dumps(document))
        return measured(sources.dicom, sources, "--calibration", str(folder / "calibration.json"))

    return words


def calibration_text(text: str) -> Callable[[Sources, Path], list[str]]:
    return lambda sources, folder: measured(
        sources.dicom, sources, "--calibration", str(write_text(folder, "calibration.json", text))
    )


case("calibration as it should be", SCREENED, "")(calibrated())
case("calibration that is no JSON", INPUT, "JSON")(calibration_text("slope = 0.8"))
case("calibration nested without end", INPUT, "JSON|valid")(calibration_text("[" * 100_000))
case("calibration without a slope", INPUT, "slope")(calibrated(slope=None))
case("calibration with a slope of zero", INPUT, "slope")(calibrated(slope=0))
case("calibration that is no number", INPUT, "JSON|NaN|number")(calibrated(slope=float("nan")))
case("calibration of an unknown mineral", INPUT, "mineral")(calibrated(mineral="chalk"))
case("calibration with an impossible date", INPUT, "date")(calibrated(date="2024-02-31"))
case("calibration that has expired", REFUSED, "expired")(calibrated(expires="2024-02-01"))
case("calibration of another kVp", REFUSED, "kvp")(calibrated(kvp=100))
case("calibration of another scanner", REFUSED, "scanner")(calibrated(scanner="Other 16"))


@case("calibration that is not there", INPUT, "calibration")
def _(sources, folder):
    return measured(sources.dicom, sources, "--calibration", str(folder / "none.json"))


@case("age below zero", USAGE, "age")
def _(sources, folder):
    return measured(sources.nifti, sources, "--age=-3")


@case("age that is no number", USAGE, "age")
def _(sources, folder):
    return measured(sources.nifti, sources, "--age", "nan")


@case("device that is not there", USAGE, "cuda|device")
def _(sources, folder):
    if torch.cuda.is_available():
        pytest.skip("this computer has CUDA")
    return [str(sources.nifti), *LEVELS, "--segmentation-model", str(sources.bundle), "--device", "cuda"]
