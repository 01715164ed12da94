"""A DICOM segmentation beside its source in Slicer's scene (the true MRML): the segments lie on the vertebrae.

Neither the source's geometry nor the segmentation's comes from the engine here: both are read from the files' own
attributes (DICOM PS3.3, C.7.6.2.1.1), and MRML puts the one onto the voxels of the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_object_study import (
    PLACEMENTS,
    SPACING_MM,
    TRABECULAR_MM,
    centre_ras_mm,
    screen_placed,
    write_placed,
)
from phantom_ct import SLICE_MM, TRABECULAR_HU, make_phantom
from scipy import ndimage

from OsteoScreenLib.reports.dicom import write_dicom_objects

HALF_VOXEL_MM = max(SPACING_MM) / 2


def to_ras(position: Any, orientation: Any, spacing: Any, step: Any) -> np.ndarray:
    """The matrix (4, 4) from column, row and slice to RAS of a stored image (LPS)."""
    row, column = np.array(orientation[:3], dtype=float), np.array(orientation[3:], dtype=float)
    matrix = np.eye(4)
    matrix[:3] = np.stack([row * float(spacing[1]), column * float(spacing[0]), step, np.array(position, float)], 1)
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix


def add_source(slicer: Any, folder: Path) -> Any:
    """Add the series to the scene as a volume node."""
    images = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    step = np.subtract(images[1].ImagePositionPatient, images[0].ImagePositionPatient)
    first = images[0]
    matrix = to_ras(first.ImagePositionPatient, first.ImageOrientationPatient, first.PixelSpacing, step)
    voxels = np.stack([image.pixel_array for image in images]).astype(np.int16)
    return slicer.util.addVolumeFromArray(voxels, ijkToRAS=slicer.util.vtkMatrixFromArray(matrix))


def add_segmentation(slicer: Any, path: Path) -> Any:
    """Add the DICOM segmentation to the scene, each segment on its frame's own plane."""
    import vtk

    seg = pydicom.dcmread(path)
    shared = seg.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    measures = shared.PixelMeasuresSequence[0]
    normal = np.cross(orientation[:3], orientation[3:]) * float(measures.SliceThickness)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        position = group.PlanePositionSequence[0].ImagePositionPatient
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        label = seg.SegmentSequence[number - 1].SegmentLabel
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(frame.shape[1], frame.shape[0], 1)
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())[:] = frame.ravel()
        matrix = to_ras(position, orientation, measures.PixelSpacing, normal)
        image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(matrix))
        node.AddSegmentFromBinaryLabelmapRepresentation(image, label)
    return node


def voxels_ras_mm(slicer: Any, volume: Any, mask: np.ndarray) -> np.ndarray:
    """Where the middles of a mask's voxels are, (n, 3)."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    k, j, i = np.nonzero(mask)
    return (np.stack([i, j, k, np.ones_like(i)], axis=1) @ slicer.util.arrayFromVTKMatrix(matrix).T)[:, :3]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_segments_lie_on_the_vertebrae(host, tmp_path, placement):
    import slicer

    phantom = make_phantom()
    folder = write_placed(tmp_path / "ct", phantom, placement)
    screening = screen_placed(folder, phantom, masks=phantom.write_outlines(tmp_path / "drawn.seg.nrrd"))
    (path,) = write_dicom_objects(screening, tmp_path / "objects", kinds=["seg"])
    volume, segmentation = add_source(slicer, folder), add_segmentation(slicer, path)
    segments = segmentation.GetSegmentation()
    assert segments.GetNumberOfSegments() == 2
    for number, name in enumerate(("L1", "L2")):
        identifier = segments.GetNthSegmentID(number)
        assert segments.GetSegment(identifier).GetName() == f"{name} vertebral body"
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, identifier, volume) > 0
        (k,) = np.unique(np.nonzero(mask)[0])
        assert_bone_within_cortex(slicer.util.arrayFromVolume(volume)[k], mask[k], TRABECULAR_HU[name])
        assert_on_the_vertebra(voxels_ras_mm(slicer, volume, mask), centre_ras_mm(phantom, name))


def assert_bone_within_cortex(hu: np.ndarray, mask: np.ndarray, trabecular_hu: float) -> None:
    """On the source's own pixels: spongy bone inside, its cortex right outside."""
    assert hu[ndimage.binary_erosion(mask)].mean() == pytest.approx(trabecular_hu, abs=3.0)
    assert hu[ndimage.binary_dilation(mask) & ~mask].mean() > 250.0


def assert_on_the_vertebra(ras: np.ndarray, centre: np.ndarray) -> None:
    """The voxels' middle is the compartment's to half a voxel, and so are their ends to less than a voxel."""
    assert ras[:, :2].mean(axis=0) == pytest.approx(centre[:2], abs=HALF_VOXEL_MM)
    assert ras[:, 2].mean() == pytest.approx(centre[2], abs=SLICE_MM / 2)
    for axis, half in enumerate(TRABECULAR_MM):
        ends = ras[:, axis].min() - HALF_VOXEL_MM, ras[:, axis].max() + HALF_VOXEL_MM
        assert ends == pytest.approx((centre[axis] - half, centre[axis] + half), abs=1.0)
