"""Make the module's sample data anew: make_sample_data.py [-o FOLDER].

A simulated chest CT (L3 to T11, unenhanced, 120 kVp) as NRRD, its truth, and the picture of its button in Slicer's
module Sample Data. It is the person of ``run.py simulate study --seed 7 --bmd 95``, in voxels that are large enough for
the file to be shipped. The voxels are the same at every call; the file's bytes depend on the zlib of SimpleITK too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "OsteoScreen" / "Resources" / "SampleData"
CT, TRUTH, PICTURE = "OsteoScreenSimulatedCT.nrrd", "OsteoScreenSimulatedCT.json", "OsteoScreenSimulatedCT.png"

SEED, BMD_MG_CM3 = 7, 95.0
#: With these the file has about 5 MB; the budget is 6.
PIXEL_MM, SLICE_MM, SIDE = 1.0, 3.0, 384
LOWEST, HIGHEST = "L3", "T11"
#: Air that is kept around the body, mm; brighter than this (HU) is the body or the table.
MARGIN_MM, BODY_HU = 8, -500
#: The picture's columns and rows: as large as Slicer's own; window of HU.
PICTURE_SIZE, WINDOW_HU = (220, 200), (-200, 300)


def simulated() -> tuple[NDArray[np.int16], NDArray[np.float64], dict[str, Any]]:
    """Return the CT (slices, rows, columns) in HU, its matrix from (column, row, slice) to RAS mm, and its truth."""
    from OsteoScreenTrainingLib.simulation.study import study_ijk_to_ras, study_truth
    from OsteoScreenTrainingLib.simulation.volume import simulate_volume

    volume = simulate_volume(
        SEED, bmd_mg_cm3=BMD_MG_CM3, spacing_mm=SLICE_MM, size=SIDE, pixel_mm=PIXEL_MM, lowest=LOWEST, highest=HIGHEST
    )
    whole = study_ijk_to_ras(volume)
    body = (volume.hu > BODY_HU).max(0)
    rows, columns = _extent(body.max(1)), _extent(body.max(0))
    matrix = whole.copy()
    matrix[:3, 3] = (whole @ [columns.start, rows.start, 0, 1])[:3]
    truth = study_truth(volume, SEED, whole) | {"kvp": 120, "ijk_to_ras": matrix.tolist()}
    return np.ascontiguousarray(volume.hu[:, rows, columns]), matrix, truth


def _extent(used: NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(used)
    margin = round(MARGIN_MM / PIXEL_MM)
    return slice(max(int(places[0]) - margin, 0), int(places[-1]) + 1 + margin)


def picture(hu: NDArray[np.int16], centre: tuple[int, int, int]) -> Image.Image:
    """Return the button's picture: the axial, sagittal and coronal planes through ``centre`` (slice, row, column)."""
    k, j, i = centre
    width, height = PICTURE_SIZE[0] // 2, PICTURE_SIZE[1] // 2
    step = SLICE_MM / PIXEL_MM
    frame = Image.new("L", PICTURE_SIZE)
    frame.paste(_panel(hu[k], 1.0, (2 * width, height)), (0, 0))
    frame.paste(_panel(hu[::-1, :, i], step, (width, height)), (0, height))
    frame.paste(_panel(hu[::-1, j], step, (width, height)), (width, height))
    return frame


def _panel(plane: NDArray[np.int16], row_step: float, size: tuple[int, int]) -> Image.Image:
    """Return a plane (rows, columns) that fills ``size``; its rows are ``row_step`` columns apart."""
    low, high = WINDOW_HU
    grey = np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1) * 255
    drawn = Image.fromarray(grey.astype(np.uint8))
    drawn = drawn.resize((drawn.width, round(drawn.height * row_step)), Image.Resampling.BICUBIC)
    return ImageOps.fit(drawn, size, Image.Resampling.LANCZOS)


def write(folder: Path) -> str:
    """Write CT, truth and picture to ``folder``; returns the CT's SHA-256."""
    from OsteoScreenTrainingLib.simulation.trunk3d.writing import write_volume

    hu, matrix, truth = simulated()
    folder.mkdir(parents=True, exist_ok=True)
    write_volume(folder / CT, hu, matrix)
    (folder / TRUTH).write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8", newline="\n")
    picture(hu, _voxel(matrix, truth["levels"]["L1"]["centre_ras_mm"])).save(folder / PICTURE, optimize=True)
    return hashlib.sha256((folder / CT).read_bytes()).hexdigest()


def _voxel(matrix: NDArray[np.float64], ras: list[float]) -> tuple[int, int, int]:
    i, j, k = np.round(np.linalg.solve(matrix, [*ras, 1])[:3]).astype(int)
    return int(k), int(j), int(i)


def main(arguments: list[str]) -> int:
    """Write the sample data and print the hash that OsteoScreenSlicerLib/SampleData.py has to name."""
    parser = argparse.ArgumentParser(description="Make the module's sample data anew.")
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, default=FOLDER, help="default: %(default)s")
    folder = parser.parse_args(arguments).output
    digest = write(folder)
    print(f"{folder / CT}: {(folder / CT).stat().st_size / 1e6:.1f} MB\nSHA256:{digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
