"""Outlines measured to a fraction of a pixel: shapes whose area and means are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from OsteoScreenLib.ct.geometry import Geometry
from OsteoScreenLib.densitometry import measure_roi
from OsteoScreenLib.densitometry.contours import level_lines, signed_area, simplified
from OsteoScreenLib.densitometry.outline import PixelGrid, outlines_of, shares
from OsteoScreenLib.errors import SegmentationFailed, UsageError

ORIGIN = np.array([80.0, 70.0, -300.0])


def geometry(shape: tuple[int, int], column_mm: float = 1.0, row_mm: float = 1.0) -> Geometry:
    matrix = np.diag([-column_mm, -row_mm, 3.0, 1.0])
    matrix[:3, 3] = ORIGIN
    return Geometry((4, *shape), matrix)


def plane_mm(shape: tuple[int, int], column_mm: float, row_mm: float, parts: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The x and y (mm) of the pixels' centres, or of the centres of their parts."""
    x = ((np.arange(shape[1] * parts) + 0.5) / parts - 0.5) * column_mm
    y = ((np.arange(shape[0] * parts) + 0.5) / parts - 0.5) * row_mm
    return np.meshgrid(x, y)


def ellipse(
    shape: tuple[int, int],
    centre: tuple[float, float],
    axes: tuple[float, float],
    spacing: tuple[float, float] = (1.0, 1.0),
    parts: int = 10,
) -> np.ndarray:
    """The coverage of each pixel by an ellipse; centre and half axes are (x, y) in mm, spacing (column, row)."""
    x, y = plane_mm(shape, *spacing, parts)
    inside = ((x - centre[0]) / axes[0]) ** 2 + ((y - centre[1]) / axes[1]) ** 2 < 1.0
    return inside.reshape(shape[0], parts, shape[1], parts).mean(axis=(1, 3))


SPACINGS = [(0.45, 0.45), (0.98, 0.98), (0.6, 1.1), (1.2, 0.5)]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("radius", [12.0, 20.3])
def test_disc_area_and_inset_area(spacing: tuple[float, float], radius: float) -> None:
    shape = (int(60 / spacing[1]), int(60 / spacing[0]))
    mask = ellipse(shape, (29.7, 30.4), (radius, radius), spacing)
    roi = measure_roi(np.full(shape, 100.0, np.float32), mask, geometry(shape, *spacing), 1, inset_mm=2.0)
    assert roi.outline_area_mm2 == pytest.approx(np.pi * radius**2, rel=0.006)
    assert roi.area_mm2 == pytest.approx(np.pi * (radius - 2.0) ** 2, rel=0.008)
    assert roi.pixels == pytest.approx(roi.area_mm2 / (spacing[0] * spacing[1]), rel=0.03)
    assert roi.centroid_ras_mm == pytest.approx((ORIGIN[0] - 29.7, ORIGIN[1] - 30.4, ORIGIN[2] + 3.0), abs=0.05)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_bool_mask_is_measured_as_its_coverage_is(spacing: tuple[float, float]) -> None:
    shape = (int(60 / spacing[1]), int(60 / spacing[0]))
    mask = ellipse(shape, (29.7, 30.4), (21.0, 15.0), spacing)
    x, y = plane_mm(shape, *spacing)
    hu = (100.0 + 2.0 * (x - 29.7) + 1.0 * (y - 30.4)).astype(np.float32)
    fine = measure_roi(hu, mask, geometry(shape, *spacing), 0)
    coarse = measure_roi(hu, mask > 0.5, geometry(shape, *spacing), 0)
    assert coarse.outline_area_mm2 == pytest.approx(fine.outline_area_mm2, rel=0.015)
    assert coarse.mean_hu == pytest.approx(fine.mean_hu, abs=0.5)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_inset_keeps_the_bright_rim_out(spacing: tuple[float, float]) -> None:
    shape = (int(60 / spacing[1]), int(60 / spacing[0]))
    centre = np.array([30.2, 29.6])
    x, y = plane_mm(shape, *spacing)
    away = np.hypot(x - centre[0], y - centre[1])
    # 100 HU within 18.7 mm, 700 beyond. No pixel here reaches farther from its centre than 0.7 mm.
    hu = np.where(away < 18.7, 100.0, 700.0)
    mask = ellipse(shape, (30.2, 29.6), (20.0, 20.0), spacing)
    roi = measure_roi(hu, mask, geometry(shape, *spacing), 0, inset_mm=2.1)
    assert roi.mean_hu == pytest.approx(100.0)
    assert roi.median_hu == pytest.approx(100.0)
    assert roi.outline_mean_hu > 150.0
    assert roi.circle_mean_hu == pytest.approx(100.0)


