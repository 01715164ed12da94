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
DecisionKind = Literal["accepted", "corrected", "discarded"]
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
    model_name: str | None = None


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


@dataclass(frozen=True)
class NumberedVertebra:
    """A vertebra that was found by itself; ``whole`` where both its endplates lie inside the scan."""

    name: str
    probability: float
    centre_ras_mm: tuple[float, float, float]
    whole: bool


@dataclass(frozen=True)
class NumberedLevel:
    """How a suggested level was found: the probability of its name, the angle between the body's axis and the slices'
    normal, and whether its slice is half-way between endplates that were seen."""

    probability: float
    tilt_deg: float
    snapped: bool


@dataclass(frozen=True)
class Numbering:
    """What counting the vertebrae of the whole scan found, where levels were to be suggested.

    vertebrae : from head to foot, with the most probable naming; empty where no name is to be trusted
    shifted : probability that everything lies one vertebra further up (-1) or down (1) than so named
    reasons : what the names rest on, in sentences
    abstains : why no name is given, a sentence; None where names are given
    levels : the levels that were suggested, by name
    """

    vertebrae: list[NumberedVertebra]
    shifted: dict[str, float]
    reasons: list[str]
    abstains: str | None
    levels: dict[str, NumberedLevel]


@dataclass(frozen=True)
class Decision:
    """What a reader made of the result.

    by : the reader, as they wrote it; at : when, ISO 8601 with the offset from UTC
    corrections : what the reader changed, such as "level L1" or "outline L2"
    """

    decision: DecisionKind
    by: str
    at: str
    corrections: list[str] = field(default_factory=list)
    comment: str = ""


@dataclass(frozen=True)
class EarlierResult:
    """An earlier result of the same patient: its date (ISO 8601) where it is known, BMD, and where it was read from."""

    date: str | None
    bmd_mg_cm3: dict[str, float]
    mineral: Literal["CaHA", "K2HPO4"]
    calibration: Literal["user", "scanner header", "nominal"]
    source: Literal["result.json", "DICOM SR"]


@dataclass(frozen=True)
class FollowUp:
    """The change since an earlier result.

    change_mg_cm3 : of every level that both have, and of "individual": this result's BMD less the earlier one's
    least_significant_change_mg_cm3 : of the individual's BMD; a smaller change may be the measurement's alone
    interval_days : None where a date is not known
    not_comparable : why the two must not be compared, sentences; empty where they may be
    """

    earlier: EarlierResult
    change_mg_cm3: dict[str, float]
    least_significant_change_mg_cm3: float
    interval_days: int | None
    not_comparable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Identity:
    """Whose study it is, as the scan says; written only where the user asked for it. Empty where the scan is silent."""

    patient_name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    study_date: str = ""
    accession_number: str = ""
    study_instance_uid: str = ""


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
    numbering: Numbering | None = None
    decisions: list[Decision] = field(default_factory=list)
    follow_up: list[FollowUp] = field(default_factory=list)
    identity: Identity | None = None
    disclaimer: str = DISCLAIMER
