"""The manifest as the text that it is, so that one cell can be changed and every other byte stays.

Needs no JSON schema: what a row may hold is for :mod:`.manifest` to say.
"""

from __future__ import annotations

import codecs
import datetime
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from OsteoScreenLib.errors import InputError, UsageError, system_reason
from OsteoScreenLib.results_io import write_text_atomically

from .manifest import COLUMNS, MANIFEST, NUMBER_COLUMNS, Subject

#: A cell that begins with a quote, its quotes doubled inside; and a cell of any kind with what ends it.
_QUOTED = re.compile(r'"((?:[^"]|"")*)(?:"|$)')
_CELL = re.compile(r'(?P<cell>(?:"(?:[^"]|"")*(?:"|$))?[^,\r\n]*)(?P<end>,|\r\n|\r|\n|$)')


@dataclass
class _Record:
    """A line of the table (more than one where a quoted cell has line breaks): its cells as written, and its end."""

    cells: list[str]
    ending: str
    line: int


@dataclass
class ManifestText:
    """subjects.csv of a data set's folder: read it with :meth:`read`, change cells, and :meth:`write` it.

    Attributes:
        columns: the names of the columns, in order.
    """

    path: Path
    columns: list[str]
    _header: _Record = field(repr=False)
    _records: list[_Record] = field(repr=False)
    _mark: str = field(default="", repr=False)

    @classmethod
    def read(cls, folder: Path) -> ManifestText:
        """Read the manifest in ``folder``.

        Raises:
            InputError: it cannot be read, or has no column ``subject``, or one that is not known or there twice.
        """
        path = folder / MANIFEST
        try:
            text = path.read_bytes().decode("utf-8")
        except OSError as error:
            raise InputError(f"The manifest {path} cannot be read: {system_reason(error)}.") from error
        except UnicodeDecodeError as error:
            raise InputError(f"The manifest {path} is no table of text; save it as CSV in UTF-8.") from error
        mark = codecs.BOM_UTF8.decode("utf-8")
        mark = mark if text.startswith(mark) else ""
        records = _records(text[len(mark) :])
        columns = [_value(cell) for cell in records[0].cells] if records else []
        if "subject" not in columns:
            raise InputError(
                f"The manifest {path} has no column 'subject'; its first line holds the names of the columns, "
                "separated by commas."
            )
        strange = [name for name in columns if name not in COLUMNS or columns.count(name) > 1]
        if strange:
            raise InputError(f"{path}, line 1: the column {strange[0]!r} is not known, or there twice; take it out.")
        return cls(path, columns, records[0], records[1:], mark)

    def subjects(self) -> list[Subject]:
        """Return the rows, a subject each, in their order.

        Raises:
            InputError: a cell is not of its column's kind, or a subject has no name, or comes twice.
        """
        found: dict[str, Subject] = {}
        for record in self._filled():
            subject = _subject(self._values(record), f"{self.path}, line {record.line}")
            if subject.subject in found:
                raise InputError(
                    f"{self.path}, line {record.line}: the subject {subject.subject} is in another line already; keep "
                    "one study of each subject."
                )
            found[subject.subject] = subject
        return list(found.values())

    def change(self, subject: str, cells: Mapping[str, str]) -> None:
        """Set cells of a subject by column; a column that is not there is added at the end.

        Raises:
            UsageError: there is no such subject.
        """
        record = next((r for r in self._filled() if self._values(r).get("subject") == subject), None)
        if record is None:
            raise UsageError(f"There is no subject {subject!r} in {self.path}.")
        for column, value in cells.items():
            if column not in self.columns:
                self._add(column)
            place = self.columns.index(column)
            record.cells += [""] * (place + 1 - len(record.cells))
            record.cells[place] = _written(value)

    def write(self) -> None:
        """Write it, whole or not at all. Raises OsteoScreenError where that cannot be done."""
        records = [self._header, *self._records]
        text = self._mark + "".join(",".join(record.cells) + record.ending for record in records)
        write_text_atomically(text, self.path)

    def _add(self, column: str) -> None:
        self._header.cells.append(column)
        for record in self._filled():
            record.cells += [""] * (len(self._header.cells) - len(record.cells))
        self.columns.append(column)

    def _filled(self) -> list[_Record]:
        return [record for record in self._records if record.cells != [""]]

    def _values(self, record: _Record) -> dict[str, str]:
        values = zip(self.columns, map(_value, record.cells), strict=False)
        return {name: text.strip() for name, text in values if text.strip()}


def _records(text: str) -> list[_Record]:
    """Part a text into records and cells where :mod:`csv` does, but leave the cells as they are written."""
    records: list[_Record] = []
    cells: list[str] = []
    line = 0
    for match in _CELL.finditer(text):
        if match.start() == len(text) and not cells:
            break
        cells.append(match["cell"])
        line += match[0].count("\n") or match["end"] == "\r"
        if match["end"] != ",":
            records.append(_Record(cells, match["end"], line))
            cells = []
    return records


def _value(cell: str) -> str:
    """Return what a cell means: csv also takes what follows the closing quote."""
    quoted = _QUOTED.match(cell)
    if quoted is None:
        return cell
    return quoted[1].replace('""', '"') + cell[quoted.end() :]


def _written(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if any(sign in value for sign in ',"\r\n') else value


def _subject(cells: Mapping[str, str], where: str) -> Subject:
    if "subject" not in cells:
        raise InputError(f"{where}: the cell of the column subject is empty; give the subject a name without meaning.")
    values: dict[str, Any] = {}
    for column, text in cells.items():
        try:
            values[column] = _converted(column, text)
        except ValueError:
            raise InputError(
                f"{where}: {column} {text[:40]!r} cannot be read; 'osteoscreen dataset check' says what it may be."
            ) from None
    return Subject(**values)


def _converted(column: str, text: str) -> Any:
    if column == "study_date":
        return datetime.date.fromisoformat(text)
    if column not in NUMBER_COLUMNS:
        return text
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
