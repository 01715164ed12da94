"""The phantom as DICOM series that lie in the patient in any way, screened, for tests of the DICOM objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from dicom_files import write_series
from phantom_ct import BODY_MM, CENTRES, CORTEX_MM, PIXEL_MM, SIDE, SLICE_MM, SLICES, Phantom, make_phantom
from scipy import ndimage
from tiny_bundle import write_tiny_bundle
from tiny_classifier import write_tiny_classifier

from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.reports.dicom import write_dicom_objects
from OsteoScreenLib.screening import Screening, ScreeningRequest, screen

#: Between rows and between columns (mm): unlike each other, so that they cannot be mistaken.
SPACING_MM = (1.5, 1.25)
SHAPE = (SLICES, SIDE, 134)
_COS, _SIN = np.cos(np.radians(12.0)), np.sin(np.radians(12.0))
#: Direction of the rows and of the columns (LPS), and the step to the next slice (mm).
PLACEMENTS: dict[str, tuple[tuple[float, ...], tuple[float, float, float]]] = {
    "head first": ((1, 0, 0, 0, 1, 0), (0, 0, SLICE_MM)),
    "feet first": ((-1, 0, 0, 0, 1, 0), (0, 0, -SLICE_MM)),
    "prone": ((-1, 0, 0, 0, -1, 0), (0, 0, SLICE_MM)),
    "on the side": ((0, 1, 0, -1, 0, 0), (0, 0, SLICE_MM)),
    "tilted gantry": ((1, 0, 0, 0, _COS, -_SIN), (0, 0, SLICE_MM)),
    "oblique": ((_COS, _SIN, 0, -_SIN * _COS, _COS * _COS, _SIN), (_SIN * _SIN * 3, -_COS * _SIN * 3, _COS * 3)),
}
#: The slices' middle lies beside the patient's, so that what is mirrored in a slice is not where it was.
OFF_CENTRE_MM = np.array([11.0, -7.0, 0.0])
_SAMPLED: dict[str, np.ndarray] = {}
#: Half width and half depth of the trabecular compartments (mm).
TRABECULAR_MM = (BODY_MM[0] - CORTEX_MM, BODY_MM[1] - CORTEX_MM)


def centre_ras_mm(phantom: Phantom, name: str) -> np.ndarray:
    """The middle of a trabecular compartment."""
    middle = (SIDE - 1) / 2
    return (phantom.ijk_to_ras @ (middle, middle + 18 / PIXEL_MM, CENTRES[name], 1.0))[:3]


def write_placed(folder: Path, phantom: Phantom, placement: str, **changes: Any) -> Path:
    """Write the phantom as a series that is stored by ``placement``; in the patient it stays where it is."""
    orientation, step = (np.asarray(value, dtype=float) for value in PLACEMENTS[placement])
    axes = np.stack([step, orientation[3:] * SPACING_MM[0], orientation[:3] * SPACING_MM[1]])
    middle = (phantom.ijk_to_ras @ ((SIDE - 1) / 2, (SIDE - 1) / 2, (SLICES - 1) / 2, 1.0))[:3] * (-1, -1, 1)
    origin = middle + OFF_CENTRE_MM - (np.array(SHAPE) - 1) / 2 @ axes
    header = {"PixelSpacing": list(SPACING_MM), "SliceThickness": str(SLICE_MM), **changes}
    hu = _sampled(phantom, placement, origin, axes)
    write_series(folder, hu, step=step, origin=tuple(origin), orientation=tuple(orientation), **header)
    return folder


def _sampled(phantom: Phantom, placement: str, origin: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """The phantom's HU on the grid of a placement, the same for every test of a process."""
    if placement not in _SAMPLED:
        ras = (origin + np.moveaxis(np.indices(SHAPE), 0, -1) @ axes) * (-1, -1, 1)
        to_ijk = np.linalg.inv(phantom.ijk_to_ras)
        places = np.moveaxis((ras @ to_ijk[:3, :3].T + to_ijk[:3, 3])[..., ::-1], -1, 0)
        _SAMPLED[placement] = ndimage.map_coordinates(phantom.hu.astype(np.float32), places, order=1, cval=-1000.0)
    return _SAMPLED[placement]


def slice_at(folder: Path, ras_mm: np.ndarray) -> str:
    """The slice of a series nearest to a place, as a level is given."""
    ijk = np.linalg.inv(open_ct(folder).geometry.ijk_to_ras) @ (*ras_mm, 1.0)
    return f"#{round(ijk[2])}"


def screen_placed(folder: Path, phantom: Phantom, **asked: Any) -> Screening:
    """Screen L1 and L2 of a series that `write_placed` wrote."""
    levels = {name.lower(): slice_at(folder, centre_ras_mm(phantom, name)) for name in ("L1", "L2")}
    return screen(ScreeningRequest(folder, **{**levels, "device": "cpu", "force": True, **asked}))


@dataclass(frozen=True)
class Files:
    """What the tests of DICOM objects screen: the phantom as it is written to the disk, and small bundles."""

    folder: Path
    phantom: Phantom

    @property
    def ct(self) -> Path:
        return self.folder / "head first"

    def screened(self, ct: Path | None = None, **asked: Any) -> Screening:
        """Outlined as drawn and classified by the small classifier, unless ``asked`` otherwise."""
        asked = {"masks": self.folder / "drawn.seg.nrrd", "classification_model": self.folder / "model1", **asked}
        return screen_placed(self.ct if ct is None else ct, self.phantom, **asked)

    def outlined(self, **asked: Any) -> Screening:
        """Outlined by the small network, so that there are a bundle and a probability map."""
        return self.screened(**{"masks": None, "segmentation_model": self.folder / "outliner", **asked})


def write_files(folder: Path) -> Files:
    """Write the phantom and the bundles."""
    phantom = make_phantom()
    write_placed(folder / "head first", phantom, "head first")
    phantom.write_outlines(folder / "drawn.seg.nrrd")
    write_tiny_bundle(folder / "outliner")
    write_tiny_classifier(folder / "model1")
    write_tiny_classifier(folder / "model2", levels=("L1",))
    return Files(folder, phantom)


def report_of(screening: Screening, folder: Path, **options: Any) -> pydicom.Dataset:
    """Write the report of measurements (sr.dcm), and the segmentation that it refers to, and return the report."""
    write_dicom_objects(screening, folder, **{"kinds": ["seg", "sr"], **options})
    return pydicom.dcmread(folder / "sr.dcm")


def items_of(dataset: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    """Every content item of a report, depth first."""
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from items_of(item)


def name_of(item: pydicom.Dataset) -> str:
    """What a content item is about."""
    return item.ConceptNameCodeSequence[0].CodeMeaning if item.get("ConceptNameCodeSequence") else ""
