"""Whose study it is, read from the scan's own header, for the reports of those who ask for it, and for nothing else."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from ..ct.dicom.files import read_dataset
from ..ct.dicom.values import tag_of
from ..errors import InputError
from ..printable import one_line
from ..results import Check, Identity

if TYPE_CHECKING:
    from ..ct import CT
    from ..screening import Screening

#: Attribute of DICOM by field of the identity.
KEYWORDS = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "birth_date": "PatientBirthDate",
    "study_date": "StudyDate",
    "accession_number": "AccessionNumber",
    "study_instance_uid": "StudyInstanceUID",
}
#: Longest value that is kept: three component groups of a name of 64 characters each (DICOM PS3.5 6.2), and their "=".
LONGEST_VALUE = 194


def identity_of(ct: CT) -> Identity:
    """Return the patient's name, number and birth date and the study's date, accession number and UID.

    They are what the header of the series' middle file says, decoded by its character set, on one line; empty where it
    says nothing. Raises `InputError` where the scan has no DICOM header, or its file is gone.
    """
    if not ct.files:
        raise InputError(
            "The scan brings no DICOM header, so there is no patient identity to write; give the DICOM series instead."
        )
    header = _header(ct.files[len(ct.files) // 2])
    return Identity(**{field: _text(header, keyword) for field, keyword in KEYWORDS.items()})


def add_identity(screening: Screening) -> None:
    """Add the identity to the result; where there is none to read, a warning that says so."""
    try:
        screening.result.identity = identity_of(screening.ct)
    except InputError as error:
        screening.result.eligibility.append(Check("identity", "warn", str(error)))


def _header(path: Path) -> Dataset:
    tags = [tag_of(keyword) for keyword in ("SpecificCharacterSet", *KEYWORDS.values())]
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_dataset(file, tags)[0]
    except OSError:
        raise InputError(f"{path.name} can no longer be opened; the series changed while it was read.") from None


def _text(header: Dataset, keyword: str) -> str:
    """A value on one line; where its character set is not known, or it is no such value, as far as it can be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = header.get(keyword)
        except Exception:  # a damaged value provokes whatever it may in pydicom
            stored = header.get_item(tag_of(keyword)).value
            value = stored.decode("ascii", "replace") if isinstance(stored, bytes) else stored
    return one_line("" if value is None else str(value), LONGEST_VALUE)
