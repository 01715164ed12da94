"""What commands that screen take and say of the outputs beside result.json and the page."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from ..output_kinds import GROUPS, OUTPUT_KINDS
from .console import print_error


def add_writing_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked for beside result.json, the page and the outlines."""
    group = parser.add_argument_group("what to write beside result.json, report.html and segmentation.seg.nrrd")
    kinds = "; ".join(f"{name}: {kind.words} ({', '.join(kind.files)})" for name, kind in OUTPUT_KINDS.items())
    groups = "; ".join(f"{name}: {', '.join(members)}" for name, members in GROUPS.items())
    group.add_argument(
        "--write",
        metavar="KIND[,KIND…]",
        action="append",
        default=[],
        help=f"write this too; may be repeated. {kinds}. Several at once: {groups}",
    )
    group.add_argument(
        "--with-identity",
        action="store_true",
        help="put the patient's name, number and birth date and the study's date, accession number and UID into "
        "result.json, the page, the sheet, the row and FHIR; without it, only DICOM objects name the patient, as "
        "DICOM requires",
    )


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
