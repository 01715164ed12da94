"""A simulated study on disk: a DICOM series in ``ct``, and ``truth.json`` with what is known of it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.progress import Progress, silent
from OsteoScreenLib.results_io import write_text_atomically

from .dicom_series import SeriesDescription, write_dicom_series
from .volume import SimulatedVolume, simulate_volume

SCHEMA = "osteoscreen-simulated-study/1"
TRUTH = "truth.json"
SERIES = "ct"
SLICE_MM = 2.0
#: RAS S of the centre of L1, mm: scanners count from where the table stood, so it is no round number.
L1_HEIGHT_MM = -412.25


@dataclass(frozen=True)
class SimulatedStudy:
    """Where a simulated study lies, and its truth (the content of truth.json)."""

    folder: Path
    truth: dict[str, Any]

    @property
    def series(self) -> Path:
        """The folder of the DICOM series."""
        return self.folder / SERIES

    @property
    def truth_file(self) -> Path:
        return self.folder / TRUTH


def simulate_study(
    folder: str | os.PathLike[str],
    seed: int,
    *,
    bmd_mg_cm3: float | None = None,
    replace: bool = False,
    progress: Progress = silent,
) -> SimulatedStudy:
    """Simulate an unenhanced chest CT of T10 to L3 (120 kVp, 2 mm, 512 x 512) and write it to ``folder``.

    Args:
        bmd_mg_cm3: BMD of L1, mg/cm3 of CaHA; by the seed when None.
        replace: write over a study that this function wrote there before.

    truth.json is written last: a folder without it is unfinished. Raises UsageError where the folder holds a series
    already, or something that is not ours; OsteoScreenError where it cannot be written.
    """
    if seed < 0:
        raise UsageError("--seed takes a whole number from 0 on.")
    if bmd_mg_cm3 is not None and not 0 < bmd_mg_cm3 <= 400:
        raise UsageError("--bmd takes a density above 0 and up to 400 mg/cm³.")
    target = Path(folder)
    _refuse_unwritable(target)
    if replace:
        remove_study(target)
    elif (target / TRUTH).exists() or (target / SERIES).exists():
        raise UsageError(f"{target} holds a study already; name a new folder with -o.")
    volume = simulate_volume(seed, bmd_mg_cm3=bmd_mg_cm3, spacing_mm=SLICE_MM, progress=progress)
    description = SeriesDescription(seed=seed, slice_thickness_mm=SLICE_MM)
    ijk_to_ras = study_ijk_to_ras(volume)
    write_dicom_series(target / SERIES, volume.hu, ijk_to_ras, description, progress)
    truth = study_truth(volume, seed, ijk_to_ras)
    write_text_atomically(json.dumps(truth, indent=2) + "\n", target / TRUTH)
    return SimulatedStudy(target, truth)


def _refuse_unwritable(folder: Path) -> None:
    """Raise UsageError where nothing can be written to a folder, before it takes seconds to simulate."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UsageError(f"{there} is not a folder, so nothing can be written to {folder}; name a folder with -o.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"Nothing may be written to {there}; ask for the right to, or name another folder with -o.")


def remove_study(folder: Path) -> None:
    """Remove what :func:`simulate_study` wrote to ``folder``, and nothing else; do nothing where there is none.

    Raises UsageError where the series' folder is there but is not known to be ours.
    """
    series, truth = folder / SERIES, folder / TRUTH
    if not series.exists():
        return
    try:
        ours = json.loads(truth.read_text(encoding="utf-8"))["schema"] == SCHEMA
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    files = list(series.iterdir()) if series.is_dir() else []
    if not ours or any(not (path.name.startswith("IM") and path.suffix == ".dcm") for path in files):
        raise UsageError(f"{series} is there already and was not simulated here; name another folder with -o.")
    truth.unlink()
    for path in files:
        path.unlink()
    series.rmdir()


def study_ijk_to_ras(volume: SimulatedVolume) -> np.ndarray:
    """Return the 4x4 matrix from (column, row, slice) to RAS mm of a volume whose L1 lies at :data:`L1_HEIGHT_MM`."""
    step = float(volume.z_mm[1] - volume.z_mm[0])
    lowest = float(volume.z_mm[0]) - volume.centres_mm["L1"][2] + L1_HEIGHT_MM
    return volume.grid.ijk_to_ras(step, round(lowest, 2))


def study_truth(volume: SimulatedVolume, seed: int, ijk_to_ras: np.ndarray) -> dict[str, Any]:
    """Return the content of truth.json: what the levels of a volume that lies at ``ijk_to_ras`` (4x4, RAS mm) hold."""
    levels = {}
    for name, (x, y, z) in volume.centres_mm.items():
        index = int(np.argmin(np.abs(volume.z_mm - z)))
        height = ijk_to_ras[2, 3] + (z - float(volume.z_mm[0]))
        levels[name] = {
            "slice_index": index,
            "slice_z_mm": round(float(ijk_to_ras[2, 3] + index * ijk_to_ras[2, 2]), 3),
            "centre_ras_mm": [round(-x, 3), round(-y, 3), round(float(height), 3)],
            "bmd_mg_cm3": round(volume.bmd_mg_cm3[name], 3),
            "trabecular_area_mm2": round(float(volume.coverage[index].sum()) / 255 * volume.grid.pixel_mm**2, 1),
        }
    return {
        "schema": SCHEMA,
        "kind": "simulated",
        "seed": seed,
        "mineral": "CaHA",
        "slices": len(volume.z_mm),
        "ijk_to_ras": ijk_to_ras.tolist(),
        "levels": levels,
    }
