"""A small CT of known content for tests of the whole: a trunk with T12 to L2 as upright columns, in files of any kind.

Not for judging outlines: there is no anatomy in it. Its truth is exact, and it reads and measures in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

PIXEL_MM, SLICE_MM, SIDE, SLICES = 1.5, 3.0, 112, 40
ORIGIN_RAS = (84.0, 60.0, -120.0)  # of column 0, row 0, slice 0; slices go from foot to head
TRABECULAR_HU = {"T12": 130.0, "L1": 120.0, "L2": 100.0}
CENTRES = {"L2": 6, "L1": 18, "T12": 30}  # the slice half-way between the endplates, 36 mm apart
HALF_HEIGHT = 4  # slices above and below the centre that belong to the body (27 mm in all)
BODY_MM = (21.0, 16.0)  # half width and half depth, cortex included
CORTEX_MM = 2.5
NOISE_SD = 10.0


@dataclass(frozen=True)
class Phantom:
    """``hu`` (slices, rows, columns) int16 in canonical orientation; labels as TotalSegmentator numbers them."""

    hu: np.ndarray
    bodies: np.ndarray
    trabecular: np.ndarray

    @property
    def ijk_to_ras(self) -> np.ndarray:
        matrix = np.diag([-PIXEL_MM, -PIXEL_MM, SLICE_MM, 1.0])
        matrix[:3, 3] = ORIGIN_RAS
        return matrix

    def z_mm(self, name: str) -> float:
        return ORIGIN_RAS[2] + SLICE_MM * CENTRES[name]

    def image(self, array: np.ndarray | None = None) -> sitk.Image:
        image = sitk.GetImageFromArray(self.hu if array is None else array)
        image.SetSpacing((PIXEL_MM, PIXEL_MM, SLICE_MM))
        image.SetOrigin((-ORIGIN_RAS[0], -ORIGIN_RAS[1], ORIGIN_RAS[2]))
        return image

    def write(self, path: Path) -> Path:
        """Write the CT as NIfTI, NRRD or MetaImage, by the name's ending."""
        sitk.WriteImage(self.image(), str(path), useCompression=True)
        return path

    def write_vertebrae(self, folder: Path, names: tuple[str, ...] = ("L1", "L2")) -> Path:
        """Write one file per vertebra, as TotalSegmentator does."""
        folder.mkdir()
        for name in names:
            mask = (self.bodies == LABELS[name]).astype(np.uint8)
            sitk.WriteImage(self.image(mask), str(folder / f"vertebrae_{name}.nii.gz"))
        return folder

    def write_outlines(self, path: Path, names: tuple[str, ...] = ("L1", "L2")) -> Path:
        """Write the trabecular compartments as a Slicer segmentation."""
        labels = np.zeros(self.hu.shape, dtype=np.uint8)
        for value, name in enumerate(names, start=1):
            labels[self.trabecular == LABELS[name]] = value
        image = self.image(labels)
        for index, name in enumerate(names):
            fields = {"ID": f"Segment_{index}", "Name": name, "LabelValue": str(index + 1), "Layer": "0"}
            for key, text in fields.items():
                image.SetMetaData(f"Segment{index}_{key}", text)
        sitk.WriteImage(image, str(path), useCompression=True)
        return path


LABELS = {"L2": 30, "L1": 31, "T12": 32}


def make_phantom(**trabecular_hu: float) -> Phantom:
    """The phantom, with other trabecular HU where they are given (``L1=60.0``)."""
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2) * PIXEL_MM

    def ellipse(centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
        return ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 < 1

    trunk = np.full((SIDE, SIDE), -1000.0)
    trunk[ellipse((0, 0), (80, 62))] = -100.0
    trunk[ellipse((0, 0), (74, 56))] = 50.0
    trunk[ellipse((-8, -8), (9, 9))] = 42.0  # the aorta's place
    whole = ellipse((0, 18), BODY_MM)
    inner = ellipse((0, 18), (BODY_MM[0] - CORTEX_MM, BODY_MM[1] - CORTEX_MM))
    canal, arch = ellipse((0, 41), (10, 7)), ellipse((0, 43), (17, 14))
    hu = np.repeat(trunk[None], SLICES, axis=0)
    hu[:, whole] = 75.0  # discs
    hu[:, arch & ~whole] = 300.0
    hu[:, canal & ~whole] = 20.0
    bodies = np.zeros(hu.shape, dtype=np.uint8)
    trabecular = np.zeros(hu.shape, dtype=np.uint8)
    for name, k in CENTRES.items():
        part = slice(max(k - HALF_HEIGHT, 0), k + HALF_HEIGHT + 1)
        hu[part, whole] = 400.0
        hu[part, inner] = {**TRABECULAR_HU, **trabecular_hu}[name]
        bodies[part, whole] = LABELS[name]
        trabecular[part, inner] = LABELS[name]
        for end in (part.start, part.stop - 1):
            hu[end, whole] = 400.0
            trabecular[end] = 0
    noise = np.random.default_rng(1).normal(0.0, NOISE_SD, hu.shape)
    return Phantom(np.round(np.where(hu > -1000, hu + noise, hu)).astype(np.int16), bodies, trabecular)
