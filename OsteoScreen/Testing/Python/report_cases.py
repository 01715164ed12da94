"""Results as screening leaves them, of a study of a noisy cylinder, for the tests of every report."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from OsteoScreenLib.reports import LevelPicture, StudyPictures, sagittal_picture
from OsteoScreenLib.results import (
    BundleUse,
    Calibration,
    Check,
    Classification,
    Decision,
    Densitometry,
    EarlierResult,
    FollowUp,
    InputDescription,
    Level,
    NumberedLevel,
    NumberedVertebra,
    Numbering,
    RoiMeasures,
    ScreeningResult,
)

SIZE, SLICES = 192, 24
IJK_TO_RAS = np.array([[-0.9, 0, 0, 86.0], [0, -0.9, 0, 86.0], [0, 0, 4.0, -400.0], [0, 0, 0, 1]], dtype=float)


def slice_hu(k: int) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    away = np.hypot(columns - 96, rows - 96) * 0.9
    hu = np.where(away < 22, 110.0, np.where(away < 24, 500.0, np.where(away < 80, 40.0, -1000.0)))
    return (hu + np.random.default_rng(k).normal(0, 20, hu.shape)).astype(np.float32)


def picture(name: str, k: int, outlined: bool = True) -> LevelPicture:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    probability = np.clip(0.5 + (22 - np.hypot(columns - 96, rows - 96) * 0.9) / 4, 0, 1).astype(np.float32)
    drawn = (probability > 0.5, probability) if outlined else (None, None)
    return LevelPicture(name, k, slice_hu(k), IJK_TO_RAS, *drawn)


def roi(mean_hu: float) -> RoiMeasures:
    turn = np.linspace(0, 2 * math.pi, 90, endpoint=False)
    ring = [(-0.4 + 22 * math.cos(angle), -0.4 + 22 * math.sin(angle)) for angle in turn]
    return RoiMeasures(
        mean_hu=mean_hu, median_hu=mean_hu - 1, sd_hu=20.25, pixels=1500, inset_mm=2.0, area_mm2=1256.0,
        outline_area_mm2=1520.0, outline_mean_hu=mean_hu + 13, circle_mean_hu=mean_hu - 7, circle_area_mm2=200.0,
        circle_centre_ras_mm=(-0.4, 3.0, -360.0), outline_ras_mm=ring, centroid_ras_mm=(-0.4, -0.4, -360.0),
        confidence=0.91, mask_source="model",
    )  # fmt: skip


def screened() -> ScreeningResult:
    return ScreeningResult(
        status="screened",
        input=InputDescription(
            path="/archive/DOE^JANE/ct", kind="dicom", series_instance_uid="1.2.826.0.1.99", sha256="ab" * 32,
            slices=SLICES, spacing_mm=(0.9, 0.9, 4.0), kvp=140.0, slice_thickness_mm=4.0, kernel="B31f",
            contrast=None, manufacturer="SIEMENS", age_years=69.0, sex="F",
        ),
        eligibility=[
            Check("age", "pass", "The patient is an adult.", 69.0),
            Check("kvp", "warn", "Made with 140 kVp; prefer a series at 120 kVp.", 140.0),
        ],
        levels={"L1": Level("L1", -320.0, 20, "user", True), "L2": Level("L2", -360.0, 10, "snapped", True)},
        roi={"L1": roi(109.2), "L2": roi(116.4)},
        densitometry=Densitometry(
            Calibration("scanner header", 0.9236, -1.6565, "CaHA", 12.0, "Siemens Osteo tags"),
            {"L1": 104.5, "L2": 111.6, "individual": 108.1},
            "osteopenia",
            1.053,
        ),
        classification=Classification(None, None, None, "No classification bundle is installed."),
        bundles=[BundleUse("segmentation", "study-segmentation", "1.0.0", "cd" * 32)],
        software={"osteoscreen": "0.1.0", "torch": "2.13", "device": "cpu"},
        timing_s={"read": 0.4, "segment": 0.7, "classify": 0.0, "total": 1.15},
    )  # fmt: skip


def pictures() -> StudyPictures:
    sagittal = sagittal_picture({k: slice_hu(k) for k in range(0, SLICES, 2)}, IJK_TO_RAS, 96)
    return StudyPictures({"L1": picture("L1", 20), "L2": picture("L2", 10)}, sagittal)


def unconfirmed() -> ScreeningResult:
    result = screened()
    result.levels["L1"] = dataclasses.replace(result.levels["L1"], set_by="suggested", confirmed=False)
    result.classification = Classification(
        "model1", {"normal": 0.11, "osteopenia": 0.64, "osteoporosis": 0.25}, "osteopenia"
    )
    result.agreement = True
    return result


def disagreeing() -> ScreeningResult:
    result = screened()
    result.eligibility += [
        Check("confidence_L2", "warn", "The outline of L2 is doubtful (confidence 0.41); look at it.", 0.41),
        Check("noise_L1", "warn", "Noise of 60 HU.", 60.0),
        Check("calibration", "pass", "BMD by the scanner's own line.", "scanner header"),
    ]
    result.roi["L2"] = dataclasses.replace(result.roi["L2"], confidence=0.41)
    result.classification = Classification(
        "model2", {"normal": 0.51, "osteopenia": 0.38, "osteoporosis": 0.11}, "normal"
    )
    result.agreement = False
    return result


def refused() -> ScreeningResult:
    result = screened()
    result.status = "refused"
    result.roi, result.densitometry, result.bundles = {}, None, []
    result.eligibility.append(Check("kvp", "refuse", "Made with 80 kVp; screen a series at 120 kVp instead.", 80.0))
    return result


def refused_before_reading() -> ScreeningResult:
    blank = InputDescription("x", "nifti", None, "", 0, (0.0, 0.0, 0.0))
    return ScreeningResult("refused", blank, [Check("geometry", "refuse", "The slices have gaps.")])


def suggested() -> ScreeningResult:
    """Both levels suggested and none confirmed, with what counting the vertebrae found."""
    result = unconfirmed()
    result.levels = {
        name: dataclasses.replace(level, set_by="suggested", confirmed=False) for name, level in result.levels.items()
    }
    vertebrae = [NumberedVertebra(f"T{n}", 0.97, (0.0, 0.0, -300.0 + 24.0 * (12 - n)), n > 4) for n in range(4, 13)] + [
        NumberedVertebra(f"L{n}", 0.96, (0.0, 0.0, -300.0 - 24.0 * n), n < 3) for n in range(1, 4)
    ]
    result.numbering = Numbering(
        vertebrae,
        {"-1": 0.02, "1": 0.01},
        ["The lowest ribs end at T12.", "Nine thoracic vertebrae with ribs are seen."],
        None,
        {"L1": NumberedLevel(0.96, 3.0, True), "L2": NumberedLevel(0.96, 4.0, True)},
    )
    return result


def abstained() -> ScreeningResult:
    """Refused, because no level could be suggested."""
    result = refused()
    why = "The vertebrae cannot be counted, because neither the ribs nor the sacrum are seen."
    result.levels = {}
    result.eligibility = [Check("level_suggestion", "refuse", f"L1 could not be suggested. {why}", "L1")]
    result.numbering = Numbering([], {}, [], why, {})
    return result


def decided(kind: str = "accepted", by: str = "Dr. A. Reader", comment: str = "") -> ScreeningResult:
    result = screened()
    changes = ["level L1"] if kind == "corrected" else []
    result.decisions = [Decision(kind, by, "2026-11-26T10:15:00+01:00", changes, comment)]  # type: ignore[arg-type]
    return result


def followed_up() -> ScreeningResult:
    """Compared with a result of a year before, and with one that is not comparable."""
    result = decided("accepted")
    bmd = {"L1": 120.5, "L2": 125.1, "individual": 122.8}
    result.follow_up = [
        FollowUp(
            EarlierResult("2020-01-01", bmd, "K2HPO4", "nominal", "DICOM SR"),
            {"L1": -16.0, "L2": -13.5, "individual": -14.7}, 8.3, 2200,
            ["The two were calibrated for different minerals."],
        ),
        FollowUp(
            EarlierResult("2025-11-20", bmd, "CaHA", "scanner header", "result.json"),
            {"L1": -16.0, "L2": -13.5, "individual": -14.7}, 8.3, 371,
        ),
    ]  # fmt: skip
    return result


def poisoned(text: str) -> ScreeningResult:
    """The text in the place of every text that a header, a bundle or a check brings."""
    result = unconfirmed()
    result.input = dataclasses.replace(
        result.input, kernel=text, manufacturer=text, sex=text, series_instance_uid=text, sha256=text
    )
    result.eligibility = [Check(text, "warn", text, {text: [text, True, 1.5]}), Check("kvp", "refuse", text, text)]
    result.bundles = [BundleUse("segmentation", text, text, text)]
    result.software = {text: text}
    result.classification = Classification(None, None, None, text)
    return result


CASES = {
    "screened": (screened, pictures),
    "unconfirmed": (unconfirmed, pictures),
    "disagreeing": (disagreeing, pictures),
    "refused": (refused, lambda: StudyPictures({"L1": picture("L1", 20, outlined=False)})),
    "refused before reading": (refused_before_reading, StudyPictures),
    "suggested": (suggested, pictures),
    "abstained": (abstained, StudyPictures),
    "accepted": (decided, pictures),
    "corrected": (lambda: decided("corrected", comment="L1 was one too low."), pictures),
    "discarded": (lambda: decided("discarded"), pictures),
    "followed up": (followed_up, pictures),
}
