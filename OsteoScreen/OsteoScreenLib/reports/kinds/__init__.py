"""What a screening can be written as: the kinds, each with its writer in a module of this folder, and their files.

The modules are found by themselves. They import nothing heavy at their top level, so that `--help` is instant.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterable
from pathlib import Path

from ...errors import UsageError
from .registry import OUTPUT_KINDS

__all__ = [
    "OUTPUT_KINDS",
    "REPORT",
    "RESULT",
    "SEGMENTATION",
    "chosen_kinds",
    "dicom_kinds",
    "find_kinds",
    "groups",
    "kinds_in",
    "own_files",
]

#: What every screening writes.
RESULT, REPORT, SEGMENTATION = "result.json", "report.html", "segmentation.seg.nrrd"


def find_kinds() -> None:
    """Import the modules of this folder, which registers their kinds: DICOM objects last, as they are told of."""
    names = [module.name for module in pkgutil.iter_modules(__path__, f"{__name__}.")]
    for name in sorted(names, key=lambda name: (name.endswith(".dicom"), name)):
        importlib.import_module(name)


find_kinds()


def groups() -> dict[str, tuple[str, ...]]:
    """Return the names for several kinds at once, with their kinds."""
    usual = {name: kind for name, kind in OUTPUT_KINDS.items() if not kind.on_request}
    return {"dicom": tuple(name for name, kind in usual.items() if kind.is_dicom), "all": tuple(usual)}


def dicom_kinds() -> set[str]:
    """Return the kinds that are DICOM objects."""
    return {name for name, kind in OUTPUT_KINDS.items() if kind.is_dicom}


def own_files() -> tuple[str, ...]:
    """Return the names of all files that a screening may write, result.json last."""
    return (REPORT, SEGMENTATION, *(file for kind in OUTPUT_KINDS.values() for file in kind.files), RESULT)


def chosen_kinds(words: Iterable[str]) -> list[str]:
    """Return the kinds that words such as "pdf,csv" or "dicom" name, each once, in the order of `OUTPUT_KINDS`.

    Raises UsageError for a name that is neither a kind nor a group.
    """
    names = [name.strip().lower() for word in words for name in word.split(",") if name.strip()]
    known = groups()
    unknown = [name for name in names if name not in OUTPUT_KINDS and name not in known]
    if unknown:
        raise UsageError(
            f"Nothing can be written as {unknown[0]!r}; choose among {', '.join((*OUTPUT_KINDS, *known))}."
        )
    kinds = {kind for name in names for kind in known.get(name, (name,))}
    kinds |= {needed for kind in kinds for needed in OUTPUT_KINDS[kind].needs}
    return [kind for kind in OUTPUT_KINDS if kind in kinds]


def kinds_in(folder: str | os.PathLike[str]) -> list[str]:
    """Return the kinds of which a file lies in ``folder``, in the order of `OUTPUT_KINDS`."""
    return [name for name, kind in OUTPUT_KINDS.items() if any((Path(folder) / file).exists() for file in kind.files)]
