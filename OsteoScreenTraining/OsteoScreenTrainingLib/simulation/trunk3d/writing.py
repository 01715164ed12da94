"""A set of simulated trunks on disk: volumes, label maps and truth, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from OsteoScreenLib.errors import OsteoScreenError, UsageError, system_reason
from OsteoScreenLib.progress import Progress, silent

from ...parallel import in_order
from .levels import label_names
from .pictures import write_contact_sheet
from .simulate import GENERATOR, SimulatedTrunk, simulate_trunk
from .view import REGIONS

SCHEMA, TRUTH_SCHEMA = "osteoscreen-trunks/1", "osteoscreen-trunk/1"
HEADER, SHEET = "dataset.json", "contact-sheet.png"
#: How many trunks the contact sheet shows.
SHOWN = 12
#: Suffixes of the formats that can be asked for.
FORMATS = {"nrrd": ".nrrd", "nifti": ".nii.gz"}
#: Voxels finer or coarser than this, mm, are surely a slip of the pen.
SPACING_MM = (0.5, 12.0)


@dataclass(frozen=True)
class TrunkRequest:
    """What to simulate: ``count`` trunks of the stream ``seed`` in cubic voxels of ``spacing_mm``, as ``format``.

    region : one of :data:`.view.REGIONS`, or None for all kinds
    """

    count: int = 100
    seed: int = 1
    spacing_mm: float = 3.0
    region: str | None = None
    format: str = "nrrd"
    workers: int = 1

    def check(self) -> None:
        """Raise UsageError where it makes no sense."""
        if self.count < 1 or self.workers < 1 or self.seed < 0:
            raise UsageError("--count and --workers take a whole number from 1 on, --seed from 0 on.")
        if not SPACING_MM[0] <= self.spacing_mm <= SPACING_MM[1]:
            raise UsageError(f"--spacing takes millimetres from {SPACING_MM[0]:g} to {SPACING_MM[1]:g}.")
        if self.region is not None and self.region not in REGIONS:
            raise UsageError(f"--region is one of: {', '.join(REGIONS)}.")
        if self.format not in FORMATS:
            raise UsageError(f"--format is one of: {', '.join(FORMATS)}.")


def write_trunks(folder: Path, request: TrunkRequest, progress: Progress = silent) -> None:
    """Write trunks to the new folder ``folder``: it appears when all of it is written, or not at all.

    Each trunk is ``trunk-00000.nrrd`` (int16 HU), ``trunk-00000.labels.nrrd`` (uint8) and ``trunk-00000.json``, the
    truth in RAS mm. ``dataset.json`` says what the labels' values are; ``contact-sheet.png`` shows the first trunks.

    Raises:
        UsageError: the folder is there and not empty, or the request makes no sense.
        OsteoScreenError: it cannot be written.
    """
    request.check()
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already; name a new folder with -o.")
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.unfinished")
    try:
        unfinished.mkdir(parents=True)
        _write_all(unfinished, request, progress)
        if folder.exists():
            folder.rmdir()
        os.replace(unfinished, folder)
    except OSError as error:
        raise OsteoScreenError(f"{folder} cannot be written: {system_reason(error)}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_all(folder: Path, request: TrunkRequest, progress: Progress) -> None:
    write = partial(_write_one, folder, request)
    for done, _ in enumerate(in_order(write, range(request.count), request.workers), 1):
        progress("simulate trunks", done, request.count)
    first = [_simulate(request, index) for index in range(min(request.count, SHOWN))]
    write_contact_sheet(first, folder / SHEET)
    header = {
        "schema": SCHEMA, "kind": "simulated", "generator": GENERATOR, "count": request.count, "seed": request.seed,
        "spacing_mm": request.spacing_mm, "region": request.region, "format": request.format,
        "labels": {str(value): name for value, name in label_names().items()},
    }  # fmt: skip
    _write_json(folder / HEADER, header)


def _simulate(request: TrunkRequest, index: int) -> SimulatedTrunk:
    return simulate_trunk(request.seed, index, spacing_mm=request.spacing_mm, region=request.region)


def _write_one(folder: Path, request: TrunkRequest, index: int) -> str:
    """Write one trunk and return its name."""
    trunk = _simulate(request, index)
    name, suffix = f"trunk-{index:05d}", FORMATS[request.format]
    write_volume(folder / f"{name}{suffix}", trunk.hu, trunk.ijk_to_ras)
    write_volume(folder / f"{name}.labels{suffix}", trunk.labels, trunk.ijk_to_ras)
    truth = {"schema": TRUTH_SCHEMA, "kind": "simulated", "generator": GENERATOR, **trunk.truth.as_dict()}
    truth["ijk_to_ras"] = trunk.ijk_to_ras.tolist()
    truth["shape"] = list(trunk.hu.shape)
    _write_json(folder / f"{name}.json", truth)
    return name


def write_volume(path: Path, array: NDArray[np.generic], ijk_to_ras: NDArray[np.float64]) -> None:
    """Write (slices, rows, columns) as NRRD or NIfTI, by the name's suffix, compressed."""
    import SimpleITK as sitk

    lps = np.diag([-1.0, -1.0, 1.0]) @ ijk_to_ras[:3]
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:, 3].tolist())
    image.SetDirection((lps[:, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=True)


def _write_json(path: Path, document: dict[str, object]) -> None:
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
