"""The trabecular compartment from a label of the whole vertebra: on a drawn phantom, and against drawn outlines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from OsteoScreenLib.densitometry.outline import PixelGrid
from OsteoScreenLib.levels import read_vertebrae
from OsteoScreenTrainingLib.datasets.public.trabecular import (
    USUAL_MM,
    body_outline,
    trabecular_compartment,
    without_small_holes,
)
from OsteoScreenTrainingLib.evaluation.cases import body_mask_cases, outline_cases

#: Half width and half depth of the phantom's trabecular compartment, its cortex, and the canal behind it, mm.
WIDE, DEEP, CORTEX = 20.0, 15.0, 1.2


def _phantom(pixel_mm=0.8, trabecular=120.0, cortex=600.0, noise=20.0, seed=0, row_mm=None):
    """Return HU, the label of a whole vertebra, the compartment's coverage, and the pixels; the canal is closed."""
    row_mm = row_mm or pixel_mm
    rows, columns = round(130 / row_mm), round(110 / pixel_mm)
    fine = 4
    y, x = np.mgrid[: rows * fine, : columns * fine]
    y, x = (y + 0.5) / fine * row_mm - 40.0, (x + 0.5) / fine * pixel_mm - 55.0
    inner = (np.abs(x / WIDE) ** 2.5 + np.abs(y / DEEP) ** 2.5 < 1) & (y < 13.0)
    outside = ndimage.distance_transform_edt(~inner, sampling=(row_mm / fine, pixel_mm / fine))
    body = outside <= CORTEX
    pedicles = (np.abs(np.abs(x) - 15.0) < 4.5) & (y > 5.0) & (y < 34.0)
    lamina = (np.abs(y - 34.0) < 3.5) & (np.abs(x) < 19.5)
    spine = (np.abs(x) < 3.0) & (y > 30.0) & (y < 60.0)
    arch = (pedicles | lamina | spine) & ~inner
    hu = np.full(x.shape, 45.0)
    hu[arch] = 350.0
    hu[body] = cortex
    hu[inner] = trabecular
    down = [
        block.reshape(rows, fine, columns, fine).mean(axis=(1, 3))
        for block in (hu, (body | arch).astype(float), inner.astype(float))
    ]
    grid = PixelGrid((rows, columns), pixel_mm, row_mm)
    blurred = ndimage.gaussian_filter(down[0], (0.5 / row_mm, 0.5 / pixel_mm))
    rng = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(rng.normal(0, 1, blurred.shape), 0.7)
    return (blurred + noise * texture / texture.std()).astype(np.float32), down[1].astype(np.float32), down[2], grid


def _dsc(one, other):
    one, other = one > 0.5, other > 0.5
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def _mean(hu, coverage):
    return float((hu * coverage).sum() / coverage.sum())


@pytest.mark.parametrize(("pixel_mm", "row_mm"), [(0.5, None), (0.8, None), (0.98, None), (1.5, None), (1.2, 0.8)])
def test_the_inner_edge_is_found_at_every_pixel_size(pixel_mm, row_mm):
    hu, label, truth, grid = _phantom(pixel_mm, row_mm=row_mm)
    found = trabecular_compartment(hu, label, grid)
    # The chord takes the round corners off at the pedicles: 3 % of the area, by the outline's convention.
    assert _dsc(found.coverage, truth) > 0.945
    assert -12 < _mean(hu, found.coverage) - _mean(hu, truth) < 4
    assert found.walled > 0.9
    assert found.coverage.max() <= 1
    assert 0 < found.chords < 0.4


def test_a_label_of_the_body_alone_gives_the_same():
    hu, label, truth, grid = _phantom()
    body = np.where(ndimage.distance_transform_edt(truth < 0.5, sampling=0.8) <= CORTEX, label, 0).astype(np.float32)
    whole, alone = (trabecular_compartment(hu, drawn, grid) for drawn in (label, body))
    assert _dsc(whole.coverage, alone.coverage) > 0.97


def test_a_label_that_is_a_little_too_large_or_too_small_gives_the_same():
    hu, label, truth, grid = _phantom()
    edge = ndimage.distance_transform_edt(label > 0.5) - ndimage.distance_transform_edt(label <= 0.5)
    for by_mm in (-0.8, 0.8, 1.6):
        found = trabecular_compartment(hu, (edge * 0.8 > -by_mm).astype(np.float32), grid)
        assert _dsc(found.coverage, truth) > 0.94, by_mm


def test_noise_does_not_lead_the_outline_astray():
    hu, label, truth, grid = _phantom(noise=60.0, trabecular=180.0)
    found = trabecular_compartment(hu, label, grid)
    assert _dsc(found.coverage, truth) > 0.94


def test_dense_bone_without_a_wall_gets_the_usual_inset():
    hu, label, _, grid = _phantom(trabecular=320.0, cortex=330.0, noise=40.0)
    found = trabecular_compartment(hu, label, grid)
    assert found.walled < 0.4
    assert found.inset_mm == USUAL_MM


