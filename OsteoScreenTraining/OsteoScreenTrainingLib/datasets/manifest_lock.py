"""Changing ``subjects.csv`` when others may change it too: one process at a time reads, changes and writes it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

from OsteoScreenLib.errors import OsteoScreenError, system_reason

from .manifest import MANIFEST, Subject, read_manifest, write_manifest

#: Lies in the data set's folder, so that it holds for everyone who shares the folder; who is killed leaves no lock.
LOCK = ".osteoscreen-subjects.lock"
#: A change takes well below a second; whoever holds the lock for so long has been stopped in the middle of one.
WAIT_S = 30.0


@contextmanager
def alone_with_manifest(folder: str | os.PathLike[str], wait_s: float = WAIT_S) -> Iterator[None]:
    """Keep every other change of the manifest of ``folder`` out meanwhile: whoever comes second waits.

    A Slicer without the packages that training needs has no filelock: there, nothing is kept out. No command of this
    library runs in such a Slicer either, and those of another installation leave filled cells alone.

    Raises:
        OsteoScreenError: another change has not ended within ``wait_s`` seconds, or the folder takes no lock.
    """
    try:
        from filelock import FileLock, Timeout
    except ImportError:
        yield
        return
    lock = FileLock(Path(folder) / LOCK, timeout=wait_s)
    try:
        lock.acquire()
    except Timeout:
        raise OsteoScreenError(
            f"Another process has been changing {Path(folder) / MANIFEST} for {wait_s:g} s, so nothing was changed; "
            "look for one that hangs, end it, and try again."
        ) from None
    except (OSError, NotImplementedError) as error:
        raise OsteoScreenError(
            f"{Path(folder) / MANIFEST} cannot be changed, because its folder takes no lock: {system_reason(error)}."
        ) from error
    try:
        yield
    finally:
        lock.release()


def fill_in(folder: Path, found: Iterable[Subject]) -> None:
    """Fill the empty cells of the manifest in ``folder``, as it is by now, with what was found out; a cell that is
    filled in is never changed, and a subject who is not there is added at the end.

    Raises:
        InputError: the manifest cannot be read.
        OsteoScreenError: it cannot be changed.
    """
    with alone_with_manifest(folder):
        path = folder / MANIFEST
        rows = {row.subject: row for row in read_manifest(path)} if path.exists() else {}
        for subject in found:
            rows[subject.subject] = _filled(rows.get(subject.subject, subject), subject)
        write_manifest(rows.values(), path)


def _filled(row: Subject, found: Subject) -> Subject:
    empty = [item.name for item in fields(Subject) if getattr(row, item.name) is None]
    return replace(row, **{name: getattr(found, name) for name in empty})