def test_statistics_of_a_gradient_are_those_of_the_shape() -> None:
    shape, spacing = (70, 80), (0.8, 0.7)
    x, y = plane_mm(shape, *spacing)
    hu = 50.0 + 3.0 * (x - 30.0) - 2.0 * (y - 24.0)
    radius = 18.0
    roi = measure_roi(hu, ellipse(shape, (30.0, 24.0), (radius, radius), spacing), geometry(shape, *spacing), 0)
    assert roi.mean_hu == pytest.approx(50.0, abs=0.1)
    assert roi.median_hu == pytest.approx(50.0, abs=0.5)
    # The variance of a coordinate over a disc of radius r is r^2 / 4.
    assert roi.sd_hu == pytest.approx(np.hypot(3.0, 2.0) * (radius - 2.0) / 2.0, rel=0.01)
    assert roi.circle_mean_hu == pytest.approx(50.0, abs=0.1)
    assert roi.circle_area_mm2 == 200.0


@settings(max_examples=20, deadline=None)
@given(dx=st.floats(-1.0, 1.0), dy=st.floats(-1.0, 1.0))
def test_shifting_by_a_fraction_of_a_pixel_changes_nothing(dx: float, dy: float) -> None:
    shape, spacing = (64, 64), (0.9, 0.9)

    def measured(centre: tuple[float, float]) -> tuple[float, float, float]:
        x, y = plane_mm(shape, *spacing)
        hu = 100.0 + 80.0 * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 18.0**2
        roi = measure_roi(hu, ellipse(shape, centre, (18.0, 14.0), spacing), geometry(shape, *spacing), 0)
        return roi.mean_hu, roi.outline_area_mm2, roi.area_mm2

    still, moved = measured((28.0, 28.0)), measured((28.0 + dx, 28.0 + dy))
    assert moved[0] == pytest.approx(still[0], abs=0.3)
    assert moved[1] == pytest.approx(still[1], rel=0.004)
    assert moved[2] == pytest.approx(still[2], rel=0.006)


@settings(max_examples=15, deadline=None)
@given(inset=st.floats(0.0, 6.0), step=st.floats(0.05, 2.0))
def test_a_deeper_inset_is_smaller(inset: float, step: float) -> None:
    shape = (50, 50)
    mask = ellipse(shape, (25.0, 24.0), (17.0, 13.0))
    hu = np.full(shape, 120.0)
    outer = measure_roi(hu, mask, geometry(shape), 0, inset_mm=inset)
    inner = measure_roi(hu, mask, geometry(shape), 0, inset_mm=inset + step)
    assert inner.area_mm2 < outer.area_mm2 <= outer.outline_area_mm2 * 1.002
    assert inner.mean_hu == pytest.approx(120.0)


def test_outline_is_a_closed_polygon_in_ras_near_the_true_edge() -> None:
    shape, spacing = (70, 80), (0.8, 0.7)
    roi = measure_roi(
        np.full(shape, 100.0), ellipse(shape, (30.0, 24.0), (18.0, 18.0), spacing), geometry(shape, *spacing), 0
    )
    points = np.array(roi.outline_ras_mm)
    assert roi.outline_ras_mm[0] == roi.outline_ras_mm[-1]
    assert 20 < len(points) <= 201
    away = np.hypot(points[:, 0] - (ORIGIN[0] - 30.0), points[:, 1] - (ORIGIN[1] - 24.0))
    assert np.abs(away - 18.0).max() < 0.15
    assert abs(signed_area(points[:-1])) == pytest.approx(roi.outline_area_mm2, rel=0.005)


