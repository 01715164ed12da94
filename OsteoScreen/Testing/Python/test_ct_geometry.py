"""However a CT is stored, the same point of the patient has the same position, value and place in the view."""

from __future__ import annotations

import tempfile
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import body, write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from OsteoScreenLib.ct import CT, Geometry, ct_from_array, open_ct
from OsteoScreenLib.errors import InputError, UsageError

SPACING = (0.7, 0.8, 2.0)  # column, row, slice
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
HU = body(5, 7, 6)


def straight(angles: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """A canonical placement of HU, turned by angles in degrees: columns to the left, rows to the back, slices up."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag([-1.0, -1.0, 1.0]) * SPACING
    matrix[:3, 3] = (30.0, 40.0, -512.5)
    return matrix


def stored_as(axes: tuple[int, ...], flips: tuple[bool, ...], matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """HU with its axes (slices, rows, columns) in another order and direction, and the matrix that goes with it."""
    array, placed = HU.transpose(axes), np.array(matrix)
    columns = [2 - axis for axis in reversed(axes)]  # which canonical index each stored index (i, j, k) is
    placed[:, :3] = matrix[:, columns]
    for axis, flip in enumerate(flips):
        if flip:
            column = 2 - axis
            placed[:3, 3] += placed[:3, column] * (array.shape[axis] - 1)
            placed[:3, column] *= -1
            array = np.flip(array, axis)
    return array, placed


def check(ct: CT, matrix: np.ndarray, tolerance_mm: float) -> None:
    """Every voxel of HU, placed by ``matrix``, is found by its position in the patient, in a radiologist's view."""
    k, j, i = np.indices(HU.shape)
    ras = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ matrix.T
    index = ct.geometry.ijk(ras[..., :3])
    nearest = np.round(index).astype(int)
    np.testing.assert_allclose(index, nearest, atol=tolerance_mm / min(SPACING))
    volume = ct.volume()
    assert volume.shape == ct.geometry.shape == HU.shape
    np.testing.assert_array_equal(volume[nearest[..., 2], nearest[..., 1], nearest[..., 0]], HU)
    np.testing.assert_allclose(ct.geometry.ras(*np.moveaxis(index, -1, 0)), ras[..., :3], atol=1e-6)
    # The view is the same whichever way it was stored; only the slices keep the file's own order.
    upwards = ct.geometry.ijk_to_ras[2, 2] > 0
    np.testing.assert_array_equal(volume if upwards else volume[::-1], HU)
    assert ct.geometry.ijk_to_ras[0, 0] < 0 and ct.geometry.ijk_to_ras[1, 1] < 0
    np.testing.assert_allclose(ct.geometry.spacing_mm, SPACING, atol=tolerance_mm)


orders = st.sampled_from(list(permutations(range(3))))
directions = st.tuples(st.booleans(), st.booleans(), st.booleans())
leans = st.tuples(*[st.floats(-17, 17)] * 3)
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(max_examples=80, deadline=None)
@given(orders, directions, leans)
def test_array_in_any_order_flip_and_oblique_direction(axes, flips, lean):
    matrix = straight(lean)
    check(ct_from_array(*stored_as(axes, flips, matrix)), matrix, 1e-6)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".nii", ".mha", ".mhd"])
@few
@given(orders, directions, leans)
def test_volume_file_in_any_order_flip_and_oblique_direction(suffix, axes, flips, lean):
    matrix = straight(lean)
    array, placed = stored_as(axes, flips, matrix)
    lps = LPS @ placed
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    lengths = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(lengths)
    image.SetDirection((lps[:3, :3] / lengths).ravel())
    image.SetOrigin(lps[:3, 3])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ct" + suffix)
        sitk.WriteImage(image, str(path))
        check(open_ct(path), matrix, 1e-3)  # NIfTI keeps its placement in 32 bits


@few
@given(orders, directions, leans)
def test_dicom_in_any_order_flip_and_oblique_direction(axes, flips, lean):
    matrix = straight(lean)
    array, placed = stored_as(axes, flips, matrix)
    lps = LPS @ placed
    lengths = np.linalg.norm(lps[:3, :3], axis=0)
    unit = lps[:3, :3] / lengths
    with tempfile.TemporaryDirectory() as folder:
        write_series(
            Path(folder),
            array,
            step=lps[:3, 2],
            origin=tuple(lps[:3, 3]),
            orientation=tuple(np.round(np.concatenate([unit[:, 0], unit[:, 1]]), 8)),
            PixelSpacing=[lengths[1], lengths[0]],
        )
        check(open_ct(folder), matrix, 1e-3)


