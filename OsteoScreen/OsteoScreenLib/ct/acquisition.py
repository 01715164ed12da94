"""How a CT was acquired: what its header says, and None for what it does not say. No names, no identifiers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class SiemensOsteo:
    """The scanner's own calibration: BMD (CaHA, mg/cm3) = slope * HU + intercept.

    Source: Siemens private block "SIEMENS CT VA0  COAD", elements xx90 offset, xx92 slope, xx93 intercept, xx96
    phantom number, read from real headers (shared reference notes on the field).
    """

    slope: float
    intercept: float
    phantom: int | None = None
    offset: float | None = None


@dataclass(frozen=True)
class Acquisition:
    """What the header says of the acquisition; None (or an empty tuple) is "not said", never "normal".

    ``contrast`` is True or False only where the header says so. ``kvp`` in kV, lengths in mm, ``tube_current_mas`` in
    mAs (exposure), angles in degrees. ``scanner_id`` is the device's serial number, or else its station name.
    ``sex`` is "F", "M" or "O" as in DICOM.
    """

    modality: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    kernel: str | None = None
    contrast: bool | None = None
    contrast_agent: str | None = None
    manufacturer: str | None = None
    model_name: str | None = None
    scanner_id: str | None = None
    age_years: float | None = None
    sex: str | None = None
    study_date: date | None = None
    series_description: str | None = None
    patient_position: str | None = None
    tube_current_mas: float | None = None
    gantry_tilt_deg: float | None = None
    reconstruction_diameter_mm: float | None = None
    image_type: tuple[str, ...] = ()
    photometric: str | None = None
    rescale_type: str | None = None
    body_part: str | None = None
    osteo: SiemensOsteo | None = None