def test_circle_that_does_not_fit_is_none() -> None:
    shape = (50, 50)
    roi = measure_roi(np.full(shape, 100.0), ellipse(shape, (25.0, 25.0), (20.0, 7.5)), geometry(shape), 0)
    assert roi.circle_mean_hu is None
    assert roi.circle_centre_ras_mm is None
    assert roi.mean_hu == pytest.approx(100.0)


def with_vein(noise: float, vein_hu: float, tip_y: float = 32.0) -> tuple[np.ndarray, np.ndarray]:
    """A body of 110 HU, centre (30, 28) mm, its back at y = 44, with a funnel of `vein_hu` from there to `tip_y`."""
    shape = (60, 60)
    x, y = plane_mm(shape, 1.0, 1.0)
    width = 3.5 * np.clip((y - tip_y) / (44.0 - tip_y), 0.0, 1.0) + 1.0
    hu = np.where((np.abs(x - 30.0) < width) & (y > tip_y), vein_hu, 110.0)
    return hu + np.random.default_rng(5).normal(0.0, noise, shape), ellipse(shape, (30.0, 28.0), (21.0, 16.0))


@pytest.mark.parametrize("noise", [0.0, 25.0])
def test_circle_moves_forward_off_a_vein(noise: float) -> None:
    hu, mask = with_vein(noise, vein_hu=10.0)
    roi = measure_roi(hu, mask, geometry((60, 60)), 0)
    assert roi.circle_centre_ras_mm is not None
    forward = roi.circle_centre_ras_mm[1] - roi.centroid_ras_mm[1]
    assert 2.0 <= forward <= 6.0
    assert roi.circle_centre_ras_mm[0] == pytest.approx(roi.centroid_ras_mm[0], abs=0.01)
    assert roi.circle_mean_hu == pytest.approx(110.0, abs=5.0)


@pytest.mark.parametrize("noise", [0.0, 25.0, 50.0])
def test_circle_stays_without_a_vein(noise: float) -> None:
    hu, mask = with_vein(noise, vein_hu=110.0)
    roi = measure_roi(hu, mask, geometry((60, 60)), 0)
    assert roi.circle_centre_ras_mm == pytest.approx(roi.centroid_ras_mm, abs=1e-6)


def test_inset_that_empties_the_outline_is_an_error_and_no_fallback() -> None:
    shape = (40, 40)
    mask = ellipse(shape, (20.0, 20.0), (4.0, 4.0))
    with pytest.raises(SegmentationFailed, match="Nothing is left of the outline 5 mm inside"):
        measure_roi(np.full(shape, 100.0), mask, geometry(shape), 0, inset_mm=5.0)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_empty_mask_is_an_error(dtype: type) -> None:
    with pytest.raises(SegmentationFailed, match="empty"):
        measure_roi(np.full((40, 40), 100.0), np.zeros((40, 40), dtype), geometry((40, 40)), 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1024.0, -3024.0])
def test_pixels_without_data_are_an_error(value: float) -> None:
    shape = (50, 50)
    hu = np.full(shape, 100.0)
    hu[20, 20] = value
    mask = ellipse(shape, (25.0, 25.0), (15.0, 15.0))
    with pytest.raises(SegmentationFailed, match=r"1 of the .* pixels inside the outline hold no data"):
        measure_roi(hu, mask, geometry(shape), 0)


def test_no_value_is_left_out_for_being_high_or_low() -> None:
    shape = (50, 50)
    mask = ellipse(shape, (25.0, 25.0), (15.0, 15.0))
    plain = measure_roi(np.full(shape, 100.0), mask, geometry(shape), 0)
    for extreme in (-500.0, 3071.0):
        hu = np.full(shape, 100.0)
        hu[25, 25] = extreme
        roi = measure_roi(hu, mask, geometry(shape), 0)
        assert roi.mean_hu == pytest.approx(100.0 + (extreme - 100.0) / plain.area_mm2, abs=1e-6)


def test_two_parts_are_an_error_and_a_speck_is_not() -> None:
    shape = (60, 90)
    body = ellipse(shape, (30.0, 30.0), (18.0, 14.0))
    hu = np.full(shape, 100.0)
    with pytest.raises(SegmentationFailed, match="2 separate parts"):
        measure_roi(hu, np.maximum(body, ellipse(shape, (70.0, 30.0), (10.0, 10.0))), geometry(shape), 0)
    speck = measure_roi(hu, np.maximum(body, ellipse(shape, (70.0, 30.0), (2.0, 2.0))), geometry(shape), 0)
    assert speck.outline_area_mm2 == pytest.approx(measure_roi(hu, body, geometry(shape), 0).outline_area_mm2)


