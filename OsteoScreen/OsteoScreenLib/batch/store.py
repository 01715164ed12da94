"""``OUT/batch.sqlite``: every study of a batch, and in each set of results its state and what came of it.

A *set* is what one combination of program versions, bundles and settings gives; another combination on the same
output folder begins another set, beside the first. One driver writes (:mod:`.lock` sees to it); any number of
programs may read meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import InputError, OsteoScreenError
from .study import BatchStudy, State, StudyRow

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
_ROW = (
    "SELECT s.described, o.state, o.tries, o.kind, o.reason, o.seconds, o.measures, o.doubt, o.number "
    "FROM outcomes o JOIN studies s USING (number)"
)
_UNFINISHED = (State.WAITING.value, State.RUNNING.value)
NO_LEVELS = "Nobody said where L1 is."


class StoreError(OsteoScreenError):
    """The store cannot be read or written: a full disk, a share that is gone, a damaged file."""


@dataclass(frozen=True)
class ResultSet:
    """One combination of versions, bundles and settings; ``begun`` is ISO 8601 in UTC, ``bundles`` has one mapping of
    role, name, version and sha256 for each."""

    id: str
    hash: str
    begun: str
    settings: dict[str, Any]
    versions: dict[str, str]
    bundles: list[dict[str, str]]


@dataclass(frozen=True)
class Added:
    """How many of the studies that were added are new to the set, have changed, and were known as they are; how many
    that waited are listed no more."""

    new: int = 0
    changed: int = 0
    known: int = 0
    dropped: int = 0


def study_folder(out: str | os.PathLike[str], set_id: str, study_id: str) -> Path:
    """Return where a study's outputs lie: ``OUT/<set>/<2 hex of the id's hash>/<id>``, so that no folder gets long."""
    return Path(out) / set_id / hashlib.sha256(study_id.encode()).hexdigest()[:2] / study_id


def asked_hash(study: BatchStudy) -> str:
    """Return a hash of what is asked of a study: where it changes, an earlier result is of something else."""
    return hash_of(asdict(study))[:16]


def hash_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class Store:
    """The store of one output folder. Every method raises StoreError when the file cannot be read or written.

    Changes are on the disk when a method returns, as far as a crash of the program goes; a power cut may take back the
    last ones, whose studies are then found by their folders.
    """

    def __init__(self, out: Path, connection: sqlite3.Connection) -> None:
        self.out = out
        self._sql = connection
        self._file = _identity(out / STORE)

    @classmethod
    def open(cls, out: str | os.PathLike[str]) -> Store:
        """Open the store to write, made where there is none.  Raises StoreError when that cannot be done."""
        place = Path(out)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{place} cannot be written: {(error.strerror or str(error)).lower()}.") from error
        with _told(place):
            store = cls(place, sqlite3.connect(place / STORE, timeout=_PATIENCE_S, isolation_level=None))
            store._prepare()
        return store

    @classmethod
    def read(cls, out: str | os.PathLike[str]) -> Store:
        """Open the store to read alone, also while a driver writes it.  Raises InputError where there is none."""
        place = Path(out)
        if not (place / STORE).is_file():
            raise InputError(f"There is no batch in {place}; name the folder that `osteoscreen batch` wrote to.")
        with _told(place):
            # Not mode=ro: a reader of a write-ahead log has to be able to make its shared memory.
            connection = sqlite3.connect(place / STORE, timeout=_PATIENCE_S, isolation_level=None)
            connection.execute("PRAGMA query_only = ON")
            store = cls(place, connection)
            store._check_version()
        return store

    def close(self) -> None:
        """Close the file."""
        self._sql.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- sets

    def begin_set(
        self, settings: Mapping[str, Any], versions: Mapping[str, str], bundles: Sequence[Mapping[str, str]]
    ) -> str:
        """Return the id of the set with these settings, versions and bundles, made where there is none.

        What was running in it when the last driver ended is waiting again.
        """
        whole = {"settings": dict(settings), "versions": dict(versions), "bundles": [dict(b) for b in bundles]}
        digest = hash_of(whole)
        set_id = f"set-{digest[:12]}"
        with self._changing() as sql:
            values = [json.dumps(whole[key], sort_keys=True) for key in ("settings", "versions", "bundles")]
            begun = datetime.now(timezone.utc).isoformat(timespec="seconds")
            sql.execute("INSERT OR IGNORE INTO sets VALUES (?, ?, ?, ?, ?, ?)", [set_id, digest, begun, *values])
            sql.execute(
                "UPDATE outcomes SET state = ? WHERE set_id = ? AND state = ?",
                [State.WAITING.value, set_id, State.RUNNING.value],
            )
        return set_id

    def sets(self) -> list[ResultSet]:
        """Return every set, in the order in which they were begun."""
        with _told(self.out):
            found = self._sql.execute("SELECT id, hash, begun, settings, versions, bundles FROM sets ORDER BY rowid")
            return [ResultSet(*row[:3], *map(json.loads, row[3:])) for row in found]

    def result_set(self, set_id: str) -> ResultSet:
        """Return one set.  Raises InputError where there is none of this id."""
        for candidate in self.sets():
            if candidate.id == set_id:
                return candidate
        raise InputError(f"There is no set {set_id!r:.60} in {self.out}.")

    # -- studies

    def add(self, set_id: str, studies: Iterable[BatchStudy], *, suggest: bool = False) -> Added:
        """Take a set's studies down, of which there may be millions: all of them, each with an id of its own.

        One that is new, or is described otherwise than before, is waiting; or it needs levels, where it has none and
        they are not to be suggested. Those of before that are not among them and were not finished are left out of the
        set; finished ones stay.

        Raises InputError where two studies have one id; then nothing is changed.
        """
        counts = {"new": 0, "changed": 0, "known": 0}
        with self._changing() as sql:
            sql.execute("CREATE TEMP TABLE IF NOT EXISTS listed (number INTEGER PRIMARY KEY)")
            sql.execute("DELETE FROM listed")
            for study in studies:
                counts[self._add_one(sql, set_id, study, suggest)] += 1
            dropped = sql.execute(
                "DELETE FROM outcomes WHERE set_id = ? AND state IN (?, ?) AND number NOT IN listed",
                [set_id, *_UNFINISHED],
            ).rowcount
        return Added(**counts, dropped=dropped)

    def _add_one(self, sql: sqlite3.Connection, set_id: str, study: BatchStudy, suggest: bool) -> str:
        described = _described(study)
        sql.execute(
            "INSERT INTO studies (id, described) VALUES (?, ?) "
            "ON CONFLICT (id) DO UPDATE SET described = excluded.described WHERE described != excluded.described",
            [study.id, described],
        )
        number = sql.execute("SELECT number FROM studies WHERE id = ?", [study.id]).fetchone()[0]
        if sql.execute("INSERT OR IGNORE INTO listed VALUES (?)", [number]).rowcount == 0:
            raise InputError(f"Two studies have the id {study.id!r:.80}; give each an id of its own.")
        asked = asked_hash(study)
        before = sql.execute("SELECT asked FROM outcomes WHERE set_id = ? AND number = ?", [set_id, number]).fetchone()
        if before == (asked,):
            return "known"
        waits = suggest or study.has_levels
        state, kind, reason = (State.WAITING, "", "") if waits else (State.NEEDS_LEVELS, "no levels", NO_LEVELS)
        sql.execute(
            "INSERT OR REPLACE INTO outcomes (set_id, number, asked, state, kind, reason) VALUES (?, ?, ?, ?, ?, ?)",
            [set_id, number, asked, state.value, kind, reason],
        )
        return "new" if before is None else "changed"

    # -- states

    def waiting(self, set_id: str, *, alone: bool = False) -> Iterator[BatchStudy]:
        """Give the studies that wait, in the order in which they were added, those that are to be run alone or those
        that are not; states may be changed meanwhile, and one that begins to wait again comes with the next call."""
        query = (
            "SELECT s.described, o.number FROM outcomes o JOIN studies s USING (number) WHERE o.set_id = ? "
            "AND o.state = ? AND o.alone = ? AND o.number > ? ORDER BY o.number LIMIT ?"
        )
        for row in self._paged(query, [set_id, State.WAITING.value, int(alone)]):
            yield _study(row[0])

    def mark_running(self, set_id: str, ids: Sequence[str]) -> None:
        """Put down that these studies are begun."""
        with self._changing() as sql:
            self._each(sql, "state = ?, tries = tries + 1", [State.RUNNING.value], set_id, ids)

    def wait_again(self, set_id: str, ids: Sequence[str]) -> None:
        """Put down that these studies were begun in vain, through no fault of theirs."""
        with self._changing() as sql:
            self._each(sql, "state = ?", [State.WAITING.value], set_id, ids)

    def wait_alone(self, set_id: str, study_id: str, kind: str, reason: str) -> None:
        """Put down that a study is to be tried once more, with nothing beside it, after all others."""
        with self._changing() as sql:
            values = [State.WAITING.value, kind, reason]
            self._each(sql, "state = ?, alone = 1, kind = ?, reason = ?", values, set_id, [study_id])

    def finish(self, set_id: str, row: StudyRow) -> None:
        """Put down what came of a study; the tries of ``row`` are left aside, the store counts them itself."""
        measures = json.dumps(row.measures, sort_keys=True, allow_nan=False)
        values = [row.state.value, row.kind, row.reason, row.seconds, measures, row.doubt]
        with self._changing() as sql:
            changes = "state = ?, kind = ?, reason = ?, seconds = ?, measures = ?, doubt = ?, alone = 0"
            self._each(sql, changes, values, set_id, [row.study.id])

    def again(self, set_id: str, states: Sequence[State]) -> int:
        """Let the studies in these final states wait again, as if they had never been begun; returns how many."""
        marks = ", ".join("?" * len(states))
        with self._changing() as sql:
            return sql.execute(
                "UPDATE outcomes SET state = ?, alone = 0, tries = 0, kind = '', reason = '', seconds = NULL, "
                f"measures = '{{}}', doubt = NULL WHERE set_id = ? AND state IN ({marks})",
                [State.WAITING.value, set_id, *(state.value for state in states)],
            ).rowcount

    # -- reading

    def row(self, set_id: str, study_id: str) -> StudyRow | None:
        """Return what is known of one study in a set, None where it is not in it."""
        with _told(self.out):
            found = self._sql.execute(f"{_ROW} WHERE o.set_id = ? AND s.id = ?", [set_id, study_id]).fetchone()
        return None if found is None else _row(found)

    def rows(self, set_id: str, *states: State) -> Iterator[StudyRow]:
        """Give the rows of a set, in the order in which the studies were added: those in ``states``, or all."""
        marks = ", ".join("?" * len(states))
        among = f"AND o.state IN ({marks}) " if states else ""
        query = f"{_ROW} WHERE o.set_id = ? {among}AND o.number > ? ORDER BY o.number LIMIT ?"
        for row in self._paged(query, [set_id, *(state.value for state in states)]):
            yield _row(row)

    def counts(self, set_id: str) -> dict[State, int]:
        """Return how many studies of a set are in each state, zeros included."""
        with _told(self.out):
            found = self._sql.execute("SELECT state, COUNT(*) FROM outcomes WHERE set_id = ? GROUP BY state", [set_id])
            return {**dict.fromkeys(State, 0), **{State(state): count for state, count in found}}

    def check_there(self) -> None:
        """Raise StoreError where the file is no longer the one that is open: its folder was moved, or its share is
        gone. The open file could still be written, and nobody would find it."""
        if _identity(self.out / STORE) != self._file:
            raise StoreError(
                f"The output folder {self.out} is not there any more; bring it back, and the same command goes on."
            )

    # -- the file

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
    def _changing(self) -> Iterator[sqlite3.Connection]:
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

    def _each(
        self, sql: sqlite3.Connection, changes: str, values: Sequence[Any], set_id: str, ids: Sequence[str]
    ) -> None:
        sql.executemany(
            f"UPDATE outcomes SET {changes} WHERE set_id = ? AND number = (SELECT number FROM studies WHERE id = ?)",
            [[*values, set_id, study_id] for study_id in ids],
        )

    def _paged(self, query: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Give the rows of a query page by page, so that none is open while the store is written; its last column is
        the study's number, and it ends with ``number > ? … LIMIT ?``."""
        last = 0
        while True:
            with _told(self.out):
                page = self._sql.execute(query, [*values, last, _PAGE]).fetchall()
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1][-1]


def _described(study: BatchStudy) -> str:
    return json.dumps({key: value for key, value in asdict(study).items() if value is not None}, sort_keys=True)


def _study(described: str) -> BatchStudy:
    return BatchStudy(**json.loads(described))


def _row(found: Sequence[Any]) -> StudyRow:
    described, state, tries, kind, reason, seconds, measures, doubt = islice(found, 8)
    return StudyRow(_study(described), State(state), tries, kind, reason, seconds, json.loads(measures), doubt)


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
