"""What to screen, and how: the request that every way into screening fills in."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from .errors import UsageError
from .results import Level

if TYPE_CHECKING:
    from .ct import CT

#: The levels that are screened, from head to foot.
LEVEL_NAMES = ("L1", "L2")

#: What stands for a level that is to be suggested.
AUTO = "auto"

#: Oldest age that is believed; the longest life on record is 122 years.
OLDEST_YEARS = 125.0

PathLike = str | os.PathLike[str]


def is_auto(level: str | Level | None) -> bool:
    """Whether a level, as it was given, is to be suggested."""
    return isinstance(level, str) and level.strip().lower() == AUTO


@dataclass(frozen=True)
class ScreeningRequest:
    """What to screen, and how.

    ct : a path (DICOM folder or file, NRRD, MetaImage, NIfTI), or an opened CT
    l1, l2 : centre slices, as text ("-812.5" RAS S in mm, "#123" index, "auto" to have it suggested) or as a Level;
        they go before ``levels_from``
    levels_from : a vertebra segmentation to take the levels from
    snap : move each level to the middle of its vertebra
    masks : a segmentation of L1 (and L2) to measure instead of the network's outlines; levels come from it when
        nothing else gives them. Or a mask (rows, columns), bool, on the canonical slice of each level that it is given
        for, by the level's name; the network outlines the others
    segmentation_model, classification_model, localisation_model : names or paths of bundles; the shipped ones when None
        (of the classifiers, Model 1 where L1 and L2 are given, and Model 2 where L1 is alone)
    calibration : the user's calibration file
    age_years, sex : of the patient, where the scan lacks them or is wrong
    device : "auto", "cpu", "cuda" or "mps"
    force : screen a study that would be refused; the reasons stay in the result
    series : SeriesInstanceUID of the series to read
    earlier : earlier results of the same patient (result.json, or the DICOM SR of this program) to compare the BMD with
    earlier_dates : keep the earlier studies' dates in the result; they belong to the patient's identity
    """

    ct: PathLike | CT
    l1: str | Level | None = None
    l2: str | Level | None = None
    levels_from: PathLike | None = None
    snap: bool = False
    masks: PathLike | Mapping[str, npt.NDArray[np.bool_]] | None = None
    segmentation_model: PathLike | None = None
    classification_model: PathLike | None = None
    localisation_model: PathLike | None = None
    calibration: PathLike | None = None
    age_years: float | None = None
    sex: Literal["F", "M"] | None = None
    device: str = "auto"
    force: bool = False
    series: str | None = None
    earlier: Sequence[PathLike] = ()
    earlier_dates: bool = False

    @property
    def levels_to_suggest(self) -> tuple[str, ...]:
        """The levels that are to be suggested."""
        asked = {"L1": self.l1, "L2": self.l2}
        return tuple(name for name, level in asked.items() if is_auto(level))

    @property
    def given_levels(self) -> tuple[str, ...] | None:
        """The levels that are given by their slices, None where they come from a segmentation, are to be suggested, or
        are not given."""
        if self.levels_from is not None or self.l1 is None or self.levels_to_suggest:
            return None
        return ("L1",) if self.l2 is None else ("L1", "L2")

    @property
    def mask_file(self) -> PathLike | None:
        """The segmentation that holds the user's outlines of all levels, None where there is none."""
        return None if isinstance(self.masks, Mapping) else self.masks

    @property
    def drawn_masks(self) -> Mapping[str, npt.NDArray[np.bool_]]:
        """The masks that are given as arrays, by level."""
        return self.masks if isinstance(self.masks, Mapping) else {}

    @property
    def needs_network(self) -> bool:
        """Whether a level may have to be outlined by the network, as far as is known before the scan is read."""
        given = self.given_levels
        return self.mask_file is None and (given is None or not set(given) <= set(self.drawn_masks))

    def check(self) -> None:
        """Raise UsageError for what cannot be right, before anything is read."""
        if self.l1 is None and self.levels_from is None and self.mask_file is None:
            other = "L2 was given without L1" if self.l2 is not None else "No level was given"
            raise UsageError(
                f"{other}; say where L1 is with its centre slice (--l1=-812.5 in mm, or --l1=#123), give a vertebra "
                "segmentation with --levels-from, or have it suggested with --l1=auto."
            )
        age = self.age_years
        if age is not None and not (math.isfinite(age) and 0 <= age <= OLDEST_YEARS):
            raise UsageError(f"An age of {age:g} years cannot be right; give it in years, from 0 to {OLDEST_YEARS:g}.")
        strange = [name for name in self.drawn_masks if name not in LEVEL_NAMES]
        if strange:
            raise UsageError(f"There is a mask of {strange[0]!r}, which is no level; the levels are L1 and L2.")
