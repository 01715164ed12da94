"""Long work as a process that survives whoever started it, with all of its state in a folder.

    job.json     what runs or ran, and how it ended (schema ``osteoscreen-job/1``)
    output.log   everything that the command printed, of all jobs that the folder has had
    heartbeat    touched every second while the job lives
    job.lock     held by the job while it lives
    stop, kill   requests, see :func:`request_stop` and :func:`kill_job`

A job may lie in the run's own folder (``osteoscreen train … -o FOLDER``); ``study`` and the like want their own folder
to themselves. Process numbers are not trusted: the system gives them out again.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from OsteoScreenLib.errors import OsteoScreenError, UsageError, system_reason

from ..training.job_files import EXIT_TAKEN, HEARTBEAT, KILL, LOG, boot_identity, host, load_job, log_tail
from ..training.stopping import STOP
from .runs import newest_checkpoint

PathLike = str | os.PathLike[str]
JobStateName = Literal["none", "running", "finished", "paused", "failed", "crashed"]

#: Seconds without a heartbeat after which a job counts as dead, and the looks at it that this takes at least: after a
#: computer has slept, the first look comes before the first beat.
_SILENT_S, _LOOKS, _LOOK_S = 15.0, 5, 0.4
#: Seconds that a job may take to begin.
_START_S = 60.0
_BOOT = (
    "import base64, json, sys; given = json.loads(base64.b64decode(sys.argv[1])); sys.path[:0] = given['path']; "
    "from OsteoScreenTrainingLib.control.supervisor import main; sys.exit(main(given))"
)


@dataclass(frozen=True)
class JobState:
    """What a folder says of its job.

    Attributes:
        state: "none" (never started here), "running", "finished", "paused" (stopped by request or by a signal; the
            same command with ``--resume``, or of a study the same command, goes on), "failed" (the command said why)
            or "crashed" (the process ended without a word: killed, out of memory, machine restarted).
        message: a sentence for the user; empty for "none" and for a running job that is well.
        command: the words after ``osteoscreen``.
        started, ended: ISO 8601 with the zone, or None.
        exit_code: of the command; negative for a signal; None while it runs and where nobody saw the end.
        log_tail: the last lines that the command printed, progress bars reduced to their last state.
        stopping: whether a stop was requested that the job has not followed yet.
    """

    state: JobStateName
    message: str = ""
    command: tuple[str, ...] = ()
    started: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    log_tail: str = ""
    stopping: bool = False


def start_job(
    arguments: Sequence[str], folder: PathLike, *, python: Sequence[str], search_path: Sequence[str] = ()
) -> None:
    """Start ``osteoscreen arguments`` as a job in ``folder``, which is made where need be; return once it runs.

    Args:
        arguments: the words after ``osteoscreen``.
        python: the Python to run it with and its options, such as ``[PythonSlicer]``.
        search_path: folders to put before that Python's own search path.

    Raises:
        UsageError: a job is running there already.
        OsteoScreenError: it could not be started, or the folder cannot be written to.
    """
    place = Path(folder).absolute()
    if read_job(place).state == "running":
        raise _taken(place)
    token = uuid.uuid4().hex
    given = {"folder": str(place), "arguments": list(arguments), "path": list(search_path), "token": token}
    encoded = base64.b64encode(json.dumps(given).encode()).decode("ascii")
    try:
        place.mkdir(parents=True, exist_ok=True)
        with open(place / LOG, "ab") as log:
            process = subprocess.Popen(
                [*python, "-c", _BOOT, encoded],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, **_detached(),
            )  # fmt: skip
    except OSError as error:
        raise OsteoScreenError(f"The job in {place} could not be started: {system_reason(error)}.") from error
    _await_start(process, place, token)
    # It is waited for, so that it does not stay in the system's table when it has ended.
    threading.Thread(target=process.wait, name="job", daemon=True).start()


def _detached() -> dict[str, Any]:
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}  # type: ignore
    return {"start_new_session": True}


def _await_start(process: subprocess.Popen[bytes], folder: Path, token: str) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        with contextlib.suppress(OSError, ValueError):
            if load_job(folder)["token"] == token:
                return
        if process.returncode == EXIT_TAKEN:
            raise _taken(folder)
        if ended:
            lines = log_tail(folder, 0).splitlines() or ["it said nothing"]
            raise OsteoScreenError(f"The job in {folder} could not be started: {lines[-1]}.")
        time.sleep(0.02)
    process.kill()
    raise OsteoScreenError(f"The job in {folder} did not begin within {_START_S:g} s; try again.")


def _taken(folder: Path) -> UsageError:
    return UsageError(f"A job is running in {folder} already; wait for its end, or stop it first.")


def read_job(folder: PathLike) -> JobState:
    """Return what a folder says of its job. It only reads, in milliseconds, and never raises for what it finds.

    A job that says nothing any more is taken for dead after 15 s; at once where it ran on this computer and its last
    heartbeat is older, or the computer was restarted since.
    """
    place = Path(folder).absolute()
    try:
        document = _document(place)
    except OSError:
        return JobState("none")
    except ValueError:
        return JobState("crashed", "job.json is damaged, so that nobody knows how the job ended; start it again.")
    state = str(document.get("state"))
    message = str(document.get("message") or "")
    if state == "running" and not _alive(place, document):
        state, message = "crashed", _vanished(document)
    if state not in get_args(JobStateName):
        state, message = "crashed", f"job.json says {state!r}, which this version does not know; start the job again."
    command = tuple(str(word) for word in document.get("command") or ())
    stopping = state == "running" and ((place / STOP).exists() or (place / KILL).exists())
    log_from = document.get("log_from")
    return JobState(
        state=state,  # type: ignore[arg-type]
        message=_worded(state, message, command, stopping),
        command=command,
        started=document.get("started"),
        ended=document.get("ended"),
        exit_code=document.get("exit_code"),
        log_tail=log_tail(place, log_from if isinstance(log_from, int) else 0),
        stopping=stopping,
    )


#: What was read last, for when a file cannot be read for a moment (on Windows, while it is being replaced).
_DOCUMENTS: dict[Path, dict[str, Any]] = {}


def _document(folder: Path) -> dict[str, Any]:
    try:
        document = load_job(folder)
    except FileNotFoundError:
        _DOCUMENTS.pop(folder, None)
        raise
    except OSError:
        if folder in _DOCUMENTS:
            return _DOCUMENTS[folder]
        raise
    _DOCUMENTS[folder] = document
    return document


def _worded(state: str, message: str, command: Sequence[str], stopping: bool) -> str:
    if state == "running":
        return "Stopping …" if stopping else ""
    if state in ("paused", "crashed"):
        return f"{message} {_how_to_go_on(command)}"
    return message or ("Finished." if state == "finished" else "")


def _how_to_go_on(command: Sequence[str]) -> str:
    output = next((after for word, after in itertools.pairwise(command) if word in ("-o", "--output")), "")
    step = newest_checkpoint(Path(output)) if command[:1] == ("train",) and output else None
    if step is None:
        return "Start it again."
    return f"It goes on from its checkpoint of step {step} with --resume."


# -- whether it lives


@dataclass
class _Pulse:
    """The last heartbeat that was seen of a job: its stamp, since when (monotonic), and how often it was seen."""

    token: str
    stamp: int
    since: float
    looked: float
    looks: int
    dead: bool


_PULSES: dict[Path, _Pulse] = {}


def _alive(folder: Path, document: dict[str, Any]) -> bool:
    """Return whether a job that says that it runs does.

    Stamps are compared with each other and not with the clock, which may jump, or be another computer's. Only the first
    look at a job of this very computer trusts the clock, since it has nothing else.
    """
    try:
        stamp = (folder / HEARTBEAT).stat().st_mtime_ns
    except OSError:
        stamp = 0
    token, now = str(document.get("token")), time.monotonic()
    pulse = _PULSES.get(folder)
    if pulse is None or pulse.token != token:
        pulse = _PULSES[folder] = _Pulse(token, stamp, now, now, 0, _surely_dead(document, stamp))
    elif pulse.stamp != stamp:
        pulse.stamp, pulse.since, pulse.looked, pulse.looks, pulse.dead = stamp, now, now, 0, False
    elif now - pulse.looked >= _LOOK_S:
        pulse.looked, pulse.looks = now, pulse.looks + 1
        pulse.dead = pulse.dead or (now - pulse.since > _SILENT_S and pulse.looks >= _LOOKS)
    return not pulse.dead


def _surely_dead(document: dict[str, Any], stamp: int) -> bool:
    if document.get("host") != host():
        return False
    if document.get("boot") != boot_identity():
        return True
    return time.time() - stamp / 1e9 > _SILENT_S


def _vanished(document: dict[str, Any]) -> str:
    if document.get("host") == host() and document.get("boot") != boot_identity():
        return "The computer was restarted while the job ran."
    return "The job ended without a word: it was killed, memory ran out, or its computer was switched off."


def request_stop(folder: PathLike) -> None:
    """Ask the job for an orderly stop: a training ends after its step, with a checkpoint; the state becomes "paused".

    Nothing happens where no job is running. Raises OsteoScreenError where the request cannot be written.
    """
    _request(Path(folder), STOP)


def kill_job(folder: PathLike) -> None:
    """End the job at once, within about two seconds; the state becomes "paused", and checkpoints stay whole.

    Nothing happens where no job is running. Raises OsteoScreenError where the request cannot be written.
    """
    _request(Path(folder), KILL)


def _request(folder: Path, name: str) -> None:
    if read_job(folder).state != "running":
        return
    try:
        with open(folder / name, "ab"):
            pass
    except OSError as error:
        raise OsteoScreenError(
            f"The request to stop could not be written to {folder}: {system_reason(error)}."
        ) from error
