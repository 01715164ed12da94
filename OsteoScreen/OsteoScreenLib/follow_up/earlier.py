"""Earlier results of a patient, from the files that the user gives: `result.json`, or a DICOM SR of this program."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InputError, UsageError
from ..results import EarlierResult, FollowUp
from ..results_io import read_result
from .comparing import EARLIER_RESULT, compared
from .scans import ComparedScan, scan_of_result

#: Where a DICOM file says so, after its preamble (PS3.10, 7.1).
_DICOM_MARK, _DICOM_AT = b"DICM", 128


@dataclass(frozen=True)
class EarlierStudy:
    """An earlier result that was read: what the new result keeps of it, what it is compared by, and its file's name."""

    kept: EarlierResult
    scan: ComparedScan
    name: str


def read_earlier(path: str | os.PathLike[str]) -> EarlierStudy:
    """Read an earlier result: `result.json`, or a DICOM SR that this program wrote.

    Raises InputError where it cannot be read, is neither, or holds no BMD.
    """
    place = Path(path)
    try:
        with place.open("rb") as file:
            begins = file.read(_DICOM_AT + len(_DICOM_MARK))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"The earlier result {place} cannot be read: {reason}.") from error
    if begins[_DICOM_AT:] == _DICOM_MARK:
        raise InputError(f"The earlier result {place} is a DICOM file; give the result.json of that study.")
    return _from_json(place)


class EarlierResults:
    """The earlier results that a screening is compared with, read before the scan is.

    ``dates`` is whether the new result keeps their dates, which belong to the patient's identity.

    Raises InputError where one of ``paths`` cannot be used.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]], *, dates: bool = False) -> None:
        self._studies = [read_earlier(path) for path in paths]
        self._dates = dates

    def refuse_other_patients(self, patient_id: str) -> None:
        """Raise UsageError where one of them says that it is of another patient."""
        own = patient_id.strip()
        for study in self._studies:
            other = study.scan.patient_id.strip()
            if own and other and own != other:
                raise UsageError(f"The earlier result {study.name} is of another patient than this scan; leave it out.")

    def changes(self, now: ComparedScan, precision_mg_cm3: float | None = None) -> list[FollowUp]:
        """Return the change since each, the oldest first and those of unknown age last.

        ``precision_mg_cm3`` is the facility's own precision error, None where it is not known.

        Raises UsageError where one is of another patient, or of this very scan.
        """
        self.refuse_other_patients(now.patient_id)
        found = []
        for study in self._studies:
            if study.scan.sha256 and study.scan.sha256 == now.sha256:
                raise UsageError(f"The earlier result {study.name} is of this very scan; leave it out.")
            kept = study.kept if self._dates else replace(study.kept, date=None)
            found.append(compared(now, study.scan, kept, precision_mg_cm3))
        return sorted(found, key=lambda change: (change.interval_days is None, -(change.interval_days or 0)))


def _from_json(path: Path) -> EarlierStudy:
    result = read_result(path)
    scan = scan_of_result(result, called=EARLIER_RESULT)
    if scan is None:
        raise InputError(f"The earlier result {path} holds no BMD, so there is nothing to compare; leave it out.")
    kept = EarlierResult(
        date=scan.study_date.isoformat() if scan.study_date else None,
        bmd_mg_cm3=dict(scan.bmd_mg_cm3),
        mineral=scan.mineral,
        calibration=scan.calibration,
        source="result.json",
    )
    return EarlierStudy(kept, scan, path.name)
