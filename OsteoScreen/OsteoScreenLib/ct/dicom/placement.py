"""Put the slices of a stack in order, and judge whether their geometry can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...results import Check
from .. import slice_places
from ..geometry import LPS_TO_RAS, stack_tilt_deg
from ..verdicts import named
from .header import Frame
from .series import Stack

#: Slices closer than this lie in the same place.
_SAME_PLACE_MM = 0.01

#: Rows and columns must be at right angles within this (cosine), and their directions unit vectors within as much.
_DIRECTION_TOLERANCE = 1e-2

#: Where more slices than this part of the scan lie doubled, which of them is measured is arbitrary.
_FEW_DOUBLES = 0.1

#: CT pixels are 0.1 to 1.6 mm, coarser when resampled; anything beyond is a wrong unit or a wrong header.
_PIXEL_LIMITS_MM = (0.05, 10.0)


@dataclass(frozen=True)
class Placement:
    """Slices in order along their normal, where they lie (stored orientation, RAS), and what was found."""

    frames: list[Frame]
    ijk_to_ras: npt.NDArray[np.float64]
    slice_origins: npt.NDArray[np.float64] | None
    findings: list[Check]


def place(stack: Stack) -> Placement:
    """Order a stack by position. Raises `InputError` where its orientation or spacing is impossible."""
    row, column = _directions(stack.first)
    spacing_row, spacing_column = stack.first.place("spacing")
    if min(spacing_row, spacing_column) <= 0:
        raise InputError("The pixel spacing in the DICOM header is zero or negative; export the series again.")
    frames, findings = _without_doubles(stack)
    origins = np.array([f.place("position") for f in frames])
    normal = np.cross(row, column)
    step = _slice_step(frames, origins, normal)

    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = row * spacing_column, column * spacing_row, step
    lps[:3, 3] = origins[0]
    even = origins[0] + np.arange(len(frames))[:, None] * step
    strays = float(np.abs(origins - even).max()) > slice_places.EVEN_TOLERANCE_MM
    findings += _pixel_size(spacing_row, spacing_column)
    findings += [
        named("gaps", slice_places.gaps(np.diff(origins @ normal))),
        named("tilt", slice_places.tilt(stack_tilt_deg(normal, step))),
        *_orientation(stack),
    ]
    return Placement(frames, LPS_TO_RAS @ lps, origins @ LPS_TO_RAS[:3, :3].T if strays else None, findings)


def _directions(frame: Frame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Unit directions of the row (growing column index) and the column (growing row index), LPS, at right angles."""
    row, column = np.reshape(frame.place("orientation"), (2, 3))
    lengths = np.linalg.norm([row, column], axis=1)
    if np.abs(lengths - 1).max() > _DIRECTION_TOLERANCE or abs(row @ column) > _DIRECTION_TOLERANCE:
        raise InputError(
            "The image orientation in the DICOM header is not two unit vectors at right angles; "
            "export the series again."
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    return row, column / np.linalg.norm(column)


def _slice_step(
    frames: Sequence[Frame], origins: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    if len(frames) == 1:
        return normal * (frames[0].thickness or 1.0)
    return (origins[-1] - origins[0]) / (len(frames) - 1)


def _without_doubles(stack: Stack) -> tuple[list[Frame], list[Check]]:
    """The frames in order, one per place, and a finding where there were more."""
    ordered = _ordered(stack)
    single = _without_copies(ordered)
    copies = len(ordered) - len(single)
    findings = (
        [Check("duplicates", "pass", f"{copies} copies of the same images were left out.", copies)] if copies else []
    )
    places = _places(stack, single)
    if places == len(single):
        return single, findings
    chosen, found = _told_apart(stack, single, places) or _first_of_each(stack, single, places)
    return chosen, [*findings, found]


def _told_apart(stack: Stack, single: Sequence[Frame], places: int) -> tuple[list[Frame], Check] | None:
    """The frames of one reconstruction, where a tag tells apart those that lie in the same places."""
    keys: list[tuple[str, Callable[[Frame], str]]] = [
        ("temporal position", lambda f: f.temporal_position),
        ("acquisition number", lambda f: f.acquisition_number),
        ("image type", lambda f: "/".join(f.image_type)),
    ]
    doubled = len(single) - places
    for name, key in keys:
        for value in sorted({key(f) for f in single}, key=lambda v: (len(v), v)):
            part = [f for f in single if key(f) == value]
            if len(part) < len(single) and _places(stack, part) == len(part) >= (1 - _FEW_DOUBLES) * places:
                message = (
                    f"The series holds several images at {doubled} places; "
                    f"those of {name} {value or 'none'} were taken."
                )
                return part, Check("duplicates", "warn", message, doubled)
    return None


def _first_of_each(stack: Stack, single: Sequence[Frame], places: int) -> tuple[list[Frame], Check]:
    """The first frame at each place."""
    first: list[Frame] = []
    for frame in single:
        if not first or _distance(stack, first[-1], frame) > _SAME_PLACE_MM:
            first.append(frame)
    doubled = len(single) - places
    message = (
        f"The series holds several different images at {doubled} places, and nothing tells them apart; "
        "the first of each was taken. Export one reconstruction only."
    )
    few = doubled <= _FEW_DOUBLES * places
    return first, Check("duplicates", "warn" if few else "refuse", message, doubled)


def _ordered(stack: Stack) -> list[Frame]:
    def key(n: int) -> tuple:
        frame = stack.frames[n]
        return stack.depths[n], frame.instance_number, str(frame.path), frame.index or 0

    return [stack.frames[n] for n in sorted(range(len(stack.frames)), key=key)]


def _without_copies(frames: Sequence[Frame]) -> list[Frame]:
    """Each image once: the same one in two folders is no ambiguity."""
    single: dict[tuple, Frame] = {}
    for n, frame in enumerate(frames):
        single.setdefault((frame.sop_uid, frame.index) if frame.sop_uid else (n,), frame)
    return list(single.values())


def _distance(stack: Stack, one: Frame, other: Frame) -> float:
    return abs(float(np.subtract(other.place("position"), one.place("position")) @ stack.normal))


def _places(stack: Stack, ordered: Sequence[Frame]) -> int:
    depths = np.array([f.place("position") for f in ordered]) @ stack.normal
    return 1 + int((np.diff(depths) > _SAME_PLACE_MM).sum())


def _pixel_size(row_mm: float, column_mm: float) -> list[Check]:
    low, high = _PIXEL_LIMITS_MM
    if low <= min(row_mm, column_mm) and max(row_mm, column_mm) <= high:
        return []
    message = f"Pixels of {row_mm:g} x {column_mm:g} mm are not a CT's; the header's spacing is wrong."
    return [Check("pixel_size", "refuse", message, [row_mm, column_mm])]


def _orientation(stack: Stack) -> list[Check]:
    lean = float(np.degrees(np.arccos(np.clip(abs(stack.normal[2]), 0, 1))))
    if stack.is_axial:
        return [Check("orientation", "pass", f"The slices are axial, leaning by {lean:.1f} degrees.", round(lean, 1))]
    message = f"The slices lean by {lean:.0f} degrees from the axial plane; take the axial series."
    return [Check("orientation", "refuse", message, round(lean, 1))]
