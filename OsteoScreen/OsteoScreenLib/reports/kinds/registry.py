"""The kinds of output by name: adding one is adding one function with a decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...screening import Screening
    from ..dicom import SourceSeries


@dataclass(frozen=True)
class OutputKind:
    """What a screening can be written as beside result.json, the page and the outlines.

    files : the names of the files that it may consist of
    words : what they are, for a user
    needs : the kinds without which it is not made
    on_request : whether its own name has to be given, since no group holds it
    packages : what it needs beside what a screening does, by the names that pip and Python have in common; Slicer
        installs them, where they are in `Resources/requirements-export.txt`, when a user first asks for the kind
    """

    files: tuple[str, ...]
    words: str
    needs: tuple[str, ...] = ()
    on_request: bool = False
    packages: tuple[str, ...] = ()

    @property
    def is_dicom(self) -> bool:
        """Whether it consists of DICOM objects."""
        return all(file.endswith(".dcm") for file in self.files)


@dataclass(frozen=True, eq=False)
class Output:
    """What is to be written: the screening, the folder, the kinds that were asked for, and the time that they bear.

    ``ct_files`` are the DICOM files of a CT that came as an array (Slicer's).
    """

    screening: Screening
    folder: Path
    kinds: tuple[str, ...]
    written: datetime
    ct_files: tuple[str, ...] = ()

    @cached_property
    def sheet(self) -> bytes:
        """The report on one sheet as a PDF, the same for every kind that holds it."""
        from ..pdf import render_pdf

        return render_pdf(self.screening.result, self.screening.pictures, self.written)

    @cached_property
    def source(self) -> SourceSeries:
        """The series that DICOM objects refer to, the same for all of them.

        Raises NoDicomOutput where there is none, with the reason; InputError where a file cannot be read any more.
        """
        from ..dicom import SourceSeries

        return SourceSeries(self.screening.ct, self.ct_files or None)


#: Writes its kinds, as far as they were asked for, and returns why, by kind, the study cannot give some of them.
Writer = Callable[[Output], Mapping[str, str] | None]

OUTPUT_KINDS: dict[str, OutputKind] = {}
WRITERS: dict[str, Writer] = {}


def writes(kinds: Mapping[str, OutputKind]) -> Callable[[Writer], Writer]:
    """Register the function that writes ``kinds``, which are given by name.

    Raises ValueError where there is such a kind, or such a file, already.
    """
    taken = {file for kind in OUTPUT_KINDS.values() for file in kind.files}
    if OUTPUT_KINDS.keys() & kinds or any(taken & set(kind.files) for kind in kinds.values()):
        raise ValueError(f"Of {', '.join(kinds)}, a kind or a file of it is there already.")

    def register(function: Writer) -> Writer:
        OUTPUT_KINDS.update(kinds)
        WRITERS.update(dict.fromkeys(kinds, function))
        return function

    return register
