"""A set of results as one table for analysis: Parquet with typed columns, or CSV.

The columns are those of `STUDY_COLUMNS`, then those of :mod:`OsteoScreenLib.reports.table`. Neither the patient nor the
path of the scan is in it. Rows are written as they come, so that a million of them need no more memory than ten
thousand.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import OsteoScreenError, UsageError
from ..reports.table import COLUMNS as RESULT_COLUMNS
from ..reports.table import Cell, safe_text
from .reasons import reason_of
from .study import StudyRow

if TYPE_CHECKING:
    import pyarrow

#: What is known of a study beside its result.
STUDY_COLUMNS: dict[str, str] = {
    "set": "which combination of versions, bundles and settings it was screened with",
    "id": "the study's name in the batch",
    "state": "waiting, running, screened, refused, failed or needs levels",
    "kind": "why it was refused, failed or needs levels: names of checks, or a few words",
    "reason": "the same in sentences, without names of files",
    "tries": "how often it was begun",
    "seconds": "that the last try took",
    "doubt": "how much a reader should look at it first, 0 to 1",
}
COLUMNS: dict[str, str] = STUDY_COLUMNS | RESULT_COLUMNS

Type = Literal["text", "whole", "number", "yes or no"]
_WHOLE = frozenset(
    ("tries", "slices", "l1_slice_index", "l2_slice_index", "l1_pixels", "l2_pixels", "interval_days"),
)
_YES_OR_NO = frozenset(("contrast", "l1_confirmed", "l2_confirmed", "agreement"))
_NUMBER_ENDS = (
    *("_mm", "_mm2", "_hu", "_kv", "_mg_cm3", "_per_hu", "_years", "_factor", "_s", "_confidence", "_name_probability"),
    *("seconds", "doubt", "probability_normal", "probability_osteopenia", "probability_osteoporosis"),
)

#: Rows of a row group, and of a file of a partitioned data set.
_ROWS, _ROWS_OF_FILE = 10_000, 250_000


def type_of(column: str) -> Type:
    """Return what kind of values a column holds."""
    if column in _WHOLE:
        return "whole"
    if column in _YES_OR_NO:
        return "yes or no"
    return "number" if column.endswith(_NUMBER_ENDS) else "text"


def cells_of(row: StudyRow, set_id: str) -> dict[str, Any]:
    """Return a row by the names of `COLUMNS`, typed; a value that is not there is None."""
    known: dict[str, Any] = {
        "set": set_id,
        "id": row.study.id,
        "state": row.state.value,
        "kind": safe_text(row.kind) or None,
        "reason": safe_text(reason_of(row)) or None,
        "tries": row.tries,
        "seconds": row.seconds,
        "doubt": row.doubt,
    }
    return {name: _typed(known.get(name, row.measures.get(name)), type_of(name)) for name in COLUMNS}


def _typed(value: Any, kind: Type) -> Any:
    if value is None or value == "":
        return None
    if kind == "yes or no":
        return value if isinstance(value, bool) else {"yes": True, "no": False}.get(value)
    if kind == "text":
        return str(value)
    return int(value) if kind == "whole" else float(value)


# -- CSV


def write_csv(rows: Iterable[StudyRow], set_id: str, path: str | os.PathLike[str]) -> Path:
    """Write a header row and one row for each study, as :mod:`OsteoScreenLib.reports.table` writes them.

    Returns the path. Raises OsteoScreenError where it cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")  # RFC 4180
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(map(_cell, cells_of(row, set_id).values()))
    return Path(path)


def _cell(value: Any) -> Cell:
    return ("yes" if value else "no") if isinstance(value, bool) else value


# -- Parquet


def require_pyarrow() -> None:
    """Raise UsageError where the package that reads and writes Parquet is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("The package pyarrow is not installed, which Parquet needs; install `osteoscreen[batch]`.")


def schema() -> pyarrow.Schema:
    """Return the columns' types and, as metadata of each, what it holds."""
    import pyarrow as pa

    types = {"text": pa.string(), "whole": pa.int64(), "number": pa.float64(), "yes or no": pa.bool_()}
    return pa.schema(
        [pa.field(name, types[type_of(name)], metadata={"description": text}) for name, text in COLUMNS.items()]
    )


def write_parquet(rows: Iterable[StudyRow], set_id: str, path: str | os.PathLike[str]) -> Path:
    """Write one Parquet file; returns its path.  Raises OsteoScreenError where it cannot be written."""
    require_pyarrow()
    with whole_file(path) as temporary:
        _write_file(_batches(rows, set_id), temporary)
    return Path(path)


def write_data_set(rows: Iterable[StudyRow], set_id: str, folder: str | os.PathLike[str]) -> Path:
    """Write a set as a part of a data set: ``FOLDER/set=<set>/part-00000.parquet`` and so on, in the place of what
    was there of this set.

    pyarrow, Dask, DuckDB, Spark and pandas read ``FOLDER`` as one table, whose column ``set`` is in the folders' names.
    Returns the set's folder. Raises OsteoScreenError where it cannot be written.
    """
    require_pyarrow()
    target = Path(folder) / f"set={set_id}"
    batches = _batches(rows, set_id)
    with whole_file(target, is_folder=True) as temporary:
        part = 0
        while group := list(islice(batches, _ROWS_OF_FILE // _ROWS)):
            columns = [name for name in COLUMNS if name != "set"]
            _write_file((batch.select(columns) for batch in group), temporary / f"part-{part:05d}.parquet")
            part += 1
    return target


def _batches(rows: Iterable[StudyRow], set_id: str) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow as pa

    columns, remaining, any_rows = schema(), iter(rows), False
    while page := [cells_of(row, set_id) for row in islice(remaining, _ROWS)]:
        any_rows = True
        yield pa.RecordBatch.from_pylist(page, schema=columns)
    if not any_rows:
        yield pa.RecordBatch.from_pylist([], schema=columns)


def _write_file(batches: Iterable[pyarrow.RecordBatch], path: Path) -> None:
    from pyarrow import parquet

    remaining = iter(batches)
    first = next(remaining)
    with parquet.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_batch(first)
        for batch in remaining:
            writer.write_batch(batch)


@contextmanager
def whole_file(path: str | os.PathLike[str], *, is_folder: bool = False) -> Iterator[Path]:
    """Give a path to write to, which takes the place of ``path`` when all went well, and else is removed.

    Raises OsteoScreenError where that cannot be written.
    """
    target, temporary = Path(path), None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        inside = temporary / target.name
        if is_folder:
            inside.mkdir()
        yield inside
        if is_folder and target.exists():
            os.replace(target, temporary / "before")
        os.replace(inside, target)
    except OSError as error:
        raise OsteoScreenError(f"{target} cannot be written: {(error.strerror or str(error)).lower()}.") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                shutil.rmtree(temporary)
