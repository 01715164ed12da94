"""Outlines drawn by hand on a real chest CT measure here what the one who drew them measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from OsteoScreenLib.ct import CT, open_ct
from OsteoScreenLib.densitometry import choose_calibration, measure_roi
from OsteoScreenLib.densitometry.outline import Outline
from OsteoScreenLib.results import RoiMeasures

CASE = "acrin-nsclc-fdg-pet-042"
PARTS = 8


@pytest.fixture(scope="module")
def drawn(shared_data: Path) -> list[dict[str, Any]]:
    file = shared_data / CASE / "outlines.json"
    if not file.is_file():
        pytest.skip(f"the drawn outlines are not on this machine: no {file}")
    outlines: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return outlines


def coverage(ct: CT, outline: dict[str, Any], k: int) -> np.ndarray:
    """The share of each pixel of slice `k` that lies inside the drawn polygon."""
    points = np.array(outline["polygon_ras_mm"])
    ras = np.column_stack([points, np.full(len(points), ct.geometry.slice_z(k))])
    polygon = Outline(ct.geometry.ijk(ras)[:, :2])
    rows, columns = ct.geometry.shape[1:]
    part = (np.arange(PARTS) + 0.5) / PARTS - 0.5
    (left, top), (right, bottom) = np.floor(polygon.box_mm[0]).astype(int), np.ceil(polygon.box_mm[1]).astype(int) + 1
    x, y = (np.arange(first, last)[:, None] + part for first, last in ((left, right), (top, bottom)))
    positions = np.stack(np.meshgrid(x.ravel(), y.ravel()), axis=-1).reshape(-1, 2)
    inside = polygon.contains(positions).reshape(bottom - top, PARTS, right - left, PARTS).mean(axis=(1, 3))
    whole = np.zeros((rows, columns))
    whole[top:bottom, left:right] = inside
    return whole


@pytest.fixture(scope="module")
def measured(drawn: list[dict[str, Any]], shared_data: Path) -> list[RoiMeasures]:
    """The drawn outlines in their order, measured."""
    ct = open_ct(shared_data / CASE / "dicom")
    slices = [ct.geometry.nearest_slice(outline["z_ras_mm"]) for outline in drawn]
    return [
        measure_roi(ct.slice(k), coverage(ct, outline, k), ct.geometry, k)
        for outline, k in zip(drawn, slices, strict=True)
    ]


@pytest.mark.parametrize("number", range(9))
def test_drawn_outline_measures_what_its_reader_measured(
    drawn: list[dict[str, Any]], measured: list[RoiMeasures], number: int
) -> None:
    outline, roi = drawn[number], measured[number]
    assert roi.outline_area_mm2 == pytest.approx(outline["area_mm2"], rel=0.002)
    assert roi.outline_mean_hu == pytest.approx(outline["mean_hu"], abs=1.0)
    assert roi.mean_hu == pytest.approx(outline["mean_hu_inset2mm"], abs=0.5)
    assert roi.circle_mean_hu is not None
    # The reader moved the circle 3 mm forward on all of L2; here it moves where the vein is seen on the slice.
    moved = outline["roi200_anterior_shift_mm"] > 0
    assert roi.circle_mean_hu == pytest.approx(outline["roi200_mean_hu"], abs=4.0 if moved else 0.5)


def test_circle_moves_on_the_slices_with_the_vein_only(
    drawn: list[dict[str, Any]], measured: list[RoiMeasures]
) -> None:
    moved = [
        (outline["level"], outline["slice_index"])
        for outline, roi in zip(drawn, measured, strict=True)
        if roi.circle_centre_ras_mm is None or roi.circle_centre_ras_mm[1] - roi.centroid_ras_mm[1] > 0.5
    ]
    assert moved == [("L2", 8), ("L2", 9)]


def test_body_mask_inset_by_its_pixel_measures_what_is_known_of_it(shared_data: Path) -> None:
    ct, bodies = (
        open_ct(shared_data / "totalsegmentator-example" / name) for name in ("ct.nii.gz", "vertebral_bodies.nii.gz")
    )
    known = {96: 99.0, 97: 93.0, 98: 105.0, 85: 111.0, 86: 106.0, 87: 109.0}
    for k, mean_hu in known.items():
        roi = measure_roi(ct.slice(k), bodies.slice(k) == 1, ct.geometry, k, inset_mm=3.0)
        assert roi.mean_hu == pytest.approx(mean_hu, abs=2.5)


def test_scanners_own_line_is_found_in_its_header(shared_data: Path) -> None:
    line, checks = choose_calibration(open_ct(shared_data / "totalsegmentator-dicom").acquisition)
    assert (line.source, line.slope, line.intercept, line.mineral) == ("scanner header", 0.9236, -1.6565, "CaHA")
    assert [check.outcome for check in checks] == ["pass"]