def test_an_osteophyte_stays_outside():
    hu, label, truth, grid = _phantom()
    spiked, bright = label.copy(), hu.copy()
    row, column = (round(v) for v in ndimage.center_of_mass(truth > 0.5))
    spur = np.s_[row - 14 : row - 6, column - 36 : column - 20]
    spiked[spur], bright[spur] = 1.0, 500.0
    bright[truth > 0.5] = hu[truth > 0.5]
    found = trabecular_compartment(bright, spiked, grid)
    assert _dsc(found.coverage, truth) > 0.94
    assert found.body.area_mm2 < 1.1 * trabecular_compartment(hu, label, grid).body.area_mm2


def test_the_canal_is_no_hole_and_a_vein_is_one():
    _, label, truth, grid = _phantom()
    drawn = label > 0.5
    assert (without_small_holes(drawn, grid) == drawn).all()
    row, column = (round(v) for v in ndimage.center_of_mass(truth > 0.5))
    drawn[row - 3 : row + 3, column - 3 : column + 3] = False
    assert without_small_holes(drawn, grid)[row, column]


def test_an_empty_label_has_no_body():
    hu, label, _, grid = _phantom()
    assert trabecular_compartment(hu, np.zeros_like(label), grid) is None
    assert body_outline(np.zeros_like(label), grid) is None


# -- real CT


def _whole_label(case, grown_mm):
    """Return a label of the whole vertebra, made of a hand-drawn outline: grown by a cortex, and joined to the bright
    bone behind it."""
    spacing = (case.grid.row_mm, case.grid.column_mm)
    drawn = case.truth > 0.5
    outside = ndimage.distance_transform_edt(~drawn, sampling=spacing)
    outside -= ndimage.distance_transform_edt(drawn, sampling=spacing)
    body = np.clip(0.5 + (grown_mm - outside) / np.sqrt(spacing[0] * spacing[1]), 0, 1)
    row, column = ndimage.center_of_mass(drawn)
    rows, columns = np.indices(drawn.shape)
    near = np.hypot((rows - row) * spacing[0], (columns - column) * spacing[1]) < 75
    behind = (ndimage.gaussian_filter(case.hu, 0.6) > 170) & (rows > row + 6 / spacing[0]) & near
    pieces, _ = ndimage.label((body > 0.5) | behind)
    whole = pieces == pieces[int(row), int(column)]
    whole |= ndimage.binary_closing(whole)
    return np.maximum(body, ndimage.gaussian_filter(whole.astype(np.float32), 0.5)).astype(np.float32)


@pytest.mark.parametrize("grown_mm", [1.0, 1.5, 2.0, 2.5, 3.0])
def test_outlines_agree_with_those_drawn_by_hand(shared_data, grown_mm):
    """Run with -s to see the figures. One reader drawing twice agrees to a DSC of 0.97, and to about 5 HU."""
    scores = []
    for case in outline_cases(shared_data / "acrin-nsclc-fdg-pet-042"):
        found = trabecular_compartment(case.hu, _whole_label(case, grown_mm), case.grid)
        area = found.outline.area_mm2 / (case.truth.sum() * case.grid.pixel_area_mm2)
        difference = _mean(case.hu, found.coverage) - _mean(case.hu, case.truth)
        scores.append((_dsc(found.coverage, case.truth), difference, area))
    dsc, hu, area = np.array(scores).T
    print(
        f"\nlabel {grown_mm} mm outside: DSC {dsc.mean():.3f} (worst {dsc.min():.3f}), mean HU {hu.mean():+.1f} "
        f"(absolute {np.abs(hu).mean():.1f}), area {area.mean():.3f}"
    )
    assert dsc.mean() > 0.965
    assert dsc.min() > 0.94
    assert np.abs(hu).mean() < 5
    assert 0.93 < area.mean() < 1.05


def test_outlines_agree_with_body_masks_in_voxels_of_3_mm(shared_data):
    """Run with -s to see the figures. What is cortex in such voxels is a choice; 2 and 3 mm bracket it."""
    folder = shared_data / "totalsegmentator-example"
    vertebrae = read_vertebrae(folder / "vertebrae.nii.gz", ["L1", "L2", "L3", "L4"])
    scores: dict[str, list[tuple[float, float]]] = {}
    for case in body_mask_cases(folder):
        found = trabecular_compartment(case.hu, vertebrae[case.level].coverage_on(case.geometry, case.k), case.grid)
        for name, truth in {"cortex 3 mm": case.truth, **case.variants}.items():
            difference = _mean(case.hu, found.coverage) - _mean(case.hu, truth)
            scores.setdefault(name, []).append((_dsc(found.coverage, truth), difference))
    for name, pairs in scores.items():
        dsc, hu = np.array(pairs).T
        print(f"\n{name}: DSC {dsc.mean():.3f} (worst {dsc.min():.3f}), HU {hu.mean():+.1f} ({np.abs(hu).mean():.1f})")
    for name in ("cortex 3 mm", "cortex 2 mm"):
        dsc, hu = np.array(scores[name]).T
        assert dsc.mean() > 0.94
        assert np.abs(hu).mean() < 9
