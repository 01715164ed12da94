"""What DICOM objects need of the series that was screened: its identifiers, whose it is, and where its slices lie."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import DS

from ...ct import CT, open_dicom_files
from ...ct.dicom.files import read_dataset
from ...ct.dicom.header import CT_CLASSES, HEADER_TAGS, Frame, frames_of
from ...ct.dicom.values import tag_of
from ...errors import InputError, OsteoScreenError
from ..phrases import joined
from . import values

#: What is copied of the patient, the study and the scanner, and how it is cleaned (DICOM PS3.3, C.7.1.1, C.7.2.1,
#: C.7.2.2 and C.7.5.1). The first group is written even where it is empty (type 2).
_ALWAYS: dict[str, Callable[[object], Any]] = {
    "PatientName": values.person_name,
    "PatientID": values.text,
    "PatientBirthDate": values.dicom_date,
    "PatientSex": values.sex,
    "StudyDate": values.dicom_date,
    "StudyTime": values.dicom_time,
    "ReferringPhysicianName": values.person_name,
    "StudyID": lambda value: values.text(value, "SH"),
    "AccessionNumber": lambda value: values.text(value, "SH"),
}
_WHERE_SAID: dict[str, Callable[[object], Any]] = {
    "IssuerOfPatientID": values.text,
    "PatientAge": values.age,
    "PatientSize": values.number,
    "PatientWeight": values.number,
    "StudyDescription": values.text,
    "Manufacturer": values.text,
    "ManufacturerModelName": values.text,
    "InstitutionName": values.text,
    "PositionReferenceIndicator": values.text,
}
#: Copied together or not at all, because each is required where one stands (C.12.1 and C.7.1.1; C.7.1.3 and C.7.2.3).
_DEIDENTIFIED = ("PatientIdentityRemoved", "DeidentificationMethod")
_TRIAL = ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialSubjectID")
_TRIAL_EMPTY = ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialTimePointID")

_TAGS = tuple(
    dict.fromkeys(
        (
            *HEADER_TAGS,
            *(tag_of(word) for word in ("SpecificCharacterSet", "FrameOfReferenceUID", *_ALWAYS, *_WHERE_SAID)),
            *(tag_of(word) for word in (*_DEIDENTIFIED, *_TRIAL, *_TRIAL_EMPTY)),
        )
    )
)

#: Corners of a slice in memory and of the stored one may lie this far apart: Slicer spaces slices evenly where their
#: headers stray by up to 0.1 mm, and a half pixel of a CT is more.
_SAME_PLACE_MM = 0.25
#: Direction cosines that differ by less are rounding; a SEG has one orientation for all its frames.
_SAME_DIRECTION = 1e-4

WHAT_GOES_ON = "result.json, the page and every other output are not affected."


class NoDicomOutput(OsteoScreenError):
    """The scan cannot be the source of DICOM objects; the sentence says why, and what to do."""


@dataclass(frozen=True, eq=False)
class SourceSlice:
    """The stored image that a canonical slice is.

    Attributes:
        header: the instance's header without pixels, cleaned; its placement stands at the top, as in a single-frame
            image, and for a multi-frame one in functional groups too.
        frame_number: from 1, of a multi-frame file; None for a single-frame one.
        names_patient_as_stored: whether the patient's number is the stored one, to the letter.
    """

    header: Dataset
    frame_number: int | None
    names_patient_as_stored: bool

    @property
    def frame_numbers(self) -> list[int] | None:
        """As highdicom's references take them."""
        return None if self.frame_number is None else [self.frame_number]


