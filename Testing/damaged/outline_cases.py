"""The user's outlines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from phantom_ct import CENTRES

from .table import INPUT, LEVELS, REFUSED, USAGE, Sources, case, moved, write_text


def outlined(make: Callable[[Sources, Path], Path], *more: str) -> Callable[[Sources, Path], list[str]]:
    return lambda sources, folder: [str(sources.nifti), "--masks", str(make(sources, folder)), *LEVELS, *more]


def redrawn(change: Callable[[np.ndarray], None]) -> Callable[[Sources, Path], Path]:
    def make(sources: Sources, folder: Path) -> Path:
        image = sitk.ReadImage(str(sources.outlines))
        drawn = sitk.GetArrayFromImage(image)
        change(drawn)
        new = sitk.GetImageFromArray(drawn)
        new.CopyInformation(image)
        for key in image.GetMetaDataKeys():
            new.SetMetaData(key, image.GetMetaData(key))
        sitk.WriteImage(new, str(folder / "drawn.seg.nrrd"))
        return folder / "drawn.seg.nrrd"

    return make


def erase_slice(drawn: np.ndarray) -> None:
    drawn[CENTRES["L1"]] = 0


def two_parts(drawn: np.ndarray) -> None:
    drawn[CENTRES["L1"], 10:20, 10:30] = 1


def a_speck(drawn: np.ndarray) -> None:
    drawn[CENTRES["L1"]] = 0
    drawn[CENTRES["L1"], 66:68, 55:57] = 1


def in_the_air(drawn: np.ndarray) -> None:
    drawn[CENTRES["L1"]] = 0
    drawn[CENTRES["L1"], :9, :20] = 1


case("outlines from nowhere", USAGE, "segmentation")(outlined(lambda s, f: f / "none.nrrd"))
case("outlines from a text", INPUT, "segmentation")(outlined(lambda s, f: write_text(f, "drawn.nrrd")))
case("outlines of another place", REFUSED, "L1")(outlined(moved))
case("outline missing on the slice", REFUSED, "empty")(outlined(redrawn(erase_slice)))
case("outline in two parts", REFUSED, "parts")(outlined(redrawn(two_parts)))
case("outline of a few pixels", REFUSED, "left|small")(outlined(redrawn(a_speck)))
case("outline in the air", REFUSED, "air|data")(outlined(redrawn(in_the_air)))
case("empty outline by force", REFUSED, "empty")(outlined(redrawn(erase_slice), "--force"))
