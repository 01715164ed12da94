"""From a folder or a file to an opened DICOM series."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...errors import InputError
from ...progress import Progress, silent
from ...results import Check
from ..geometry import canonical
from ..study import CT
from .acquisition import read_acquisition
from .checks import all_checks, require_decodable
from .files import Found, read_headers, regular_files
from .pixels import DicomSource
from .placement import Placement, place
from .series import Stack, choose, series_of, stacks_of


def open_dicom(path: Path, series: str | None, progress: Progress) -> CT:
    """Open the chosen series of a folder, or the series that a file belongs to; see `OsteoScreenLib.ct.open_ct`."""
    path, found, stacks = _stacks(path, progress)
    chosen, finding = choose(stacks, series)
    placement = place(chosen)
    require_decodable(placement.frames)
    return _ct(str(path), chosen, placement, finding, found)


def dicom_series_files(path: str | os.PathLike[str], progress: Progress = silent) -> list[Path]:
    """The files of the series that `open_ct` takes at ``path``, in the order of its slices, for another reader.

    Raises `InputError` where there is none.
    """
    _, _, stacks = _stacks(Path(path), progress)
    return [frame.path for frame in place(choose(stacks, None)[0]).frames]


def _stacks(path: Path, progress: Progress) -> tuple[Path, Found, list[Stack]]:
    """The place that was meant, what was found there, and its stacks; raises `InputError` where there are none."""
    left_out: Counter[str] = Counter()
    if path.name.upper() == "DICOMDIR" and not path.is_dir():
        return _stacks(path.parent, progress)
    if path.is_dir():
        found = read_headers(regular_files(path, left_out), left_out, progress)
        stacks = stacks_of(found.frames)
    else:
        found, stacks = _around(path.resolve(), left_out, progress)
    if not stacks:
        raise InputError(_nothing(path, found))
    return path, found, stacks


def open_dicom_files(paths: Iterable[str | os.PathLike[str]], progress: Progress = silent) -> CT:
    """Open the one series that exactly these files make up; nothing beside them is looked at.

    It is for a volume whose pixels are at hand already, with its files' names (Slicer's): geometry, findings and
    acquisition are those of `open_ct`, and the pixels need not be decodable here; only asking the CT for a slice is
    then an `InputError`. Whether the images are a CT's is judged by the eligibility checks, as with `open_ct`.

    Raises `InputError` where the files hold no image with a place in the patient, or those of more than one series.
    """
    files = list(dict.fromkeys(Path(path) for path in paths))
    found = read_headers(files, Counter(), progress)
    stacks = stacks_of(found.frames)
    if not stacks:
        left_out = f" (left out: {found.explanation})" if found.left_out else ""
        raise InputError(f"The {len(files)} files hold no CT image with a position in the patient{left_out}.")
    count = len(series_of(stacks))
    if count > 1:
        raise InputError(f"The files are of {count} series, and one is screened at a time; name the files of one.")
    chosen, finding = choose(stacks, None)
    return _ct(_common_folder(files), chosen, place(chosen), finding, found)


def _ct(path: str, chosen: Stack, placement: Placement, finding: Check, found: Found) -> CT:
    first = placement.frames[0]
    shape = (len(placement.frames), first.rows, first.columns)
    geometry, axis_map = canonical(shape, placement.ijk_to_ras, placement.slice_origins)
    return CT(
        path=path,
        kind="dicom",
        series_instance_uid=first.series_uid or None,
        geometry=geometry,
        axis_map=axis_map,
        acquisition=read_acquisition(placement.frames),
        findings=(finding, *placement.findings, *all_checks(chosen, placement.frames, found)),
        source=DicomSource(placement.frames),
    )


def _common_folder(files: Sequence[Path]) -> str:
    try:
        return os.path.commonpath([file.absolute().parent for file in files])
    except ValueError:  # on several drives of Windows
        return str(files[0].parent)


def _around(path: Path, left_out: Counter[str], progress: Progress) -> tuple[Found, list[Stack]]:
    """The stack that one file stands for: the images like it in its own folder (not below)."""
    alone = read_headers([path], Counter(), progress)
    if not alone.frames:
        return alone, []
    found = read_headers(regular_files(path.parent, left_out, nested=False), left_out, progress)
    return found, [s for s in stacks_of(found.frames) if any(f.path == path for f in s.frames)]


def _nothing(path: Path, found: Found) -> str:
    if path.is_file():
        if found.left_out["that are not DICOM"]:
            return f"{path} is neither DICOM nor NRRD, MetaImage or NIfTI; name a CT in one of these formats."
        if found.damaged:
            return f"{path} is DICOM, but damaged or cut short; copy it again."
        return f"{path} is DICOM, but not a CT image with a position in the patient; name an image of the CT series."
    if not found.left_out:
        return f"{path} is empty; name the folder that holds the CT's DICOM files."
    if found.damaged:
        return f"{path} holds no whole CT image (left out: {found.explanation}); copy the series again."
    return (
        f"{path} holds no CT image with a position in the patient (left out: {found.explanation}); name another folder."
    )
