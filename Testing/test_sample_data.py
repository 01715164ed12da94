"""The sample data that the screening module ships: what the simulator makes, and what its documents say of it."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from OsteoScreenLib.cli import main

sys.path.append(str(Path(__file__).resolve().parent))
import make_sample_data

FOLDER = make_sample_data.FOLDER
#: Half a slice, as far as a level can be off for the slices alone, mm.
HALF_SLICE_MM = make_sample_data.SLICE_MM / 2
#: How near a suggested slice has to be to the true centre, mm (see test_suggested_levels.py).
NEAR_MM = 4.0


@pytest.fixture(scope="module")
def truth():
    return json.loads((FOLDER / make_sample_data.TRUTH).read_text(encoding="utf-8"))


def test_the_file_has_the_hash_that_slicer_verifies_and_is_small_enough(repository):
    content = (FOLDER / make_sample_data.CT).read_bytes()
    module = (repository / "OsteoScreen" / "OsteoScreenSlicerLib" / "SampleData.py").read_text(encoding="utf-8")
    assert re.findall(r'^SHA256 = "(\w+)"$', module, re.MULTILINE) == [hashlib.sha256(content).hexdigest()]
    assert len(content) <= 6e6


def test_the_simulator_still_makes_the_same_voxels_and_truth(truth):
    hu, matrix, made = make_sample_data.simulated()
    image = sitk.ReadImage(str(FOLDER / make_sample_data.CT))
    shipped = sitk.GetArrayFromImage(image)
    assert shipped.dtype == np.int16 and shipped.shape == hu.shape
    off = np.abs(shipped.astype(np.int32) - hu)
    # Mathematical libraries differ in the last bit, and rounding to whole HU makes that a unit here and there.
    assert off.max() <= 1 and (off > 0).mean() < 1e-3
    assert np.allclose(image.GetOrigin(), matrix[:3, 3] * [-1, -1, 1])
    assert made.keys() == truth.keys() and made["levels"].keys() == truth["levels"].keys()
    for name, level in truth["levels"].items():
        assert made["levels"][name]["slice_index"] == level["slice_index"]
        assert made["levels"][name]["bmd_mg_cm3"] == pytest.approx(level["bmd_mg_cm3"], abs=0.01)
        assert made["levels"][name]["centre_ras_mm"] == pytest.approx(level["centre_ras_mm"], abs=0.01)


def test_the_picture_shows_something():
    grey = np.asarray(Image.open(FOLDER / make_sample_data.PICTURE).convert("L"))
    assert grey.std() > 40


def test_the_command_line_finds_its_levels_and_its_bone_density(truth, tmp_path, capsys):
    ct = FOLDER / make_sample_data.CT
    code = main(["screen", str(ct), "-o", str(tmp_path / "out"), "--l1=auto", "--l2=auto", "--age", "67", "--sex", "F"])
    assert code == 0, capsys.readouterr().err
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    for name in ("L1", "L2"):
        known = truth["levels"][name]
        level = result["levels"][name]
        assert (level["set_by"], level["confirmed"]) == ("suggested", False)
        assert abs(level["z_mm"] - known["centre_ras_mm"][2]) <= NEAR_MM + HALF_SLICE_MM
        measured = result["densitometry"]["bmd_mg_cm3"][name]
        assert abs(measured - known["bmd_mg_cm3"]) < result["densitometry"]["calibration"]["uncertainty_mg_cm3"]
