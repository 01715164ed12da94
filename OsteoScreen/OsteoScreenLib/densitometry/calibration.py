"""The line from HU to BMD: the user's, the scanner's own, or the nominal one; and whether it fits the scan."""

from __future__ import annotations

import datetime
import json
import math
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..documents import schema_problem, strict_json
from ..errors import InputError, system_reason
from ..results import Calibration, Check

if TYPE_CHECKING:
    from ..ct.acquisition import Acquisition

SCHEMA_PATH = Path(__file__).with_name("calibration.schema.json")

#: Without a calibration: trabecular bone with 40 % fat marrow reads 41, 114, 187 and 261 HU at 50, 100, 150 and 200
#: mg/cm3 CaHA (120 kVp, attenuation tables at 70 keV; Docs/sources.md); this is the least-squares line through
#: them. It is the relation that simulated CT are made by, so that what is simulated is also what is measured.
NOMINAL_SLOPE = 0.6821
NOMINAL_INTERCEPT = 22.17

#: One SD of the nominal line on an unknown scanner. A calibration from another scanner errs by 14 % (SD over eight
#: scanners; Docs/sources.md), 14 mg/cm3 at 100; and published lines differ from this one by -18 to +11 at
#: the QCT thresholds (the two Siemens lines of Docs/sources.md, and K2HPO4 at 70-75 keV). Together about 20.
NOMINAL_UNCERTAINTY_MG_CM3 = 20.0

#: One SD of the scanner's own line. It belongs to the scanner (same model: 1.4 %), but its age is not stated, at a
#: drift of up to 2.3 HU per year (Docs/sources.md), and QCT itself repeats to about 10 mg/cm3 (the same page).
HEADER_UNCERTAINTY_MG_CM3 = 10.0

#: The tube voltage that the nominal line, and as far as known the scanner's own, are for.
REFERENCE_KVP = 120.0

#: Slopes (mg/cm3 per HU) between which a header's line is believed. Published ones lie between 0.60 and 0.93.
HEADER_SLOPES = (0.3, 2.0)


@dataclass(frozen=True)
class UserCalibration:
    """A calibration that the user measured: ``bmd = slope * hu + intercept``, for one scanner, kVp and kernel.

    ``precision_mg_cm3`` is the facility's precision error of the mean BMD of L1 and L2, None where it is not stated.
    """

    slope: float
    intercept: float
    mineral: Literal["CaHA", "K2HPO4"]
    uncertainty_mg_cm3: float
    scanner: str
    kvp: float
    kernel: str
    date: datetime.date
    expires: datetime.date
    description: str = ""
    precision_mg_cm3: float | None = None


