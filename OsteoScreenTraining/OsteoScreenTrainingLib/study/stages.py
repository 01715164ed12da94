"""What a study has done so far: one JSON file per stage, written when the stage is whole, so that a kill costs little.

A stage's file is found by its name alone, and a folder belongs to one study: the same data, profile, split and seed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from OsteoScreenLib.errors import InputError, UsageError, system_reason
from OsteoScreenLib.results_io import write_text_atomically

from ..training.job_files import is_job_file

IDENTITY, FOLDER = "study.json", "stages"


class Stages:
    """The stages of the study in ``folder``.

    Args:
        identity: what makes it this study, in JSON types.

    Raises:
        UsageError: the folder holds another study.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]):
        self.folder = folder
        path = folder / IDENTITY
        if path.is_file():
            found = _read(path)
            differing = sorted(key for key in {*identity, *found} if found.get(key) != identity.get(key))
            if differing:
                raise UsageError(
                    f"{folder} holds a study that differs in {', '.join(differing)}; name another folder with -o."
                )
        elif folder.exists() and not (folder.is_dir() and all(is_job_file(path.name) for path in folder.iterdir())):
            raise UsageError(f"{folder} holds something that is no study; name another folder with -o.")
        else:
            write_text_atomically(json.dumps(identity, indent=1) + "\n", path)

    def done(self, name: str) -> bool:
        """Return whether a stage was finished."""
        return self._path(name).is_file()

    def result(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return a stage's result in JSON types, computing it where that was not done before."""
        path = self._path(name)
        if not path.is_file():
            text = json.dumps(compute(), allow_nan=True)
            write_text_atomically(text + "\n", path)
        return _read(path)

    def _path(self, name: str) -> Path:
        return self.folder / FOLDER / f"{name}.json"


def fingerprint(files: list[Path]) -> str:
    """Return a hash of some small files."""
    digest = hashlib.sha256()
    for path in files:
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {system_reason(error)}.") from error
    return digest.hexdigest()


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); remove it, and its part of the study runs again."
        ) from error
