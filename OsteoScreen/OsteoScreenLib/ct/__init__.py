"""Read a CT, describe its acquisition, judge its eligibility."""

from __future__ import annotations

from .acquisition import Acquisition, SiemensOsteo, acquisition_from_dict, acquisition_to_dict
from .dicom import dicom_series_files, open_dicom_files
from .geometry import Geometry
from .memory import ct_from_array
from .opening import open_ct
from .study import CT, OUTSIDE_HU

__all__ = [
    "CT",
    "OUTSIDE_HU",
    "Acquisition",
    "Geometry",
    "SiemensOsteo",
    "acquisition_from_dict",
    "acquisition_to_dict",
    "ct_from_array",
    "dicom_series_files",
    "open_ct",
    "open_dicom_files",
]
