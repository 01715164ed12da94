"""Earlier results of a patient, from the files that the user gives: `result.json`, or a DICOM SR of this program."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, UsageError, system_reason
from ..results import EarlierResult, FollowUp, ScreeningResult
from ..results_io import read_result
from .comparing import EARLIER_RESULT, compared
from .scans import DISCARDED, FORCED, NOT_CONFIRMED, ComparedScan, parsed_date, scan_of_result

if TYPE_CHECKING:
    from ..ct import CT
    from ..reports.dicom.reading import ReadReport

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

    A `result.json` without an identity says neither whose it is nor when its scan was made; both are then read from
    that scan's own header, where it still lies where the result says.

    Raises InputError where it cannot be read, is neither, or holds no BMD.
    """
    place = Path(path)
    try:
        with place.open("rb") as file:
            begins = file.read(_DICOM_AT + len(_DICOM_MARK))
    except (OSError, ValueError) as error:
        raise InputError(
            f"The earlier result {place} cannot be read: {system_reason(error)}; check the path."
        ) from error
    return _from_report(place) if begins[_DICOM_AT:] == _DICOM_MARK else _from_json(place)


class EarlierResults:
    """The earlier results that a screening is compared with, read before the scan is.

    ``dates`` is whether the new result keeps their dates, which belong to the patient's identity.

    Raises InputError where one of ``paths`` cannot be used.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]], *, dates: bool = False) -> None:
        self._studies = [read_earlier(path) for path in paths]
        self._dates = dates

    def refuse_other_patients(self, patient_id: str, birth_date: str = "") -> None:
        """Raise UsageError where one of them says that it is of another patient."""
        for study in self._studies:
            then = study.scan
            pairs = (then.patient_id.strip(), patient_id.strip()), (_digits(then.birth_date), _digits(birth_date))
            if any(one and other and one != other for one, other in pairs):
                raise UsageError(f"The earlier result {study.name} is of another patient than this scan; leave it out.")

    def changes(self, now: ComparedScan, precision_mg_cm3: float | None = None) -> list[FollowUp]:
        """Return the change since each, the oldest first and those of unknown age last.

        ``precision_mg_cm3`` is the facility's own precision error, None where it is not known.

        Raises UsageError where one is of another patient, or of this very scan.
        """
        self.refuse_other_patients(now.patient_id, now.birth_date)
        found = []
        for study in self._studies:
            if _same_scan(study.scan, now):
                raise UsageError(f"The earlier result {study.name} is of this very scan; leave it out.")
            kept = study.kept if self._dates else replace(study.kept, date=None)
            found.append(compared(now, study.scan, kept, precision_mg_cm3))
        return sorted(found, key=lambda change: (change.interval_days is None, -(change.interval_days or 0)))


def _digits(day: str) -> str:
    """A date without the points that old scanners put into it."""
    return "".join(character for character in day if character.isdigit())


def _same_scan(then: ComparedScan, now: ComparedScan) -> bool:
    if then.sha256 and now.sha256:
        return then.sha256 == now.sha256
    # A report does not tell the scan's hash, and two scans of one study are no follow-up.
    return bool(then.study_instance_uid) and then.study_instance_uid == now.study_instance_uid


def _from_json(path: Path) -> EarlierStudy:
    result = read_result(path)
    scan = _compared(result)
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


def _compared(result: ScreeningResult) -> ComparedScan | None:
    scanned = None if result.identity is not None else _scan_of(result)
    if scanned is None:
        return scan_of_result(result, called=EARLIER_RESULT)
    from ..reports.identity import identity_of

    whose = identity_of(scanned)
    return scan_of_result(result, scanned.acquisition.study_date, called=EARLIER_RESULT, header=whose)


def _scan_of(result: ScreeningResult) -> CT | None:
    """The scan that a result was made of, None where it is not there, or has no header."""
    described = result.input
    if described.kind != "dicom" or not Path(described.path).exists():
        return None
    from ..ct import open_ct

    try:
        scan = open_ct(described.path, series=described.series_instance_uid or None)
        return scan if scan.sha256() == described.sha256 else None
    except (InputError, UsageError):
        # What lies there now is another thing.
        return None


def _from_report(path: Path) -> EarlierStudy:
    from ..reports.dicom.reading import read_measurement_report

    report = read_measurement_report(path)
    line = report.calibration
    return EarlierStudy(
        report.earlier,
        ComparedScan(
            bmd_mg_cm3=dict(report.earlier.bmd_mg_cm3),
            mineral=line.mineral,
            calibration=line.source,
            slope=line.slope,
            intercept=line.intercept,
            kvp=report.kvp,
            slice_thickness_mm=report.slice_thickness_mm,
            kernel=report.kernel,
            contrast=report.contrast,
            manufacturer=report.manufacturer,
            model_name=report.model_name,
            study_date=parsed_date(report.study_date or ""),
            patient_id=report.patient_id,
            problems=tuple(_problems(report)),
            study_instance_uid=report.study_instance_uid,
            birth_date=report.birth_date,
        ),
        path.name,
    )


def _problems(report: ReadReport) -> Iterator[str]:
    """What speaks against using a report at all; `scans.problems` says the same of a result."""
    if report.decision == "discarded":
        yield DISCARDED.format(EARLIER_RESULT)
    if not all(level.confirmed for level in report.levels.values()):
        yield NOT_CONFIRMED.format(EARLIER_RESULT)
    if report.forced:
        yield FORCED.format(EARLIER_RESULT[:1].upper() + EARLIER_RESULT[1:])
