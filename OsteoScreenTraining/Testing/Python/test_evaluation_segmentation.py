"""Scores of a segmentation: right on shapes with known answers, on real outlines, and as files."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import Geometry
from OsteoScreenLib.densitometry import measure_roi
from OsteoScreenLib.densitometry.outline import PixelGrid
from OsteoScreenLib.errors import InputError, SegmentationFailed
from OsteoScreenLib.models import save_bundle
from OsteoScreenLib.networks import build_network
from OsteoScreenLib.segmentation import SliceSegmentation
from OsteoScreenTrainingLib.evaluation.cases import inset, read_cases
from OsteoScreenTrainingLib.evaluation.segmentation import (
    compare,
    dice,
    hausdorff95,
    score_case,
    summarise,
    worst_first,
)

GRID = PixelGrid((128, 128), 0.5, 0.5)


def _disc(radius_mm, centre=(64.0, 64.0), shape=(128, 128), spacing_mm=0.5):
    y, x = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot(y - centre[0], x - centre[1]) * spacing_mm
    return np.clip(0.5 + (radius_mm - away) / spacing_mm, 0, 1)


def test_dice_and_hausdorff_of_shapes_with_known_answers():
    small, large = _disc(14.0), _disc(16.0)
    # Two concentric discs: DSC = 2 a^2 / (a^2 + b^2), every distance 2 mm.
    assert dice(small > 0.5, large > 0.5) == pytest.approx(2 * 14**2 / (14**2 + 16**2), abs=0.003)
    assert hausdorff95(small, large, GRID) == pytest.approx(2.0, abs=0.03)
    # A shift of 3 mm: the farthest 5 % lie close to 3 mm away.
    shifted = _disc(14.0, centre=(70.0, 64.0))
    assert 2.85 < hausdorff95(small, shifted, GRID) <= 3.01
    assert hausdorff95(small, small, GRID) == 0
    empty = np.zeros_like(small)
    assert dice(small > 0.5, empty > 0.5) == 0
    assert math.isnan(dice(empty > 0.5, empty > 0.5))
    assert math.isnan(hausdorff95(small, empty, GRID))


def test_an_inset_is_measured_in_millimetres():
    mask = _disc(20.0) > 0.5
    geometry = Geometry((1, 128, 128), np.diag([-0.5, -0.5, 1, 1]))
    for mm in (1.0, 2.0, 3.0):
        area = float(inset(mask, geometry, mm).sum()) * 0.25
        assert area == pytest.approx(np.pi * (20 - mm) ** 2, rel=0.012)
    assert inset(np.zeros((128, 128), bool), geometry, 1.0).sum() == 0


class _Answers:
    """Answers with what the test says in the place of a network: the metrics are tested, not the outline."""

    def __init__(self, answer):
        self.answer = answer

    def segment(self, hu, spacing):
        probability = self.answer(hu)
        if probability is None:
            raise SegmentationFailed("nothing there")
        return SliceSegmentation(probability > 0.5, probability.astype(np.float32), 0.8, (0.0, 0.0))


def test_a_slice_set_is_scored_and_its_failures_count(slice_set):
    cases = list(read_cases(slice_set, most=0))
    assert len(cases) == 12
    assert len(list(read_cases(slice_set, most=5))) == 5
    truths = {case.hu.tobytes(): case.truth for case in cases}
    perfect = [score_case(_Answers(lambda hu: truths[hu.tobytes()]), case) for case in cases]
    found = summarise(perfect)
    assert found["slices"] == 10
    assert found["slices_without_body"] == 2
    assert found["false_outlines"] == 0
    assert found["dsc"]["min"] == 1
    assert found["hausdorff95_mm"]["max"] == 0
    assert found["hu_error"]["mean"] == 0
    assert perfect[0].true_hu == pytest.approx(150, abs=1)

    blind = [score_case(_Answers(lambda hu: None), case) for case in cases]
    found = summarise(blind)
    assert found["not_found"] == 10
    assert found["dsc"]["mean"] == 0
    assert found["hu_error"] is None
    shouting = [score_case(_Answers(lambda hu: _disc(30.0, (48, 48), (96, 96), 2.0)), case) for case in cases]
    assert summarise(shouting)["false_outlines"] == 2
    ordered = worst_first([perfect[0], shouting[1], blind[2], shouting[4], perfect[4]])
    assert ordered == [blind[2], shouting[1], perfect[0], shouting[4], perfect[4]]

    difference = compare(shouting, perfect)
    assert difference["dsc_difference"]["n"] == 10
    assert difference["dsc_difference"]["better_second"] == 10
    assert difference["dsc_difference"]["wilcoxon_p"] < 0.01
    assert compare(perfect, perfect)["dsc_difference"]["wilcoxon_p"] == 1


def test_outlines_drawn_on_a_ct_are_rasterised_where_they_lie(tmp_path):
    """An oblique file orientation changes nothing: the polygon is in patient coordinates."""
    volume = np.full((6, 60, 80), 40, np.int16)
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing((0.8, 0.9, 2.0))
    image.SetOrigin((10.0, -20.0, 300.0))
    image.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / "ct.nii.gz"))
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    centre_lps = np.array([10.0 - 0.8 * 30, -20.0 + 0.9 * 25])
    centre = -centre_lps
    polygon = centre + 12.0 * np.column_stack([np.cos(angles), np.sin(angles)])
    outlines = [{"level": "L1", "z_ras_mm": 304.0, "polygon_ras_mm": polygon.tolist()}]
    (tmp_path / "outlines.json").write_text(json.dumps(outlines))
    (case,) = read_cases(tmp_path)
    assert (case.level, case.kind, case.k) == ("L1", "real", 2)
    assert float(case.truth.sum()) * 0.72 == pytest.approx(np.pi * 144, rel=0.01)
    rows, columns = np.nonzero(case.truth > 0.5)
    middle = case.geometry.ras(columns.mean(), rows.mean(), case.k)
    assert middle[:2] == pytest.approx(centre, abs=0.3)
    assert middle[2] == pytest.approx(304.0)


@pytest.mark.parametrize(
    ("text", "sentence"), [("{}}", "is not a list of outlines"), ('[{"level": "L1"}]', "is not a list of outlines")]
)
def test_damaged_outlines_are_told(tmp_path, text, sentence):
    (tmp_path / "outlines.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        list(read_cases(tmp_path))


def test_a_folder_without_annotations_is_told(tmp_path):
    with pytest.raises(InputError, match="holds no annotated slices"):
        read_cases(tmp_path)


def test_the_real_outlines_give_back_the_hu_that_they_were_drawn_with(shared_data):
    folder = shared_data / "acrin-nsclc-fdg-pet-042"
    stated = json.loads((folder / "outlines.json").read_text())
    cases = list(read_cases(folder))
    assert [case.level for case in cases] == [entry["level"] for entry in stated]
    for case, entry in zip(cases, stated, strict=True):
        measured = measure_roi(case.hu, case.truth, case.geometry, case.k)
        assert measured.mean_hu == pytest.approx(entry["mean_hu_inset2mm"], abs=0.5)
        assert measured.outline_area_mm2 == pytest.approx(entry["area_mm2"], rel=0.01)


def test_the_example_with_body_masks_gives_the_stated_slices_and_hu(shared_data):
    cases = {case.name: case for case in read_cases(shared_data / "totalsegmentator-example")}
    middles = {"L4": 61, "L3": 74, "L2": 86, "L1": 97}
    assert set(cases) == {f"{level} #{k + d}" for level, k in middles.items() for d in (-1, 0, 1)}
    stated = {"L1 #96": 99, "L1 #97": 93, "L1 #98": 105, "L2 #85": 111, "L2 #86": 106, "L2 #87": 109}
    for name, hu in stated.items():
        case = cases[name]
        assert case.hu[case.truth > 0.5].mean() == pytest.approx(hu, abs=4)
        areas = [float(v.sum()) for v in case.variants.values()]
        assert areas == sorted(areas, reverse=True)


def _bundle(folder, name, seed_width):
    architecture = {"name": "study_segmentation", "parameters": {"base_width": seed_width}}
    description = {
        "name": name,
        "version": "0.0.1",
        "role": "segmentation",
        "architecture": architecture,
        "preprocessing": {
            "window_hu": [-275, 850],
            "locate": {"spacing_mm": 2.5, "size": 64},
            "outline": {"spacing_mm": 1.0, "size": 64},
        },
        "classes": ["trabecular compartment"],
        "training": {"data": "nothing", "kind": "none"},
        "metrics": [],
        "licence": "Apache-2.0",
    }
    save_bundle(folder, description, build_network(architecture).eval())
    return folder


def test_the_command_writes_table_summary_and_pictures(slice_set, tmp_path, capsys):
    first, second = _bundle(tmp_path / "a", "first", 2), _bundle(tmp_path / "b", "second", 1)
    command = ["evaluate", "segmentation", "--data", str(slice_set), "--most", "6", "--device", "cpu"]
    command += ["--model", str(first), "--compare", str(second), "-o", str(tmp_path / "out")]
    assert main(command) == 0
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["cases.csv", "overlays.png", "summary.json"]
    with open(out / "cases.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    scores = [float(row["first 0.0.1: dsc"]) for row in rows if row["first 0.0.1: dsc"]]
    assert scores == sorted(scores)
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["bundles"]) == {"first 0.0.1", "second 0.0.1"}
    assert summary["bundles"]["first 0.0.1"]["data"]["set"]["kind"] == "simulated"
    assert summary["comparison"]["set"]["dsc_difference"]["n"] == len(scores)
    with Image.open(out / "overlays.png") as picture:
        assert picture.size[0] == 6 * 240
    assert "first 0.0.1 on set (simulated" in capsys.readouterr().out


def test_the_command_tells_what_is_missing(slice_set, tmp_path, capsys):
    command = ["evaluate", "segmentation", "--model", "no-such-bundle", "-o", str(tmp_path / "out")]
    assert main([*command, "--data", str(slice_set)]) == 5
    assert not (tmp_path / "out").exists()
    assert "no-such-bundle" in capsys.readouterr().err
