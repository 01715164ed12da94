"""One patient's scans on different days, as DICOM series of the phantom, with what makes them comparable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dicom_files import write_series
from phantom_ct import ORIGIN_RAS, PIXEL_MM, SLICE_MM, Phantom, make_phantom
from pydicom.uid import generate_uid

SLOPE, INTERCEPT = 0.79, -3.1
_ORIGIN_LPS = (-ORIGIN_RAS[0], -ORIGIN_RAS[1], ORIGIN_RAS[2])


def write_scan(folder: Path, phantom: Phantom | None = None, **changes: Any) -> Path:
    """Write a scan of the patient; ``changes`` are keywords of its headers, None for one that is to be left out."""
    header = {
        "PixelSpacing": [PIXEL_MM, PIXEL_MM],
        "SliceThickness": str(SLICE_MM),
        "ContrastBolusAgent": "NONE",
        "StudyInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        **changes,
    }
    write_series(folder, (phantom or make_phantom()).hu, spacing=SLICE_MM, origin=_ORIGIN_LPS, **header)
    return folder


def write_calibration(path: Path, **changes: Any) -> Path:
    """Write the scanner's calibration, with other values where they are given."""
    calibration = {
        "slope": SLOPE,
        "intercept": INTERCEPT,
        "mineral": "CaHA",
        "uncertainty_mg_cm3": 5.0,
        "scanner": "4711",
        "kvp": 120,
        "kernel": "Br38f",
        "date": "2023-01-01",
        "expires": "2029-12-31",
        **changes,
    }
    path.write_text(json.dumps(calibration))
    return path
