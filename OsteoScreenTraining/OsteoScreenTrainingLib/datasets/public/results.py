"""How a collection is imported, and what became of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..splits import Part

GENERATOR = "osteoscreen-dataset-import 1"


@dataclass(frozen=True)
class ImportOptions:
    """How a collection is imported.

    Attributes:
        keep_split: also write the collection's own split.
        kvp: tube voltage of every scan of which the collection does not say it, kV.
        bmd_from_hu: fill an empty BMD from the scan's own HU by the nominal line, but not with contrast medium. Such
            a BMD is no reference: a classifier learns the HU from it and nothing else.
        most: stop after this many scans; 0 takes all.
        workers: processes.
    """

    keep_split: bool = False
    kvp: float | None = None
    bmd_from_hu: bool = False
    most: int = 0
    workers: int = 1


@dataclass(frozen=True)
class CaseResult:
    """What became of a scan; only plain values, so that it can be kept as JSON.

    Attributes:
        name, subject, part: of the scan.
        cells: its row of the manifest.
        levels: a row of ``import.csv`` for each level.
    """

    name: str
    subject: str
    part: Part | None
    cells: dict[str, Any]
    levels: list[dict[str, Any]]

    @property
    def accepted(self) -> int:
        """How many levels have an outline."""
        return sum(row["outcome"] == "accepted" for row in self.levels)
