"""The files of a job's folder, as those who start and read it and the supervisor know them; the standard library alone.

See :mod:`OsteoScreenTrainingLib.control.jobs` for what they are.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from .stopping import STOP, STOPPED

JOB, LOG, HEARTBEAT, LOCK, KILL = "job.json", "output.log", "heartbeat", "job.lock", "kill"
#: Room that is kept free on the disk, so that how the job ended can be written down when the disk is full.
ROOM = ".room"
SCHEMA = "osteoscreen-job/1"
#: Seconds between two heartbeats.
BEAT_S = 1.0
#: The supervisor's exit code where another job has the folder.
EXIT_TAKEN = 75
#: What is shown of the log: bytes that are looked at, and lines.
_TAIL_BYTES, _TAIL_LINES = 16384, 40
#: On Windows a file cannot be replaced while somebody reads it: tries, and seconds between them.
_TRIES, _WAIT_S = 20, 0.05
_TAKEN = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}


def is_job_file(name: str) -> bool:
    """Return whether a file of this name in a job's folder is the job's own, and not its command's."""
    return name in (JOB, LOG, HEARTBEAT, LOCK, KILL, STOP, STOPPED, ROOM) or name.startswith(f".{JOB}.")


def now() -> str:
    """Return the time as ISO 8601 with the zone, to a second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def write_job(folder: Path, document: dict[str, Any]) -> None:
    """Write ``job.json``, whole or not at all.  Raises OSError."""
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{JOB}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
        os.chmod(temporary, 0o644)
        for _ in range(_TRIES - 1):
            with contextlib.suppress(PermissionError):
                os.replace(temporary, folder / JOB)
                return
            time.sleep(_WAIT_S)
        os.replace(temporary, folder / JOB)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def load_job(folder: Path) -> dict[str, Any]:
    """Read ``job.json``.

    Raises:
        OSError: it is not there, or cannot be read just now.
        ValueError: it is damaged.
    """
    document = json.loads((folder / JOB).read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"not of the schema {SCHEMA}")
    return document


def beat(folder: Path) -> None:
    """Touch the heartbeat with this computer's own clock; it takes no room, so that a full disk does not matter."""
    moment = time.time_ns()
    try:
        os.utime(folder / HEARTBEAT, ns=(moment, moment))
    except FileNotFoundError:
        with contextlib.suppress(OSError), open(folder / HEARTBEAT, "ab"):
            pass
    except OSError:
        pass


def boot_identity() -> str:
    """Return what is another after each start of the computer, or nothing where that is not known."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def host() -> str:
    """Return this computer's name."""
    return platform.node()


def take_lock(folder: Path) -> BinaryIO | None:
    """Return the folder's lock, held as long as the file is open, or None where another process holds it.

    The system frees it however its holder ends. Where a file system has no locks, everybody gets it: what is left then
    is the look at the heartbeat before. Raises OSError where the file cannot be made.
    """
    file = open(folder / LOCK, "a+b")  # noqa: SIM115 - lives as long as the supervisor
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            file.close()
            return None
    return file


def log_tail(folder: Path, start: int) -> str:
    """Return the last lines of the log from the byte ``start`` on."""
    try:
        with open(folder / LOG, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(start, size), size - _TAIL_BYTES))
            return last_lines(file.read())
    except OSError:
        return ""


def last_lines(output: bytes) -> str:
    """Return the last lines of what a command printed; of a line that was drawn again and again, the last state."""
    lines = []
    for line in output.decode("utf-8", "replace").split("\n"):
        states = [state for state in line.split("\r") if state.strip()]
        if states:
            lines.append(states[-1].rstrip())
    return "\n".join(lines[-_TAIL_LINES:])
