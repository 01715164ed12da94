"""From a folder or file to an opened DICOM series."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from ...errors import InputError, UsageError
from ...progress import Progress
from ...results import Check
from ..acquisition import Acquisition
from ..geometry import LPS_TO_RAS, canonical
from ..study import CT
from .acquisition import read_acquisition
from .files import read_headers, regular_files
from .header import Frame
from .pixels import DicomSource


def open_dicom(path: Path, series: str | None, progress: Progress) -> CT:
    """Open the chosen series of a folder, or the series that a file belongs to; see `OsteoScreenLib.ct.open_ct`."""
    left_out: Counter[str] = Counter()
    folder = path if path.is_dir() else path.parent
    found = read_headers(list(regular_files(folder, left_out)), left_out, progress)
    groups: dict[tuple, list[Frame]] = defaultdict(list)
    for frame in found.frames:
        if frame.position and frame.orientation and frame.spacing and not frame.is_localizer:
            groups[(frame.series_uid, frame.rows, frame.columns)].append(frame)
    if not groups:
        raise InputError(f"{path} holds no CT images with a position in the patient.")
    if path.is_file():
        groups = {k: g for k, g in groups.items() if any(f.path.name == path.name for f in g)}
    if series is not None:
        groups = {k: g for k, g in groups.items() if k[0] == series}
        if not groups:
            raise UsageError(f"There is no series {series}.")
    frames = max(groups.values(), key=len)
    return _stacked(path, frames)


def _stacked(path: Path, frames: list[Frame]) -> CT:
    orientation = np.array(frames[0].orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    frames = sorted(frames, key=lambda f: float(np.dot(normal, f.position)))
    spacing = frames[0].spacing
    assert spacing is not None
    first, last = np.array(frames[0].position), np.array(frames[-1].position)
    lps = np.eye(4)
    lps[:3, 0] = orientation[:3] * spacing[1]
    lps[:3, 1] = orientation[3:] * spacing[0]
    lps[:3, 2] = (last - first) / (len(frames) - 1) if len(frames) > 1 else normal * (frames[0].thickness or 1.0)
    lps[:3, 3] = first
    geometry, axis_map = canonical((len(frames), frames[0].rows, frames[0].columns), LPS_TO_RAS @ lps)
    acquisition: Acquisition = read_acquisition(frames)
    return CT(
        path=str(path),
        kind="dicom",
        series_instance_uid=frames[0].series_uid or None,
        geometry=geometry,
        axis_map=axis_map,
        acquisition=acquisition,
        findings=(Check("series", "pass", f"{len(frames)} slices"),),
        source=DicomSource(frames),
    )
