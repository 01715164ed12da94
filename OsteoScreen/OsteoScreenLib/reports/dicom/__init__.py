"""A screening as DICOM objects that an archive stores: segmentation, report of measurements, captures, PDF.

`write_dicom_objects` is the way in; `read_measurement_report` reads a report back. The codes are in
:mod:`OsteoScreenLib.reports.dicom.codes`.
"""

from __future__ import annotations

from .reading import ReadReport, read_measurement_report
from .source import NoDicomOutput, SourceSeries
from .writing import KINDS, write_dicom_objects

__all__ = [
    "KINDS",
    "NoDicomOutput",
    "ReadReport",
    "SourceSeries",
    "read_measurement_report",
    "write_dicom_objects",
]
