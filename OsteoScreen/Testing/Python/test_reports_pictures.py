"""The figures of the page: what is drawn lies where it was measured, whatever the pixels' shape."""

from __future__ import annotations

import base64
import io
import math
import re

import numpy as np
import pytest
from PIL import Image

from OsteoScreenLib.reports import LevelPicture, SagittalPicture, drawing, sagittal_picture
from OsteoScreenLib.results import RoiMeasures

ROW_MM, COLUMN_MM, SLICE_MM = 0.9, 0.6, 2.5
ROWS, COLUMNS, SLICE = 200, 240, 7
CENTRE_RAS = (3.0, -12.0)
RADIUS_MM = 20.0
# Canonical: columns run to the patient's left (-R), rows to the back (-A), slices to the feet here.
IJK_TO_RAS = np.array(
    [[-COLUMN_MM, 0, 0, 70.0], [0, -ROW_MM, 0, 80.0], [0, 0, -SLICE_MM, -100.0], [0, 0, 0, 1]], dtype=float
)


def disc() -> tuple[LevelPicture, RoiMeasures]:
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    x, y = 70.0 - COLUMN_MM * columns, 80.0 - ROW_MM * rows
    away = np.hypot(x - CENTRE_RAS[0], y - CENTRE_RAS[1])
    hu = np.where(away < RADIUS_MM, 500.0, -150.0).astype(np.float32)
    probability = np.clip(0.5 + (RADIUS_MM - away) / 4, 0, 1).astype(np.float32)
    picture = LevelPicture("L1", SLICE, hu, IJK_TO_RAS, away < RADIUS_MM, probability)
    turn = np.linspace(0, 2 * math.pi, 180, endpoint=False)
    ring = [
        (CENTRE_RAS[0] + RADIUS_MM * math.cos(angle), CENTRE_RAS[1] + RADIUS_MM * math.sin(angle)) for angle in turn
    ]
    centre = (*CENTRE_RAS, -100.0 - SLICE * SLICE_MM)
    return picture, RoiMeasures(
        mean_hu=120.0, median_hu=119.0, sd_hu=20.0, pixels=1800, inset_mm=2.0, area_mm2=1018.0,
        outline_area_mm2=1257.0, outline_mean_hu=130.0, circle_mean_hu=118.0, circle_area_mm2=200.0,
        circle_centre_ras_mm=centre, outline_ras_mm=ring, centroid_ras_mm=centre, confidence=0.9, mask_source="model",
    )  # fmt: skip


def points(path: str) -> np.ndarray:
    return np.array([[float(number) for number in pair.split()] for pair in re.split("[ML]", path.rstrip("Z")) if pair])


def image(figure: drawing.Figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(figure.image.split(",")[1]))))


def test_pixels_are_the_inverse_of_the_geometry() -> None:
    picture, _ = disc()
    tilted = np.array(IJK_TO_RAS)
    tilted[:3, :3] = IJK_TO_RAS[:3, :3] @ np.array([[0.98, -0.1, 0.02], [0.1, 0.97, 0.1], [0.0, -0.1, 0.99]])
    for matrix in (IJK_TO_RAS, tilted):
        moved = LevelPicture("L1", SLICE, picture.hu, matrix)
        ras = (matrix @ [31.25, 77.5, SLICE, 1.0])[:2]
        assert moved.pixels(np.array([ras]))[0] == pytest.approx([31.25, 77.5])
    assert picture.spacing_mm == pytest.approx((ROW_MM, COLUMN_MM))


def test_close_up_draws_outline_inset_and_circle_in_millimetres() -> None:
    picture, roi = disc()
    box = drawing.close_up_box(picture, roi)
    figure = drawing.close_up(picture, roi, box)
    outline, inset, circle = (points(figure.paths[kind]) for kind in ("outline", "inset", "circle"))
    middle = outline.mean(axis=0)
    assert middle == pytest.approx([figure.width_mm / 2, figure.height_mm / 2], abs=1.0)
    for ring, radius in ((outline, RADIUS_MM), (inset, RADIUS_MM - 2.0), (circle, math.sqrt(200 / math.pi))):
        assert np.hypot(*(ring - middle).T) == pytest.approx(np.full(len(ring), radius), abs=0.1)


def test_the_outline_lies_on_the_edge_that_the_image_shows() -> None:
    picture, roi = disc()
    figure = drawing.close_up(picture, roi, drawing.close_up_box(picture, roi))
    shown = image(figure)
    per_mm = np.array([shown.shape[1] / figure.width_mm, shown.shape[0] / figure.height_mm])
    middle = points(figure.paths["outline"]).mean(axis=0)
    for factor, bright in ((0.93, True), (1.07, False)):
        columns, rows = ((middle + factor * (points(figure.paths["outline"]) - middle)) * per_mm).astype(int).T
        assert np.all((shown[rows, columns] > 127) == bright)


