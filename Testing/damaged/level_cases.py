"""The levels, given or from a segmentation."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .table import INPUT, REFUSED, USAGE, Sources, case, copied, cut_short, moved, write_text


def at(*words: str) -> Callable[[Sources, Path], list[str]]:
    return lambda sources, folder: [str(sources.nifti), *words, "--segmentation-model", str(sources.bundle)]


case("no level", USAGE, "--l1")(at())
case("L2 without L1", USAGE, "L1")(at("--l2=#6"))
case("level that is a word", USAGE, "L1.*abc")(at("--l1=abc"))
case("empty level", USAGE, "L1")(at("--l1="))
case("level that is no number", USAGE, "L1")(at("--l1=nan"))
case("infinite level", USAGE, "L1")(at("--l1=inf"))
case("level far outside", USAGE, "outside|covers")(at("--l1=900"))
case("slice beyond the last", USAGE, "#999")(at("--l1=#999"))
case("negative slice", USAGE, "L1")(at("--l1=#-1"))
case("slice number with a fraction", USAGE, "L1")(at("--l1=#6.5"))
case("endless level", USAGE, "L1")(at("--l1=" + "9" * 5000))
case("level that cannot be found by itself", REFUSED, "suggested.*--l1")(at("--l1=auto"))
case("levels swapped", USAGE, "below")(at("--l1=#6", "--l2=#18"))
case("levels on one slice", USAGE, "below")(at("--l1=#6", "--l2=#6"))
case("levels from nowhere", USAGE, "segmentation")(at("--levels-from", "/no/such/labels.nii.gz"))


def labels(make: Callable[[Sources, Path], Path]) -> Callable[[Sources, Path], list[str]]:
    return lambda sources, folder: [
        str(sources.nifti), "--levels-from", str(make(sources, folder)), "--segmentation-model", str(sources.bundle)
    ]  # fmt: skip


def without_l1(sources: Sources, folder: Path) -> Path:
    target = copied(sources.vertebrae, folder)
    (target / "vertebrae_L1.nii.gz").unlink()
    return target


def emptied(sources: Sources, folder: Path) -> Path:
    target = copied(sources.vertebrae, folder)
    nothing = sources.phantom.image(np.zeros(sources.phantom.hu.shape, dtype=np.uint8))
    sitk.WriteImage(nothing, str(target / "vertebrae_L1.nii.gz"))
    return target


def upside_down(sources: Sources, folder: Path) -> Path:
    target = copied(sources.vertebrae, folder)
    os.replace(target / "vertebrae_L1.nii.gz", target / "x")
    os.replace(target / "vertebrae_L2.nii.gz", target / "vertebrae_L1.nii.gz")
    os.replace(target / "x", target / "vertebrae_L2.nii.gz")
    return target


def nameless(sources: Sources, folder: Path) -> Path:
    (folder / "labels").mkdir()
    return folder / "labels"


case("levels from a text", INPUT, "segmentation")(labels(lambda s, f: write_text(f, "labels.nii.gz")))
case("levels from a pickle", INPUT, "segmentation")(labels(lambda s, f: write_text(f, "labels.pkl")))
case("levels from the scan itself", INPUT, "image|segmentation")(labels(lambda s, f: s.nifti))
case("levels from a DICOM slice", INPUT, "dicom|segmentation")(labels(lambda s, f: sorted(s.dicom.iterdir())[0]))
case("levels from a folder without labels", INPUT, "folder")(labels(nameless))
case("segmentation without L1", INPUT, "L1")(labels(without_l1))
case("segmentation that is empty", INPUT, "empty")(labels(emptied))
case("segmentation of another place", INPUT, "another scan|position|lie")(labels(moved))
case("segmentation upside down", INPUT, "swapped|upside")(labels(upside_down))
case("segmentation cut short", INPUT, "read")(labels(lambda s, f: cut_short(copied(s.outlines, f), 0.7)))
