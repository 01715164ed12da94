"""Asking a training to stop in good order, by a signal or by a file.

A file works on every system and over a shared folder: ``stop`` in the run's folder asks for it, and so does one in the
folder of the job that the command runs in (:mod:`OsteoScreenTrainingLib.control.jobs`). Who follows a request takes it
away.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

#: The request, and in a job's folder what says that it was followed.
STOP, STOPPED = "stop", "stopped"
#: What is in ``stopped``: the command ended by itself in good order, or it was interrupted.
FOLLOWED, INTERRUPTED = "followed", "interrupted"
#: Names the folder of the job that this process runs in.
JOB_VARIABLE = "OSTEOSCREEN_JOB"
#: Seconds between two looks; on a network drive a look is not free.
LOOK_S = 1.0


class StopRequests:
    """Requests to stop what runs in ``run``.

    As a context manager it says that what runs looks for them between its steps (:func:`looked_for`).
    """

    _looking: ClassVar[int] = 0

    def __init__(self, run: Path):
        self._job = job_folder()
        folders = [run] if self._job is None or _same(run, self._job) else [run, self._job]
        self._files = [folder / STOP for folder in folders]
        self._looked = 0.0
        self._made = False

    def __enter__(self) -> StopRequests:
        StopRequests._looking += 1
        return self

    def __exit__(self, *_: object) -> None:
        StopRequests._looking -= 1

    def made(self) -> bool:
        """Return whether a stop was asked for; it is looked for once a second at most."""
        now = time.monotonic()
        if not self._made and now - self._looked >= LOOK_S:
            self._looked = now
            self._made = any(path.exists() for path in self._files)
        return self._made

    def follow(self) -> None:
        """Take the requests away, and tell the job that the command stops, whatever asked for it."""
        if self._job is not None:
            mark_stopped(self._job, FOLLOWED)
        _remove(self._files)

    def forget(self) -> None:
        """Take away a request to a run that had ended before; one to this job is kept, since it is never older."""
        _remove(path for path in self._files if self._job is None or path.parent != self._job)


def looked_for() -> bool:
    """Return whether something in this process looks for requests itself, and follows one when its step is done."""
    return StopRequests._looking > 0


def job_folder() -> Path | None:
    """Return the folder of the job that this process runs in, or None."""
    name = os.environ.get(JOB_VARIABLE)
    return Path(name) if name else None


def mark_stopped(job: Path, how: str) -> None:
    """Turn a job's request into the mark that it was followed (:data:`FOLLOWED` or :data:`INTERRUPTED`)."""
    # Where the disk is full, the empty request itself becomes the mark.
    with contextlib.suppress(OSError):
        os.replace(job / STOP, job / STOPPED)
    with contextlib.suppress(OSError):
        (job / STOPPED).write_text(how, encoding="ascii")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def _same(first: Path, second: Path) -> bool:
    return os.path.normcase(first.absolute()) == os.path.normcase(second.absolute())


class FirstSignal:
    """Turns the first Ctrl-C or TERM into a note of its name, for an orderly stop; a second one is the usual one.

    Use it as a context manager. In another thread than the main one, signals are left alone.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> FirstSignal:
        with contextlib.suppress(ValueError):  # not the main thread
            for number in map(int, (signal.SIGINT, signal.SIGTERM)):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: Any) -> None:
        self.name = signal.Signals(number).name
        signal.signal(number, self._previous[number])
