"""A list of studies, one row each, as CSV (UTF-8; comma, semicolon or tab) or Parquet.

`COLUMNS` says what the columns hold; ``ct`` alone has to be there. Paths are relative to the manifest's own folder. A
manifest is read twice and never held in memory: first every row is checked, so that nothing begins with a list that is
wrong, then the studies are given one by one.
"""

from __future__ import annotations

import array
import codecs
import csv
import hashlib
import io
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from ..levels.chosen import is_level_text
from ..printable import printable
from ..request import AUTO
from .ids import LONGEST_ID, hashed_id, is_study_id
from .study import BatchStudy

#: What each column holds.
COLUMNS: dict[str, str] = {
    "id": f"names the study: 1 to {LONGEST_ID} letters, digits, . _ -, and nothing of the patient; made where empty",
    "ct": "a DICOM folder or file, NRRD, MetaImage, NIfTI, or dicomweb:SERVER/studies/UID[/series/UID]",
    "l1": "the centre slice of L1: superior mm (-812.5), #index, or auto",
    "l2": "that of L2",
    "levels_from": "a vertebra segmentation to take the levels from",
    "masks": "a segmentation of L1 (and L2) to measure in place of the network's outlines",
    "age_years": "where the scan does not say, or is wrong",
    "sex": "F or M, the same",
    "series": "UID of the series to read, where the folder holds several",
}
#: Columns that begin so are a reader's own, and are not read.
NOTES = "note"

#: So many rows that are wrong are told in full.
_MOST_TOLD = 20
_LONGEST_PATH = 4096
_PARQUET_START = b"PAR1"
_PARQUET_ROWS = 10_000
_UID = re.compile(r"[0-9.]{1,64}(#\d{1,4})?", re.ASCII)
_OLDEST_YEARS = 125.0

_Row = tuple[str, dict[str, str]]
_Tell = Callable[[str], None]


def read_manifest(path: str | os.PathLike[str], tell: _Tell = lambda sentence: None) -> Iterator[BatchStudy]:
    """Check a manifest, then give its studies in order; ``tell`` is given a sentence on each column that is not read.

    Raises InputError where the file cannot be read, a row is wrong or two rows have one id, naming every such row (the
    first 20 in full) by its line, and UsageError where it has no column ``ct``.
    """
    place = Path(path)
    rows = _rows_of(place)
    _tell_unknown(rows.columns, tell)
    _check(place, rows)
    return _studies(place, rows)