@lru_cache(maxsize=1)
def calibration_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a calibration file."""
    schema: dict[str, Any] = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    return schema


def load_calibration(path: str | os.PathLike[str]) -> UserCalibration:
    """Read a calibration file (JSON).

    Raises InputError when it cannot be read, holds keys that a calibration has not, or lacks one that it must have.
    """
    try:
        document = strict_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The calibration {path} cannot be read: {system_reason(error)}; check the path.") from error
    except ValueError as error:
        raise InputError(f"The calibration {path} is not a JSON file ({error}); mend it there.") from error
    problem = schema_problem(document, calibration_schema())
    if problem:
        raise InputError(f"The calibration {path} is not valid: {problem}.")
    dates = {}
    for key in ("date", "expires"):
        try:
            dates[key] = datetime.date.fromisoformat(document[key])
        except ValueError as error:
            raise InputError(f"The calibration {path} is not valid: $.{key}: {document[key]!r} is no date.") from error
    if dates["expires"] < dates["date"]:
        raise InputError(f"The calibration {path} expires before the date it was made on.")
    return UserCalibration(**{**document, **dates})


def choose_calibration(
    acquisition: Acquisition, user: UserCalibration | None = None
) -> tuple[Calibration, list[Check]]:
    """Return the line to use: the user's if given, else the scanner's own if its header holds one, else the nominal.

    The checks say which it is, and how it fits the scan. A user's calibration of another scanner or tube voltage, or
    one that has expired, is a "refuse"; what cannot be compared is a "warn".
    """
    if user is not None:
        return _users(user), _user_checks(user, acquisition)
    osteo = acquisition.osteo
    if osteo is None:
        return _nominal(), [_nominal_check("no calibration of this scanner is known")]
    if not (
        math.isfinite(osteo.intercept)
        and math.isfinite(osteo.slope)
        and HEADER_SLOPES[0] <= osteo.slope <= HEADER_SLOPES[1]
    ):
        return _nominal(), [_nominal_check(f"the header's own slope of {osteo.slope} cannot be right")]
    line = Calibration(
        source="scanner header",
        slope=osteo.slope,
        intercept=osteo.intercept,
        mineral="CaHA",
        uncertainty_mg_cm3=HEADER_UNCERTAINTY_MG_CM3,
        description="Siemens Osteo line in the DICOM header"
        + (f", phantom {osteo.phantom}" if osteo.phantom is not None else ""),
    )
    message = f"BMD by the scanner's own line, in mg/cm³ CaHA, good to about ±{HEADER_UNCERTAINTY_MG_CM3:g} mg/cm³."
    return line, [Check("calibration", "pass", message, "scanner header")]


def fits_kvp(kvp: float, other: float) -> bool:
    """Return whether two tube voltages (kV) are the same setting."""
    return abs(kvp - other) < 0.5


def _users(user: UserCalibration) -> Calibration:
    return Calibration(
        source="user",
        slope=user.slope,
        intercept=user.intercept,
        mineral=user.mineral,
        uncertainty_mg_cm3=user.uncertainty_mg_cm3,
        description=user.description
        or f"{user.scanner}, {user.kvp:g} kVp, kernel {user.kernel}, {user.date.isoformat()}",
    )


def _nominal() -> Calibration:
    return Calibration(
        source="nominal",
        slope=NOMINAL_SLOPE,
        intercept=NOMINAL_INTERCEPT,
        mineral="CaHA",
        uncertainty_mg_cm3=NOMINAL_UNCERTAINTY_MG_CM3,
        description="Nominal line at 120 kVp from attenuation tables (trabecular bone, 40 % fat marrow)",
    )


def _nominal_check(why: str) -> Check:
    message = (
        f"BMD by the nominal line, because {why}: good to about ±{NOMINAL_UNCERTAINTY_MG_CM3:g} mg/cm³, so the "
        "category may be off; give a calibration of your scanner with --calibration."
    )
    return Check("calibration", "warn", message, "nominal")


def _user_checks(user: UserCalibration, acquisition: Acquisition) -> list[Check]:
    checks = [_scanner_check(user, acquisition), _kvp_check(user, acquisition)]
    checks += [_kernel_check(user, acquisition), _date_check(user, acquisition)]
    found = [check for check in checks if check is not None]
    if not found:
        message = (
            f"BMD by your calibration of {user.date.isoformat()}, in mg/cm³ {user.mineral}, good to about "
            f"±{user.uncertainty_mg_cm3:g} mg/cm³."
        )
        found = [Check("calibration", "pass", message, "user")]
    return found


def _scanner_check(user: UserCalibration, acquisition: Acquisition) -> Check | None:
    names = [acquisition.scanner_id, acquisition.model_name]
    known = [name for name in names if name]
    maker = acquisition.manufacturer
    if maker and acquisition.model_name:
        known.append(f"{maker} {acquisition.model_name}")
    if not known:
        message = f"The scan does not say which scanner made it, so that the calibration of {user.scanner} may not fit."
        return Check("calibration_scanner", "warn", message)
    if any(_same(user.scanner, name) for name in known):
        return None
    message = (
        f"The calibration is of the scanner {user.scanner}, and the scan is of another ({known[-1]}); use its own."
    )
    return Check("calibration_scanner", "refuse", message, known[-1])


def _kvp_check(user: UserCalibration, acquisition: Acquisition) -> Check | None:
    if acquisition.kvp is None:
        message = f"The scan does not say its tube voltage, so that the calibration at {user.kvp:g} kVp may not fit."
        return Check("calibration_kvp", "warn", message)
    if fits_kvp(acquisition.kvp, user.kvp):
        return None
    message = (
        f"The calibration is for {user.kvp:g} kVp, and the scan was made at {acquisition.kvp:g} kVp; use one for that."
    )
    return Check("calibration_kvp", "refuse", message, acquisition.kvp)


def _kernel_check(user: UserCalibration, acquisition: Acquisition) -> Check | None:
    if acquisition.kernel is None:
        message = f"The scan does not say its kernel, so that the calibration with {user.kernel} may not fit."
        return Check("calibration_kernel", "warn", message)
    if _same(user.kernel, acquisition.kernel):
        return None
    message = (
        f"The calibration is for the kernel {user.kernel}, and the scan was made with {acquisition.kernel}; the mean "
        "HU may differ a little."
    )
    return Check("calibration_kernel", "warn", message, acquisition.kernel)


def _date_check(user: UserCalibration, acquisition: Acquisition) -> Check | None:
    made = acquisition.study_date
    if made is None:
        message = (
            f"The scan does not say when it was made, so that the calibration, good from {user.date.isoformat()} to "
            f"{user.expires.isoformat()}, may not fit."
        )
        return Check("calibration_date", "warn", message)
    if made > user.expires:
        message = (
            f"The calibration expired on {user.expires.isoformat()}, before the scan was made "
            f"({made.isoformat()}); measure the phantom again."
        )
        return Check("calibration_date", "refuse", message, made.isoformat())
    if made < user.date:
        message = (
            f"The scan ({made.isoformat()}) is older than the calibration ({user.date.isoformat()}); the scanner may "
            "have drifted between them."
        )
        return Check("calibration_date", "warn", message, made.isoformat())
    return None


def _same(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
