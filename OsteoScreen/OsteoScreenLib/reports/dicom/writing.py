"""All DICOM objects of one screening, made together so that they refer to each other; all are written, or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from ...errors import OsteoScreenError, UsageError, system_reason
from ...results_io import make_folder
from .making import Making, fresh_uid
from .source import SourceSeries

if TYPE_CHECKING:
    from ...screening import Screening

KINDS = ("seg", "sr", "capture", "pdf")
#: What can be made of a study that was refused: nothing of it was measured.
_OF_REFUSED = ("sr", "pdf")


def write_dicom_objects(
    screening: Screening,
    folder: str | os.PathLike[str],
    *,
    source: SourceSeries | None = None,
    kinds: Collection[str] = KINDS,
    fractional: bool = False,
    pdf: bytes | str | os.PathLike[str] | None = None,
    now: datetime | None = None,
    new_uid: Callable[[], str] = fresh_uid,
) -> list[Path]:
    """Write the objects of ``kinds`` into ``folder`` (made where it is missing) and return their paths.

    "seg" is seg.dcm (with ``fractional``, seg-probability.dcm too), "sr" is sr.dcm, "capture" is capture-L1.dcm and so
    on, and "pdf" is report.dcm, where ``pdf`` is the report's content or path; without it there is none. The report of
    measurements refers to the segmentation of the same call. Of a refused study there are the reports alone.

    ``source`` is for a CT that came as an array: `SourceSeries` with its files. ``now`` is the objects' time, and
    ``new_uid`` makes their series, instance and tracking UIDs.

    Raises NoDicomOutput where the scan cannot be the source of DICOM objects, with the reason; UsageError for another
    kind, for a probability map where no network outlined, or where no level was found; InputError where a source file
    or the PDF cannot be read; OsteoScreenError where the folder cannot be written.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown or (fractional and "seg" not in kinds):
        raise UsageError(
            f"There are no DICOM objects of the kind {', '.join(unknown)}; choose among {', '.join(KINDS)}."
            if unknown
            else "A probability map goes with the segmentation; ask for seg too."
        )
    making = Making.of(screening, source, now, new_uid)
    wanted = [kind for kind in KINDS if kind in kinds]
    if making.result.status == "refused":
        wanted = [kind for kind in wanted if kind in _OF_REFUSED]
        fractional = False
    return _write(_objects(making, wanted, fractional, pdf), Path(folder))


def _objects(
    making: Making, kinds: Collection[str], fractional: bool, pdf: bytes | str | os.PathLike[str] | None
) -> dict[str, Dataset]:
    """The objects by their file's name."""
    from .encapsulated import encapsulated_pdf
    from .secondary_capture import secondary_captures
    from .seg import probability_map, segmentation
    from .sr import measurement_report

    made: dict[str, Dataset] = {}
    outlines = segmentation(making) if "seg" in kinds else None
    if outlines is not None:
        made["seg.dcm"] = outlines
    if fractional:
        made["seg-probability.dcm"] = probability_map(making)
    if "sr" in kinds:
        made["sr.dcm"] = measurement_report(making, outlines)
    if "capture" in kinds:
        made.update({f"capture-{name}.dcm": capture for name, capture in secondary_captures(making).items()})
    if "pdf" in kinds and pdf is not None:
        made["report.dcm"] = encapsulated_pdf(making, pdf)
    return made


def _write(objects: dict[str, Dataset], folder: Path) -> list[Path]:
    """Write all into a folder of their own, then move them in by renaming; on any error nothing new is left."""
    staging: Path | None = None
    moved: list[Path] = []
    try:
        make_folder(folder)
        staging = Path(tempfile.mkdtemp(prefix=".osteoscreen-dicom-", dir=folder))
        for name, made in objects.items():
            made.save_as(staging / name, enforce_file_format=True)
        for name in objects:
            os.replace(staging / name, folder / name)
            moved.append(folder / name)
    except OSError as error:
        for path in moved:
            path.unlink(missing_ok=True)
        raise OsteoScreenError(f"The DICOM objects cannot be written to {folder}: {system_reason(error)}.") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    return moved
