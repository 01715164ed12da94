"""From a request to an opened CT with its levels: what outlining and screening begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import UsageError
from .progress import Progress
from .request import LEVEL_NAMES, ScreeningRequest
from .results import Check, Level

if TYPE_CHECKING:
    from .ct import CT


def open_requested(request: ScreeningRequest, progress: Progress) -> CT:
    """Return the request's CT, opened.  Raises InputError or UsageError as `open_ct` does."""
    from .ct import CT, open_ct

    if isinstance(request.ct, CT):
        return request.ct
    return open_ct(request.ct, series=request.series, progress=progress)


def find_levels(request: ScreeningRequest, ct: CT) -> tuple[dict[str, Level], list[Check]]:
    """Return the levels to screen, from head to foot, and what was found on the way.

    Raises UsageError where they make no sense, InputError where a segmentation does not give them.
    """
    from .levels import levels_from_segmentation, parse_level, snap_to_centre

    checks = []
    given = {name: text for name, text in (("L1", request.l1), ("L2", request.l2)) if text is not None}
    levels = {
        name: level if isinstance(level, Level) else parse_level(level, ct, name) for name, level in given.items()
    }
    source = request.levels_from or (None if levels else request.mask_file)
    if source is not None:
        levels = {**levels_from_segmentation(source, ct, LEVEL_NAMES), **levels}
        if "L2" not in levels:
            message = "The segmentation holds no whole L2: L1 alone is measured (Model 2)."
            checks.append(Check("levels", "warn", message, "L1"))
    if request.snap:
        levels = {name: snap_to_centre(ct, level) for name, level in levels.items()}
    _check_levels(levels)
    return {name: levels[name] for name in LEVEL_NAMES if name in levels}, checks


def _check_levels(levels: dict[str, Level]) -> None:
    if "L1" not in levels:
        raise UsageError("L2 was given without L1; give the centre slice of L1 with --l1.")
    if "L2" in levels and levels["L2"].z_mm >= levels["L1"].z_mm:
        raise UsageError(
            f"L2 (S {levels['L2'].z_mm:.1f} mm) does not lie below L1 (S {levels['L1'].z_mm:.1f} mm); check whether "
            "they are swapped or the same slice."
        )
