"""The command on real CT, as a user runs it: levels, outlines, HU and BMD against what is known of these scans.

The scans lie beside the repository (their README says what is known of them) and the tests skip without them. What
needs a trained network skips until a segmentation bundle ships; the user's own outlines need none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.path import Path as Polygon
from scipy import ndimage

from OsteoScreenLib import errors
from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.models import default_bundle
from OsteoScreenLib.screening import ScreeningRequest, screen

ENGINE = Path(errors.__file__).resolve().parents[1]
#: Runs a command and tells its peak memory and processor time. A process of its own, because on Linux a child's peak
#: starts at the memory of whoever started it, and a test runner's is large.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss, used.ru_utime + used.ru_stime)
"""
#: Slices of the bodies in totalsegmentator-example, first and last (its README).
BODIES = {"L4": (57, 65), "L3": (70, 78), "L2": (82, 90), "L1": (93, 101)}
#: What of the body mask is cortex, in mm: one voxel of the example, as its README insets it.
CORTEX_MM = 3.0
#: Fine grid, in mm, on which outlines are compared.
FINE_MM = 0.25


@pytest.fixture(scope="session")
def bundle():
    shipped = default_bundle("segmentation")
    if shipped is None:
        pytest.skip("no segmentation bundle ships yet")
    return shipped


@pytest.fixture(scope="session")
def example(shared_data):
    return shared_data / "totalsegmentator-example"


@pytest.fixture(scope="session")
def acrin(shared_data):
    return shared_data / "acrin-nsclc-fdg-pet-042"


@pytest.fixture(scope="session")
def drawn(acrin):
    return json.loads((acrin / "outlines.json").read_text())


def run_screen(*words: object, code: int = 0) -> dict:
    out = Path(str(words[words.index("-o") + 1]))
    assert main(["screen", *map(str, words)]) == code
    return json.loads((out / "result.json").read_text(encoding="utf-8"))


def check_of(result: dict, name: str) -> dict:
    return next(check for check in result["eligibility"] if check["check"] == name)


def inside(polygon, grid: np.ndarray) -> np.ndarray:
    return Polygon(np.asarray(polygon)).contains_points(grid.reshape(-1, 2)).reshape(grid.shape[:-1])


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def polygon_dice(one, other) -> float:
    points = np.vstack([one, other])
    low, high = points.min(axis=0) - 1, points.max(axis=0) + 1
    x, y = np.mgrid[low[0] : high[0] : FINE_MM, low[1] : high[1] : FINE_MM]
    grid = np.stack([x, y], axis=-1)
    return dice(inside(one, grid), inside(other, grid))


# ---- without a network


@pytest.fixture(scope="session")
def example_bodies(example, tmp_path_factory):
    """The example's bodies of L1 and L2 as one file each, to be measured as the user's outlines."""
    folder = tmp_path_factory.mktemp("bodies") / "bodies"
    folder.mkdir()
    vertebrae = sitk.ReadImage(str(example / "vertebrae.nii.gz"))
    bodies = sitk.ReadImage(str(example / "vertebral_bodies.nii.gz")) == 1
    for name, label in (("L1", 31), ("L2", 30)):
        sitk.WriteImage(sitk.Cast((vertebrae == label) * bodies, sitk.sitkUInt8), str(folder / f"{name}.nii.gz"))
    return folder


