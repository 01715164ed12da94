"""What commands that screen take and say of the outputs beside result.json and the page."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..progress import Progress
from ..reports.kinds import OUTPUT_KINDS, groups
from .console import print_error

if TYPE_CHECKING:
    from ..screening import Screening


def add_writing_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked for beside result.json, the page and the outlines."""
    group = parser.add_argument_group("what to write beside result.json, report.html and segmentation.seg.nrrd")
    kinds = "; ".join(f"{name}: {kind.words} ({', '.join(kind.files)})" for name, kind in OUTPUT_KINDS.items())
    several = "; ".join(f"{name}: {', '.join(members)}" for name, members in groups().items())
    group.add_argument(
        "--write",
        metavar="KIND[,KIND…]",
        action="append",
        default=[],
        help=f"write this too; may be repeated. {kinds}. Several at once: {several}",
    )
    group.add_argument(
        "--with-identity",
        action="store_true",
        help="put the patient's name, number and birth date and the study's date, accession number and UID into "
        "result.json, the page, the sheet, the row and FHIR; without it, only DICOM objects name the patient, as "
        "DICOM requires",
    )


def write_all(screening: Screening, folder: Path, kinds: Sequence[str], progress: Progress) -> dict[str, str]:
    """Read what the page's views of the whole scan lack, and write everything into ``folder``, result.json last.

    Returns why, by kind, some of what was asked for was not written.
    """
    from ..reports.outputs import write_screening
    from ..sagittal import SAGITTAL_SLICES

    progress("Writing the report", 0, 1)
    screening.add_sagittal(SAGITTAL_SLICES, progress)
    screening.add_spine_view()
    return write_screening(screening, folder, kinds, progress)


def written_lines(kinds: Sequence[str], unwritten: Mapping[str, str]) -> list[str]:
    """The lines of a summary on what was asked for: what was written, and what was not; why is said on stderr."""
    written = [kind for kind in kinds if kind not in unwritten]
    told = {"Also written": written, "Not written": list(unwritten)}
    return [f"{said}: {', '.join(names)}" for said, names in told.items() if names]


def print_unwritten(unwritten: Mapping[str, str]) -> None:
    """Say on stderr what was not written and why, each reason once."""
    by_reason: dict[str, list[str]] = {}
    for kind, reason in unwritten.items():
        by_reason.setdefault(reason, []).append(kind)
    for reason, kinds in by_reason.items():
        print_error(f"Not written: {', '.join(kinds)}. {reason}")
