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
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import InputError
from .kinds import plain_kind
from .store_file import StoreFile
from .study import BatchStudy, State, StudyRow

_ROW = (
    "SELECT s.described, o.state, o.tries, o.kind, o.reason, o.seconds, o.measures, o.doubt, o.number "
    "FROM outcomes o JOIN studies s USING (number)"
)
_UNFINISHED = (State.WAITING.value, State.RUNNING.value)
NO_LEVELS = "Nobody said where L1 is."


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

    def __init__(self, file: StoreFile) -> None:
        self.out = file.out
        self._file = file

    @classmethod
    def open(cls, out: str | os.PathLike[str]) -> Store:
        """Open the store to write, made where there is none.  Raises StoreError when that cannot be done."""
        return cls(StoreFile.open(out))

    @classmethod
    def read(cls, out: str | os.PathLike[str]) -> Store:
        """Open the store to read alone, also while a driver writes it.  Raises InputError where there is none."""
        return cls(StoreFile.read(out))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

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
        with self._file.changing() as sql:
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
        found = self._file.rows("SELECT id, hash, begun, settings, versions, bundles FROM sets ORDER BY rowid")
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
        with self._file.changing() as sql:
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
        for row in self._file.pages(query, [set_id, State.WAITING.value, int(alone)]):
            yield _study(row[0])

    def mark_running(self, set_id: str, ids: Sequence[str]) -> None:
        """Put down that these studies are begun."""
        with self._file.changing() as sql:
            _each(sql, "state = ?, tries = tries + 1", [State.RUNNING.value], set_id, ids)

    def wait_again(self, set_id: str, ids: Sequence[str]) -> None:
        """Put down that these studies were begun in vain, through no fault of theirs."""
        with self._file.changing() as sql:
            _each(sql, "state = ?", [State.WAITING.value], set_id, ids)

    def wait_alone(self, set_id: str, study_id: str, kind: str, reason: str) -> None:
        """Put down that a study is to be tried once more, with nothing beside it, after all others."""
        with self._file.changing() as sql:
            values = [State.WAITING.value, kind, reason]
            _each(sql, "state = ?, alone = 1, kind = ?, reason = ?", values, set_id, [study_id])

    def finish(self, set_id: str, row: StudyRow) -> None:
        """Put down what came of a study; the tries of ``row`` are left aside, the store counts them itself."""
        measures = json.dumps(row.measures, sort_keys=True, allow_nan=False)
        values = [row.state.value, row.kind, row.reason, row.seconds, measures, row.doubt]
        with self._file.changing() as sql:
            changes = "state = ?, kind = ?, reason = ?, seconds = ?, measures = ?, doubt = ?, alone = 0"
            _each(sql, changes, values, set_id, [row.study.id])

    def again(self, set_id: str, states: Sequence[State]) -> int:
        """Let the studies in these final states wait again, as if they had never been begun; returns how many."""
        marks = ", ".join("?" * len(states))
        with self._file.changing() as sql:
            return sql.execute(
                "UPDATE outcomes SET state = ?, alone = 0, tries = 0, kind = '', reason = '', seconds = NULL, "
                f"measures = '{{}}', doubt = NULL WHERE set_id = ? AND state IN ({marks})",
                [State.WAITING.value, set_id, *(state.value for state in states)],
            ).rowcount

    # -- reading

    def row(self, set_id: str, study_id: str) -> StudyRow | None:
        """Return what is known of one study in a set, None where it is not in it."""
        found = self._file.rows(f"{_ROW} WHERE o.set_id = ? AND s.id = ?", [set_id, study_id])
        return _row(found[0]) if found else None

    def rows(self, set_id: str, *states: State) -> Iterator[StudyRow]:
        """Give the rows of a set, in the order in which the studies were added: those in ``states``, or all."""
        marks = ", ".join("?" * len(states))
        among = f"AND o.state IN ({marks}) " if states else ""
        query = f"{_ROW} WHERE o.set_id = ? {among}AND o.number > ? ORDER BY o.number LIMIT ?"
        for row in self._file.pages(query, [set_id, *(state.value for state in states)]):
            yield _row(row)

    def counts(self, set_id: str) -> dict[State, int]:
        """Return how many studies of a set are in each state, zeros included."""
        found = self._file.rows("SELECT state, COUNT(*) FROM outcomes WHERE set_id = ? GROUP BY state", [set_id])
        return {**dict.fromkeys(State, 0), **{State(state): count for state, count in found}}


def _each(sql: sqlite3.Connection, changes: str, values: Sequence[Any], set_id: str, ids: Sequence[str]) -> None:
    sql.executemany(
        f"UPDATE outcomes SET {changes} WHERE set_id = ? AND number = (SELECT number FROM studies WHERE id = ?)",
        [[*values, set_id, study_id] for study_id in ids],
    )


def _described(study: BatchStudy) -> str:
    return json.dumps({key: value for key, value in asdict(study).items() if value is not None}, sort_keys=True)


def _study(described: str) -> BatchStudy:
    return BatchStudy(**json.loads(described))


def _row(found: Sequence[Any]) -> StudyRow:
    described, state, tries, kind, reason, seconds, measures, doubt = islice(found, 8)
    return StudyRow(
        _study(described), State(state), tries, plain_kind(kind), reason, seconds, json.loads(measures), doubt
    )
