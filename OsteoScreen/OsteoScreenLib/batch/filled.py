"""The queue of levels, filled in: what readers set, who of them and when, as a manifest of its own beside the list.

Several readers may write at the same time, on one computer or on a share: each change is made of what the file holds at
that moment, under a lock, and put in its place as a whole.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import OsteoScreenError
from ..results_io import write_text_atomically
from .manifest import COLUMNS, NOTES, read_rows

#: Columns beside those of the list; notes are not read by the batch.
READER, WHEN, SKIPPED = f"{NOTES}_reader", f"{NOTES}_set_at", f"{NOTES}_skipped"
#: How long another reader's change is waited for [s]; it takes milliseconds, on a slow share perhaps a second.
PATIENCE_S = 20.0


class TakenByAnother(OsteoScreenError):
    """Another reader took the study down first."""


class FilledList:
    """The filled-in list at ``path``; there is none before the first study is taken down."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def rows(self) -> dict[str, dict[str, str]]:
        """Return {id: cells by column} in the order in which they were taken down.

        Raises InputError where the file is there and cannot be read.
        """
        return {row["id"]: row for row in read_rows(self.path) if "id" in row} if self.path.exists() else {}

    def put(self, row: Mapping[str, str], known: Mapping[str, str] | None) -> None:
        """Take down a study's row, in the place of an earlier one of the same id; it comes last.

        ``known`` is the earlier row that the reader has seen, if any. Raises TakenByAnother where another reader's row
        is there that is not the one, InputError where the file cannot be read, and OsteoScreenError where it cannot be
        written.
        """
        with self._alone():
            rows = self.rows()
            before = rows.pop(row["id"], None)
            if before is not None and before != known and before.get(READER) != row[READER]:
                raise TakenByAnother(
                    f"{row['id']} was taken down by {before.get(READER) or 'another reader'} meanwhile, and that "
                    "stays; go on with the next case, or open this one again to look at it."
                )
            # What is empty is not read back either.
            rows[row["id"]] = {name: text for name, text in row.items() if text}
            write_text_atomically(_csv(rows), self.path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            with FileLock(lock, timeout=PATIENCE_S):
                yield
        except Timeout:
            raise OsteoScreenError(
                f"Another reader's Slicer holds {self.path.name} for more than {PATIENCE_S:g} s; try again."
            ) from None
        except OSError as error:
            raise OsteoScreenError(f"{self.path} cannot be written: {error.strerror or error}.") from error


def _csv(rows: Mapping[str, Mapping[str, str]]) -> str:
    columns = dict.fromkeys([*COLUMNS, READER, WHEN, SKIPPED, *(name for row in rows.values() for name in row)])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\r\n", restval="")
    writer.writeheader()
    writer.writerows(rows.values())
    return text.getvalue()
