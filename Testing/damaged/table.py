"""The table, what each of its cases starts from, and what several of them do to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
from phantom_ct import ORIGIN_RAS, PIXEL_MM, SLICE_MM, Phantom

SCREENED, USAGE, REFUSED, INPUT, BUNDLE, OTHER = 0, 2, 3, 4, 5, 1
LEVELS = ["--l1=#18", "--l2=#6"]
SERIES = {
    "spacing": SLICE_MM,
    "origin": (-ORIGIN_RAS[0], -ORIGIN_RAS[1], ORIGIN_RAS[2]),
    "PixelSpacing": [PIXEL_MM, PIXEL_MM],
    "SliceThickness": str(SLICE_MM),
}
#: Half of the phantom, L1 and L2 whole: enough for a series of its own, where a case needs other headers throughout.
FEW = slice(0, 26)


@dataclass(frozen=True)
class Sources:
    """Sound input, made once: the phantom, its files, and bundles. Cases copy what they damage."""

    phantom: Phantom
    dicom: Path
    nifti: Path
    outlines: Path
    vertebrae: Path
    bundle: Path


@dataclass(frozen=True)
class Case:
    """``words(sources, folder)`` damages something in ``folder`` and gives the command's words, without ``-o``."""

    name: str
    code: int
    says: str
    words: Callable[[Sources, Path], list[str]]


CASES: list[Case] = []


def case(name: str, code: int, says: str):
    def add(words):
        CASES.append(Case(name, code, says, words))
        return words

    return add


def copied(source: Path, folder: Path) -> Path:
    target = folder / source.name
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return target


def measured(scan: Path, sources: Sources, *more: str) -> list[str]:
    """Screen with the user's outlines: no network takes part."""
    return [str(scan), "--masks", str(sources.outlines), *LEVELS, *more]


def cut_short(path: Path, keep: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def header_alone(header: Path) -> Path:
    """Remove what lies beside a header, and return it."""
    for path in header.parent.iterdir():
        if path != header:
            path.unlink()
    return header


def write_text(folder: Path, name: str, text: str = "no segmentation") -> Path:
    (folder / name).write_text(text)
    return folder / name


def moved(sources: Sources, folder: Path) -> Path:
    image = sitk.ReadImage(str(sources.outlines))
    image.SetOrigin((900.0, 900.0, 900.0))
    sitk.WriteImage(image, str(folder / "moved.seg.nrrd"))
    return folder / "moved.seg.nrrd"
