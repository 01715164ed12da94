"""What the tests of the training library share: tiny data sets, of slices and of subjects, and a tiny configuration."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from OsteoScreenLib.cli import main
from OsteoScreenTrainingLib.datasets.folder import LEVELS, SLICES, DataSetHeader, write_header
from OsteoScreenTrainingLib.datasets.manifest import MANIFEST, Subject, read_manifest, write_manifest
from OsteoScreenTrainingLib.datasets.slice_writing import SliceSetWriter, level_values
from OsteoScreenTrainingLib.simulation.cohort import CohortRequest, rendering, write_cohort
from OsteoScreenTrainingLib.simulation.trunk3d.truth import TrunkTruth
from OsteoScreenTrainingLib.training.checkpoints import find_checkpoint, load_checkpoint
from Testing.Python.drawn_ct import ellipse, feature, write_ct, write_geojson
from Testing.Python.forked_commands import ForkedCommands
from Testing.Python.public_scans import Scan, simulated_scan

#: Reference BMD of the classes of :func:`write_subjects`, mg/cm3: far apart, and normal, osteopenia, osteoporosis.
CLASS_BMD = (190.0, 100.0, 40.0)


def make_subjects(per_class: tuple[int, int, int] = (14, 10, 8), **cells: Any) -> list[Subject]:
    """Return included subjects, their classes in turn and their dates a day apart; ``cells`` are every one's."""
    known: dict[str, Any] = {
        "age_years": 60.0, "sex": "F", "scanner": "ONE", "kvp": 120.0, "l1_z_mm": -400.0, "l2_z_mm": -432.0,
    }  # fmt: skip
    left, subjects = list(per_class), []
    while any(left):
        for place, bmd in enumerate(CLASS_BMD):
            if left[place]:
                left[place] -= 1
                number = len(subjects) + 1
                known["study_date"] = datetime.date(2021, 1, 4) + datetime.timedelta(number)
                known |= {"bmd_l1": bmd + 2, "bmd_l2": bmd - 2, "bmd_individual": bmd}
                subjects.append(Subject(subject=f"P{number:03d}", **{**known, **cells}))
    return subjects


def write_subjects(folder: Path, subjects: list[Subject], side: int = 64, seed: int = 0) -> Path:
    """Write a data set whose bodies are discs of the HU that the subject's line makes of the BMD; 1 mm pixels."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    y, x = np.mgrid[:side, :side]
    write_manifest(subjects, folder / MANIFEST)
    with SliceSetWriter(folder / SLICES, len(LEVELS) * len(subjects), side, "simulated", "test") as slices:
        for number, subject in enumerate(subjects):
            for place, level in enumerate(LEVELS, len(LEVELS) * number):
                row, column = side / 2 + rng.uniform(-4, 4, 2)
                distance = np.hypot(y - row, x - column)
                slope, intercept = subject.calibration_slope or 0.6821, subject.calibration_intercept or 22.17
                inside = ((subject.bmd or 0.0) - intercept) / slope
                hu = rng.normal(0, 15, (side, side)) + np.where(distance < 14, inside, -20)
                coverage = np.clip(127.5 + (14 - distance) * 127, 0, 255).astype(np.uint8)
                slices.add(hu.astype(np.int16), coverage, level_values(place, subject.subject, level, coverage, 1.0))
    write_header(folder, DataSetHeader(kind="simulated", generator="test"))
    return folder


def write_slice_set(folder: Path, count: int = 12, side: int = 96, seed: int = 0, pixel_mm: float = 2.0) -> Path:
    """Write bright ellipses on soft tissue as a slice data set; every fifth slice has no body."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images = np.zeros((count, side, side), np.int16)
    masks = np.zeros((count, side, side), np.uint8)
    rows = []
    y, x = np.mgrid[:side, :side]
    for index in range(count):
        has_body = index % 5 != 4
        row, column = side / 2 + rng.uniform(-4, 4, 2)
        distance = np.hypot((y - row) * pixel_mm / 15, (x - column) * pixel_mm / 20)
        hu = rng.normal(-20, 20, (side, side))
        if has_body:
            hu[distance < 1.12] = 600
            hu[distance < 1] = 150
            masks[index] = np.clip(127.5 + (1 - distance) * 15 / pixel_mm * 127, 0, 255)
        images[index] = hu
        rows.append(
            {
                "index": index,
                "seed": seed * 1000 + index,
                "pixel_spacing_mm": pixel_mm,
                "level": "L1",
                "has_body": int(has_body),
                "body_row": row if has_body else "",
                "body_column": column if has_body else "",
            }
        )
    np.save(folder / "images.npy", images)
    np.save(folder / "masks.npy", masks)
    with open(folder / "slices.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    header = {
        "schema": "osteoscreen-slices/1",
        "count": count,
        "rows": side,
        "columns": side,
        "seed": seed,
        "generator": "test",
        "kind": "simulated",
    }
    (folder / "dataset.json").write_text(json.dumps(header), encoding="utf-8")
    return folder