def read_rows(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Return the cells of each row that are not empty, by column, of a list (CSV) with all of its notes.

    Raises InputError where it cannot be read.
    """
    return [cells for _, cells in _rows_of(Path(path)).again()]


def write_manifest(
    studies: Iterable[tuple[BatchStudy, Mapping[str, str]]], path: str | os.PathLike[str], notes: Sequence[str] = ()
) -> Path:
    """Write a list (CSV) that gives the same studies when it is read; returns its path.

    With each study come the values of the columns ``notes``, whose names begin with `NOTES`. Raises OsteoScreenError
    where it cannot be written.
    """
    from .export import whole_file

    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*COLUMNS, *notes], lineterminator="\r\n", restval="")
        writer.writeheader()
        for study, noted in studies:
            known = {name: value for name, value in asdict(study).items() if value is not None}
            writer.writerow({**known, **noted})
    return Path(path)


@dataclass
class _Rows:
    """The columns of a file, and how to go through its rows: the line in words, and the cells that are not empty."""

    columns: list[str]
    again: Callable[[], Iterator[_Row]]


@dataclass
class _Problems:
    """What is wrong, the first of it in full."""

    told: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, line: str, sentence: str) -> None:
        self.count += 1
        if len(self.told) < _MOST_TOLD:
            self.told.append(f"{line}: {sentence}")

    def raise_any(self, name: str) -> None:
        if self.count:
            rows, them = ("row", "it") if self.count == 1 else ("rows", "them")
            more = f" And {self.count - len(self.told)} more." if self.count > len(self.told) else ""
            raise InputError(f"{name} has {self.count} wrong {rows}; mend {them}. {' '.join(self.told)}{more}")


def _check(place: Path, rows: _Rows) -> None:
    problems = _Problems()
    # Eight bytes for each id: a million of them are 8 MB, where the texts would be 80.
    hashes = array.array("Q")
    for line, cells in rows.again():
        try:
            hashes.append(_hash(_study(place.parent, cells).id))
        except _RowError as error:
            problems.add(line, str(error))
    repeated = _repeated(hashes)
    if repeated:
        _name_repeated(place, rows, repeated, problems)
    problems.raise_any(place.name)
    if not hashes:
        raise InputError(f"{place.name} lists no study; give it a row for each.")


def _repeated(hashes: array.array[int]) -> set[int]:
    ordered = np.sort(np.frombuffer(hashes, dtype=np.uint64)) if hashes else np.zeros(0, dtype=np.uint64)
    return set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())


def _name_repeated(place: Path, rows: _Rows, repeated: set[int], problems: _Problems) -> None:
    first: dict[str, str] = {}
    for line, cells in rows.again():
        try:
            study_id = _study(place.parent, cells).id
        except _RowError:
            continue
        if _hash(study_id) not in repeated:
            continue
        before = first.setdefault(study_id.casefold(), line)
        if before != line:
            what = f"The id {study_id} is" if cells.get("id") else "The same CT, without an id, is"
            problems.add(line, f"{what} that of {before[:1].lower()}{before[1:]} already.")


def _hash(study_id: str) -> int:
    # Where folders are named without regard to case, "A1" and "a1" are one.
    return int.from_bytes(hashlib.blake2b(study_id.casefold().encode(), digest_size=8).digest(), "big")


def _studies(place: Path, rows: _Rows) -> Iterator[BatchStudy]:
    for line, cells in rows.again():
        try:
            yield _study(place.parent, cells)
        except _RowError as error:
            raise InputError(f"{place.name} changed while it was read. {line}: {error}") from None


def _tell_unknown(columns: Sequence[str], tell: _Tell) -> None:
    if "ct" not in columns:
        shown = ", ".join(printable(column, 40) for column in columns[:20]) or "none"
        raise UsageError(f"The manifest has no column ct (its columns are: {shown}); known are {', '.join(COLUMNS)}.")
    for column in columns:
        if column not in COLUMNS and not column.startswith(NOTES):
            shown = printable(column, 40)
            tell(f"The column {shown!r} is not known and not read; known are {', '.join(COLUMNS)}, and {NOTES}….")


# -- one row


class _RowError(Exception):
    """A row is wrong; the text is a sentence."""


def _study(folder: Path, cells: dict[str, str]) -> BatchStudy:
    """Raises _RowError where a cell cannot be right."""
    if "" in cells:
        raise _RowError("It has more cells than there are columns; put those with the delimiter in quotes.")
    ct = _place(folder, cells, "ct")
    if ct is None:
        raise _RowError("There is no ct.")
    l1, l2 = _level(cells, "l1"), _level(cells, "l2")
    if l2 is not None and l1 is None:
        raise _RowError("L2 is given without L1.")
    series = cells.get("series")
    if series is not None and not _UID.fullmatch(series):
        raise _RowError(f"The series {_shown(series)} is no UID.")
    return BatchStudy(
        id=_id(cells, series),
        ct=ct,
        l1=l1,
        l2=l2,
        levels_from=_place(folder, cells, "levels_from"),
        masks=_place(folder, cells, "masks"),
        age_years=_age(cells),
        sex=_sex(cells),
        series=series,
    )


def _id(cells: dict[str, str], series: str | None) -> str:
    given = cells.get("id")
    if given is None:
        return hashed_id(cells["ct"], series or "")
    if not is_study_id(given):
        raise _RowError(
            f"The id {_shown(given)} cannot name a folder; use 1 to {LONGEST_ID} letters, digits, dots, dashes and "
            "underscores."
        )
    return given


def _place(folder: Path, cells: dict[str, str], column: str) -> str | None:
    from ..pacs.address import is_address, parse_address

    text = cells.get(column)
    if text is None:
        return None
    if len(text) > _LONGEST_PATH or printable(text, _LONGEST_PATH) != text:
        raise _RowError(f"The path in {column} holds characters that are not to be seen, or is too long.")
    if not is_address(text):
        return os.path.join(folder.absolute(), os.path.expanduser(text))
    if column != "ct":
        raise _RowError(f"What is in {column} has to be a file, not on a server.")
    try:
        parse_address(text)
    except UsageError as error:
        raise _RowError(str(error)) from None
    return text


def _level(cells: dict[str, str], column: str) -> str | None:
    text = cells.get(column)
    if text is None:
        return None
    if text.lower() == AUTO:
        return AUTO
    if not is_level_text(text):
        raise _RowError(f"{column} is {_shown(text)}; write superior mm (-812.5), #index, or {AUTO}.")
    return text


def _age(cells: dict[str, str]) -> float | None:
    text = cells.get("age_years")
    if text is None:
        return None
    try:
        age = float(text)
    except ValueError:
        age = math.nan
    if not 0 <= age <= _OLDEST_YEARS:
        raise _RowError(f"age_years is {_shown(text)}; give years, from 0 to {_OLDEST_YEARS:g}.")
    return age


def _sex(cells: dict[str, str]) -> str | None:
    text = cells.get("sex")
    if text is not None and text.upper() not in ("F", "M"):
        raise _RowError(f"sex is {_shown(text)}; write F or M, or leave it empty.")
    return None if text is None else text.upper()


def _shown(text: str) -> str:
    return repr(printable(text, 40))


# -- the files


def _rows_of(place: Path) -> _Rows:
    try:
        with place.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise InputError(f"{place} cannot be opened: {(error.strerror or 'unreadable').lower()}.") from None
    return _parquet(place) if start == _PARQUET_START else _csv(place)


def _csv(place: Path) -> _Rows:
    # A header of more than 64 KiB is none; the delimiter is the one that finds most columns in it.
    with place.open("rb") as stream:
        head = stream.readline(1 << 16)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{place.name} is in UTF-16; save it as CSV in UTF-8.")
    text = head.decode("utf-8-sig", "replace")
    if "\r" in text.rstrip("\r\n"):
        raise InputError(f"{place.name} ends its lines as old Macs did, with CR alone; save it as CSV in UTF-8.")
    delimiter = max(",;\t", key=lambda mark: len(set(_names(text.rstrip("\r\n").split(mark))) & set(COLUMNS)))
    columns = _names(next(csv.reader([text], delimiter=delimiter), []))
    _refuse_repeated(place, columns)
    return _Rows(columns, lambda: _csv_rows(place, columns, delimiter))


def _names(words: Iterable[str]) -> list[str]:
    return [word.strip().strip('"').strip().lower() for word in words]


def _refuse_repeated(place: Path, columns: Sequence[str]) -> None:
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise InputError(f"{place.name} has the column {_shown(twice[0])} twice; keep one of them.")


def _csv_rows(place: Path, columns: Sequence[str], delimiter: str) -> Iterator[_Row]:
    try:
        with place.open("rb") as stream:
            lines = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            next(reader, None)
            for cells in reader:
                found = _cells(columns, cells)
                if found:
                    yield f"Line {reader.line_num}", found
    except UnicodeDecodeError:
        raise InputError(f"{place.name} is not in UTF-8; save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise InputError(f"{place.name} is no proper CSV at line {reader.line_num}: {error}.") from None
    except OSError as error:
        raise InputError(f"{place} cannot be read: {(error.strerror or 'unreadable').lower()}.") from None


def _cells(columns: Sequence[str], cells: Sequence[Any]) -> dict[str, str]:
    """The cells that are not empty, by the names of their columns; under "" what is beyond the columns."""
    found = {name: text for name, cell in zip(columns, cells, strict=False) if name and (text := _text(cell))}
    beyond = "".join(_text(cell) for cell in cells[len(columns) :])
    return {**found, "": beyond} if beyond else found


def _text(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return str(cell).strip()


def _parquet(place: Path) -> _Rows:
    from .export import require_pyarrow

    require_pyarrow()
    import pyarrow
    from pyarrow import parquet

    try:
        columns = _names(parquet.read_schema(place).names)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{place.name} is no proper Parquet file ({_first_line(error)}); write it again.") from None
    _refuse_repeated(place, columns)
    return _Rows(columns, lambda: _parquet_rows(place))


def _parquet_rows(place: Path) -> Iterator[_Row]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(place) as file:
            names = file.schema_arrow.names
            known = [name for name in names if name.strip().lower() in COLUMNS]
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=known):
                values = [column.to_pylist() for column in batch.columns]
                labels = _names(batch.schema.names)
                for cells in zip(*values, strict=True):
                    number += 1
                    found = _cells(labels, cells)
                    if found:
                        yield f"Row {number}", found
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{place.name} cannot be read to its end ({_first_line(error)}); write it again.") from None


def _first_line(error: Exception) -> str:
    return printable(str(error).partition("\n")[0], 200).strip().rstrip(".")
