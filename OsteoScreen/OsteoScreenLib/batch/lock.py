"""One driver for each output folder: the second one is told who holds it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from ..errors import OsteoScreenError
from ..results_io import write_text_atomically

#: Held while a driver lives; the system lets go of it when the process ends, however it ends.
LOCK = ".osteoscreen-batch.lock"
#: Who holds it, for whoever comes second. It stays when a driver is killed, and says nothing while the lock is free.
HOLDER = ".osteoscreen-batch.json"


class OutputTaken(OsteoScreenError):
    """Another driver works on the output folder."""


@contextmanager
def sole_driver(out: str | os.PathLike[str]) -> Iterator[None]:
    """Keep every other driver out of ``out``, a folder that exists.

    Raises OutputTaken with the holder's host, process and time, and OsteoScreenError where the folder cannot be
    written.
    """
    from filelock import FileLock, Timeout

    folder = Path(out)
    try:
        with FileLock(folder / LOCK, timeout=0):
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": now}
            write_text_atomically(json.dumps(holder) + "\n", folder / HOLDER)
            try:
                yield
            finally:
                with suppress(OSError):
                    (folder / HOLDER).unlink()
    except Timeout:
        raise OutputTaken(
            f"Another batch works on {folder} ({_holder(folder)}); wait until it has ended, or stop it first."
        ) from None
    except OSError as error:
        if not _is_of(error, folder):
            raise
        raise OsteoScreenError(
            f"{folder} cannot be written: {(error.strerror or str(error)).lower()}; make it writable, or name another "
            "folder with -o."
        ) from error


def _holder(folder: Path) -> str:
    try:
        found = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {int(found['pid'])} on {found['host']}, since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it does not say who it is"


def _is_of(error: OSError, folder: Path) -> bool:
    return error.filename is not None and Path(os.fsdecode(error.filename)) in (folder / LOCK, folder)
