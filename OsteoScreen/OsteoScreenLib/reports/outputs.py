"""Writes a screening as everything that is asked for, and says what the study cannot give."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, UsageError
from ..output_kinds import DICOM_KINDS, OUTPUT_KINDS
from ..progress import Progress, silent
from ..results_io import write_bytes_atomically

if TYPE_CHECKING:
    from ..screening import Screening

#: What `write_dicom_objects` calls a kind, where it is called otherwise there.
_IN_DICOM = {"dicom-pdf": "pdf"}
_REFUSED = "The study was refused, so there is no outline to write."
_NO_MAP = "There is no probability map, because a level's outline is not, or no longer, the network's own."


def write_outputs(
    screening: Screening,
    folder: str | os.PathLike[str],
    kinds: Collection[str],
    progress: Progress = silent,
    written: datetime | None = None,
) -> dict[str, str]:
    """Write the screening as each of ``kinds``, which `chosen_kinds` made, into ``folder``.

    ``written`` is the time that they bear (now, where it is None). Returns why, by kind, those were not written that
    the study cannot give: a scan without valid UIDs has no DICOM objects, a refused study no outlines. The others are
    written all the same.

    Raises OsteoScreenError where the folder cannot be written.
    """
    moment = written or datetime.now().astimezone()
    place = Path(folder)
    wanted = [kind for kind in OUTPUT_KINDS if kind in kinds]
    progress("Writing what else was asked for", 0, len(wanted))
    sheet = _sheet(screening, moment) if {"pdf", "dicom-pdf"} & set(wanted) else None
    if "pdf" in wanted and sheet is not None:
        write_bytes_atomically(sheet, place / _file("pdf"))
    if "csv" in wanted:
        from .table import write_table

        write_table([screening.result], place / _file("csv"))
    if "fhir" in wanted:
        from .fhir import write_fhir

        write_fhir(screening.result, place / _file("fhir"), moment)
    of_dicom = [kind for kind in wanted if kind in DICOM_KINDS]
    return _write_dicom(screening, place, of_dicom, sheet, moment) if of_dicom else {}


def _sheet(screening: Screening, moment: datetime) -> bytes:
    from .pdf import render_pdf

    return render_pdf(screening.result, screening.pictures, moment)


def _write_dicom(
    screening: Screening, folder: Path, kinds: Sequence[str], sheet: bytes | None, moment: datetime
) -> dict[str, str]:
    """Write the DICOM objects together, since they refer to each other; returns why some were not."""
    from .dicom import NoDicomOutput, write_dicom_objects

    missing: dict[str, str] = {}
    refused = screening.result.status == "refused"
    with_map = "probability" in kinds
    if with_map and not refused and not _has_map(screening):
        with_map, missing["probability"] = False, _NO_MAP
    try:
        paths = write_dicom_objects(
            screening,
            folder,
            kinds=[_IN_DICOM.get(kind, kind) for kind in kinds if kind != "probability"],
            fractional=with_map,
            pdf=sheet if "dicom-pdf" in kinds else None,
            now=moment,
        )
    except (NoDicomOutput, InputError, UsageError) as reason:
        return dict.fromkeys(kinds, str(reason))
    names = {path.name for path in paths}
    for kind in kinds:
        if not names.intersection(OUTPUT_KINDS[kind].files):
            missing.setdefault(kind, _REFUSED)
    return {kind: missing[kind] for kind in kinds if kind in missing}


def _has_map(screening: Screening) -> bool:
    outlines = [screening.outlines.get(name) for name in screening.result.roi]
    return all(outline is not None and outline.probability is not None for outline in outlines)


def _file(kind: str) -> str:
    return OUTPUT_KINDS[kind].files[0]
