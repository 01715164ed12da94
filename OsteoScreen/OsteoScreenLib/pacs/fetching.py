"""Take objects from a server (WADO-RS, DICOM PS3.18 10.4) into a folder: whole ones, unchanged, each once."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import requests
from pydicom import dcmread

from ..ct.dicom.files import read_headers
from ..errors import OsteoScreenError, UsageError
from ..progress import Progress, silent
from .answers import given_uid
from .errors import PacsError
from .finding import FoundSeries, find_instances, find_series
from .multipart import boundary_of, copy_only_part
from .transport import Connection, media_type, told, wrong_type

#: Requests at a time: enough to hide the way to the server, few enough for a small PACS.
THREADS = 4

#: As it is stored: without this a server decompresses, and gives back something else than it was given.
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'

_CHUNK_BYTES = 1 << 16
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
        _Task(connection, study_uid, series, instance, folder / series / f"{instance}.dcm")
        for series, found in instances.items()
        for instance in found
    ]
    missing = [task for task in tasks if not is_whole(task.path, task.instance_uid)]
    try:
        for series in instances:
            for left in (folder / series).glob(f"{_UNFINISHED}*"):
                left.unlink()
        _fetch(connection, missing, len(tasks), progress, threads)
    except OSError as problem:
        reason = (problem.strerror or str(problem)).lower()
        raise OsteoScreenError(f"What is fetched cannot be written to {folder}: {reason}.") from problem
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


def is_whole(path: Path, instance_uid: str) -> bool:
    """Whether a file is there, is the instance that it is called, and is not cut short."""
    try:
        with path.open("rb") as file:
            if _instance_uid(file) != instance_uid:
                return False
    except (OSError, PacsError):
        return False
    return read_headers([path], Counter(), silent).damaged == 0


def _instance_uid(file: BinaryIO) -> str:
    """The SOP Instance UID of a DICOM file.  Raises PacsError where it is no DICOM file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = dcmread(file, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
        return str(header.get("SOPInstanceUID", ""))
    except Exception:  # pydicom raises whatever it may on bytes that are no DICOM
        raise PacsError("What the server sent is no DICOM object; check that the URL is that of DICOMweb.") from None


@dataclass(frozen=True)
class _Task:
    connection: Connection
    study_uid: str
    series_uid: str
    instance_uid: str
    path: Path

    def run(self) -> None:
        self.connection.attempt(self._fetch)

    def _fetch(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=self.path.parent)
        try:
            with os.fdopen(handle, "w+b") as file:
                self._receive(file)
                file.seek(0)
                if _instance_uid(file) != self.instance_uid:
                    raise PacsError(
                        f"{self.connection.server.host} sent another object than {self.instance_uid}, which it was "
                        "asked for; tell its administrator."
                    )
                # Otherwise a power cut could leave the name without the content.
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _receive(self, file: BinaryIO) -> None:
        connection, host = self.connection, self.connection.server.host
        uids = f"studies/{self.study_uid}/series/{self.series_uid}/instances/{self.instance_uid}"
        url = f"{connection.server.url}/{uids}"
        with connection.session.get(url, headers={"Accept": _ACCEPT}, stream=True) as response:
            chunks = iter(_Chunks(response, connection))
            kind, boundary = media_type(response), boundary_of(response.headers.get("Content-Type", ""))
            if kind == "multipart/related" and boundary:
                copy_only_part(chunks, boundary, file, host)
            elif kind == "application/dicom":  # against the standard, but servers do
                for chunk in chunks:
                    file.write(chunk)
            else:
                raise wrong_type(response, host)


class _Chunks:
    """The body of an answer as it comes; a lost connection is an error of ours, and a stop is noticed."""

    def __init__(self, response: requests.Response, connection: Connection) -> None:
        self._chunks = response.iter_content(_CHUNK_BYTES)
        self._connection = connection

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> bytes:
        if self._connection.stopped:
            raise PacsError("The fetch was stopped; the same command goes on where it was.")
        try:
            return next(self._chunks)
        except requests.RequestException as problem:
            raise told(problem, self._connection.server.host, self._connection.patience) from None


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