def test_sheared_placement_of_a_tilted_gantry_is_kept():
    matrix = straight()
    matrix[1, 2] = 2.0 * np.tan(np.radians(20))
    geometry = ct_from_array(HU, matrix).geometry
    assert geometry.tilt_deg == pytest.approx(20)
    assert geometry.spacing_mm == pytest.approx(SPACING)
    np.testing.assert_allclose(geometry.ijk(geometry.ras(2, 3, 4)), (2, 3, 4), atol=1e-9)


def test_uneven_slices_keep_their_own_positions():
    z = np.array([0.0, 2.0, 4.0, 10.0, 12.0])
    origins = np.stack([np.full(5, 30.0), np.full(5, 40.0), z], axis=1)
    matrix = straight()
    matrix[2, 2], matrix[2, 3] = 3.0, 0.0
    geometry = Geometry(HU.shape, matrix, origins)
    assert [geometry.slice_z(k) for k in range(5)] == pytest.approx(z)
    assert geometry.spacing_mm[2] == 2.0
    assert geometry.nearest_slice(9.1) == 3
    points = geometry.ras(*np.mgrid[0:6, 0:7, -1:6])
    np.testing.assert_allclose(geometry.ijk(points), np.stack(np.mgrid[0:6, 0:7, -1:6], axis=-1), atol=1e-9)
    assert geometry.ras(0, 0, 2.5)[2] == pytest.approx(7.0)


def test_nearest_slice_names_the_range_when_outside():
    geometry = ct_from_array(HU, straight()).geometry
    assert geometry.nearest_slice(-512.5) == 0
    assert geometry.nearest_slice(-504.5 + 0.99) == 4
    with pytest.raises(UsageError, match=r"-512\.5 to -504\.5"):
        geometry.nearest_slice(-500.0)
    with pytest.raises(UsageError, match="outside"):
        geometry.nearest_slice(float("nan"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda m: m[:3, 2].fill(0),
        lambda m: m.__setitem__((0, 3), np.nan),
        lambda m: m.__setitem__((slice(0, 3), 2), m[:3, 1]),
        lambda m: m.__setitem__((0, 0), np.inf),
    ],
)
def test_impossible_placement_is_refused(damage):
    matrix = straight()
    damage(matrix)
    with pytest.raises(InputError):
        ct_from_array(HU, matrix)


@pytest.mark.parametrize("array", [HU[0], HU[None], np.zeros((2, 2, 2), complex), np.zeros((0, 4, 4)), "volume"])
def test_what_is_no_volume_is_refused(array):
    with pytest.raises(InputError):
        ct_from_array(array, straight())


def test_slices_are_cached_counted_and_read_only():
    ct = ct_from_array(HU, straight())
    first = ct.slice(1)
    assert ct.slice(1) is first
    assert ct.decoded_slices == 1
    assert first.dtype == np.float32 and not first.flags.writeable
    np.testing.assert_array_equal(ct.slab(1, 4), HU[1:4])
    assert ct.decoded_slices == 3
    for missing in (-1, 5):
        with pytest.raises(UsageError, match="#0 to #4"):
            ct.slice(missing)


def test_sagittal_strip_decodes_only_what_it_shows():
    ct = ct_from_array(HU, straight())
    image, indices = ct.sagittal(2, slices=range(5), max_slices=3)
    assert list(indices) == [0, 2, 4] and ct.decoded_slices == 3
    np.testing.assert_array_equal(image, HU[::2, :, 2])
    wide, _ = ct.sagittal(2, half_width=1)
    np.testing.assert_allclose(wide, HU[:, :, 1:4].mean(axis=2), rtol=1e-5)
    with pytest.raises(UsageError):
        ct.sagittal(6)


def test_nothing_lies_below_the_floor_or_is_not_a_number():
    array = np.full((2, 4, 4), -3000.0)
    array[0, 0, 0] = np.nan
    assert ct_from_array(array, straight()).slice(0).max() == -1024.0


def test_hash_follows_values_and_placement():
    first = ct_from_array(HU, straight()).sha256()
    assert ct_from_array(HU.copy(), straight()).sha256() == first
    assert ct_from_array(HU + 1, straight()).sha256() != first
    assert ct_from_array(HU, straight((0, 0, 1))).sha256() != first
