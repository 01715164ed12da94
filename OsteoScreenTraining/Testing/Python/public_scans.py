"""Simulated scans with vertebra labels, written as the public collections keep them, and imported."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from OsteoScreenLib.cli import main
from OsteoScreenTrainingLib.simulation.trunk3d.levels import BODY_LABELS, POSTERIOR_LABEL
from OsteoScreenTrainingLib.simulation.trunk3d.simulate import simulate_trunk
from OsteoScreenTrainingLib.simulation.trunk3d.truth import TrunkTruth

_LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Scan:
    """A simulated scan with whole vertebrae in VerSe's numbering: (slices, rows, columns), and (4, 4) to RAS mm."""

    hu: np.ndarray
    labels: np.ndarray
    ijk_to_ras: np.ndarray


def simulated_scan(index: int) -> tuple[Scan, TrunkTruth]:
    """Return an abdomen of the simulator's stream 11, and its truth."""
    trunk = simulate_trunk(11, index, spacing_mm=(3.0, 1.6, 1.6), region="abdomen", usual=True)
    labels = np.zeros_like(trunk.labels)
    for name, value in BODY_LABELS.items():
        if name != "S1":
            labels[(trunk.labels == value) | (trunk.labels == POSTERIOR_LABEL + value)] = value
    return _around_the_spine(Scan(trunk.hu, labels, trunk.ijk_to_ras)), trunk.truth


def _around_the_spine(scan: Scan) -> Scan:
    """Return the part of a scan from T10 to L4, 290 mm wide: files are the smaller, and the aorta is in it."""
    slices = np.flatnonzero(np.isin(scan.labels, range(17, 24)).any(axis=(1, 2)))
    rows, columns = (int(np.median(places)) for places in np.nonzero(scan.labels)[1:])
    first = (int(slices[0]), max(rows - 90, 0), max(columns - 90, 0))
    box = (slice(first[0], int(slices[-1]) + 1), slice(first[1], rows + 90), slice(first[2], columns + 90))
    matrix = scan.ijk_to_ras.copy()
    matrix[:3, 3] = scan.ijk_to_ras[:3] @ (*first[::-1], 1)
    return Scan(np.ascontiguousarray(scan.hu[box]), np.ascontiguousarray(scan.labels[box]), matrix)


def write_volume(array: np.ndarray, ijk_to_ras: np.ndarray, path: Path) -> Path:
    """Write (slices, rows, columns) as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((_LPS @ (ijk_to_ras[:3, :3] / spacing)).ravel().tolist())
    image.SetOrigin((_LPS @ ijk_to_ras[:3, 3]).tolist())
    sitk.WriteImage(image, str(path), True)
    return path


def write_verse(
    folder: Path, scan: Scan, name: str = "sub-verse500", part: str = "01_training", labels: np.ndarray | None = None
) -> tuple[Path, Path]:
    """Write a scan in VerSe's subject based structure; return its CT and its mask."""
    subject = name.split("_")[0]
    ct = write_volume(scan.hu, scan.ijk_to_ras, folder / part / "rawdata" / subject / f"{name}_ct.nii.gz")
    drawn = scan.labels if labels is None else labels
    mask = folder / part / "derivatives" / subject / f"{name}_seg-vert_msk.nii.gz"
    return ct, write_volume(drawn, scan.ijk_to_ras, mask)


def run_dataset(capsys: Any, *arguments: Any) -> tuple[int, Any]:
    """Run ``osteoscreen dataset``; return its exit code and what it said."""
    code = main(["dataset", *map(str, arguments)])
    return code, capsys.readouterr()


def report_rows(dataset: Path) -> list[dict[str, str]]:
    """Return the rows of import.csv."""
    with open(dataset / "import.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
