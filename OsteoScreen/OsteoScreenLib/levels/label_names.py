"""What a segmentation file says of its labels: NIfTI label tables and Slicer's segment fields."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from ..errors import InputError
from .names import SCT_CODES, names_body_alone, vertebra_named

# NIfTI-1 keeps extensions between the header and the voxels; a table of all labels takes some 20 kB.
_NIFTI_HEADER = 352
_LONGEST_EXTENSION = 1 << 20
_LABEL = re.compile(
    r"<Label\b[^>]{0,400}?\bKey\s*=\s*\"(\d{1,6})\"[^>]{0,400}>\s*(?:<!\[CDATA\[)?([^<\]]{1,200})", re.IGNORECASE
)
_SEGMENT_NAME = re.compile(r"Segment(\d{1,5})_Name")
_CODE = re.compile(r"SCT\^(\d{5,18})\^")


@dataclass(frozen=True)
class NamedLabel:
    """A label that names a vertebra: its value, its layer in a file of overlapping segments, its name as written."""

    vertebra: str
    value: int
    layer: int
    written: str

    @property
    def body_alone(self) -> bool:
        """Whether it is the body without the arch, by its name."""
        return names_body_alone(self.written)


def nifti_labels(path: Path) -> list[NamedLabel]:
    """The vertebrae in the label table of a NIfTI file (a Caret extension, as TotalSegmentator writes it)."""
    table = _nifti_extension(path)
    named = ((int(key), unescape(name).strip()) for key, name in _LABEL.findall(table))
    return [NamedLabel(vertebra, value, 0, name) for value, name in named if (vertebra := vertebra_named(name))]


def _nifti_extension(path: Path) -> str:
    try:
        with gzip.open(path) if path.name.endswith(".gz") else open(path, "rb") as file:
            head = file.read(_NIFTI_HEADER)
            if len(head) < _NIFTI_HEADER or head[344:347] != b"n+1" or head[348] == 0:
                return ""
            return file.read(_LONGEST_EXTENSION).decode("utf-8", "ignore").split("</CaretExtension>")[0]
    except (OSError, EOFError, zlib.error):
        return ""


def segment_labels(fields: Mapping[str, str]) -> list[NamedLabel]:
    """The vertebrae among the segments of a Slicer segmentation, by segment name or by SNOMED CT code.

    ``fields`` are the NRRD file's own ("Segment0_Name", "Segment0_Tags", ...). Raises `InputError` where a segment's
    name and code mean different vertebrae.
    """
    found = []
    for key in fields:
        match = _SEGMENT_NAME.fullmatch(key)
        if not match:
            continue
        number, name = int(match[1]), fields[key]
        vertebra = _agreed(name, fields.get(f"Segment{number}_Tags", ""))
        if vertebra:
            value = _whole(fields.get(f"Segment{number}_LabelValue"), number + 1)
            found.append(NamedLabel(vertebra, value, _whole(fields.get(f"Segment{number}_Layer"), 0), name))
    return found


def _agreed(name: str, tags: str) -> str | None:
    by_name = vertebra_named(name)
    coded = {SCT_CODES[code] for code in _CODE.findall(tags) if code in SCT_CODES}
    by_code = coded.pop() if len(coded) == 1 else None
    if by_name and by_code and by_name != by_code:
        raise InputError(
            f"The segment named {name[:40]!r} is coded as {by_code} in its terminology, so it is not clear which "
            "vertebra it is; correct its name or its terminology in Slicer."
        )
    return by_name or by_code


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and re.fullmatch(r"\s*\d{1,6}\s*", text, re.ASCII) else default
