"""The level that a user gives: a superior coordinate in mm, or a slice index."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from ..errors import UnusableLevels
from ..results import Level

if TYPE_CHECKING:
    from ..ct import CT

_MILLIMETRES = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_INDEX = re.compile(r"#\d{1,9}", re.ASCII)
#: Longer text than this is no level; it is not repeated in a message either.
_LONGEST = 40


def is_level_text(text: str) -> bool:
    """Whether a text is written as a level is: millimetres ("-812.5") or an index ("#123")."""
    return _index_or_millimetres(_written(text)) is not None


def parse_level(text: str, ct: CT, name: str) -> Level:
    """The level ``name`` at what the user wrote: "-812.5" is RAS S in mm, "#123" a slice index of the file.

    The level lies on the nearest slice, and its ``z_mm`` is that slice's. Raises `UnusableLevels` where the text is
    neither, or lies outside the scan.
    """
    written = _written(text)
    found = _index_or_millimetres(written)
    if found is not None:
        return level_at(ct, found if isinstance(found, int) else ct.geometry.nearest_slice(found), name, "user")
    shown = repr(written if len(written) <= _LONGEST else written[:_LONGEST] + "...")
    raise UnusableLevels(
        f"{name} is given as {shown}, which is no level; write the centre slice as millimetres (RAS S, such as "
        "-812.5) or as #index (such as #123), or auto to have it suggested."
    )


def _written(text: str) -> str:
    return str(text).strip().replace("\N{MINUS SIGN}", "-")


def _index_or_millimetres(written: str) -> int | float | None:
    if _INDEX.fullmatch(written):
        return int(written[1:])
    if len(written) <= _LONGEST and _MILLIMETRES.fullmatch(written) and math.isfinite(float(written)):
        return float(written)
    return None


def level_at(ct: CT, k: int, name: str, set_by: str, *, confirmed: bool = True) -> Level:
    """The level ``name`` on slice ``k`` of the scan. Raises `UnusableLevels` where the scan has no such slice."""
    slices = ct.geometry.shape[0]
    if not 0 <= k < slices:
        z = sorted((ct.geometry.slice_z(0), ct.geometry.slice_z(slices - 1)))
        raise UnusableLevels(
            f"{name} is given as slice #{k}, and the scan has slices #0 to #{slices - 1} "
            f"(S {z[0]:.1f} to {z[1]:.1f} mm); give one of those."
        )
    return Level(name, ct.geometry.slice_z(k), k, set_by, confirmed)  # type: ignore[arg-type]
