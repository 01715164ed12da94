"""A study's folder of outputs: there as a whole or not at all, and taken over where it is there already."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, OsteoScreenError
from ..reports.kinds import RESULT
from ..results import ScreeningResult
from ..results_io import process_umask, read_result, where_it_was, write_text_atomically
from ..turns import away
from .store import study_folder

#: What a study's folder was made of; see :class:`Seal`.
SEAL = "batch.json"
#: In a set's folder: the set's settings, versions and bundles. Where it is missing, the output folder is not there.
SET = "set.json"
#: In a set's folder: what is being written.
STAGING = ".staging"

#: Where less is free, a write that failed is put down to the disk, whatever it failed with [bytes].
_LITTLE = 16 << 20
_GONE = "it is not there any more"


class OutputProblem(OsteoScreenError):
    """The outputs cannot be written for a reason that is not the study's: a full disk, a share that is gone."""


@dataclass(frozen=True)
class Seal:
    """What a study's outputs were made of: the hash of the set, and that of what was asked of the study."""

    set_hash: str
    asked: str


@dataclass(frozen=True)
class StudyPlace:
    """Where a study of a set is written to."""

    out: Path
    set_id: str
    study_id: str
    seal: Seal

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return study_folder(self.out, self.set_id, self.study_id)

    def finished(self) -> ScreeningResult | None:
        """Return the result of the study where it is there as a whole and was made of just this, else None."""
        try:
            sealed = json.loads((self.folder / SEAL).read_text(encoding="utf-8"))
            if sealed != _sealed(self.seal):
                return None
            return read_result(self.folder / RESULT)
        except (OSError, ValueError, InputError):
            return None

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Give a folder to write the outputs to; on leaving without an error, it becomes the study's.

        Raises OutputProblem where it cannot be written or its place is gone.
        """
        root = self.out / self.set_id
        staging: Path | None = None
        try:
            # Never made here: where a share is gone, its outputs would land on the disk beneath.
            if not (root / SET).is_file():
                raise FileNotFoundError(errno.ENOENT, _GONE, str(root))
            staging = Path(tempfile.mkdtemp(prefix=f"{self.study_id[:80]}-", dir=root / STAGING))
            with where_it_was():
                yield staging
            (staging / SEAL).write_text(json.dumps(_sealed(self.seal)) + "\n", encoding="utf-8")
            with away():  # other studies compute while the disk writes
                _flush(staging)
            self._move_in(staging)
        except (OSError, OsteoScreenError) as error:
            if not _is_the_disks(error, root):
                raise
            reason = _reason(error) if (root / SET).is_file() else _GONE
            raise OutputProblem(f"The results cannot be written to {self.out}: {reason}.") from error
        finally:
            if staging is not None:
                shutil.rmtree(staging, ignore_errors=True)

    def _move_in(self, staging: Path) -> None:
        self.folder.parent.mkdir(exist_ok=True)
        # A temporary folder is private to its owner; the finished one gets the rights that any new folder gets.
        staging.chmod(0o777 & ~process_umask())
        if self.folder.exists():
            if self.finished() is not None:
                return  # somebody whom the driver lost was quicker
            os.rename(self.folder, staging.with_name(f"{staging.name}-old"))
        os.rename(staging, self.folder)
        shutil.rmtree(staging.with_name(f"{staging.name}-old"), ignore_errors=True)
        _flush_folder(self.folder.parent)


def sweep_set(out: str | os.PathLike[str], set_id: str) -> None:
    """Sweep what nobody writes any more.  Raises OutputProblem where the set's folder is not there."""
    root = Path(out) / set_id
    if not (root / SET).is_file():
        raise OutputProblem(f"The results cannot be written to {out}: {_GONE}.")
    shutil.rmtree(root / STAGING, ignore_errors=True)
    try:
        (root / STAGING).mkdir(exist_ok=True)
    except OSError as error:
        raise OutputProblem(f"The results cannot be written to {out}: {_reason(error)}.") from error


def prepare_set(out: str | os.PathLike[str], set_id: str, described: Mapping[str, Any]) -> None:
    """Make a set's folder, and sweep what was being written when the last driver ended.

    Raises OsteoScreenError where it cannot be written.
    """
    root = Path(out) / set_id
    try:
        shutil.rmtree(root / STAGING, ignore_errors=True)
        (root / STAGING).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputProblem(f"The results cannot be written to {out}: {_reason(error)}.") from error
    if not (root / SET).is_file():
        write_text_atomically(json.dumps(dict(described), indent=2, sort_keys=True) + "\n", root / SET)


def _sealed(seal: Seal) -> dict[str, str]:
    return {"schema": "osteoscreen-batch-study/1", "set": seal.set_hash, "asked": seal.asked}


def _flush(folder: Path) -> None:
    """Have the files on the disk before they get their name: a power cut must not leave empty ones under it."""
    for path in folder.iterdir():
        with open(path, "r+b") as file:
            os.fsync(file.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows cannot flush a folder
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network file systems do not know it for folders
    finally:
        os.close(handle)


def _is_the_disks(error: BaseException, root: Path) -> bool:
    """Whether the outputs cannot be written, rather than the study's result being unfit to be written."""
    if isinstance(error, InputError):
        return False
    if isinstance(error, OSError) or isinstance(error.__cause__, OSError):
        return True
    try:
        return shutil.disk_usage(root).free < _LITTLE
    except OSError:
        return True


def _reason(error: BaseException) -> str:
    problem = error if isinstance(error, OSError) else error.__cause__
    if isinstance(problem, OSError):
        return (problem.strerror or str(problem)).lower()
    return "the disk is full"