def test_hole_counts_as_inside() -> None:
    shape = (60, 60)
    body = ellipse(shape, (30.0, 30.0), (18.0, 14.0))
    holed = body - ellipse(shape, (30.0, 35.0), (4.0, 4.0)) + ellipse(shape, (30.0, 35.0), (2.0, 2.0))
    hu = np.full(shape, 100.0)
    assert measure_roi(hu, holed, geometry(shape), 0) == measure_roi(hu, body, geometry(shape), 0)


def test_shape_that_touches_the_border_is_closed_there() -> None:
    shape = (40, 40)
    mask = np.zeros(shape, bool)
    mask[10:30, :20] = True
    roi = measure_roi(np.full(shape, 100.0), mask, geometry(shape), 0)
    assert roi.outline_area_mm2 == pytest.approx(400.0, abs=1.0)


@pytest.mark.parametrize(
    ("mask", "match"),
    [
        (np.full((40, 40), 255, np.uint8), "from 0 to 1"),
        (np.full((40, 40), np.nan), "from 0 to 1"),
        (np.full((40, 40), -0.1), "from 0 to 1"),
        (np.ones((40, 41)), "must be the same"),
    ],
)
def test_what_is_no_mask_is_refused(mask: np.ndarray, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        measure_roi(np.full((40, 40), 100.0), mask, geometry((40, 40)), 0)


@pytest.mark.parametrize("arguments", [{"inset_mm": -1.0}, {"inset_mm": np.nan}, {"confidence": 1.2}])
def test_senseless_arguments_are_refused(arguments: dict[str, float]) -> None:
    mask = ellipse((40, 40), (20.0, 20.0), (12.0, 12.0))
    with pytest.raises(UsageError):
        measure_roi(np.full((40, 40), 100.0), mask, geometry((40, 40)), 0, **arguments)


def test_front_is_the_patients_front_on_an_oblique_slice() -> None:
    hu, mask = with_vein(0.0, vein_hu=10.0)
    turn = np.radians(20.0)
    axes = np.array([[-1.0, 0.0, 0.0], [0.0, -np.cos(turn), np.sin(turn)], [0.0, np.sin(turn), np.cos(turn)]]).T
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes, ORIGIN
    roi = measure_roi(hu, mask, Geometry((1, 60, 60), matrix), 0)
    assert roi.circle_centre_ras_mm is not None
    step = np.array(roi.circle_centre_ras_mm) - roi.centroid_ras_mm
    assert step[1] > 1.5
    assert step @ axes[:, 2] == pytest.approx(0.0, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**16 - 1))
def test_level_lines_of_any_pattern_are_closed_and_enclose_what_is_inside(pattern: int) -> None:
    image = np.array([(pattern >> bit) & 1 for bit in range(16)], float).reshape(4, 4)
    lines = level_lines(image)
    assert all(len(line) >= 4 for line in lines)
    # Each lone pixel is a diamond of half its area; joining corners adds more. Holes count against it.
    enclosed = -sum(signed_area(line) for line in lines)
    assert 0.5 * image.sum() - 1e-9 <= enclosed <= image.sum() + 0.5 + 1e-9


def test_simplified_polygon_stays_within_its_tolerance() -> None:
    angles = np.linspace(0.0, 2.0 * np.pi, 500, endpoint=False)
    circle = 20.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    few = simplified(circle, 0.05)
    assert 20 < len(few) < 80
    middles = 0.5 * (few + np.roll(few, -1, axis=0))
    assert (20.0 - np.hypot(*middles.T)).max() <= 0.05 + 1e-9


def test_shares_add_up_to_the_area_of_the_polygon() -> None:
    grid = PixelGrid((60, 50), 0.9, 0.7)
    outline = outlines_of(ellipse((60, 50), (22.0, 20.0), (15.0, 12.0), (0.9, 0.7)), grid)[0]
    assert shares(outline, grid).total * grid.pixel_area_mm2 == pytest.approx(outline.area_mm2, rel=1e-3)
