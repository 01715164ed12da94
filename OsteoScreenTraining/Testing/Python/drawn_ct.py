"""A small CT with two vertebral bodies, in any orientation, and outlines drawn on its slices as QuPath does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from OsteoScreenLib.cli import main

SIDE, SLICES, PIXEL_MM, SLICE_MM = 160, 25, 0.9, 2.0
#: Slices of L1 and L2, and the half axes of the bodies in columns and rows, mm.
PLACES = {"L1": 20, "L2": 4}
HALF_MM = (21.0, 15.0)
#: The bodies' centre, in pixels from the upper left corner.
CENTRE = {"L1": (84.3, 78.6), "L2": (81.7, 82.2)}


def volume(noise: float = 10.0, seed: int = 0) -> np.ndarray:
    """Return (slices, rows, columns) HU, foot to head: bodies of 130 HU in a cortex of 500 on soft tissue."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    hu = np.full((SLICES, SIDE, SIDE), -1000.0)
    hu[:, np.hypot(x - SIDE / 2, y - SIDE / 2) < 0.48 * SIDE] = 40
    for k in range(SLICES):
        column, row = CENTRE["L1" if k > SLICES / 2 else "L2"]
        radius = np.hypot((x - column) * PIXEL_MM / HALF_MM[0], (y - row) * PIXEL_MM / HALF_MM[1])
        hu[k][radius < 1.12] = 500
        hu[k][radius < 1.0] = 130
    return (hu + rng.normal(0, noise, hu.shape)).astype(np.int16)


def direction(kind: str) -> np.ndarray:
    """Return the LPS direction cosines of columns, rows and slices, as columns."""
    if kind == "oblique":
        tilt, turn = np.deg2rad([9.0, 5.0])
        about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
        about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        return about_z @ about_x
    # Head to foot, and mirrored in the plane, as a feet-first scan of somebody prone may be stored.
    return np.diag([-1.0, -1.0, 1.0]) if kind == "feet first" else np.eye(3)


def write_ct(path: Path, kind: str = "straight", seed: int = 0, pixel_mm: float = PIXEL_MM) -> dict[str, str]:
    """Write the CT in an orientation; return the levels as the command line takes them."""
    image = sitk.GetImageFromArray(volume(seed=seed))
    image.SetSpacing((pixel_mm, pixel_mm, SLICE_MM))
    image.SetDirection(direction(kind).ravel().tolist())
    image.SetOrigin((-70.0, -65.0, -900.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return {level: f"#{k}" for level, k in PLACES.items()}


def ellipse(level: str, points: int = 180, mirrored: bool = False, scale: float = 1.0) -> list[list[float]]:
    """Return the closed ring of a body's inner edge in the picture's pixels, (column, row) from the upper left."""
    column, row = CENTRE[level]
    if mirrored:
        column, row = SIDE - column, SIDE - row
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    x = column + HALF_MM[0] / PIXEL_MM * np.cos(angle)
    y = row + HALF_MM[1] / PIXEL_MM * np.sin(angle)
    ring = (np.stack([x, y], axis=1) * scale).round(3).tolist()
    return [*ring, ring[0]]


def feature(ring: list[Any], level: str = "L1", **properties: Any) -> dict[str, Any]:
    """Return a Feature as QuPath 0.5 writes one."""
    return {
        "type": "Feature",
        "id": "3f1c5a4e-9d0b-4f4e-8a64-0d6c5b7f2e11",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": level, "color": [200, 0, 0]},
            **properties,
        },
    }


def write_geojson(path: Path, *features: dict[str, Any], bare: bool = False) -> Path:
    """Write features as a FeatureCollection, or as a bare array."""
    document: Any = list(features) if bare else {"type": "FeatureCollection", "features": list(features)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def run_dataset(capsys: Any, *words: Any) -> tuple[int, str, str]:
    """Run ``osteoscreen dataset``; return its exit code, what it printed and what it complained of."""
    code = main(["dataset", *map(str, words)])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


def export_and_draw(
    folder: Path, capsys: Any, kind: str = "straight", name: str = "P1", pixel_mm: float = PIXEL_MM
) -> Path:
    """Write a CT, export its slices, and draw the ellipses on them."""
    levels = write_ct(folder / "ct" / f"{name}.nrrd", kind, seed=sum(map(ord, name)), pixel_mm=pixel_mm)
    code, said, _ = run_dataset(
        capsys, "export-slices", folder / "ct" / f"{name}.nrrd", "--l1", levels["L1"], "--l2", levels["L2"],
        "-o", folder / "slices", "--subject", name,
    )  # fmt: skip
    assert code == 0
    assert said.count(".png") == 2
    for level in ("L1", "L2"):
        ring = ellipse(level, mirrored=kind == "feet first")
        write_geojson(folder / "drawn" / f"{name}_{level}.geojson", feature(ring, level))
    return folder


def import_drawn(capsys: Any, folder: Path, *files: Path) -> tuple[int, str, str]:
    """Import what was drawn, or ``files``, into ``folder / "set"``."""
    files = files or (folder / "drawn",)
    return run_dataset(capsys, "import-qupath", *files, "--slices", folder / "slices", "-o", folder / "set")
