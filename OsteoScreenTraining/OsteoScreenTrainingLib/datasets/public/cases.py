"""What an importer hands over: the collection's name and licence, its scans, and what could not be used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from OsteoScreenLib.errors import InputError, UsageError, system_reason

if TYPE_CHECKING:
    from ..splits import Part
    from .labels import LabelSource

#: A path's suffixes that are volumes.
SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Collection:
    """A public collection, as ``sources.json`` names it."""

    name: str
    licence: str
    licence_url: str
    home: str
    citations: tuple[str, ...]
    notes: str = ""


@dataclass(frozen=True)
class PublicCase:
    """One scan of a collection.

    Attributes:
        name: of the scan, unique in the collection; letters, digits, dots, dashes and underscores.
        subject: whose scan it is; a subject may have several.
        ct: its volume.
        labels: where its vertebra labels come from.
        cells: what the collection says of it, by column of the manifest.
        part: where the collection's own split has it.
        notes: what a reader should know, as sentences.
        centroids: a VerSe centroid file, to check the labels against.
    """

    name: str
    subject: str
    ct: Path
    labels: LabelSource
    cells: Mapping[str, Any] = field(default_factory=dict)
    part: Part | None = None
    notes: tuple[str, ...] = ()
    centroids: Path | None = None


@dataclass(frozen=True)
class FoundCases:
    """The scans of a folder, and by name why others of it cannot be used."""

    collection: Collection
    cases: tuple[PublicCase, ...]
    problems: Mapping[str, str]


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the volume and table files below a folder in order, without hidden ones (macOS leaves ``._`` files).

    Raises:
        UsageError: there is no such folder.
        InputError: it cannot be listed.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}; name the one that holds the collection.")

    def failed(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed: {system_reason(error)}.") from error

    for root, folders, names in os.walk(folder, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(root) / name


def stem(name: str) -> str:
    """Return a volume's file name without its suffix."""
    ending = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(ending)]


def nearest(path: Path, candidates: list[Path]) -> Path:
    """Return the candidate that shares the most folders with ``path``: copies of one scan lie in several releases."""

    def shared(candidate: Path) -> int:
        return len(Path(os.path.commonpath([path, candidate])).parts)

    return max(candidates, key=shared)
