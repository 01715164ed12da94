"""Find the DICOM images in a folder, and read their headers."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from ...progress import Progress
from .header import HEADER_TAGS, Frame, frames_of


@dataclass
class Found:
    """The images of a folder, and why the other files are not among them (reason -> how many)."""

    frames: list[Frame] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def regular_files(folder: Path, left_out: Counter[str]) -> Iterator[Path]:
    """Every regular file below a folder; links out of it, devices and pipes are left out, and loops not followed."""
    root = folder.resolve()
    for parent, folders, names in os.walk(root, followlinks=False):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            try:
                if path.is_symlink() and not path.resolve().is_relative_to(root):
                    left_out["link out of the folder"] += 1
                elif stat.S_ISREG(path.stat().st_mode):
                    yield path
                else:
                    left_out["not a regular file"] += 1
            except (OSError, RuntimeError):
                left_out["broken link or unreadable"] += 1


def read_headers(paths: list[Path], left_out: Counter[str], progress: Progress) -> Found:
    """The frames of all files that are DICOM images."""
    found = Found(left_out=left_out)
    for n, path in enumerate(paths):
        _read_header(path, found)
        progress("Reading headers", n + 1, len(paths))
    return found


def _read_header(path: Path, found: Found) -> None:
    try:
        with path.open("rb") as stream:
            dataset = dcmread(stream, stop_before_pixels=True, specific_tags=HEADER_TAGS)
            offset = stream.tell()
            size = os.fstat(stream.fileno()).st_size
    except InvalidDicomError:
        found.left_out["not DICOM"] += 1
        return
    except Exception:  # pydicom raises whatever a damaged header provokes
        found.left_out["damaged header"] += 1
        return
    if offset >= size or not dataset.get("Rows"):
        found.left_out["not an image"] += 1
        return
    found.frames.extend(frames_of(dataset, path, size, offset))