#: Trains in a few seconds: 64-pixel patches, a few thousand weights.
TINY: dict[str, Any] = {
    "network": {"name": "study_segmentation", "parameters": {"base_width": 2}},
    "steps": 6,
    "batch": 4,
    "precision": "float32",
    "device": "cpu",
    "patches": {
        "size": 64,
        "locate_spacing_mm": [2.2, 3.0],
        "outline_spacing_mm": [0.8, 1.2],
        "locate_shift_mm": 20.0,
        "outline_shift_mm": 5.0,
    },
    "optimiser": {"learning_rate": 0.01, "warmup_steps": 2, "average_decay": 0.9},
    "validation": {"fraction": 0.25, "every_steps": 0, "most": 6},
    "checkpoints": {"every_steps": 0, "every_minutes": 0},
}


@pytest.fixture
def paths(repository: Path) -> list[str]:
    """Return where a process of its own finds both libraries."""
    return [str(repository / "OsteoScreen"), str(repository / "OsteoScreenTraining")]


@pytest.fixture(scope="session")
def forked(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedCommands]:
    """Return what runs commands in processes that are forked from one that has imported torch."""
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    paths = [str(repository / "OsteoScreen"), str(repository / "OsteoScreenTraining")]
    commands = ForkedCommands(paths, tmp_path_factory.mktemp("forked") / "said.txt")
    yield commands
    commands.close()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_slice_set() -> Callable[..., Path]:
    return write_slice_set


@pytest.fixture(scope="session")
def slice_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slice_set(tmp_path_factory.mktemp("slices") / "set")


@pytest.fixture
def tiny_config() -> Callable[..., dict[str, Any]]:
    """Return the tiny configuration with some of its top-level values replaced."""
    return lambda **values: json.loads(json.dumps(TINY | values))


#: Trains a classifier in a few seconds: 32-pixel crops, the drawn outlines.
TINY_CLASSIFICATION: dict[str, Any] = {
    "task": "classification",
    "network": {"name": "study_classifier", "parameters": {"in_channels": 2, "base_width": 2}},
    "steps": 10,
    "batch": 8,
    "precision": "float32",
    "device": "cpu",
    "export_from": "last",
    "classification": {"masks": "drawn", "crop_spacing_mm": 1.0, "crop_size": 32},
    "optimiser": {"learning_rate": 0.01, "warmup_steps": 2, "average_decay": 0.8},
    "validation": {"split": "random", "every_steps": 0},
    "checkpoints": {"every_steps": 0, "every_minutes": 0},
}


@pytest.fixture
def tiny_classification() -> Callable[..., dict[str, Any]]:
    """Return the tiny configuration of a classification, with some of its ``classification`` values replaced."""

    def changed(classification: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
        copy: dict[str, Any] = json.loads(json.dumps(TINY_CLASSIFICATION | values))
        copy["classification"] |= classification or {}
        return copy

    return changed


@pytest.fixture(scope="session")
def subjects_of() -> Callable[..., list[Subject]]:
    return make_subjects


@pytest.fixture(scope="session")
def make_subject_set() -> Callable[..., Path]:
    return write_subjects


@pytest.fixture(scope="session")
def subject_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set of 32 subjects whose classes are far apart, with its random split; tests only read it."""
    from OsteoScreenTrainingLib.datasets.folder import DataSet
    from OsteoScreenTrainingLib.datasets.splits import random_split, save_split

    data = DataSet(write_subjects(tmp_path_factory.mktemp("subjects") / "set", make_subjects()))
    save_split(data, "random", random_split(data.subjects, 1))
    return data.folder


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a simulated cohort of 16 subjects and those to exclude; the first two have a CT, no longer than need be.

    Tests only read it.
    """
    folder = tmp_path_factory.mktemp("cohort") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "ABOVE_MM", 6.0)
        patch.setattr(rendering, "BELOW_MM", 6.0)
        write_cohort(folder, CohortRequest(count=16, seed=4, dicom=2, workers=2))
    return folder


