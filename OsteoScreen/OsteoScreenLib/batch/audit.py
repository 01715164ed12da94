"""``OUT/audit.jsonl``: what the drivers of a batch did, one JSON object per line, appended to and never changed.

Each line has a number ("n", one more than the line's before), the computer's time ("at", ISO 8601 in UTC, which may
jump), the driver's own seconds ("up", which do not) and the "event"; the rest belongs to the event. A study is named
by its id alone: no patient, no path, and no sentence that might hold one.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .store_file import StoreError

AUDIT = "audit.jsonl"

#: How much of the end of the log is looked through for its last line [bytes]; a line is much shorter.
_TAIL = 65536


class AuditLog:
    """Appends to the log of one output folder. Every method raises StoreError where that cannot be done.

    A line that a crash has cut is taken away when the log is opened, and the log says so.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(out) / AUDIT
        self._wall, self._monotonic = wall, monotonic
        self._began = monotonic()
        try:
            # Without a buffer, so that a line is written at once and by one call.
            self._file = self.path.open("a+b", buffering=0)
            cut = self._repair()
        except OSError as error:
            raise self._problem(error) from error
        if cut:
            self.note("log repaired", bytes_cut=cut)

    def note(self, event: str, **details: Any) -> None:
        """Append one event."""
        line = {
            "n": self._number + 1,
            "at": self._wall().isoformat(timespec="milliseconds"),
            "up": round(self._monotonic() - self._began, 3),
            "event": event,
            **details,
        }
        encoded = json.dumps(line, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"
        try:
            written = self._file.write(encoded)
            if written != len(encoded):
                # The disk is full in the middle of the line: no half of it stays.
                self._file.truncate(self._file.seek(0, os.SEEK_END) - (written or 0))
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise self._problem(error) from error
        self._number += 1

    def close(self) -> None:
        """Have everything on the disk, and close the file."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._problem(error) from error
        finally:
            self._file.close()

    def _repair(self) -> int:
        """Find the last number; returns how many bytes of a cut line were taken away."""
        end = self._file.seek(0, os.SEEK_END)
        start = max(0, end - _TAIL)
        self._file.seek(start)
        tail = self._file.read(end - start)
        whole = tail.rfind(b"\n") + 1
        cut = len(tail) - whole
        if cut:
            self._file.truncate(end - cut)
        self._number = _last_number(tail[:whole])
        return cut

    def _problem(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self.path} cannot be written: {(error.strerror or str(error)).lower()}; once that is mended, the same "
            "command goes on."
        )


def _last_number(tail: bytes) -> int:
    for line in reversed(tail.splitlines()):
        try:
            return int(json.loads(line)["n"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0
