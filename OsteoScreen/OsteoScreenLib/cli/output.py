"""The folder that a command writes to: whole or not at all, and nothing of the user's is touched."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import OsteoScreenError, UsageError, is_disk_full, system_reason


@contextmanager
def staged_output(output: str | os.PathLike[str], own_files: Sequence[str]) -> Iterator[Path]:
    """Give a temporary folder to write to; on leaving without an error, its files become those of ``output``.

    A new ``output`` appears by one rename. In one that exists, this program's ``own_files`` of an earlier run are
    replaced: the last of ``own_files`` is removed first and comes back last, so that where it lies, all belongs
    together. Other files are never touched. On any error, nothing of this run remains.

    Raises UsageError when ``output`` is a file, and OsteoScreenError when it cannot be written.
    """
    if not os.fspath(output) or "\0" in os.fspath(output):
        raise UsageError("The output folder has no name; name one with -o.")
    target = Path(output)
    staging: Path | None = None
    made: list[Path] = []
    try:
        made = _make_parents(target)
        # Inside an existing folder, because it may be a mounted volume whose parent is another file system.
        parent = target if target.is_dir() else target.parent
        staging = Path(tempfile.mkdtemp(prefix=".osteoscreen-", dir=parent))
        yield staging
        _move_in(staging, target, own_files)
        made = []
    except (OSError, OsteoScreenError) as error:
        if not (_concerns(error, target, staging) if isinstance(error, OSError) else names_folder(error, staging)):
            raise
        raise OsteoScreenError(f"The results cannot be written to {target}: {system_reason(error)}.") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for folder in made:
            _remove_if_empty(folder)


def refuse_overwriting(output: str | os.PathLike[str], own_files: Sequence[str], inputs: Sequence[str | None]) -> None:
    """Raise UsageError where ``own_files`` in ``output`` would overwrite an input, or land among its files."""
    target = Path(output).resolve()
    for given in inputs:
        if not given or "\0" in given:
            continue  # no file can be called so; whoever reads it says so
        source = Path(given).resolve()
        if source == target and source.is_dir():
            raise UsageError(f"{output} is the folder of an input; name another folder with -o.")
        if source in {target / name for name in own_files}:
            raise UsageError(f"{given} is an input, and would be overwritten; name another folder with -o.")


def _make_parents(target: Path) -> list[Path]:
    """Make the folders above ``target``; returns those that are new, deepest first."""
    blocking = next((path for path in (target, *target.parents) if os.path.lexists(path)), None)
    if blocking is not None and not blocking.is_dir():
        raise UsageError(f"{blocking} is not a folder, so nothing can be written to {target}; name a folder with -o.")
    new = [path for path in target.parents if not path.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    return new


def _move_in(staging: Path, target: Path, own_files: Sequence[str]) -> None:
    if not target.exists():
        # A temporary folder is private to its owner; the finished one gets the rights that any new folder gets.
        mask = os.umask(0o022)
        os.umask(mask)
        staging.chmod(0o777 & ~mask)
        os.replace(staging, target)
        return
    *others, seal = own_files
    (target / seal).unlink(missing_ok=True)
    for name in others:
        if (staging / name).exists():
            os.replace(staging / name, target / name)
        else:
            (target / name).unlink(missing_ok=True)
    if (staging / seal).exists():
        os.replace(staging / seal, target / seal)


def names_folder(error: OsteoScreenError, folder: Path | None) -> bool:
    """Whether an error's sentence names a temporary folder, which nobody would find again."""
    return folder is not None and str(folder) in str(error)


def _concerns(error: OSError, target: Path, staging: Path | None) -> bool:
    """Whether an error of the operating system is about writing here, rather than about something read meanwhile."""
    if staging is None or is_disk_full(error):
        return True
    if error.filename is None:
        return False
    path = Path(os.fsdecode(error.filename))
    return path == target or target in path.parents or staging in (path, *path.parents)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