class SourceSeries:
    """The DICOM series that a CT was read from, as the source of objects that refer to it.

    Raises NoDicomOutput where the CT has no DICOM files, they are of another series than it, or `slice` finds that
    identifiers are missing or no UIDs (as anonymisers leave them) or the images are no CT; InputError where a file
    cannot be read any more.
    """

    def __init__(self, ct: CT, files: Iterable[str | os.PathLike[str]] | None = None) -> None:
        """``files`` are those of a CT that came as an array (Slicer's); by default, the CT's own."""
        self.ct = ct
        self._stored = ct if files is None else open_dicom_files(files)
        self._slices: dict[int, SourceSlice] = {}
        if not self._stored.files:
            raise NoDicomOutput(
                f"{_came_from(ct)}, so there are no DICOM headers to refer to and no DICOM objects are written; screen "
                f"the DICOM series itself. {WHAT_GOES_ON}"
            )
        if files is not None and self._stored.geometry.shape[1:] != ct.geometry.shape[1:]:
            raise NoDicomOutput(self._of_another("their slices have another size"))

    def slice(self, k: int) -> SourceSlice:
        """Return the stored image of canonical slice ``k``; see the class for what it raises."""
        if k not in self._slices:
            self._slices[k] = self._read(self._stored_index(k))
        return self._slices[k]

    def plane(self, k: int, plane: npt.NDArray) -> npt.NDArray:
        """Return the values (rows, columns) on canonical slice ``k`` as rows and columns of the stored image."""
        return np.ascontiguousarray(self._stored.to_stored(self._stored_index(k), plane)[1][0])

    def spacing_mm(self) -> float | None:
        """Return the distance of neighbouring slices; None where they are not evenly spaced, or there is one alone."""
        geometry = self._stored.geometry
        even = geometry.slice_origins is None and geometry.shape[0] > 1
        return geometry.spacing_mm[2] if even else None

    def _stored_index(self, k: int) -> int:
        """The slice of the opened files that is slice ``k`` of the CT: the one at its place in the patient."""
        if self._stored is self.ct:
            return k
        ours, theirs = (_corners(ct) for ct in (self.ct, self._stored))
        strays = np.abs(theirs - ours[k]).max(axis=(1, 2))
        nearest = int(np.argmin(strays))
        if strays[nearest] > _SAME_PLACE_MM:
            raise NoDicomOutput(self._of_another(f"none of them lies within {_SAME_PLACE_MM} mm of slice #{k}"))
        return nearest

    def _read(self, stored_index: int) -> SourceSlice:
        place = self._stored.source_frame(stored_index)
        if place is None:
            raise NoDicomOutput(
                "The measured slices cut across the stored images, so no DICOM object can refer to them; screen the "
                f"axial series. {WHAT_GOES_ON}"
            )
        header, frames = _header(place[0])
        frame = frames[place[1] or 0]
        clean = _cleaned(header, frame, self.spacing_mm())
        if place[1] is not None:
            _add_functional_groups(clean, frames)
        slice_ = SourceSlice(
            header=clean,
            frame_number=None if place[1] is None else place[1] + 1,
            names_patient_as_stored=_is_kept(header, "PatientID", clean.PatientID),
        )
        self._judge(slice_)
        for other in self._slices.values():
            _judge_together(slice_, other)
        return slice_

    def _judge(self, slice_: SourceSlice) -> None:
        header = slice_.header
        words = {
            "StudyInstanceUID": "study",
            "SeriesInstanceUID": "series",
            "SOPInstanceUID": "image",
            "FrameOfReferenceUID": "frame of reference",
        }
        missing = [word for keyword, word in words.items() if not header[keyword].value]
        if missing:
            raise NoDicomOutput(
                f"The images have no valid UID of their {joined(missing)} (anonymised exports often lack it), so no "
                "DICOM object can refer to them; use the series as it lies in the archive, or have the anonymiser "
                f"replace UIDs instead of emptying them. {WHAT_GOES_ON}"
            )
        if not slice_.names_patient_as_stored:
            raise NoDicomOutput(
                "The patient's number in the images is no valid DICOM value (over 64 characters, several values, "
                "control characters, or not in the character set that the header names), so an archive would file "
                f"DICOM objects under another patient; correct it in the archive. {WHAT_GOES_ON}"
            )
        own = [str(header[keyword].value) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
        if len(set(own)) < len(own) or not all(UID(value).is_private for value in own):
            raise NoDicomOutput(
                "The UIDs of the study, series and image are not unique: two are the same, or one is DICOM's own; "
                f"use the series as it lies in the archive. {WHAT_GOES_ON}"
            )
        if header.SOPClassUID not in CT_CLASSES:
            raise NoDicomOutput(
                f"The images are no CT images by their SOP class ({UID(header.SOPClassUID).name or 'none'}), so no "
                f"DICOM object refers to them; use the scanner's own series. {WHAT_GOES_ON}"
            )

    def _of_another(self, why: str) -> str:
        return (
            f"The DICOM files are not those of the screened volume: {why}; give the files that it was loaded from, "
            f"without resampling it. {WHAT_GOES_ON}"
        )


def _came_from(ct: CT) -> str:
    kinds = {"nrrd": "a NRRD file", "nifti": "a NIfTI file", "metaimage": "a MetaImage file"}
    return f"The scan came from {kinds.get(ct.kind, 'memory without its DICOM files')}"


def _corners(ct: CT) -> npt.NDArray[np.float64]:
    """RAS of three corner pixels of every slice, (slices, 3, 3)."""
    slices, rows, columns = ct.geometry.shape
    k = np.arange(slices)[:, None]
    return ct.geometry.ras(np.array([0, columns - 1, 0]), np.array([0, 0, rows - 1]), k)


def _header(path: Path) -> tuple[Dataset, list[Frame]]:
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = read_dataset(file, _TAGS)[0]
            return header, list(frames_of(header, path, 0, 0, ""))
    except Exception:  # gone, or changed into whatever provokes pydicom
        raise InputError(f"{path.name} can no longer be read; the series changed since it was screened.") from None


def _cleaned(header: Dataset, frame: Frame, spacing_mm: float | None) -> Dataset:
    """The header of a single-frame image at the frame's place, with clean values, in UTF-8."""
    clean = Dataset()
    clean.SpecificCharacterSet = "ISO_IR 192"
    for keyword, clean_value in _ALWAYS.items():
        setattr(clean, keyword, clean_value(_value(header, keyword)))
    for keyword, clean_value in _WHERE_SAID.items():
        value = clean_value(_value(header, keyword))
        if value not in ("", None):
            setattr(clean, keyword, value)
    _copy_together(header, clean)
    clean.Modality = "CT"
    clean.SOPClassUID = values.uid(frame.sop_class)
    clean.SOPInstanceUID = values.uid(frame.sop_uid)
    clean.StudyInstanceUID = values.uid(frame.study_uid)
    clean.SeriesInstanceUID = values.uid(frame.series_uid)
    clean.FrameOfReferenceUID = values.uid(_value(header, "FrameOfReferenceUID"))
    clean.Rows, clean.Columns = frame.rows, frame.columns
    clean.SamplesPerPixel, clean.PixelRepresentation = 1, int(frame.signed)
    clean.LossyImageCompression = "01" if frame.lossy else "00"
    for keyword, attribute in (
        ("ImagePositionPatient", "position"),
        ("ImageOrientationPatient", "orientation"),
        ("PixelSpacing", "spacing"),
    ):
        setattr(clean, keyword, [DS(value, auto_format=True) for value in frame.place(attribute)])
    clean.SliceThickness = None if frame.thickness is None else DS(frame.thickness, auto_format=True)
    if spacing_mm is not None:
        clean.SpacingBetweenSlices = DS(spacing_mm, auto_format=True)
    return clean


def _add_functional_groups(clean: Dataset, frames: list[Frame]) -> None:
    """Add the placement of a multi-frame image's frames, as highdicom looks for it."""
    clean.NumberOfFrames = len(frames)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(clean, "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_item(clean, "PixelSpacing", "SliceThickness", "SpacingBetweenSlices")]
    clean.SharedFunctionalGroupsSequence = [shared]
    clean.PerFrameFunctionalGroupsSequence = []
    for frame in frames:
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [DS(value, auto_format=True) for value in frame.place("position")]
        group.PlanePositionSequence = [position]
        clean.PerFrameFunctionalGroupsSequence.append(group)


def _item(header: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        if keyword in header:
            item.add(header[keyword])
    return item


def _copy_together(header: Dataset, clean: Dataset) -> None:
    removed, method = (values.text(_value(header, keyword)) for keyword in _DEIDENTIFIED)
    if removed.upper() == "YES" and method:
        clean.PatientIdentityRemoved, clean.DeidentificationMethod = "YES", method
    trial = {keyword: values.text(_value(header, keyword)) for keyword in (*_TRIAL, *_TRIAL_EMPTY)}
    if all(trial[keyword] for keyword in _TRIAL):
        for keyword, value in trial.items():
            setattr(clean, keyword, value)


def _value(header: Dataset, keyword: str) -> Any:
    """A value decoded by the header's character set; "" where there is none, or none that can be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = header.get(keyword)
        except Exception:  # a damaged value provokes whatever it may in pydicom
            return ""
    if value is None:
        return ""
    several = not isinstance(value, str) and hasattr(value, "append")
    return " ".join(str(one) for one in value) if several else value


def _is_kept(header: Dataset, keyword: str, cleaned: str) -> bool:
    """Whether a text is what was stored, but for its padding."""
    try:
        stored = header.get(keyword)
    except Exception:  # as in _value
        return False
    return cleaned == ("" if stored is None else str(stored).strip(" \0"))


def _judge_together(one: SourceSlice, other: SourceSlice) -> None:
    """Raise NoDicomOutput where two slices of the series do not belong together."""
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID")
    differ = [keyword for keyword in keywords if one.header[keyword].value != other.header[keyword].value]
    if differ or (one.frame_number == other.frame_number and one.header.SOPInstanceUID == other.header.SOPInstanceUID):
        raise NoDicomOutput(
            "The measured slices do not share their study, series, frame of reference and patient, or share an image's "
            f"UID, so one object cannot refer to both; use the series as it lies in the archive. {WHAT_GOES_ON}"
        )
    mine, theirs = (np.array(slice_.header.ImageOrientationPatient, dtype=float) for slice_ in (one, other))
    if np.abs(mine - theirs).max() > _SAME_DIRECTION:
        raise NoDicomOutput(
            "The measured slices lie at different angles, which one DICOM segmentation cannot hold; use a series with "
            f"one orientation. {WHAT_GOES_ON}"
        )
    one.header.ImageOrientationPatient = other.header.ImageOrientationPatient
