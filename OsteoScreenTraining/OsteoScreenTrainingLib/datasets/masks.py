"""The outlines that a manifest names: one file or folder, or several that each hold some of the levels."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from OsteoScreenLib.ct import Geometry, open_ct
from OsteoScreenLib.errors import InputError, OsteoScreenError, system_reason
from OsteoScreenLib.levels import VertebraMask, read_vertebrae, vertebra_named
from OsteoScreenLib.segmentation_io import write_segmentation

from .folder import LEVELS

#: Where outlines that are made here lie in a data set.
MASKS = "masks"
#: What stands between the paths in a cell of the manifest.
SEPARATOR = ";"
#: Formats that hold one number per voxel and nothing that names it.
_BARE = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


def mask_paths(folder: Path, cell: str) -> list[Path]:
    """Return the paths in a cell of the column ``masks``, relative ones taken from the data set's ``folder``."""
    return [folder / part.strip() for part in cell.split(SEPARATOR) if part.strip()]


def write_masks(folder: Path, name: str, masks: Mapping[str, tuple[int, np.ndarray]], geometry: Geometry) -> Path:
    """Write outlines as ``masks/NAME.seg.nrrd`` in a data set's ``folder``, whole or not at all; return the file.

    Args:
        masks: by level: the slice's index, and (rows, columns) bool, on the CT's canonical grid.
        geometry: the CT's.

    Raises:
        OsteoScreenError: it cannot be written.
    """
    path = folder / MASKS / f"{name}.seg.nrrd"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_segmentation({level: masks[level] for level in LEVELS if level in masks}, geometry, temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise OsteoScreenError(f"{path} cannot be written: {system_reason(error)}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return path


def read_masks(paths: Sequence[Path], levels: Sequence[str]) -> dict[str, VertebraMask]:
    """Return the outlines of ``levels`` that the files hold; levels that none of them holds are left out.

    Each is a Slicer ``.seg.nrrd``, a NIfTI, NRRD or MetaImage label map, a DICOM SEG or a folder of files named after
    vertebrae. Among several, a label map named after a vertebra (``vertebrae_L1.nii.gz``) is that vertebra.

    Raises:
        InputError: one cannot be read, or holds none of the levels, or two hold the same one.
        UsageError: one is not there.
    """
    found: dict[str, VertebraMask] = {}
    for path in paths:
        for level, mask in _read_one(path, levels, among_others=len(paths) > 1).items():
            if level in found:
                raise InputError(f"{path.name} holds {level}, as does another of the files; name one of them.")
            found[level] = mask
    return found


def _read_one(path: Path, levels: Sequence[str], among_others: bool) -> dict[str, VertebraMask]:
    name = path.name.lower()
    suffix = next((suffix for suffix in sorted(_BARE, key=len, reverse=True) if name.endswith(suffix)), "")
    level = vertebra_named(path.name[: -len(suffix)]) if suffix else None
    if not among_others or level is None or level not in levels or ".seg." in name or not path.is_file():
        return read_vertebrae(path, list(levels))
    ct = open_ct(path)
    mask = np.stack([ct.slice(k) > 0 for k in range(ct.geometry.shape[0])])
    if not mask.any():
        raise InputError(f"{path.name} is empty; draw {level} again.")
    return {level: VertebraMask(level, mask, ct.geometry)}
