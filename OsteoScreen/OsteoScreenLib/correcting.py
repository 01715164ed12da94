"""A study screened again with what a reader changed: a level, an outline, or both."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import numpy.typing as npt

from .errors import InputError, StudyRefused, UsageError
from .progress import Progress, silent
from .reopening import is_measured
from .request import LEVEL_NAMES, ScreeningRequest, is_auto
from .results import Level, ScreeningResult
from .screening import Screening, screen

if TYPE_CHECKING:
    from .ct import CT

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Correction:
    """What a reader changes of a result, and what screening again needs to know besides.

    l1, l2 : centre slices, as text ("-812.5" RAS S in mm, "#123" index); None where the level stays
    masks : a segmentation with the reader's outline of L1, L2 or both; None where the outlines stay
    calibration : the calibration file that the result was measured with, where it was a user's
    segmentation_model, classification_model : None for those that took part
    force : screen it also where a check refuses it
    earlier : earlier results to compare with, instead of those that the result was compared with
    """

    l1: str | None = None
    l2: str | None = None
    masks: PathLike | None = None
    calibration: PathLike | None = None
    segmentation_model: PathLike | None = None
    classification_model: PathLike | None = None
    device: str = "auto"
    force: bool = False
    earlier: Sequence[PathLike] = ()


def screen_corrected(
    old: Screening, correction: Correction, progress: Progress = silent
) -> tuple[Screening, tuple[str, ...]]:
    """Return the study of ``old``, screened again with a correction, and the levels whose outline the reader drew.

    A level that was not moved keeps the outline that a user drew; the network outlines the others again. An outline of
    the correction that is the measured one was not drawn anew. Signing the correction is for
    `OsteoScreenLib.decisions.corrected`.

    Raises UsageError where the correction makes no sense, InputError where an outline that a user drew before is gone,
    StudyRefused where the corrected study is refused, and what screening raises.
    """
    _check_calibration(old.result, correction)
    levels = _levels(old, correction)
    given = _given(levels, correction, old.ct)
    drawn = {name: mask for name, mask in given.items() if not _is_as_before(old, name, levels[name], mask)}
    masks = {**_kept(old, levels, given), **drawn}
    told = old.result.input
    new = screen(
        ScreeningRequest(
            ct=old.ct,
            l1=levels["L1"],
            l2=levels.get("L2"),
            masks=masks or None,
            segmentation_model=correction.segmentation_model or _used(old.result, "segmentation"),
            classification_model=correction.classification_model or _classifier(old.result, levels),
            calibration=correction.calibration,
            age_years=told.age_years,
            sex=cast("Literal['F', 'M']", told.sex) if told.sex in ("F", "M") else None,
            device=correction.device,
            force=correction.force,
            earlier=correction.earlier,
            earlier_dates=old.result.identity is not None,
        ),
        progress,
    )
    if new.result.status != "screened":
        reasons = " ".join(check.message for check in new.result.eligibility if check.outcome == "refuse")
        raise StudyRefused(f"The corrected study was refused, so nothing was changed: {reasons}")
    _refuse_another_line(new.result, old.result)
    return new, tuple(drawn)


def _levels(old: Screening, correction: Correction) -> dict[str, Level]:
    from .levels import parse_level

    levels = {}
    for name, text in (("L1", correction.l1), ("L2", correction.l2)):
        if is_auto(text):
            raise UsageError(f"A correction says where {name} is; give its slice, such as --{name.lower()}=#123.")
        if text is not None:
            levels[name] = parse_level(text, old.ct, name)
        elif name in old.result.levels:
            levels[name] = old.result.levels[name]
    if "L1" not in levels:
        raise UsageError("The result has no L1; give its centre slice with --l1.")
    return levels


def _given(levels: Mapping[str, Level], correction: Correction, ct: CT) -> dict[str, npt.NDArray[np.bool_]]:
    """The correction's outlines on the levels' slices."""
    from .levels import read_vertebrae

    if correction.masks is None:
        return {}
    given = {}
    for name, vertebra in read_vertebrae(correction.masks, LEVEL_NAMES).items():
        if name not in levels:
            raise UsageError(f"{name} is outlined, and the result has no {name}; give its slice with --{name.lower()}.")
        mask = vertebra.coverage_on(ct.geometry, levels[name].slice_index) > 0.5
        if not mask.any():
            raise UsageError(
                f"The outlines hold no {name} on its slice #{levels[name].slice_index}; draw it there, or say on which "
                f"slice it is with --{name.lower()}."
            )
        given[name] = mask
    return given


def _is_as_before(old: Screening, name: str, level: Level, mask: npt.NDArray[np.bool_]) -> bool:
    roi = old.result.roi.get(name)
    if roi is None or old.result.levels[name].slice_index != level.slice_index:
        return False
    return is_measured(mask, roi, old.ct.geometry, level.slice_index)


def _kept(
    old: Screening, levels: Mapping[str, Level], given: Mapping[str, npt.NDArray[np.bool_]]
) -> dict[str, npt.NDArray[np.bool_]]:
    """The outlines that a user drew before, of the levels that stay; as ``given``, where they lie nowhere else."""
    kept = {}
    for name, roi in old.result.roi.items():
        if roi.mask_source != "user" or old.result.levels[name].slice_index != levels[name].slice_index:
            continue
        if name in old.outlines:
            kept[name] = old.outlines[name].mask
        elif name in given:
            kept[name] = given[name]
        else:
            raise InputError(f"The outline of {name} that was drawn before is gone; give it again with --masks.")
    return kept


def _used(result: ScreeningResult, role: str) -> str | None:
    return next((bundle.name for bundle in result.bundles if bundle.role == role), None)


def _classifier(result: ScreeningResult, levels: Mapping[str, Level]) -> str | None:
    """The classifier that took part; None where another may fit the levels as they are now."""
    return _used(result, "classification") if set(levels) == set(result.levels) else None


def _check_calibration(result: ScreeningResult, correction: Correction) -> None:
    users = result.densitometry is not None and result.densitometry.calibration.source == "user"
    if users and correction.calibration is None:
        raise UsageError("The result was measured with a calibration file; give the same with --calibration.")


def _refuse_another_line(new: ScreeningResult, old: ScreeningResult) -> None:
    if old.densitometry is None or new.densitometry is None:
        return
    before, now = old.densitometry.calibration, new.densitometry.calibration
    if (before.slope, before.intercept, before.mineral) != (now.slope, now.intercept, now.mineral):
        raise UsageError(
            "The calibration is another than the result was measured with; give that one, or screen the study anew."
        )
