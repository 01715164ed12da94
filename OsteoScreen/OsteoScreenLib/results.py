"""The result of screening one study: what `result.json` holds, as dataclasses.

Positions are RAS millimetres, attenuation is HU, BMD is mg/cm3 of the calibration's mineral.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

SCHEMA = "osteoscreen-result/1"

DISCLAIMER = (
    "Research use only. OsteoScreen is a screening aid for researchers: it is not a medical device, its values are "
    "not DXA, and a result of any kind does not exclude disease."
)

Outcome = Literal["pass", "warn", "refuse"]
SetBy = Literal["user", "segmentation", "snapped", "suggested"]
BoneStatus = Literal["normal", "osteopenia", "osteoporosis"]
#: In the order that arrays of classes and of their probabilities have everywhere.
BONE_STATUSES: tuple[BoneStatus, ...] = get_args(BoneStatus)


@dataclass(frozen=True)
class Check:
    """One eligibility check: its name, outcome, the reason and advice in words, and the value judged."""

    check: str
    outcome: Outcome
    message: str
    value: Any = None


@dataclass(frozen=True)
class Level:
    """The centre slice of a vertebral level, and who said so."""

    name: str
    z_mm: float
    slice_index: int
    set_by: SetBy
    confirmed: bool


@dataclass(frozen=True)
class InputDescription:
    """The scan that was screened; ``spacing_mm`` is (column, row, slice) spacing."""

    path: str
    kind: Literal["dicom", "nrrd", "nifti", "metaimage", "memory"]
    series_instance_uid: str | None
    sha256: str
    slices: int
    spacing_mm: tuple[float, float, float]
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    kernel: str | None = None
    contrast: bool | None = None
    manufacturer: str | None = None
    age_years: float | None = None
    sex: str | None = None


@dataclass(frozen=True)
class RoiMeasures:
    """What one outlined slice measures; the unprefixed statistics are inside the inset outline."""

    mean_hu: float
    median_hu: float
    sd_hu: float
    pixels: int
    inset_mm: float
    area_mm2: float
    outline_area_mm2: float
    outline_mean_hu: float
    circle_mean_hu: float | None
    circle_area_mm2: float
    circle_centre_ras_mm: tuple[float, float, float] | None
    outline_ras_mm: list[tuple[float, float]]
    centroid_ras_mm: tuple[float, float, float]
    confidence: float
    mask_source: Literal["model", "user"]


@dataclass(frozen=True)
class Calibration:
    """A line from HU to BMD: ``bmd = slope * hu + intercept``, and where it comes from."""

    source: Literal["user", "scanner header", "nominal"]
    slope: float
    intercept: float
    mineral: Literal["CaHA", "K2HPO4"]
    uncertainty_mg_cm3: float
    description: str = ""


@dataclass(frozen=True)
class Densitometry:
    """BMD of each level and of the individual (their mean), and the QCT category of the individual."""

    calibration: Calibration
    bmd_mg_cm3: dict[str, float]
    category: BoneStatus
    kvp_factor: float = 1.0


@dataclass(frozen=True)
class Classification:
    """The classifier's opinion, or why there is none (then ``category`` is None)."""

    model: Literal["model1", "model2"] | None
    probabilities: dict[str, float] | None
    category: BoneStatus | None
    reason: str | None = None


@dataclass(frozen=True)
class BundleUse:
    """A model bundle that took part."""

    role: Literal["segmentation", "classification", "localisation"]
    name: str
    version: str
    sha256: str


@dataclass
class ScreeningResult:
    """Everything that screening one study found; ``result.json`` is written by :mod:`OsteoScreenLib.results_io`."""

    status: Literal["screened", "refused"]
    input: InputDescription
    eligibility: list[Check] = field(default_factory=list)
    levels: dict[str, Level] = field(default_factory=dict)
    roi: dict[str, RoiMeasures] = field(default_factory=dict)
    densitometry: Densitometry | None = None
    classification: Classification | None = None
    agreement: bool | None = None
    bundles: list[BundleUse] = field(default_factory=list)
    software: dict[str, str] = field(default_factory=dict)
    timing_s: dict[str, float] = field(default_factory=dict)
    disclaimer: str = DISCLAIMER