@pytest.fixture(scope="session")
def assert_same_checkpoint() -> Callable[[Path, Path], None]:
    """Return what compares the last checkpoints of two runs, bit for bit."""

    def compare(first: Path, second: Path) -> None:
        one, two = load_checkpoint(find_checkpoint(first)), load_checkpoint(find_checkpoint(second))
        assert one[0].keys() == two[0].keys() == {"network", "average", "optimiser", "generators"}
        for name, tensors in one[0].items():
            assert tensors.keys() == two[0][name].keys()
            for key, value in tensors.items():
                assert torch.equal(value, two[0][name][key]), (name, key)
        assert one[1] == two[1]
        assert one[2].step == two[2].step

    return compare


@pytest.fixture(scope="session")
def square_scan() -> tuple[Scan, TrunkTruth]:
    """Return an unenhanced scan whose slices are square, and its truth; tests only read it."""
    return simulated_scan(6)


@pytest.fixture(scope="session")
def ct_set_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set of three subjects with CT and outlines, as a user makes it, not built yet; copy before use."""
    folder = tmp_path_factory.mktemp("made")
    for number in range(3):
        name = f"P{number}"
        levels = write_ct(folder / "set" / "ct" / f"{name}.nrrd", seed=number)
        words = ["--l1", levels["L1"], "--l2", levels["L2"], "--subject", name, "-o", str(folder / "slices")]
        assert main(["dataset", "export-slices", str(folder / "set" / "ct" / f"{name}.nrrd"), *words]) == 0
        for level in levels:
            write_geojson(folder / "drawn" / f"{name}_{level}.geojson", feature(ellipse(level), level))
    words = ["--slices", str(folder / "slices"), "-o", str(folder / "set")]
    assert main(["dataset", "import-qupath", str(folder / "drawn"), *words]) == 0
    known = {"age_years": 61.0, "sex": "F", "kvp": 120.0, "study_date": datetime.date(2022, 3, 1), "mineral": "CaHA",
             "method": "QCT", "scanner": "ONE"}  # fmt: skip
    rows = [
        dataclasses.replace(row, **known, bmd_l1=112.0 + n, bmd_l2=108.0 + n, bmd_individual=110.0 + n)
        for n, row in enumerate(read_manifest(folder / "set" / "subjects.csv"))
    ]
    write_manifest(rows, folder / "set" / "subjects.csv")
    return folder / "set"


@pytest.fixture(scope="session")
def built_ct_set_once(ct_set_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return that data set with its slices built; copy before use."""
    folder = Path(shutil.copytree(ct_set_once, tmp_path_factory.mktemp("built") / "set"))
    assert main(["dataset", "build", str(folder)]) == 0
    return folder


@pytest.fixture
def ct_set(ct_set_once: Path, tmp_path: Path) -> Path:
    """Return a copy of the data set that is not built yet."""
    return Path(shutil.copytree(ct_set_once, tmp_path / "set"))


@pytest.fixture
def built_ct_set(built_ct_set_once: Path, tmp_path: Path) -> Path:
    """Return a copy of the built one."""
    return Path(shutil.copytree(built_ct_set_once, tmp_path / "set"))


@pytest.fixture
def cortical_set(subject_set: Path, tmp_path: Path) -> Path:
    """Return a data set of 32 subjects whose bodies have a cortex, with a random split."""
    folder = Path(shutil.copytree(subject_set, tmp_path / "own"))
    images, masks = (np.load(folder / "slices" / f"{name}.npy") for name in ("images", "masks"))
    inside = masks > 127
    images[ndimage.binary_dilation(inside, np.ones((1, 3, 3)), iterations=2) & ~inside] = 450
    np.save(folder / "slices" / "images.npy", images)
    return folder
