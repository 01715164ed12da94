"""From a request to an opened CT with its levels: what outlining and screening begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import UnusableLevels
from .progress import Progress, silent
from .request import LEVEL_NAMES, ScreeningRequest
from .results import Check, Level

if TYPE_CHECKING:
    from .ct import CT
    from .suggesting import Suggested


def open_requested(request: ScreeningRequest, progress: Progress) -> CT:
    """Return the request's CT, opened.  Raises InputError or UsageError as `open_ct` does."""
    from .ct import CT, open_ct

    if isinstance(request.ct, CT):
        return request.ct
    return open_ct(request.ct, series=request.series, progress=progress)


@dataclass(frozen=True)
class FoundLevels:
    """The levels to screen, from head to foot, what was found on the way, and what was suggested, if anything was.

    Without any level, a check says why there is none.
    """

    levels: dict[str, Level]
    checks: list[Check]
    suggested: Suggested | None = None


def find_levels(request: ScreeningRequest, ct: CT, progress: Progress = silent) -> FoundLevels:
    """Return the request's levels: those given, those of a segmentation, and those that are suggested.

    Raises UnusableLevels where they make no sense, InputError where a segmentation does not give them or the scan
    cannot be read, BundleError where levels are to be suggested and no network is there for it.
    """
    from .levels import levels_from_segmentation, parse_level, snap_to_centre

    checks = []
    asked = request.levels_to_suggest
    given = {
        name: text for name, text in (("L1", request.l1), ("L2", request.l2)) if text is not None and name not in asked
    }
    levels = {
        name: level if isinstance(level, Level) else parse_level(level, ct, name) for name, level in given.items()
    }
    source = request.levels_from or (None if levels or asked else request.mask_file)
    if source is not None:
        wanted = [name for name in LEVEL_NAMES if name not in asked]
        levels = {**levels_from_segmentation(source, ct, wanted), **levels}
        if "L2" not in levels and "L2" not in asked:
            message = "The segmentation holds no whole L2: L1 alone is measured (Model 2)."
            checks.append(Check("levels", "warn", message, "L1"))
    if request.snap:
        levels = {name: snap_to_centre(ct, level) for name, level in levels.items()}
    if not asked:
        return FoundLevels(_in_order(levels), checks)
    suggested = _suggest(request, ct, progress)
    levels |= {name: found.level for name, found in suggested.suggestion.levels.items()}
    return _with_suggested(levels, suggested)


def _suggest(request: ScreeningRequest, ct: CT, progress: Progress) -> Suggested:
    from .chosen_bundles import localisation_bundle
    from .suggesting import suggest

    bundle = localisation_bundle(request.localisation_model)
    return suggest(ct, bundle, request.levels_to_suggest, request.device, progress)


def _with_suggested(levels: dict[str, Level], suggested: Suggested) -> FoundLevels:
    """Return the levels where some were to be suggested: without L1 none can be screened, without L2 it can."""
    refused = suggested.suggestion.refused
    if "L1" not in levels:
        why = refused["L1"]
        said = f"L1 could not be suggested. {why} Find its centre slice by eye and give it with --l1."
        return FoundLevels({}, [Check("level_suggestion", "refuse", said, "L1")], suggested)
    checks = suggested.checks
    if "L2" in refused:
        checks.append(Check("levels", "warn", "Without L2, L1 alone is measured (Model 2).", "L1"))
    return FoundLevels(_in_order(levels), checks, suggested)


def _in_order(levels: dict[str, Level]) -> dict[str, Level]:
    _check_levels(levels)
    return {name: levels[name] for name in LEVEL_NAMES if name in levels}


def _check_levels(levels: dict[str, Level]) -> None:
    if "L1" not in levels:
        raise UnusableLevels("L2 was given without L1; give the centre slice of L1 with --l1.")
    if "L2" in levels and levels["L2"].z_mm >= levels["L1"].z_mm:
        raise UnusableLevels(
            f"L2 (S {levels['L2'].z_mm:.1f} mm) does not lie below L1 (S {levels['L1'].z_mm:.1f} mm); check whether "
            "they are swapped or the same slice."
        )
