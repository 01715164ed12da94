"""A geometric phantom as a DICOM series, so that the benchmark can run where there is no CT at hand.

It is made of ellipses: a trunk, two lungs' worth of nothing, and a column of bone with a rim, a canal and a process.
It has the size of a real study and enough of its look for a network to find the column. It is no anatomy.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from .progress import Progress, silent

SIDE = 512
PIXEL_MM = 0.7
SLICE_MM = 2.0


def phantom_slice(seed: int = 0) -> np.ndarray:
    """Return one slice of the phantom: int16 HU, (512, 512), patient's left on the right, front on top."""
    y, x = (np.mgrid[:SIDE, :SIDE] - SIDE / 2) * PIXEL_MM
    hu = np.full((SIDE, SIDE), -1000.0)

    def fill(centre: tuple[float, float], radii: tuple[float, float], value: float) -> None:
        hu[((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 < 1] = value

    fill((0, 0), (165, 115), -100)  # fat
    fill((0, 0), (150, 100), 50)  # muscle
    fill((0, -20), (120, 70), -20)  # what lies in front of the spine
    fill((-70, -25), (55, 60), 60)  # a liver's place
    for side in (-1, 1):
        fill((side * 38, 58), (26, 20), 55)
        fill((side * 22, 52), (14, 5), 350)  # transverse processes
        fill((side * 14, 40), (6, 10), 380)  # pedicles
    fill((0, 62), (6, 18), 380)  # spinous process
    fill((0, 46), (11, 9), 30)  # canal
    fill((0, 20), (22, 17), 420)  # rim
    fill((0, 20), (20.5, 15.5), 130)  # inside
    fill((-8, -12), (10, 10), 45)  # a vessel's place
    noise = np.random.default_rng(seed).normal(0, 15, hu.shape)
    return np.round(np.where(hu > -1000, hu + noise, hu)).astype(np.int16)


def write_phantom(folder: Path, slices: int, progress: Progress = silent) -> list[float]:
    """Write ``slices`` DICOM files to the existing ``folder``; returns their heights (RAS S, mm), the lowest first."""
    heights = [index * SLICE_MM for index in range(slices)]
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    pictures = [(phantom_slice(seed) + 1024).astype("<u2").tobytes() for seed in range(4)]
    for index, height in enumerate(heights):
        dataset = _header(study, series, frame)
        dataset.SOPInstanceUID = generate_uid()
        dataset.InstanceNumber = index + 1
        dataset.ImagePositionPatient = [-SIDE / 2 * PIXEL_MM, -SIDE / 2 * PIXEL_MM, height]
        dataset.PixelData = pictures[index % len(pictures)]
        dataset["PixelData"].VR = "OW"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(folder / f"{index:04d}.dcm", enforce_file_format=True)
        progress("Writing the phantom", index + 1, slices)
    return heights


def _header(study: str, series: str, frame: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality = CTImageStorage, "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientName, dataset.PatientID, dataset.PatientAge, dataset.PatientSex = "Phantom", "PHANTOM", "060Y", "O"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
    dataset.Manufacturer, dataset.SeriesDescription = "OsteoScreen benchmark", "Geometric phantom"
    dataset.PatientPosition, dataset.KVP, dataset.ConvolutionKernel = "HFS", "120", "STANDARD"
    dataset.SliceThickness, dataset.PixelSpacing = SLICE_MM, [PIXEL_MM, PIXEL_MM]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = SIDE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, 1, "HU"
    return dataset