def test_levels_come_from_the_vertebrae_of_a_segmentation(example, example_bodies, tmp_path):
    result = run_screen(
        example / "ct.nii.gz", "--levels-from", example / "vertebrae.nii.gz", "--masks", example_bodies, "--force",
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert result["levels"]["L1"]["slice_index"] == pytest.approx(97, abs=1)
    assert result["levels"]["L2"]["slice_index"] == pytest.approx(86, abs=1)
    assert result["levels"]["L1"]["set_by"] == "segmentation"
    assert check_of(result, "kvp")["outcome"] != "pass"


@pytest.mark.parametrize("offset", [-3, 3])
def test_snap_goes_to_the_middle_of_the_body(example, example_bodies, offset):
    centres = {name: sum(BODIES[name]) // 2 for name in ("L1", "L2")}
    given = {name.lower(): f"#{k + offset}" for name, k in centres.items()}
    request = ScreeningRequest(example / "ct.nii.gz", masks=example_bodies, snap=True, force=True, **given)
    for name, level in screen(request).result.levels.items():
        assert level.set_by == "snapped"
        assert abs(level.slice_index - centres[name]) * 3.0 <= 4.0


def test_hand_drawn_outlines_measure_what_their_drawer_measured(acrin, drawn, tmp_path):
    ct = open_ct(acrin / "dicom")
    labels, levels = np.zeros(ct.geometry.shape, dtype=np.uint8), {}
    for value, name in enumerate(("L1", "L2"), start=1):
        outline = next(o for o in drawn if o["level"] == name and o["is_level_centre_slice"])
        k = ct.geometry.nearest_slice(outline["z_ras_mm"])
        j, i = np.indices(ct.geometry.shape[1:])
        labels[k][inside(outline["polygon_ras_mm"], ct.geometry.ras(i, j, k)[..., :2])] = value
        levels[name] = outline
    image = sitk.GetImageFromArray(labels)
    lps = np.diag([-1, -1, 1, 1]) @ ct.geometry.ijk_to_ras
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(steps.tolist())
    image.SetDirection((lps[:3, :3] / steps).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    for n, name in enumerate(levels):
        image.SetMetaData(f"Segment{n}_Name", name)
        image.SetMetaData(f"Segment{n}_LabelValue", str(n + 1))
        image.SetMetaData(f"Segment{n}_Layer", "0")
    sitk.WriteImage(image, str(tmp_path / "drawn.seg.nrrd"), useCompression=True)
    words = [acrin / "dicom", "--masks", tmp_path / "drawn.seg.nrrd", "--force", "-o", tmp_path / "out"]
    result = run_screen(*words, *(f"--{name.lower()}={o['z_ras_mm']}" for name, o in levels.items()))
    for name, outline in levels.items():
        assert result["roi"][name]["mask_source"] == "user"
        assert result["roi"][name]["mean_hu"] == pytest.approx(outline["mean_hu_inset2mm"], abs=2.0)
        assert result["levels"][name]["z_mm"] == pytest.approx(outline["z_ras_mm"], abs=0.1)
    assert result["densitometry"]["kvp_factor"] == pytest.approx(1.053)
    again = [acrin / "dicom", "--masks", tmp_path / "out" / "segmentation.seg.nrrd", "--force", "-o", tmp_path / "b"]
    repeated = run_screen(*again)
    for name in levels:
        assert repeated["roi"][name]["mean_hu"] == pytest.approx(result["roi"][name]["mean_hu"], abs=0.01)


def test_140_kvp_is_told_with_its_reason(acrin, drawn, example_bodies, tmp_path, capsys):
    l1 = next(o for o in drawn if o["level"] == "L1" and o["is_level_centre_slice"])
    request = ScreeningRequest(acrin / "dicom", l1=f"{l1['z_ras_mm']}", masks=example_bodies)
    result = screen(request).result
    (kvp,) = [check for check in result.eligibility if check.check == "kvp"]
    assert kvp.outcome in ("warn", "refuse")
    assert "140" in kvp.message


# ---- with the shipped network


def test_the_example_measures_what_its_body_mask_gives(example, bundle, tmp_path):
    result = run_screen(
        example / "ct.nii.gz", "--levels-from", example / "vertebrae.nii.gz", "--force", "-o", tmp_path / "out"
    )
    assert 88 <= result["roi"]["L1"]["mean_hu"] <= 110
    assert 100 <= result["roi"]["L2"]["mean_hu"] <= 118
    assert result["bundles"][0]["name"] == bundle.name
    for name in ("report.html", "segmentation.seg.nrrd"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def without_cortex(body: np.ndarray, pixel_mm: float) -> np.ndarray:
    """The body mask without ``CORTEX_MM``, on a grid of ``FINE_MM``."""
    fine = np.kron(body, np.ones([round(pixel_mm / FINE_MM)] * 2, dtype=bool))
    return ndimage.distance_transform_edt(fine) * FINE_MM > CORTEX_MM


def test_the_outlines_on_the_example_are_the_bodies_without_their_cortex(example, bundle):
    from OsteoScreenLib.segmentation import Segmenter

    ct, bodies = open_ct(example / "ct.nii.gz"), open_ct(example / "vertebral_bodies.nii.gz")
    segmenter, scores = Segmenter(bundle, "cpu"), {}
    for name, ends in BODIES.items():
        for k in range(sum(ends) // 2 - 1, sum(ends) // 2 + 2):
            probability = segmenter.segment(ct.slice(k), ct.geometry.pixel_spacing_mm).probability
            factor = round(ct.geometry.spacing_mm[0] / FINE_MM)
            fine = ndimage.zoom(probability, factor, order=1, grid_mode=True, mode="nearest") > 0.5
            scores[name, k] = dice(fine, without_cortex(np.round(bodies.slice(k)) == 1, ct.geometry.spacing_mm[0]))
    assert np.mean(list(scores.values())) >= 0.93, scores
    assert min(scores.values()) >= 0.90, scores


def test_the_outlines_on_the_chest_ct_are_those_drawn_by_hand(acrin, drawn, bundle, tmp_path):
    ct = open_ct(acrin / "dicom")
    scores, differences = [], []
    for outline in drawn:
        request = ScreeningRequest(ct, l1=f"{outline['z_ras_mm']}", force=True, device="cpu")
        roi = screen(request).result.roi["L1"]
        scores.append(polygon_dice(roi.outline_ras_mm, outline["polygon_ras_mm"]))
        differences.append(roi.mean_hu - outline["mean_hu_inset2mm"])
        if outline["is_level_centre_slice"] and outline["level"] != "T12":
            assert abs(differences[-1]) <= 6, (outline["level"], differences[-1])
    assert np.mean(scores) >= 0.96, np.round(scores, 3)
    assert np.mean(np.abs(differences)) <= 6, np.round(differences, 1)


@pytest.mark.parametrize(("z_mm", "expected"), [(-275.2, "warn"), (-291.5, "pass"), (-311.1, "warn"), (-330.7, "pass")])
def test_a_slice_between_two_bodies_is_noticed_on_the_chest_ct(acrin, bundle, z_mm, expected):
    result = screen(ScreeningRequest(acrin / "dicom", l1=f"{z_mm}", force=True, device="cpu")).result
    assert {check.check: check.outcome for check in result.eligibility}["endplates_L1"] == expected


def test_a_scan_with_empty_uids_contrast_and_the_scanners_calibration(shared_data, bundle, tmp_path):
    scan = shared_data / "totalsegmentator-dicom"
    refused = run_screen(scan, "--l1=#10", "-o", tmp_path / "refused", code=3)
    assert refused["status"] == "refused"
    assert refused["input"]["contrast"] is True
    assert check_of(refused, "contrast")["outcome"] == "refuse"
    result = run_screen(scan, "--l1=#10", "--force", "-o", tmp_path / "out")
    calibration = result["densitometry"]["calibration"]
    assert (calibration["source"], calibration["mineral"]) == ("scanner header", "CaHA")
    assert calibration["slope"] == pytest.approx(0.92, abs=0.01)
    assert 400 < result["roi"]["L1"]["outline_area_mm2"] < 1600


# ---- what it costs


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module to measure with")
def test_a_cold_run_stays_small_and_a_screening_decodes_its_two_slices(acrin, drawn, bundle, tmp_path):
    centres = {o["level"]: o["z_ras_mm"] for o in drawn if o["is_level_centre_slice"]}
    words = [str(acrin / "dicom"), f"--l1={centres['L1']}", f"--l2={centres['L2']}", "--force", "-o", tmp_path / "out"]
    began = time.monotonic()
    command = [sys.executable, "-c", MEASURED, sys.executable, "-m", "OsteoScreenLib", "screen", *map(str, words)]
    told = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONPATH": str(ENGINE)}, check=True)
    peak, seconds = map(float, told.stdout.split())
    peak_gib = peak / (1 << 30 if sys.platform == "darwin" else 1 << 20)
    assert peak_gib <= 1.2
    # The processor's time, because a busy machine says nothing about the program; it is at most two cores' 8 s.
    assert seconds <= 16.0, time.monotonic() - began
    request = ScreeningRequest(acrin / "dicom", l1=str(centres["L1"]), l2=str(centres["L2"]), force=True)
    assert screen(request).ct.decoded_slices == 2
