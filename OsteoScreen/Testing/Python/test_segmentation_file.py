"""The outlines' file: Slicer's segments, exactly on the CT's grid, and readable as --masks again."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from OsteoScreenLib.ct import Geometry
from OsteoScreenLib.levels import read_vertebrae
from OsteoScreenLib.segmentation_io import write_segmentation


def placement(tilt: float = 0.0, step: float = 3.0) -> np.ndarray:
    """Columns to the left, rows to the back, slices along S, leaning back by ``tilt`` mm per slice."""
    matrix = np.diag([-0.7, -0.9, step, 1.0])
    matrix[1, 2] = tilt
    matrix[:3, 3] = (100.0, 80.0, -300.0)
    return matrix


def uneven() -> Geometry:
    matrix = placement()
    heights = np.array([0.0, 3.0, 6.0, 12.0, 15.0])
    origins = matrix[:3, 3] + heights[:, None] * [0.0, 0.0, 1.0]
    return Geometry((5, 20, 30), matrix, origins)


GEOMETRIES = {
    "straight": Geometry((5, 20, 30), placement()),
    "head first": Geometry((5, 20, 30), placement(step=-3.0)),
    "tilted": Geometry((5, 20, 30), placement(tilt=0.8)),
    "uneven": uneven(),
}


def square(row: int, column: int) -> np.ndarray:
    mask = np.zeros((20, 30), dtype=bool)
    mask[row : row + 4, column : column + 6] = True
    return mask


@pytest.mark.parametrize("name", GEOMETRIES)
def test_each_outline_lies_where_it_was_drawn(name, tmp_path):
    geometry = GEOMETRIES[name]
    masks = {"L1": (4, square(3, 5)), "L2": (1, square(9, 12))}
    image = sitk.ReadImage(str(write_segmentation(masks, geometry, tmp_path / "out.seg.nrrd")))
    labels = sitk.GetArrayFromImage(image)
    assert labels.shape == (4, 20, 30)
    for value, (k, mask) in enumerate(masks.values(), start=1):
        assert np.array_equal(labels[k - 1] == value, mask)
        row, column = np.argwhere(mask)[0]
        there = image.TransformIndexToPhysicalPoint((int(column), int(row), k - 1))
        assert np.allclose(np.array(there) * [-1, -1, 1], geometry.ras(column, row, k), atol=1e-4)
    assert [image.GetMetaData(f"Segment{n}_Name") for n in (0, 1)] == ["L1", "L2"]
    assert [image.GetMetaData(f"Segment{n}_LabelValue") for n in (0, 1)] == ["1", "2"]
    assert "66794005" in image.GetMetaData("Segment0_Tags")


def test_it_reads_back_as_masks(tmp_path):
    geometry = GEOMETRIES["straight"]
    masks = {"L1": (4, square(3, 5)), "L2": (1, square(9, 12))}
    found = read_vertebrae(write_segmentation(masks, geometry, tmp_path / "out.seg.nrrd"), ["L1", "L2"])
    for name, (k, mask) in masks.items():
        assert np.array_equal(found[name].coverage_on(geometry, k) > 0.5, mask)


def test_one_level_is_one_slice_and_the_same_bytes_each_time(tmp_path):
    masks = {"L1": (2, square(3, 5))}
    first = write_segmentation(masks, GEOMETRIES["straight"], tmp_path / "a.seg.nrrd").read_bytes()
    second = write_segmentation(masks, GEOMETRIES["straight"], tmp_path / "b.seg.nrrd").read_bytes()
    assert first == second
    assert sitk.ReadImage(str(tmp_path / "a.seg.nrrd")).GetSize() == (30, 20, 1)


def test_no_outline_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="no mask"):
        write_segmentation({}, GEOMETRIES["straight"], tmp_path / "a.seg.nrrd")
    assert list(tmp_path.iterdir()) == []
