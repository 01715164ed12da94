"""A table of the study in two forms: for programs, one number to a cell, and for readers, as it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tables import write_table
from .page import TABLES, Kind, PageTable

#: The cells of a row: text, numbers, or None; :func:`..tables.write_table` takes no other.
Row = list[Any]


@dataclass(frozen=True)
class StudyTable:
    """A table by the name of its files.

    Attributes:
        columns, values: what is written to NAME.csv and NAME.json.
        header, rows: what the page shows.
        kind: where its numbers come from, where that is not the page's own kind.
    """

    name: str
    title: str
    columns: Sequence[str]
    values: Sequence[Row]
    header: Sequence[str]
    rows: Sequence[Row]
    note: str = ""
    kind: Kind | None = None

    def write(self, folder: Path) -> PageTable:
        """Write both files into ``folder``/tables and return the table as the page takes it."""
        write_table(folder / TABLES / self.name, list(self.columns), list(self.values))
        return PageTable(
            title=self.title,
            csv=f"{self.name}.csv",
            header=list(self.header),
            rows=list(self.rows),
            note=self.note,
            kind=self.kind,
        )
