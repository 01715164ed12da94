"""Sort the images of a folder into series, and choose the one to screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...errors import NoSuchSeries
from ...results import Check
from ..kernels import KernelKind, kernel_kind
from .header import CT_CLASSES, Frame

# Within these the images of one series count as alike: rounding in the header, not another reconstruction.
_ORIENTATION_TOLERANCE = 2e-3
_SPACING_TOLERANCE_MM = 1e-3
_THICKNESS_TOLERANCE_MM = 0.05

#: A stack that covers less of the patient than this part of the longest one is a detail, not the chest.
_MIN_COVERAGE = 0.6

#: Slices may lean this much from the axial plane and still count as axial.
_MAX_AXIAL_LEAN_DEG = 35.0


@dataclass
class Stack:
    """Images that belong together: one series, or the like images of a mixed one.

    ``name`` is what chooses it: the series UID; for further stacks of the same series, and for images without a UID,
    with a number after "#".
    """

    frames: list[Frame] = field(default_factory=list)
    name: str = ""
    siblings: int = 0

    @property
    def first(self) -> Frame:
        """Any image of it: they are alike."""
        return self.frames[0]

    @property
    def is_ct(self) -> bool:
        """Whether these are CT images."""
        return self.first.sop_class in CT_CLASSES or self.first.modality == "CT"

    @cached_property
    def normal(self) -> np.ndarray:
        """Unit normal of the slices (LPS)."""
        row, column = np.reshape(self.first.place("orientation"), (2, 3))
        normal = np.cross(row, column)
        return normal / max(float(np.linalg.norm(normal)), 1e-12)

    @cached_property
    def depths(self) -> np.ndarray:
        """Position of each slice along the normal, in mm."""
        return np.array([f.place("position") for f in self.frames]) @ self.normal

    @property
    def coverage_mm(self) -> float:
        """From the first slice to the last."""
        return float(np.ptp(self.depths))

    @property
    def is_axial(self) -> bool:
        """Whether the slices lie across the patient."""
        return abs(self.normal[2]) >= np.cos(np.radians(_MAX_AXIAL_LEAN_DEG))

    @property
    def kernel_kind(self) -> KernelKind:
        """Soft, sharp or unknown."""
        return kernel_kind(self.first.kernel)

    @property
    def thickness_mm(self) -> float:
        """Slice thickness, or else the slices' distance; infinite where neither is known."""
        if self.first.thickness:
            return self.first.thickness
        places = len(np.unique(self.depths))
        return self.coverage_mm / (places - 1) if places > 1 else float("inf")

    @property
    def words(self) -> str:
        """The stack in words, for a list of choices."""
        thickness = f"{self.thickness_mm:g} mm" if np.isfinite(self.thickness_mm) else "thickness unknown"
        kind = "" if self.is_ct else f", {self.first.modality or 'not CT'}"
        plane = "" if self.is_axial else ", not axial"
        derived = "" if self.first.is_original else ", derived"
        kernel = f"kernel {self.first.kernel}" if self.first.kernel else "kernel unknown"
        return f"{self.name} ({len(self.frames)} slices, {thickness}, {kernel}{kind}{plane}{derived})"


def stacks_of(frames: Sequence[Frame]) -> list[Stack]:
    """The frames in stacks of images that are alike, each with its name; the larger stacks of a series come first."""
    buckets: dict[tuple, list[Stack]] = {}
    for frame in frames:
        candidates = buckets.setdefault(_discrete_key(frame), [])
        stack = next((s for s in candidates if _alike(s.first, frame)), None)
        if stack is None:
            stack = Stack()
            candidates.append(stack)
        stack.frames.append(frame)
    by_series: dict[tuple, list[Stack]] = {}
    for stack in (s for bucket in buckets.values() for s in bucket):
        by_series.setdefault(_identity(stack.first), []).append(stack)
    _name(by_series)
    return [stack for stacks in by_series.values() for stack in stacks]


