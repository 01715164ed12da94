"""Levels on real CT: bodies from a public segmentation, and snapping to their middle."""

from __future__ import annotations

import numpy as np
import pytest

from OsteoScreenLib.ct import ct_from_array, open_ct
from OsteoScreenLib.ct.eligibility.aorta import find_aorta
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.levels import levels_from_segmentation, snap_to_centre
from OsteoScreenLib.levels.body_on_slice import find_body
from OsteoScreenLib.levels.chosen import level_at

# First and last slice of each body (README of the shared data); the middle of each of the ACRIN study's, RAS S in mm.
BODIES = {"L4": (57, 65), "L3": (70, 78), "L2": (82, 90), "L1": (93, 101)}
CENTRES = {"T12": -258.81, "L1": -291.51, "L2": -330.75}


@pytest.fixture(scope="module")
def abdomen(shared_data):
    return open_ct(shared_data / "totalsegmentator-example" / "ct.nii.gz")


@pytest.fixture(scope="module")
def chest(shared_data):
    return open_ct(shared_data / "acrin-nsclc-fdg-pet-042" / "dicom")


def test_levels_are_the_middle_of_the_bodies_not_of_the_vertebrae(shared_data, abdomen):
    path = shared_data / "totalsegmentator-example" / "vertebrae.nii.gz"
    levels = levels_from_segmentation(path, abdomen, tuple(reversed(BODIES)))
    for name, expected in {"L1": 97, "L2": 86, "L3": 74, "L4": 61}.items():
        assert abs(levels[name].slice_index - expected) <= 1


@pytest.mark.parametrize("name", list(BODIES))
def test_snapping_reaches_the_middle_from_any_slice_of_the_body(abdomen, name):
    first, last = BODIES[name]
    middle = (abdomen.geometry.slice_z(first) + abdomen.geometry.slice_z(last)) / 2
    for k in range(first, last + 1):
        snapped = snap_to_centre(abdomen, level_at(abdomen, k, name, "user"))
        assert abs(snapped.z_mm - middle) <= 4.0
        assert snapped.set_by == "snapped"


@pytest.mark.parametrize("name", list(CENTRES))
def test_snapping_a_dicom_series_decodes_only_its_neighbourhood(shared_data, name):
    chest = open_ct(shared_data / "acrin-nsclc-fdg-pet-042" / "dicom")
    middle = chest.geometry.nearest_slice(CENTRES[name])
    for away in (-3, 0, 3):
        snapped = snap_to_centre(chest, level_at(chest, middle + away, name, "user"))
        assert abs(snapped.z_mm - CENTRES[name]) <= 4.0
        if away == 0:
            assert chest.decoded_slices <= 60, "29 slices around each of two seeds at most, of 135"


def test_snapping_in_a_volume_without_a_spine_asks_for_help():
    noise = np.random.default_rng(1).normal(40.0, 20.0, (30, 64, 64)).astype(np.float32)
    ct = ct_from_array(noise, np.diag([-3.0, -3.0, 3.0, 1.0]))
    for arguments in ({}, {"xy_ras": (-96.0, -96.0)}):
        with pytest.raises(UsageError, match="centre slice"):
            snap_to_centre(ct, level_at(ct, 15, "L1", "user"), **arguments)


def test_the_aorta_tells_enhanced_from_unenhanced(shared_data, abdomen, chest):
    enhanced = open_ct(shared_data / "totalsegmentator-dicom")
    cases = [(abdomen, 97, False), (abdomen, 86, False), (chest, 9, False), (chest, 21, False), (enhanced, 10, True)]
    for ct, k, bright in cases:
        hu, spacing = ct.slice(k), ct.geometry.pixel_spacing_mm
        body = find_body(hu, spacing)
        y, x = np.indices(hu.shape, sparse=True)
        mask = np.hypot((y - body.row) * spacing[0] / 16, (x - body.column) * spacing[1] / 20) < 1
        found = find_aorta(hu, mask, spacing)
        assert found is not None
        assert (found.hu > 100.0) == bright
