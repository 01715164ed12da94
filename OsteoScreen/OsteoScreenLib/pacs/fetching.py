"""Take objects from a server (WADO-RS, DICOM PS3.18 10.4) into a folder: whole ones, unchanged, each once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from ..errors import OsteoScreenError, UsageError, system_reason
from ..progress import Progress, silent
from .answers import given_uid
from .errors import PacsError, Temporary
from .finding import FoundSeries, find_instances, find_series
from .instances import Instance, instance_of, is_cut_short, is_whole
from .multipart import boundary_of, copy_only_part
from .transport import Connection, media_type, wrong_type

#: Requests at a time: enough to hide the way to the server, few enough for a small PACS.
THREADS = 4

#: As it is stored: without this a server decompresses, and gives back something else than it was given.
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'

#: No element of a DICOM object is longer (PS3.5 7.1.2: its length has 32 bits), and hardly any object.
_MOST_OBJECT_BYTES = 1 << 32
#: How the name of a file begins that is on its way.
_UNFINISHED = ".fetching-"
#: How long a main thread that waits for the others does not look whether it is interrupted [s].
_LOOK_S = 0.2
_STEP = "Fetching from the server"


@dataclass(frozen=True)
class Fetched:
    """What lies in a folder now: ``series`` by UID and number of instances; how many of them came, how many were there.

    ``folder`` holds a folder for each series, named by its UID.
    """

    folder: Path
    series: dict[str, int]
    came: int
    were_there: int


def fetch_study(
    connection: Connection,
    study_uid: str,
    folder: Path,
    series_uid: str | None = None,
    progress: Progress = silent,
    threads: int = THREADS,
) -> Fetched:
    """Fetch a series, or all CT series of a study (the reader of the folder then chooses), into ``folder``.

    Instances that are there already, whole, are not fetched again; so a fetch that was stopped goes on where it was.
    One fetch at a time into a folder: what an earlier one left unfinished is removed.

    ``progress`` is called in the thread of the caller, a few times a second. It may raise to cancel, and another
    thread may call ``connection.stop()``; what has come stays, and the connection cannot be used again.

    Raises UsageError for UIDs that are none, PacsError for what the server does not give, and OsteoScreenError where
    the folder cannot be written.
    """
    given_uid(study_uid, "study")
    wanted = [given_uid(series_uid, "series")] if series_uid else _ct_series(connection, study_uid)
    progress(_STEP, 0, 0)
    instances = {series: find_instances(connection, study_uid, series) for series in wanted}
    empty = [series for series, found in instances.items() if not found]
    if empty:
        what = f"series {empty[0]}" if series_uid else f"study {study_uid}"
        raise PacsError(f"{connection.server.host} has no image of the {what}; check the UIDs.")
    tasks = [
        _Task(connection, Instance(study_uid, series, instance), folder / series / f"{instance}.dcm")
        for series, found in instances.items()
        for instance in found
    ]
    missing = [task for task in tasks if not is_whole(task.path, task.instance)]
    try:
        for series in instances:
            for left in (folder / series).glob(f"{_UNFINISHED}*"):
                left.unlink()
        _fetch(connection, missing, len(tasks), progress, threads)
    except OSError as problem:
        raise OsteoScreenError(f"What is fetched cannot be written to {folder}: {system_reason(problem)}.") from problem
    sizes = {series: len(found) for series, found in instances.items()}
    return Fetched(folder, sizes, len(missing), len(tasks) - len(missing))


def _ct_series(connection: Connection, study_uid: str) -> list[str]:
    """The series of a study that the reader of a folder would choose from."""
    found = find_series(connection, study_uid)
    if not found:
        raise PacsError(f"{connection.server.host} has no study {study_uid}, or none that you may see; check the UID.")
    wanted = [series.uid for series in found if series.modality == "CT" and series.instances != 0]
    if not wanted:
        raise PacsError(f"The study {study_uid} holds no CT (it has: {_modalities(found)}); name another study.")
    return wanted


def _modalities(series: Sequence[FoundSeries]) -> str:
    counted = Counter(s.modality if s.modality.isalnum() and s.modality.isascii() else "unknown" for s in series)
    return ", ".join(f"{count} {modality[:16]}" for modality, count in counted.most_common(8))


@dataclass(frozen=True)
class _Task:
    connection: Connection
    instance: Instance
    path: Path

    def run(self) -> None:
        self.connection.attempt(self._fetch)

    def _fetch(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(f"{_UNFINISHED}{uuid4().hex}")
        try:
            with unfinished.open("xb") as file:
                ends_by_itself = self._receive(file)
                # Otherwise a power cut could leave the name without the content.
                file.flush()
                os.fsync(file.fileno())
            self._check(unfinished, ends_by_itself)
            os.replace(unfinished, self.path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def _receive(self, file: BinaryIO) -> bool:
        """Write the object to ``file``; returns whether its end was marked."""
        connection, asked = self.connection, self.instance
        url = f"{connection.server.url}/studies/{asked.study_uid}/series/{asked.series_uid}/instances/{asked.uid}"
        with connection.session.get(url, headers={"Accept": _ACCEPT}) as response:
            chunks = connection.body(response, _MOST_OBJECT_BYTES)
            kind, boundary = media_type(response), boundary_of(response.headers.get("Content-Type", ""))
            if kind == "multipart/related" and boundary:
                copy_only_part(chunks, boundary, file, connection.server.host)
                return True
            if kind == "application/dicom":  # against the standard, but servers do
                file.writelines(chunks)
                return False
            raise wrong_type(response, connection.server.host)

    def _check(self, path: Path, ends_by_itself: bool) -> None:
        host = self.connection.server.host
        try:
            came = instance_of(path)
        except ValueError:
            raise PacsError(f"What {host} sent is no DICOM object; check that the URL is that of DICOMweb.") from None
        if came != self.instance:
            raise PacsError(
                f"{host} sent another object than {self.instance.uid}, or one of another series or study than it was "
                "asked for; tell its administrator."
            )
        if not ends_by_itself and is_cut_short(path):
            raise Temporary(f"{host} broke off in the middle of its answer; try again.")


def _fetch(connection: Connection, tasks: Sequence[_Task], total: int, progress: Progress, threads: int) -> None:
    """Run the tasks side by side; the first error, and an interruption, ends them all."""
    if threads < 1:
        raise UsageError("At least one instance is fetched at a time; give 1 thread or more.")
    done = total - len(tasks)
    with ThreadPoolExecutor(threads, thread_name_prefix="fetch") as pool:
        waiting: set[Future[None]] = {pool.submit(task.run) for task in tasks}
        try:
            while waiting:
                finished, waiting = wait(waiting, _LOOK_S, FIRST_EXCEPTION)
                done += len(finished)
                for future in finished:
                    future.result()
                progress(_STEP, done, total)
        except BaseException:
            connection.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
