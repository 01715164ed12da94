"""Outlines of the levels' slices, by whomever they were drawn; what screening, the worker and Slicer hand around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .results import BundleUse


@dataclass(frozen=True, eq=False)
class LevelOutline:
    """The outline of one level, on the pixels of its canonical slice.

    Attributes:
        slice_index: the slice of the canonical CT.
        mask: (rows, columns) bool.
        probability: (rows, columns) float32, 0..1, the outline at 0.5; None where the outline is the user's.
        confidence: 0..1; 1 for the user's outline.
    """

    slice_index: int
    mask: npt.NDArray[np.bool_]
    probability: npt.NDArray[np.float32] | None
    confidence: float


@dataclass(frozen=True, eq=False)
class Outlines:
    """The outlined levels by name, the bundle that took part (None where all are the user's), and where it ran."""

    levels: Mapping[str, LevelOutline] = field(default_factory=dict)
    bundle: BundleUse | None = None
    device: str = "cpu"
