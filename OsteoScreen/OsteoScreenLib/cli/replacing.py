"""A folder of results whose files are replaced by one command at a time, all or none, and never without its result."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..errors import OsteoScreenError, system_reason
from .output import names_folder

#: Lies in the folder, so that it holds for everyone who shares the folder; who ends without a word leaves no lock.
LOCK = ".osteoscreen-decide.lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep every other `decide` out of ``folder`` meanwhile.

    Raises OsteoScreenError where another one is in there, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OsteoScreenError(
            "Someone else decides on this result just now, so nothing was changed; look at what they decide, then "
            "decide again."
        ) from None
    except OSError as error:
        raise _cannot_be_written(folder, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def replacing(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Give a temporary folder to write to; on leaving without an error, its files become those of ``folder``.

    Of ``names``, what was not written is removed; the last one must be written, is replaced last and by one rename, so
    that it is there at any time. On any error, all files are as they were.

    Raises OsteoScreenError where the folder cannot be written.
    """
    staging: Path | None = None
    try:
        staging = Path(tempfile.mkdtemp(prefix=".osteoscreen-", dir=folder))
        new, before = staging / "new", staging / "before"
        new.mkdir()
        before.mkdir()
        yield new
        _move_in(new, before, folder, names)
    except (OSError, OsteoScreenError) as error:
        if isinstance(error, OsteoScreenError) and not names_folder(error, staging):
            raise
        raise _cannot_be_written(folder, error) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def _move_in(new: Path, before: Path, folder: Path, names: Sequence[str]) -> None:
    *others, last = names
    with ExitStack() as undo:
        for name in others:
            if (folder / name).exists():
                os.replace(folder / name, before / name)
                undo.callback(os.replace, before / name, folder / name)
            if (new / name).exists():
                os.replace(new / name, folder / name)
                undo.callback(os.replace, folder / name, new / name)
        os.replace(new / last, folder / last)
        undo.pop_all()


def _cannot_be_written(folder: Path, error: Exception) -> OsteoScreenError:
    return OsteoScreenError(
        f"The decision cannot be written to {folder}, so nothing was changed: {system_reason(error)}."
    )
