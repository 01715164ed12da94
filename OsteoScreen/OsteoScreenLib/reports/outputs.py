"""Writes a screening as everything that is asked for, and says what the study cannot give."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..progress import Progress, silent
from ..results_io import write_result
from ..segmentation_io import write_segmentation
from .html import write_html
from .kinds import OUTPUT_KINDS, REPORT, RESULT, SEGMENTATION
from .kinds.registry import WRITERS, Output

if TYPE_CHECKING:
    from ..screening import Screening


def write_screening(
    screening: Screening, folder: str | os.PathLike[str], kinds: Collection[str], progress: Progress = silent
) -> dict[str, str]:
    """Write the page, the outlines, ``kinds`` and, last, result.json; otherwise as `write_outputs`."""
    place = Path(folder)
    write_html(screening.result, screening.pictures, place / REPORT)
    if screening.result.roi:
        write_segmentation(screening.masks, screening.ct.geometry, place / SEGMENTATION)
    unwritten = write_outputs(screening, place, kinds, progress)
    write_result(screening.result, place / RESULT)
    return unwritten


def write_outputs(
    screening: Screening,
    folder: str | os.PathLike[str],
    kinds: Collection[str],
    progress: Progress = silent,
    written: datetime | None = None,
    ct_files: Iterable[str] = (),
) -> dict[str, str]:
    """Write the screening as each of ``kinds``, which `chosen_kinds` made, into ``folder``.

    ``written`` is the time that they bear (now, where it is None), ``ct_files`` are those of a DICOM series whose CT
    came as an array. Returns why, by kind, those were not written that the study cannot give: a scan without valid
    UIDs has no DICOM objects, a refused study no outlines. The others are written all the same.

    Raises OsteoScreenError where the folder cannot be written.
    """
    wanted = tuple(kind for kind in OUTPUT_KINDS if kind in kinds)
    output = Output(screening, Path(folder), wanted, written or datetime.now().astimezone(), tuple(ct_files))
    writers = list(dict.fromkeys(WRITERS[kind] for kind in wanted))
    missing: dict[str, str] = {}
    for done, write in enumerate(writers):
        progress("Writing what else was asked for", done, len(writers))
        missing.update(write(output) or {})
    return {kind: missing[kind] for kind in wanted if kind in missing}
