"""Every eligibility check passes, warns and refuses where it should, with a reason and advice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from OsteoScreenLib.ct import Acquisition, ct_from_array
from OsteoScreenLib.ct.eligibility import acquisition_checks, is_refused, pair_checks, slice_checks
from OsteoScreenLib.ct.eligibility.registry import PAIR_CHECKS, SCAN_CHECKS, SLICE_CHECKS
from OsteoScreenLib.ct.kernels import kernel_class
from OsteoScreenLib.results import Check, Level, RoiMeasures

GOOD = Acquisition(
    modality="CT",
    kvp=120.0,
    slice_thickness_mm=2.0,
    kernel="B31f",
    contrast=False,
    manufacturer="SIEMENS",
    age_years=61.0,
    sex="F",
)


def scan(spacing=(0.8, 0.8, 2.0), shear=0.0, slices=20, findings=(), **said):
    matrix = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    matrix[1, 2] = shear
    return ct_from_array(np.zeros((slices, 8, 8), np.int16), matrix, replace(GOOD, **said), findings=findings)


def outcome(checks, name):
    (check,) = [check for check in checks if check.check == name]
    assert check.message.endswith("."), "every check says something in a sentence"
    return check.outcome


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("modality", {}, "pass"),
        ("modality", {"modality": None}, "warn"),
        ("modality", {"modality": "PT"}, "refuse"),
        ("age", {}, "pass"),
        ("age", {"age_years": None}, "warn"),
        ("age", {"age_years": 17.0}, "refuse"),
        ("age", {"age_years": 999.0}, "refuse"),
        ("age", {"age_years": float("nan")}, "refuse"),
        ("sex", {}, "pass"),
        ("sex", {"sex": None}, "warn"),
        ("kvp", {}, "pass"),
        ("kvp", {"kvp": 100.0}, "warn"),
        ("kvp", {"kvp": 140.0}, "warn"),
        ("kvp", {"kvp": None}, "warn"),
        ("kvp", {"kvp": 0.0}, "warn"),
        ("kvp", {"kvp": 80.0}, "refuse"),
        ("kvp", {"kvp": 130.0}, "refuse"),
        ("slice_thickness", {"slice_thickness_mm": 3.0}, "pass"),
        ("slice_thickness", {"slice_thickness_mm": 3.27}, "warn"),
        ("slice_thickness", {"slice_thickness_mm": None}, "warn"),
        ("slice_thickness", {"slice_thickness_mm": 7.5}, "refuse"),
        ("slice_spacing", {"spacing": (0.8, 0.8, 3.0)}, "pass"),
        ("slice_spacing", {"spacing": (0.8, 0.8, 5.0)}, "warn"),
        ("slice_spacing", {"spacing": (0.8, 0.8, 6.0)}, "refuse"),
        ("pixel_spacing", {}, "pass"),
        ("pixel_spacing", {"spacing": (3.0, 3.0, 3.0)}, "warn"),
        ("pixel_spacing", {"spacing": (4.0, 4.0, 3.0)}, "refuse"),
        ("tilt", {}, "pass"),
        ("tilt", {"shear": 0.3}, "warn"),
        ("tilt", {"shear": 1.0}, "refuse"),
        ("gaps", {}, "pass"),
        ("gaps", {"slices": 1}, "warn"),
        ("kernel", {}, "pass"),
        ("kernel", {"kernel": None}, "warn"),
        ("kernel", {"kernel": "B70f"}, "warn"),
        ("kernel", {"kernel": "whatever"}, "warn"),
        ("kernel", {"kernel": "EDGE", "manufacturer": "GE MEDICAL SYSTEMS"}, "refuse"),
        ("contrast", {}, "pass"),
        ("contrast", {"contrast": None}, "warn"),
        ("contrast", {"contrast": True, "contrast_agent": "ORAL"}, "warn"),
        ("contrast", {"contrast": True}, "refuse"),
        ("contrast", {"contrast": True, "contrast_agent": "APPLIED"}, "refuse"),
    ],
)
def test_acquisition_checks_judge_the_header(name, said, expected):
    assert outcome(acquisition_checks(scan(**said)), name) == expected


def test_what_the_user_says_goes_before_the_header_and_contradictions_are_told():
    assert outcome(acquisition_checks(scan(age_years=None), age_years=40.0), "age") == "pass"
    assert outcome(acquisition_checks(scan(), age_years=12.0), "age") == "refuse"
    assert outcome(acquisition_checks(scan(), age_years=40.0), "age") == "warn"
    assert outcome(acquisition_checks(scan(), sex="M"), "sex") == "warn"


def test_what_reading_found_stands_and_is_not_said_twice():
    found = Check("gaps", "refuse", "A slice is missing.", 9.0)
    checks = acquisition_checks(scan(findings=(found,)))
    assert [check for check in checks if check.check == "gaps"] == [found]
    assert is_refused(checks)
    assert not is_refused(acquisition_checks(scan()))


def test_nothing_missing_is_taken_as_normal():
    bare = ct_from_array(np.zeros((20, 8, 8), np.int16), np.diag([0.8, 0.8, 2.0, 1.0]))
    checks = acquisition_checks(bare)
    for name in ("modality", "age", "sex", "kvp", "slice_thickness", "kernel", "contrast"):
        assert outcome(checks, name) == "warn"
    assert not is_refused(checks), "a file without a header can still be screened"


@pytest.mark.parametrize(
    ("kernel", "maker", "kind"),
    [
        ("B31f", "SIEMENS", "soft"),
        ("Br40d\\3", "Siemens Healthineers", "soft"),
        ("['I26f', '3']", "SIEMENS", "soft"),
        ("J30s", "SIEMENS", "soft"),
        ("B50f", "SIEMENS", "medium"),
        ("Bl57", "SIEMENS", "lung"),
        ("B70f", "SIEMENS", "bone"),
        ("B80f", "SIEMENS", "edge"),
        ("STANDARD", "GE MEDICAL SYSTEMS", "soft"),
        ("LUNG", "GE MEDICAL SYSTEMS", "lung"),
        ("BONEPLUS", "GE MEDICAL SYSTEMS", "edge"),
        ("B", "Philips", "soft"),
        ("C", "Philips", "medium"),
        ("YA", "Philips", "bone"),
        ("YB", "Philips", "lung"),
        ("FC08", "TOSHIBA", "soft"),
        ("FC30", "Canon", "bone"),
        ("FC51", "TOSHIBA", "lung"),
        ("", None, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_kernels_are_known_by_their_makers_names(kernel, maker, kind):
    assert kernel_class(kernel, maker) == kind


# -- the outlined slice: a simulated trunk of soft tissue with a body, and an aorta in fat before it


def roi(**changes):
    base = RoiMeasures(
        mean_hu=150.0, median_hu=150.0, sd_hu=20.0, pixels=1000, inset_mm=2.0, area_mm2=700.0, outline_area_mm2=950.0,
        outline_mean_hu=160.0, circle_mean_hu=150.0, circle_area_mm2=200.0, circle_centre_ras_mm=None,
        outline_ras_mm=[], centroid_ras_mm=(0.0, 0.0, 0.0), confidence=0.9, mask_source="model",
    )  # fmt: skip
    return replace(base, **changes)


def outlined(*, blood=45.0, noise=15.0, body=150.0, vessel=True, trunk=110.0, at=(150, 128)):
    rng = np.random.default_rng(7)
    y, x = np.indices((256, 256), sparse=True)
    hu = np.full((256, 256), -1000.0)
    hu[np.hypot((y - 128) / 0.8, x - 128) < trunk] = 50.0
    hu[np.hypot(y - at[0] + 38, x - at[1] - 6) < 26] = -100.0
    if vessel:
        hu[np.hypot(y - at[0] + 32, x - at[1] - 8) < 11] = blood
    mask = np.hypot((y - at[0]) / 16, (x - at[1]) / 20) < 1
    hu[np.hypot((y - at[0]) / 18, (x - at[1]) / 22) < 1] = 350.0
    hu[mask] = body
    return (hu + rng.normal(0.0, noise, hu.shape)).astype(np.float32), mask


def judged(name, hu, mask, measures=None, *, k=10, slices=20):
    ct = ct_from_array(np.zeros((slices, 256, 256), np.int8), np.diag([-1.0, -1.0, 2.0, 1.0]))
    level = Level("L1", ct.geometry.slice_z(k), k, "user", True)
    return outcome(slice_checks(ct, level, hu, mask, measures or roi()), f"{name}_L1")


@pytest.mark.parametrize(("k", "expected"), [(10, "pass"), (3, "warn"), (0, "refuse"), (19, "refuse")])
def test_a_level_is_whole_inside_the_scan(k, expected):
    assert judged("level_whole", *outlined(), k=k) == expected


@pytest.mark.parametrize(("blood", "expected"), [(45.0, "pass"), (88.0, "warn"), (160.0, "refuse"), (300.0, "refuse")])
def test_a_bright_aorta_means_contrast(blood, expected):
    assert judged("aorta", *outlined(blood=blood)) == expected


def beside_the_aorta(blood, radius, *others):
    """A slice with the aorta in fat before the body, and other discs: (mm to the left, mm ahead, radius, HU)."""
    hu, mask = outlined(vessel=False, noise=0.0)
    y, x = np.indices(hu.shape, sparse=True)
    row, column = ndimage.center_of_mass(mask)
    bone = np.hypot((y - row) / 18, (x - column) / 22) < 1
    hu[~bone & (np.hypot(y - row + 30, x - column - 8) < 48)] = -100.0
    for left, ahead, size, value in ((4.0, 21.0 + radius, radius, blood), *others):
        disc = np.hypot(y - row + ahead, x - column - left)
        hu += (~bone * np.clip(size + 0.5 - disc, 0.0, 1.0) * (value - hu)).astype(np.float32)
    # The point spread of a standard kernel.
    noise = np.random.default_rng(7).normal(0.0, 12.0, hu.shape)
    return (ndimage.gaussian_filter(hu, 0.8) + noise).astype(np.float32), mask


def test_a_narrow_enhanced_aorta_is_not_overlooked_for_what_lies_beside_it():
    psoas, bowel, cava = (34.0, 4.0, 11.5, 55.0), (12.0, 50.0, 11.5, 60.0), (-19.0, 27.0, 8.0, 65.0)
    for blood in (150.0, 300.0, 474.0):
        for others in ((psoas,), (bowel,), (cava,), (psoas, bowel, cava)):
            assert judged("aorta", *beside_the_aorta(blood, 6.5, *others)) == "refuse"


def test_nothing_else_that_is_bright_is_taken_for_an_enhanced_aorta():
    osteophyte, oral_contrast = (-14.0, 19.0, 6.5, 380.0), (40.0, 40.0, 13.0, 270.0)
    for other in (osteophyte, oral_contrast):
        assert judged("aorta", *beside_the_aorta(45.0, 9.0, other)) == "pass"


def test_an_aorta_that_is_not_found_is_a_warning():
    hu, mask = outlined(vessel=False)
    hu[~mask] = -100.0
    assert judged("aorta", hu, mask) == "warn"


def test_the_field_of_view_may_not_cut_the_trunk_nor_the_body():
    assert judged("field_of_view", *outlined()) == "pass"
    assert judged("field_of_view", *outlined(trunk=150.0)) == "warn"
    assert judged("field_of_view", *outlined(at=(150, 24))) == "refuse"


def test_metal_and_cement_are_seen():
    hu, mask = outlined()
    assert judged("metal_or_cement", hu, mask) == "pass"
    for value, expected in ((750.0, "warn"), (1300.0, "refuse"), (3000.0, "refuse"), (-600.0, "warn")):
        treated = hu.copy()
        treated[148:153, 125:131] = value
        assert judged("metal_or_cement", treated, mask) == expected
    screw = hu.copy()
    screw[180:185, 150:156] = 2800.0
    assert judged("metal_or_cement", screw, mask) == "refuse"


@pytest.mark.parametrize(("noise", "expected"), [(20.0, "pass"), (70.0, "warn"), (200.0, "refuse")])
def test_noise_is_measured_in_soft_tissue(noise, expected):
    assert judged("noise", *outlined(noise=noise)) == expected


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("roi_size", {"area_mm2": 500.0}, "pass"),
        ("roi_size", {"area_mm2": 150.0}, "warn"),
        ("roi_size", {"area_mm2": 60.0}, "refuse"),
        ("outline_size", {"outline_area_mm2": 1000.0}, "pass"),
        ("outline_size", {"outline_area_mm2": 350.0}, "warn"),
        ("outline_size", {"outline_area_mm2": 4000.0}, "refuse"),
        ("hu_range", {"mean_hu": 150.0}, "pass"),
        ("hu_range", {"mean_hu": 500.0}, "warn"),
        ("hu_range", {"mean_hu": -400.0}, "refuse"),
        ("hu_range", {"mean_hu": float("nan")}, "refuse"),
        ("confidence", {"confidence": 0.9}, "pass"),
        ("confidence", {"confidence": 0.4}, "warn"),
        ("confidence", {"confidence": 0.1}, "refuse"),
        ("confidence", {"confidence": 0.0, "mask_source": "user"}, "pass"),
    ],
)
def test_measures_unlike_a_vertebral_body_are_told(name, changes, expected):
    assert judged(name, *outlined(), roi(**changes)) == expected


@pytest.mark.parametrize(
    ("name", "lower", "expected"),
    [
        ("level_order", {"centroid_ras_mm": (0.0, 0.0, -34.0)}, "pass"),
        ("level_order", {"centroid_ras_mm": (0.0, 0.0, 34.0)}, "refuse"),
        ("level_order", {}, "refuse"),
        ("level_distance", {"centroid_ras_mm": (0.0, 8.0, -34.0)}, "pass"),
        ("level_distance", {"centroid_ras_mm": (0.0, 0.0, -54.0)}, "warn"),
        ("level_distance", {"centroid_ras_mm": (0.0, 0.0, -70.0)}, "refuse"),
        ("level_agreement", {"mean_hu": 160.0}, "pass"),
        ("level_agreement", {"mean_hu": 210.0}, "warn"),
        ("level_agreement", {"mean_hu": 290.0}, "refuse"),
    ],
)
def test_l1_is_judged_against_l2(name, lower, expected):
    assert outcome(pair_checks({"L1": roi(), "L2": roi(**lower)}), name) == expected


def test_one_level_alone_has_nothing_to_agree_with():
    assert pair_checks({"L1": roi()}) == []


def test_no_name_stands_for_two_checks():
    names = [*SCAN_CHECKS, *SLICE_CHECKS, *PAIR_CHECKS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("walled_degrees", "source", "expected"),
    [(360, "model", "pass"), (150, "model", "warn"), (60, "model", "refuse"), (0, "user", "warn")],
)
def test_a_disc_has_no_wall_of_cortex(walled_degrees, source, expected):
    hu, mask = outlined()
    rows, columns = np.nonzero(mask)
    row, column = rows.mean(), columns.mean()
    y, x = np.mgrid[: hu.shape[0], : hu.shape[1]]
    angle = np.degrees(np.arctan2(y - row, x - column)) % 360
    near = ndimage.binary_dilation(mask, iterations=2) & ~mask
    hu = np.where(ndimage.binary_dilation(mask, iterations=8) & ~mask, np.float32(90), hu)
    hu = np.where(near & (angle < walled_degrees), np.float32(500), hu).astype(np.float32)
    assert judged("cortex", hu, mask, roi(mask_source=source)) == expected


@pytest.mark.parametrize(("band_hu", "expected"), [(0, "pass"), (100, "pass"), (250, "warn"), (-200, "warn")])
def test_an_endplate_in_the_slice_is_noticed(band_hu, expected):
    hu, mask = outlined()
    middle = int(np.nonzero(mask)[0].mean())
    hu = hu + np.random.default_rng(1).normal(0, 40, hu.shape).astype(np.float32)
    hu[middle : middle + 12] += band_hu  # as wide as the slice of a leaning endplate
    assert judged("endplates", hu, mask, roi()) == expected
