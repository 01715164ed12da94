"""Open whatever the user points at: a DICOM folder or file, NRRD, MetaImage, NIfTI."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import InputError, NoSuchSeries, UsageError, system_reason
from ..progress import Progress, silent
from .dicom import open_dicom
from .study import CT
from .volume_file import open_volume_file
from .volume_header import file_kind


def open_ct(path: str | os.PathLike[str], series: str | None = None, progress: Progress = silent) -> CT:
    """Open a CT; headers are read and its geometry is checked, and no pixel is decoded.

    ``path`` is a DICOM folder (nested and mixed as it may be), one DICOM file (which stands for its series, in its
    folder), or a NRRD, MetaImage or NIfTI file. ``series`` chooses a DICOM series by its UID where there are several;
    by default the thinnest axial soft-kernel CT is taken, and the finding "series" says so. ``progress`` is told how
    far the reading of headers is.

    Raises `InputError` where nothing there can be read as a CT, and `NoSuchSeries` where ``series`` is not there.
    """
    if not os.fspath(path):
        raise UsageError("No CT was given; name a DICOM folder or a NRRD, MetaImage or NIfTI file.")
    place = Path(path)
    try:
        mode = place.stat().st_mode
    except (OSError, ValueError) as problem:
        raise InputError(f"{place} cannot be opened: {system_reason(problem)}; check the path.") from None
    if stat.S_ISDIR(mode):
        return open_dicom(place, series, progress)
    if not stat.S_ISREG(mode):
        raise InputError(f"{place} is neither a file nor a folder; name a DICOM folder or a volume file.")
    if place.stat().st_size == 0:
        raise InputError(f"{place} is empty; copy it again.")
    kind = file_kind(place)
    if kind is None:
        return open_dicom(place, series, progress)
    if series is not None:
        raise NoSuchSeries(f"A series can be chosen in DICOM only, and {place.name} is a {kind} file; leave it out.")
    return open_volume_file(place, kind)
