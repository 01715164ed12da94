"""What a screening can be written as beside result.json, the page and the outlines: the kinds, and their files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import UsageError


@dataclass(frozen=True)
class OutputKind:
    """The files that a kind may consist of, and what they are, for a user."""

    files: tuple[str, ...]
    words: str


#: By the kind's name, in the order in which they are told of.
OUTPUT_KINDS: dict[str, OutputKind] = {
    "pdf": OutputKind(("report.pdf",), "the report on one sheet"),
    "csv": OutputKind(("result.csv",), "one row for a spreadsheet"),
    "fhir": OutputKind(("fhir.json",), "HL7 FHIR R4, a DiagnosticReport with its Observations"),
    "seg": OutputKind(("seg.dcm",), "DICOM SEG of the outlines"),
    "probability": OutputKind(("seg-probability.dcm",), "seg, and the network's probability map as a fractional SEG"),
    "sr": OutputKind(("sr.dcm",), "DICOM SR (TID 1500) of the measurements"),
    # One for each level of `request.LEVEL_NAMES`, which is not imported, since `--help` has to be quick.
    "capture": OutputKind(("capture-L1.dcm", "capture-L2.dcm"), "DICOM Secondary Capture of each outlined slice"),
    "dicom-pdf": OutputKind(("report.dcm",), "the sheet as DICOM Encapsulated PDF"),
}
#: Names for several at once. The probability map is made on request alone.
GROUPS: dict[str, tuple[str, ...]] = {
    "dicom": ("seg", "sr", "capture", "dicom-pdf"),
    "all": tuple(kind for kind in OUTPUT_KINDS if kind != "probability"),
}
DICOM_KINDS = (*GROUPS["dicom"], "probability")

#: Every file that any kind may consist of.
OUTPUT_FILES = tuple(file for kind in OUTPUT_KINDS.values() for file in kind.files)


def chosen_kinds(words: Iterable[str]) -> list[str]:
    """Return the kinds that words such as "pdf,csv" or "dicom" name, each once, in the order of `OUTPUT_KINDS`.

    Raises UsageError for a name that is neither a kind nor a group.
    """
    names = [name.strip().lower() for word in words for name in word.split(",") if name.strip()]
    unknown = [name for name in names if name not in OUTPUT_KINDS and name not in GROUPS]
    if unknown:
        known = ", ".join((*OUTPUT_KINDS, *GROUPS))
        raise UsageError(f"Nothing can be written as {unknown[0]!r}; choose among {known}.")
    kinds = {kind for name in names for kind in GROUPS.get(name, (name,))}
    if "probability" in kinds:
        kinds.add("seg")
    return [kind for kind in OUTPUT_KINDS if kind in kinds]


def kinds_in(folder: str | os.PathLike[str]) -> list[str]:
    """Return the kinds of which a file lies in ``folder``, in the order of `OUTPUT_KINDS`."""
    return [name for name, kind in OUTPUT_KINDS.items() if any((Path(folder) / file).exists() for file in kind.files)]
