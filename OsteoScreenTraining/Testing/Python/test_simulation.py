"""Simulated slices and volumes: deterministic, exactly labelled, and measuring what their tissue says."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from OsteoScreenTrainingLib.simulation import tissue
from OsteoScreenTrainingLib.simulation.canvas import Canvas, Grid, capsule, smooth_field, superellipse
from OsteoScreenTrainingLib.simulation.scanner import Scanner
from OsteoScreenTrainingLib.simulation.slices import SMALLEST_COMPARTMENT_MM2, simulate_slice, write_slices
from OsteoScreenTrainingLib.simulation.volume import simulate_volume


@pytest.fixture(scope="module")
def drawn():
    return [simulate_slice(5, index) for index in range(40)]


def test_the_same_seed_gives_the_same_slice(drawn):
    again = simulate_slice(5, 3)
    assert (again.hu == drawn[3].hu).all()
    assert (again.coverage == drawn[3].coverage).all()
    assert again.truth == drawn[3].truth
    assert (simulate_slice(6, 3).hu != drawn[3].hu).any()


def test_slices_are_ct_slices(drawn):
    for s in drawn:
        assert s.hu.shape == s.coverage.shape == (512, 512)
        assert s.hu.dtype == np.int16
        assert -1024 <= s.hu.min() <= -950
        assert s.hu.max() <= 3071
        assert 0.45 <= s.truth.pixel_spacing_mm <= 0.98


def test_most_slices_show_a_body_and_some_none(drawn):
    share = np.mean([s.truth.has_body for s in drawn])
    assert 0.6 < share < 0.99


def test_the_truth_describes_the_mask(drawn):
    for s in drawn:
        area = s.coverage.sum(dtype=float) / 255 * s.truth.pixel_spacing_mm**2
        assert area == pytest.approx(s.truth.area_mm2, rel=0.01, abs=1)
        if s.truth.has_body:
            assert area >= SMALLEST_COMPARTMENT_MM2 * 0.99
            near_middle = abs(s.truth.height_mm) < 6  # an endplate's dish can empty the centre of a slice near it
            assert not near_middle or s.coverage[round(s.truth.body_row), round(s.truth.body_column)] > 200
        else:
            assert not s.coverage.any()


def test_the_compartment_measures_its_bmd(drawn):
    """Patches, veins and textures scatter the mean about the tissue's value; they must not bias it."""
    errors = [
        float(s.hu[s.coverage == 255].mean()) - tissue.trabecular_hu(s.truth.bmd)
        for s in drawn
        if s.truth.has_body and abs(s.truth.height_mm) < 6
    ]
    assert abs(np.median(errors)) < 15
    assert np.percentile(np.abs(errors), 80) < 60


def test_trabecular_hu_meets_the_attenuation_tables():
    for bmd, hu in ((50, 41), (100, 114), (150, 187), (200, 261)):
        assert tissue.trabecular_hu(bmd) == pytest.approx(hu, abs=0.6)
        assert tissue.bmd_of(tissue.trabecular_hu(bmd)) == pytest.approx(bmd)


def test_cortex_lies_around_the_compartment(drawn):
    """Just outside the outline it is brighter than inside, on most of the ring: otherwise the labels lie elsewhere."""
    from scipy import ndimage

    contrasts = []
    for s in drawn:
        t = s.truth
        if not t.has_body or t.noise_sd > 25 or t.blur_sd_mm > 0.7 or abs(t.height_mm) > 6:
            continue
        inside = s.coverage > 127
        ring = ndimage.binary_dilation(inside, iterations=round(1.5 / t.pixel_spacing_mm)) & ~inside
        contrasts.append(float(np.median(s.hu[ring])) - float(np.median(s.hu[inside])))
    assert len(contrasts) >= 3
    assert np.median(contrasts) > 40