def series_of(stacks: Sequence[Stack]) -> set[tuple]:
    """Which series the stacks are of: an entry for each, to be counted."""
    return {_identity(stack.first) for stack in stacks}


def _identity(frame: Frame) -> tuple:
    """Which series an image belongs to; where anonymising emptied its UID, the other tags tell series apart."""
    if frame.series_uid:
        return (frame.series_uid,)
    return ("", frame.study_uid, frame.series_number, frame.series_description)


def _discrete_key(frame: Frame) -> tuple:
    return (
        *_identity(frame),
        *(frame.modality, frame.sop_class, frame.rows, frame.columns, frame.kernel),
        *(frame.is_original, frame.photometric, frame.transfer_syntax and frame.signed),
    )


def _alike(one: Frame, other: Frame) -> bool:
    return (
        np.allclose(one.place("orientation"), other.place("orientation"), rtol=0, atol=_ORIENTATION_TOLERANCE)
        and np.allclose(one.place("spacing"), other.place("spacing"), rtol=0, atol=_SPACING_TOLERANCE_MM)
        and abs((one.thickness or 0.0) - (other.thickness or 0.0)) <= _THICKNESS_TOLERANCE_MM
    )


def _name(by_series: dict[tuple, list[Stack]]) -> None:
    nameless = 0
    for identity, stacks in by_series.items():
        stacks.sort(key=lambda s: -len(s.frames))
        for n, stack in enumerate(stacks):
            stack.siblings = sum(len(s.frames) for s in stacks) - len(stack.frames)
            if identity[0]:
                stack.name = identity[0] if n == 0 else f"{identity[0]}#{n + 1}"
            else:
                nameless += 1
                stack.name = f"#{nameless}"


def choose(stacks: Sequence[Stack], series: str | None) -> tuple[Stack, Check]:
    """The stack that ``series`` names, or else the thinnest axial soft-kernel CT; and the finding that says so.

    Raises `NoSuchSeries`, listing the choices, where there is no stack of that name.
    """
    longest = max((s.coverage_mm for s in stacks if s.is_ct and s.is_axial), default=0.0)
    ranked = sorted(stacks, key=lambda s: _rank(s, longest))
    if series is not None:
        chosen = next((s for s in ranked if s.name == series.strip()), None)
        if chosen is None:
            raise NoSuchSeries(f"There is no series {series!r} here; choose one of: {_listed(ranked)}.")
        message = f"The series was chosen by the user: {chosen.words}."
        return chosen, Check("series", "pass", message, chosen.name)
    chosen = ranked[0]
    if len(ranked) == 1:
        return chosen, Check("series", "pass", f"There is one series: {chosen.words}.", chosen.name)
    message = (
        f"Of {len(ranked)} series the thinnest axial soft-kernel CT was taken: {chosen.words}. "
        f"To take another, give --series with one of: {_listed(ranked[1:])}."
    )
    return chosen, Check("series", "pass", message, chosen.name)


def _rank(stack: Stack, longest_mm: float) -> tuple:
    """What makes a stack the better choice, most important first; lower is better."""
    kernels: dict[KernelKind, int] = {"soft": 0, "unknown": 1, "sharp": 2}
    return (
        not stack.is_ct,
        not stack.is_axial,
        not stack.first.is_original,
        stack.coverage_mm < _MIN_COVERAGE * longest_mm,
        bool(stack.first.contrast_agent),
        kernels[stack.kernel_kind],
        round(stack.thickness_mm, 1) if np.isfinite(stack.thickness_mm) else 1e9,
        -len(stack.frames),
        stack.name,
    )


def _listed(stacks: Sequence[Stack], limit: int = 12) -> str:
    words = "; ".join(s.words for s in stacks[:limit])
    return words + (f"; and {len(stacks) - limit} more" if len(stacks) > limit else "")