def test_probability_map_shares_the_field_and_is_absent_without_probabilities() -> None:
    picture, roi = disc()
    box = drawing.close_up_box(picture, roi)
    figure = drawing.probability_map(picture, roi, box)
    assert figure is not None
    assert (figure.width_mm, figure.height_mm) == (drawing.close_up(picture, roi, box).width_mm, figure.height_mm)
    shown = image(figure)
    assert tuple(shown[0, 0]) == drawing.PROBABILITY_COLOURS[0]
    assert tuple(shown[shown.shape[0] // 2, shown.shape[1] // 2]) == drawing.PROBABILITY_COLOURS[-1]
    by_hand = LevelPicture("L1", SLICE, picture.hu, IJK_TO_RAS, picture.mask)
    assert drawing.probability_map(by_hand, roi, box) is None


def test_whole_slice_is_small_and_boxed_where_the_close_up_is() -> None:
    picture, roi = disc()
    box = drawing.close_up_box(picture, roi)
    figure = drawing.whole_slice(picture, box)
    corners = points(figure.paths["box"])
    assert (figure.width_mm, figure.height_mm) == pytest.approx((COLUMNS * COLUMN_MM, ROWS * ROW_MM))
    assert corners.min(axis=0) == pytest.approx([box.column * COLUMN_MM, box.row * ROW_MM], abs=0.01)
    assert max(image(figure).shape) <= drawing.WHOLE_SLICE_PIXELS
    assert "box" not in drawing.whole_slice(picture, None).paths


def test_close_up_at_the_border_stays_inside_the_slice() -> None:
    picture, roi = disc()
    shifted = np.array(roi.outline_ras_mm) + (55.0, 80.0)
    ring = [(float(x), float(y)) for x, y in shifted]
    moved = RoiMeasures(**{**roi.__dict__, "outline_ras_mm": ring, "circle_centre_ras_mm": None})
    box = drawing.close_up_box(picture, moved)
    assert 0 <= box.row < box.row_end <= ROWS
    assert 0 <= box.column < box.column_end <= COLUMNS
    assert "circle" not in drawing.close_up(picture, moved, box).paths


@pytest.mark.parametrize("upwards", [False, True])
@pytest.mark.parametrize("every", [1, 3])
def test_sagittal_view_has_superior_up_and_finds_its_slices(upwards: bool, every: int) -> None:
    matrix = IJK_TO_RAS * [[1, 1, -1 if upwards else 1, 1]] if upwards else IJK_TO_RAS
    slices = {k: np.full((40, 60), float(k), dtype=np.float32) for k in range(0, 30, every)}
    picture = sagittal_picture(slices, matrix, 30)
    top = max(slices) if upwards else 0
    assert picture.image.shape == (len(slices), 40)
    assert picture.image[0, 0] == top
    assert picture.spacing_mm == pytest.approx((SLICE_MM * every, ROW_MM))
    assert picture.x_mm == pytest.approx(70.0 - 30 * COLUMN_MM)
    for row, k in enumerate(picture.slice_indices):
        assert picture.row_of_slice(int(k)) == pytest.approx(row)
    assert 0 <= picture.row_of_slice(1000) <= len(slices) - 1


def test_sagittal_view_needs_two_slices() -> None:
    with pytest.raises(ValueError, match="two slices"):
        sagittal_picture({3: np.zeros((4, 4), np.float32)}, IJK_TO_RAS, 2)


def test_sagittal_figure_cuts_off_the_table_and_marks_the_levels() -> None:
    hu = np.full((60, 200), -1000.0, dtype=np.float32)
    hu[:, 40:140] = 40.0
    hu[:, 180:183] = 200.0
    picture = SagittalPicture(hu, (5.0, 1.0), np.arange(60), 0.0)
    figure = drawing.sagittal_view(picture, [("L2", 47), ("L1", 40)])
    assert figure.width_mm == pytest.approx(100 + 2 * drawing.BODY_PAD_MM)
    assert [(line.name, line.y) for line in figure.lines] == [("L1", 202.5), ("L2", 237.5)]
    assert all(line.label_y < line.y for line in figure.lines)
    crowded = drawing.sagittal_view(picture, [("L2", 41), ("L1", 40)])
    assert crowded.lines[1].label_y > crowded.lines[1].y


def test_an_image_without_any_body_or_number_is_still_drawn() -> None:
    empty = SagittalPicture(np.full((10, 20), np.nan, dtype=np.float32), (2.0, 1.0), np.arange(10), 0.0)
    assert drawing.sagittal_view(empty, []).width_mm == 20.0
