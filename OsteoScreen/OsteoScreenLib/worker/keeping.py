"""What the worker writes of a screening that was made before: its page, its sheet as PDF, and its DICOM objects."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..progress import Progress
from . import exchange

if TYPE_CHECKING:
    from ..ct import CT
    from ..screening import Screening


def keep_page(message: Mapping[str, Any], ct: CT, progress: Progress) -> dict[str, Any]:
    """Write the page of the message's result to its "to"."""
    from ..reports import write_html

    target = _target(message, "the file to write the page to")
    screening = _screening(message, ct, progress)
    write_html(screening.result, screening.pictures, target)
    return {"written": str(target)}


def keep_pdf(message: Mapping[str, Any], ct: CT, progress: Progress) -> dict[str, Any]:
    """Write the sheet of the message's result to its "to"."""
    from ..reports.pdf import write_pdf

    target = _target(message, "the file to write the PDF to")
    screening = _screening(message, ct, progress)
    return {"written": str(write_pdf(screening.result, screening.pictures, target))}


def keep_dicom(message: Mapping[str, Any], ct: CT, progress: Progress) -> dict[str, Any]:
    """Write the DICOM objects of the message's result into its folder "to".

    Raises NoDicomOutput where the scan cannot be their source, with the reason.
    """
    from ..reports.dicom import KINDS, SourceSeries, write_dicom_objects
    from ..reports.pdf import render_pdf

    target = _target(message, "the folder to write to")
    files = _texts(message.get("files"), "files")
    kinds = _texts(message.get("kinds"), "kinds") or list(KINDS)
    # Before anything is drawn, so that what cannot be the source costs no waiting.
    source = SourceSeries(ct, files or None)
    screening = _screening(message, ct, progress)
    progress("Writing the DICOM objects", 0, 0)
    pdf = render_pdf(screening.result, screening.pictures) if "pdf" in kinds else None
    written = write_dicom_objects(screening, target, source=source, kinds=kinds, pdf=pdf)
    return {"written": [str(path) for path in written]}


def _screening(message: Mapping[str, Any], ct: CT, progress: Progress) -> Screening:
    """The screening of a message, with every picture of it."""
    from ..localisation.resample import read_trunk
    from ..results_io import from_dict
    from ..sagittal import SAGITTAL_SLICES
    from ..screening import Screening, pictures_of

    result = from_dict(message.get("result"))  # type: ignore[arg-type]
    outlines = exchange.read_outlines(message.get("outlines"))
    screening = Screening(result, ct, pictures_of(ct, result, outlines), outlines)
    screening.add_sagittal(SAGITTAL_SLICES, progress)
    if result.numbering is not None and result.numbering.vertebrae:
        screening.trunk = read_trunk(ct, progress=progress)
        screening.add_spine_view()
    return screening


def _target(message: Mapping[str, Any], what: str) -> Path:
    target = message.get("to")
    if not isinstance(target, str) or not target:
        raise UsageError(f"The message lacks to, {what}.")
    return Path(os.fspath(target))


def _texts(value: Any, name: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"The message's {name} is no list of texts.")
    return value
