"""From a folder or a file to an opened DICOM series."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ...errors import InputError
from ...progress import Progress
from ..geometry import canonical
from ..study import CT
from .acquisition import read_acquisition
from .checks import all_checks, require_decodable
from .files import Found, read_headers, regular_files
from .pixels import DicomSource
from .placement import place
from .series import Stack, choose, stacks_of


def open_dicom(path: Path, series: str | None, progress: Progress) -> CT:
    """Open the chosen series of a folder, or the series that a file belongs to; see `OsteoScreenLib.ct.open_ct`."""
    left_out: Counter[str] = Counter()
    if path.is_dir():
        found = read_headers(regular_files(path, left_out), left_out, progress)
        stacks = stacks_of(found.frames)
    elif path.name.upper() == "DICOMDIR":
        return open_dicom(path.parent, series, progress)
    else:
        found, stacks = _around(path.resolve(), left_out, progress)
    if not stacks:
        raise InputError(_nothing(path, found))
    chosen, finding = choose(stacks, series)
    placement = place(chosen)
    require_decodable(placement.frames)
    first = placement.frames[0]
    shape = (len(placement.frames), first.rows, first.columns)
    geometry, axis_map = canonical(shape, placement.ijk_to_ras, placement.slice_origins)
    return CT(
        path=str(path),
        kind="dicom",
        series_instance_uid=first.series_uid or None,
        geometry=geometry,
        axis_map=axis_map,
        acquisition=read_acquisition(placement.frames),
        findings=(finding, *placement.findings, *all_checks(chosen, placement.frames, found)),
        source=DicomSource(placement.frames),
    )


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
