"""The file of a store: made, opened, its changes whole or not at all, and SQLite's errors as sentences."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError, OsteoScreenError

STORE = "batch.sqlite"

#: What `PRAGMA user_version` says; raised when the tables change.
_VERSION = 1
#: Rows that are read or written at once.
_PAGE = 1000
#: How long a reader's lock is waited for [s].
_PATIENCE_S = 30.0

_TABLES = """
CREATE TABLE sets (
    id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, begun TEXT NOT NULL,
    settings TEXT NOT NULL, versions TEXT NOT NULL, bundles TEXT NOT NULL
);
CREATE TABLE studies (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, described TEXT NOT NULL);
CREATE TABLE outcomes (
    set_id TEXT NOT NULL, number INTEGER NOT NULL, asked TEXT NOT NULL, state TEXT NOT NULL,
    alone INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0,
    kind TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', seconds REAL,
    measures TEXT NOT NULL DEFAULT '{}', doubt REAL,
    PRIMARY KEY (set_id, number)
) WITHOUT ROWID;
CREATE INDEX outcomes_by_state ON outcomes (set_id, state, alone, number);
"""


class StoreError(OsteoScreenError):
    """The store cannot be read or written: a full disk, a share that is gone, a damaged file."""


class StoreFile:
    """The open file. Every method raises StoreError when the file cannot be read or written."""

    def __init__(self, out: Path, connection: sqlite3.Connection) -> None:
        self.out = out
        self._sql = connection
        self._identity = _identity(out / STORE)

    @classmethod
    def open(cls, out: str | os.PathLike[str]) -> StoreFile:
        """Open the store to write, made where there is none.  Raises StoreError when that cannot be done."""
        place = Path(out)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{place} cannot be written: {(error.strerror or str(error)).lower()}.") from error
        with _told(place):
            file = cls(place, sqlite3.connect(place / STORE, timeout=_PATIENCE_S, isolation_level=None))
            file._prepare()
        return file

    @classmethod
    def read(cls, out: str | os.PathLike[str]) -> StoreFile:
        """Open the store to read alone, also while a driver writes it.  Raises InputError where there is none."""
        place = Path(out)
        if not (place / STORE).is_file():
            raise InputError(f"There is no batch in {place}; name the folder that `osteoscreen batch` wrote to.")
        with _told(place):
            # Not mode=ro: a reader of a write-ahead log has to be able to make its shared memory.
            connection = sqlite3.connect(place / STORE, timeout=_PATIENCE_S, isolation_level=None)
            connection.execute("PRAGMA query_only = ON")
            file = cls(place, connection)
            file._check_version()
        return file

    def close(self) -> None:
        """Close the file."""
        self._sql.close()

    def check_there(self) -> None:
        """Raise StoreError where the file is no longer the one that is open: its folder was moved, or its share is
        gone. The open file could still be written, and nobody would find it."""
        if _identity(self.out / STORE) != self._identity:
            raise StoreError(
                f"The output folder {self.out} is not there any more; bring it back, and the same command goes on."
            )

    def _prepare(self) -> None:
        version = self._sql.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._sql.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
        self._check_version()
        try:
            mode = self._sql.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError:
            mode = "delete"  # a network share without shared memory
        # A write-ahead log needs no flush for each change to stay whole; without one, only FULL does.
        self._sql.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")

    def _check_version(self) -> None:
        version = self._sql.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            raise StoreError(
                f"{self.out / STORE} was written by another version of OsteoScreen (its tables are of version "
                f"{version}, and this one knows {_VERSION}); go on with that version, or name another folder with -o."
            )

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        self.check_there()
        with _told(self.out):
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield self._sql
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with _told(self.out):
            return self._sql.execute(query, values).fetchall()

    def pages(self, query: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Give the rows of a query page by page, so that none is open while the store is written; its last column is
        the study's number, and it ends with ``number > ? … LIMIT ?``."""
        last = 0
        while True:
            page = self.rows(query, [*values, last, _PAGE])
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1][-1]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _told(out: Path) -> Iterator[None]:
    """Turn SQLite's errors into sentences that say what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(_sentence(out, str(error))) from error


def _sentence(out: Path, words: str) -> str:
    place = out / STORE
    if "full" in words:
        return f"The disk of {out} is full; make room, and the same command goes on."
    if "readonly" in words or "unable to open" in words:
        return f"{place} cannot be written; make {out} writable, and the same command goes on."
    if "malformed" in words or "not a database" in words:
        return (
            f"{place} is damaged; move it away, and the same command takes the finished studies over from their "
            "folders."
        )
    if "locked" in words:
        return f"Another program holds {place}; close it, and the same command goes on."
    return f"{place} cannot be read or written ({words}); once that is mended, the same command goes on."
