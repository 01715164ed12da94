"""Which object a DICOM file is.  Its bytes may come from a server, so they are read with the care of the CT reader."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pydicom.tag import Tag

from ..ct.dicom.files import read_dataset, read_headers
from ..progress import silent

_TAGS = tuple(Tag(keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))


@dataclass(frozen=True)
class Instance:
    """The UIDs of an object, of its series and of its study, as text that need not be UIDs; "" where it has none."""

    study_uid: str
    series_uid: str
    uid: str


def instance_of(path: Path) -> Instance:
    """The UIDs in a file.  Raises OSError where it cannot be opened, and ValueError where it is no DICOM file."""
    with path.open("rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                header, *_ = read_dataset(file, _TAGS)
            study, series, uid = (str(header[tag].value or "") if tag in header else "" for tag in _TAGS)
        except Exception:  # pydicom raises whatever it may on bytes that are no DICOM
            raise ValueError("no DICOM file") from None
    return Instance(study, series, uid)


def is_whole(path: Path, instance: Instance) -> bool:
    """Whether a file is there, is the object that it is called, and is not cut short."""
    try:
        if instance_of(path) != instance:
            return False
    except (OSError, ValueError):
        return False
    return not is_cut_short(path)


def is_cut_short(path: Path) -> bool:
    """Whether a file is an image of which a part is missing."""
    return read_headers([path], Counter(), silent).damaged > 0
