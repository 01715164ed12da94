"""What the tests of the training library share: tiny slice data sets and a tiny configuration."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch


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
