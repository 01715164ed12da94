"""Read DICOM: find the images, choose a series, put its slices in order, decode the ones that are needed."""

from __future__ import annotations

from .opening import dicom_series_files, open_dicom, open_dicom_files

__all__ = ["dicom_series_files", "open_dicom", "open_dicom_files"]
