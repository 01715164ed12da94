"""The outlined slices as DICOM Secondary Captures, for viewers that show neither segmentations nor reports."""

from __future__ import annotations

import warnings

from highdicom.sc import SCImage
from pydicom.uid import ExplicitVRLittleEndian

from ...errors import UsageError
from . import values
from .capture_picture import capture_picture
from .making import MAKER, Making, reference_to


def secondary_captures(making: Making) -> dict[str, SCImage]:
    """Return a capture per outlined level, all of one series, by level.

    Their pixels name no patient. Raises UsageError where nothing was outlined.
    """
    if not making.outlined:
        raise UsageError("Nothing was outlined, so there is no slice to capture.")
    series = making.identifiers("capture", "outlined slices")
    return {name: _capture(making, name, number, series) for number, name in enumerate(making.outlined, start=1)}


def _capture(making: Making, name: str, number: int, series: dict) -> SCImage:
    source = making.source_slice(name).header
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # highdicom's remarks on names of one component
        capture = SCImage.from_ref_dataset(
            source,
            pixel_array=capture_picture(making.result, making.pictures.levels[name]),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "P"),
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **{**series, "instance_number": number, "sop_instance_uid": making.new_uid()},
        )
    capture.copy_patient_and_study_information(source)
    capture.BurnedInAnnotation, capture.BodyPartExamined = "NO", "LSPINE"
    capture.ImageComments = values.text(f"{name} vertebral body, outlined by {MAKER}; research use only", "LT")
    reference = reference_to(source)
    frames = making.source_slice(name).frame_numbers
    if frames is not None:
        reference.ReferencedFrameNumber = frames[0]
    capture.SourceImageSequence = [reference]
    capture.DerivationDescription = "Outline, measures and level drawn on a slice of the source series"
    making.stamp(capture)
    capture.DateOfSecondaryCapture, capture.TimeOfSecondaryCapture = capture.ContentDate, capture.ContentTime
    return capture
