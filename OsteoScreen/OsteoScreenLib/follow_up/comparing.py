"""The change in BMD since an earlier result, and why the two must not be compared where they must not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..ct.kernels import kernel_class
from ..densitometry.calibration import fits_kvp
from ..printable import one_line
from ..results import EarlierResult, FollowUp, ScreeningResult
from .precision import least_significant_change
from .scans import DISCARDED, FORCED, NOT_CONFIRMED, ComparedScan, problems

#: Slices whose thickness differs by more are not compared (mm): a body's HU rises towards its endplates, and a thicker
#: slice holds more of them. A convention of this program; no measurement of it is known.
_SAME_THICKNESS_MM = 1.0
#: Lines from HU to BMD that differ by less, relative to their own size, are the same line.
_SAME_LINE = 1e-6
_LONGEST_NAME = 60

THIS_RESULT, EARLIER_RESULT = "this result", "the earlier result"
OTHER_LEVELS = "The two were not measured on the same levels."
_CALIBRATIONS = {
    "user": "a calibration file",
    "scanner header": "the scanner's own line",
    "nominal": "a nominal line",
}


def compared(
    now: ComparedScan, then: ComparedScan, earlier: EarlierResult, precision_mg_cm3: float | None = None
) -> FollowUp:
    """Return the change from the result ``then`` to the result ``now`` of the same patient.

    ``earlier`` is what the new result keeps of the earlier one; ``precision_mg_cm3`` the facility's own precision
    error of the mean BMD of two bodies, None where it is not known.
    """
    known = now.study_date is not None and then.study_date is not None
    return FollowUp(
        earlier=earlier,
        change_mg_cm3=_change(now.bmd_mg_cm3, then.bmd_mg_cm3),
        least_significant_change_mg_cm3=least_significant_change(
            _bodies(now.bmd_mg_cm3, then.bmd_mg_cm3), precision_mg_cm3
        ),
        interval_days=(now.study_date - then.study_date).days if known else None,  # type: ignore[operator]
        not_comparable=[
            *_whose_and_when(then, now),
            *_measured_alike(then, now),
            *_scanned_alike(then, now),
            *_levels(now.bmd_mg_cm3, then.bmd_mg_cm3),
            *then.problems,
            *now.problems,
        ],
    )


def refreshed(change: FollowUp, result: ScreeningResult) -> FollowUp:
    """Return a comparison of ``result`` as it is after its levels, outlines or decisions changed.

    What the scans themselves speak against it stays.
    """
    found = result.densitometry
    if found is None:
        return change
    before = change.change_mg_cm3
    now, then = found.bmd_mg_cm3, change.earlier.bmd_mg_cm3
    scale = least_significant_change(_bodies(now, then)) / least_significant_change(_bodies(before, then))
    own = {OTHER_LEVELS, *_every_problem()}
    return replace(
        change,
        change_mg_cm3=_change(now, then),
        least_significant_change_mg_cm3=change.least_significant_change_mg_cm3 * scale,
        not_comparable=[
            *(reason for reason in change.not_comparable if reason not in own),
            *_levels(now, then),
            *problems(result, THIS_RESULT),
        ],
    )


def _change(now: Mapping[str, float], then: Mapping[str, float]) -> dict[str, float]:
    return {name: now[name] - then[name] for name in now if name in then}


def _bodies(now: Mapping[str, float], then: Mapping[str, float]) -> int:
    return 2 if "L2" in now and "L2" in then else 1


def _every_problem() -> list[str]:
    """Every sentence that `problems` may say about this result."""
    return [
        DISCARDED.format(THIS_RESULT),
        NOT_CONFIRMED.format(THIS_RESULT),
        FORCED.format(THIS_RESULT[:1].upper() + THIS_RESULT[1:]),
    ]


# -- the reasons, each none or one sentence


def _whose_and_when(then: ComparedScan, now: ComparedScan) -> Iterator[str]:
    if not (then.patient_id.strip() and now.patient_id.strip()):
        silent = _silent(not then.patient_id.strip(), not now.patient_id.strip())
        yield f"It could not be checked that both are of the same patient: {silent} not say whose it is."
    if then.study_date is None or now.study_date is None:
        silent = _silent(then.study_date is None, now.study_date is None)
        yield f"The time between them is not known: {silent} not say when it was made."
    elif then.study_date > now.study_date:
        yield "The earlier result is of a scan that was made after this one."


def _silent(then: bool, now: bool) -> str:
    """The subject and the verb of "does not say": of the earlier result, of this scan, or of both."""
    if then and now:
        return "the earlier result and this scan do"
    return "the earlier result does" if then else "this scan does"


def _measured_alike(then: ComparedScan, now: ComparedScan) -> Iterator[str]:
    if then.mineral != now.mineral:
        yield f"The BMD was in mg/cm³ {then.mineral} then, and is in mg/cm³ {now.mineral} now."
    if then.calibration != now.calibration:
        yield (
            f"The BMD came from {_CALIBRATIONS[then.calibration]} then, and from {_CALIBRATIONS[now.calibration]} now."
        )
    elif now.calibration == "nominal":
        yield "The BMD comes from a nominal line, which was not measured on the scanner: enough to sort, not to follow."
    elif then.slope is None or then.intercept is None:
        yield "The line from HU to BMD of the earlier result is not known."
    elif not (_alike(then.slope, now.slope) and _alike(then.intercept, now.intercept)):
        yield "The line from HU to BMD was another then."


def _alike(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and math.isclose(one, other, rel_tol=_SAME_LINE, abs_tol=_SAME_LINE)


def _scanned_alike(then: ComparedScan, now: ComparedScan) -> Iterator[str]:
    yield from _told("tube voltage", then.kvp, now.kvp, lambda value: f"{value:g} kVp", fits_kvp)
    yield from _contrast(then.contrast, now.contrast)
    yield from _kernels(then, now)
    yield from _told(
        "slice thickness",
        then.slice_thickness_mm,
        now.slice_thickness_mm,
        lambda value: f"{value:g} mm",
        lambda a, b: abs(a - b) <= _SAME_THICKNESS_MM,
    )
    yield from _told("scanner's maker", then.manufacturer, now.manufacturer, _quoted, _same_words)
    yield from _told("scanner's model", then.model_name, now.model_name, _quoted, _same_words)


def _told(
    what: str, then: Any, now: Any, show: Callable[[Any], str], same: Callable[[Any, Any], bool]
) -> Iterator[str]:
    """The sentence that a property differs, or that it is not known whether it does."""
    missing = [value is None or value == "" for value in (then, now)]
    if any(missing):
        yield f"Whether the {what} was the same is not known: {_silent(*missing)} not say it."
    elif not same(then, now):
        yield f"The {what} differs: {show(then)} then, {show(now)} now."


def _contrast(then: bool | None, now: bool | None) -> Iterator[str]:
    if then or now:
        when = "both scans" if then and now else "the earlier scan" if then else "this scan"
        yield f"Contrast medium was given for {when}, which makes bone read too dense."
    elif then is None or now is None:
        yield f"Whether contrast medium was given is not known: {_silent(then is None, now is None)} not say it."


def _kernels(then: ComparedScan, now: ComparedScan) -> Iterator[str]:
    kinds = kernel_class(then.kernel, then.manufacturer), kernel_class(now.kernel, now.manufacturer)
    if then.kernel and now.kernel and "unknown" not in kinds and kinds[0] != kinds[1]:
        yield (
            f"The kernel was {kinds[0]} then ({_quoted(then.kernel)}), and is {kinds[1]} now ({_quoted(now.kernel)})."
        )
        return
    yield from _told("kernel", then.kernel, now.kernel, _quoted, _same_words)


def _same_words(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()


def _quoted(text: str) -> str:
    return one_line(text, _LONGEST_NAME)


def _levels(now: Mapping[str, float], then: Mapping[str, float]) -> list[str]:
    return [] if set(now) == set(then) else [OTHER_LEVELS]