def test_an_edge_covers_its_pixel_in_part():
    grid = Grid(100, 0.5, -24.75, -24.75)
    canvas = Canvas(grid)
    canvas.ellipse((0, 0), (10, 10), 1000.0)
    area = float((canvas.hu + 1000).sum()) / 2000 * 0.25
    assert area == pytest.approx(np.pi * 100, rel=0.005)


def test_a_capsule_is_as_thick_as_it_says():
    x = np.linspace(-20, 20, 801, dtype=np.float32)[None, :]
    y = np.linspace(-20, 20, 801, dtype=np.float32)[:, None]
    area = float((capsule(x, y, (-5, 0), (5, 0), 3.0) > 0).sum()) * 0.05**2
    assert area == pytest.approx(60 + np.pi * 9, rel=0.01)
    ellipse = float((superellipse(x, y, (8.0, 4.0), 0.7) > 0).sum()) * 0.05**2
    assert ellipse == pytest.approx(np.pi * 32, rel=0.01)


def test_smooth_fields_have_the_amplitude_asked_for():
    field = np.stack([smooth_field(np.random.default_rng(i), 128, 8, 10.0) for i in range(60)])
    assert abs(field.mean()) < 1.5
    assert 6 < field.std() < 12


def test_noise_has_the_sd_of_the_scanner():
    scanner = Scanner.random(np.random.default_rng(1), wild=0.0)
    noise = scanner.noise((256, 256), 0.7, np.random.default_rng(2))
    expected = np.hypot(scanner.noise_sd, scanner.streak_sd)
    assert noise.std() == pytest.approx(expected, rel=0.15)


def test_a_written_data_set_holds_the_same_slices(tmp_path):
    folder = tmp_path / "slices"
    steps = []
    write_slices(folder, 3, 11, size=128, progress=lambda step, done, total: steps.append((done, total)))
    description = json.loads((folder / "dataset.json").read_text())
    assert (description["count"], description["seed"], description["kind"]) == (3, 11, "simulated")
    with open(folder / "slices.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    images = np.load(folder / "images.npy", mmap_mode="r")
    masks = np.load(folder / "masks.npy", mmap_mode="r")
    for index in range(3):
        expected = simulate_slice(11, index, size=128)
        assert (images[index] == expected.hu).all()
        assert (masks[index] == expected.coverage).all()
        assert float(rows[index]["bmd"]) == pytest.approx(expected.truth.bmd)
    assert steps[-1] == (3, 3)


def test_workers_do_not_change_the_slices(tmp_path):
    for workers in (1, 2):
        write_slices(tmp_path / str(workers), 4, 12, size=128, workers=workers)
    one, two = (np.load(tmp_path / name / "images.npy") for name in ("1", "2"))
    assert (one == two).all()


def test_a_finished_data_set_is_not_overwritten(tmp_path):
    write_slices(tmp_path / "a", 1, 1, size=128)
    with pytest.raises(FileExistsError, match="another folder"):
        write_slices(tmp_path / "a", 1, 1, size=128)


def test_a_volume_shows_every_level_where_it_says():
    volume = simulate_volume(4, bmd_mg_cm3=150, spacing_mm=6.0, size=192, pixel_mm=1.9)
    assert set(volume.centres_mm) == {"T10", "T11", "T12", "L1", "L2", "L3"}
    heights = [volume.centres_mm[name][2] for name in ("L3", "L2", "L1", "T12", "T11", "T10")]
    assert heights == sorted(heights)
    for name, (x, y, z) in volume.centres_mm.items():
        k = int(np.argmin(np.abs(volume.z_mm - z)))
        row = round((y - volume.grid.top_mm) / volume.grid.pixel_mm)
        column = round((x - volume.grid.left_mm) / volume.grid.pixel_mm)
        body = volume.hu[k, row - 2 : row + 3, column - 2 : column + 3]
        assert volume.coverage[k, row - 2 : row + 3, column - 2 : column + 3].mean() > 128, name
        assert body.mean() == pytest.approx(tissue.trabecular_hu(volume.bmd_mg_cm3[name]), abs=60), name
