"""Twelve annotated cases, from a new user's files to a screening: by commands, and in Slicer, with the same result.

Six cases are outlined in Slicer and saved as ``.seg.nrrd`` (the true MRML storage node writes them), six on exported
slices in QuPath. Twelve subjects are too few for the shipped splits, which want every bone status in every part: both
ways say so, and a segmentation network, which needs no split, is trained. It goes on from the shipped one, so that a
training of seconds ends with a network that outlines.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from OsteoScreenLib import errors
from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.levels import read_vertebrae
from OsteoScreenLib.models import default_bundle, load_bundle
from OsteoScreenLib.results_io import to_dict
from OsteoScreenTrainingLib.datasets.manifest import Subject, read_manifest, write_manifest
from OsteoScreenTrainingLib.simulation.dicom_series import SeriesDescription, write_dicom_series
from OsteoScreenTrainingLib.simulation.volume import SimulatedVolume, simulate_volume

pytestmark = pytest.mark.slow

REPOSITORY = Path(errors.__file__).resolve().parents[2]
MODULES = ("OsteoScreen", "OsteoScreenTraining")
IN_SLICER = [f"C{number:02d}" for number in range(1, 7)]
IN_QUPATH = [f"C{number:02d}" for number in range(7, 13)]
#: BMD of L1, mg/cm3: four subjects of each bone status.
BMD = dict(zip(IN_SLICER + IN_QUPATH, (50, 95, 140, 60, 105, 160, 65, 90, 150, 70, 110, 175), strict=True))
SIZE, PIXEL_MM, SLICE_MM = 320, 1.1, 4.0
LEVELS = ("L1", "L2")
#: Some seconds of training; which subject is held out is left to the trainer, as a new user leaves it.
TRAINING = ["--steps", "12", "--batch", "2", "--threads", "1", "--device", "cpu", "--seed", "1"]
#: The shipped network's, so that the training can start from it.
CONFIG = {
    "network": {"name": "study_segmentation", "parameters": {"base_width": 16}},
    "patches": {"size": 128, "locate_spacing_mm": [2.0, 3.1], "outline_spacing_mm": [0.55, 0.88]},
    "intensity": {"strength": 0.4},
}
CARD = {"name": "twelve-cases", "version": "1.2.0", "description": "Trained on twelve cases in a test."}
#: Of result.json, what must not depend on the way it was made.
MEASURED = ("status", "levels", "roi", "densitometry", "classification", "agreement", "bundles", "eligibility")


# ---- what the new user has


def simulated(seed: int, bmd: float) -> SimulatedVolume:
    return simulate_volume(
        seed, bmd_mg_cm3=bmd, size=SIZE, pixel_mm=PIXEL_MM, spacing_mm=SLICE_MM, lowest="L2", highest="L1"
    )


def ras_of(volume: SimulatedVolume) -> np.ndarray:
    """Return the matrix from (column, row, slice) to RAS mm; the simulator's x runs to the left, y to the back."""
    matrix = np.diag([-PIXEL_MM, -PIXEL_MM, SLICE_MM, 1.0])
    matrix[:3, 3] = -volume.grid.left_mm, -volume.grid.top_mm, -400.0
    return matrix


def centre_slice(volume: SimulatedVolume, level: str) -> int:
    return int(np.argmin(np.abs(volume.z_mm - volume.centres_mm[level][2])))


def write_nrrd(volume: SimulatedVolume, path: Path) -> None:
    image = sitk.GetImageFromArray(volume.hu)
    image.SetSpacing((PIXEL_MM, PIXEL_MM, SLICE_MM))
    image.SetOrigin((volume.grid.left_mm, volume.grid.top_mm, -400.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def outline_in_slicer(ct: Path, volume: SimulatedVolume, path: Path) -> None:
    """Draw both bodies as segments on their centre slices and save the segmentation, as Slicer does."""
    import slicer

    node = slicer.util.loadVolume(str(ct))
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    for number, level in enumerate(LEVELS, 1):
        k = centre_slice(volume, level)
        mask = np.zeros(volume.hu.shape, np.uint8)
        mask[k] = volume.coverage[k] >= 128
        # The Segment Editor's own identifiers; the user types the name.
        segmentation.GetSegmentation().AddEmptySegment(f"Segment_{number}", level)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, f"Segment_{number}", node)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert slicer.util.saveNode(segmentation, str(path))
    slicer.mrmlScene.Clear(False)


def outline_in_qupath(volume: SimulatedVolume, level: str, path: Path) -> None:
    """Write the body's true outline as QuPath exports a polygon: pixels from the picture's upper left corner."""
    from skimage.measure import find_contours

    padded = volume.coverage[centre_slice(volume, level)].astype(float)
    contour = max(find_contours(padded, 127.5), key=len)
    ring = (contour[:, ::-1] + 0.5).round(2).tolist()
    feature = {
        "type": "Feature",
        "id": "3f1c5a4e-9d0b-4f4e-8a64-0d6c5b7f2e11",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": {"name": level, "color": [200, 0, 0]}},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8")


def make_cases(folder: Path) -> dict[str, SimulatedVolume]:
    """Write the twelve cases, their outlines and their subjects.csv; return what is true of them."""
    cases, rows = {}, []
    for seed, (name, bmd) in enumerate(BMD.items(), 1):
        volume = cases[name] = simulated(seed, bmd)
        row: dict[str, Any] = {f"bmd_{level.lower()}": round(volume.bmd_mg_cm3[level], 1) for level in LEVELS}
        age, sex = 50 + seed, "FM"[seed % 2]
        if name in IN_SLICER:
            ct = folder / "data" / "ct" / f"{name}.nrrd"
            write_nrrd(volume, ct)
            outline_in_slicer(ct, volume, folder / "data" / "masks" / f"{name}.seg.nrrd")
            heights = {level: -400.0 + SLICE_MM * centre_slice(volume, level) for level in LEVELS}
            row.update(ct=f"ct/{name}.nrrd", masks=f"masks/{name}.seg.nrrd", age_years=age, sex=sex, kvp=120)
            row.update(l1_z_mm=heights["L1"], l2_z_mm=heights["L2"])
        else:
            described = SeriesDescription(seed=seed, slice_thickness_mm=SLICE_MM, age_years=age, sex=sex)
            write_dicom_series(folder / "scans" / name, volume.hu, ras_of(volume), described)
            places = [f"--{level.lower()}=#{centre_slice(volume, level)}" for level in LEVELS]
            words = ["export-slices", folder / "scans" / name, *places, "-o", folder / "slices", "--subject", name]
            assert main(["dataset", *map(str, words)]) == 0
            for level in LEVELS:
                outline_in_qupath(volume, level, folder / "drawn" / f"{name}_{level}.geojson")
        rows.append(Subject(name, mineral="CaHA", method="simulated", **row))
    write_manifest(rows, folder / "data" / "subjects.csv")
    (folder / "training.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return cases


def training(folder: Path) -> list[object]:
    words = ["train", "segmentation", "--data", folder / "data", "-o", folder / "run", *TRAINING]
    return [*words, "--config", folder / "training.json", "--init", default_bundle("segmentation").path]


# ---- the steps, by commands


def command(*words: object, code: int = 0) -> None:
    assert main([str(word) for word in words]) == code


def in_a_process(*words: object) -> None:
    """Run a command as a user starts it; in Slicer every one of them is a process."""
    done = subprocess.run(
        [sys.executable, "-m", "OsteoScreenLib", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(REPOSITORY / name) for name in MODULES)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def by_commands(folder: Path, ct: Path, levels: dict[str, str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Go the whole way by the command line in a copy of the cases; return what came out."""
    data, run = folder / "data", folder / "run"
    command("dataset", "import-qupath", folder / "drawn", "--slices", folder / "slices", "-o", data)
    command("dataset", "build", data)
    command("dataset", "check", data, "-o", data / "check")
    capsys.readouterr()
    command("dataset", "split", data, "--method", "random", code=errors.UsageError.exit_code)
    refused = capsys.readouterr().err
    in_a_process(*training(folder))
    card = [word for key, text in CARD.items() for word in (f"--{key}", text)]
    command("train", "segmentation", "-o", run, "--export", *card)
    words = ["screen", ct, *(f"--{name}={text}" for name, text in levels.items()), "--force", "--device", "cpu"]
    command(*words, "--segmentation-model", run / "bundle", "-o", folder / "out")
    result = json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))
    return {"split": refused, "bundle": load_bundle(run / "bundle"), "result": result}


# ---- the same in Slicer


def in_slicer(host: Any, folder: Path, ct: Path, levels: dict[str, str]) -> dict[str, Any]:
    """Go the whole way by the panel's buttons and the modules' logics; return what came out."""
    import slicer

    for name in MODULES:
        host.load_module(REPOSITORY / name / f"{name}.py")
    panel = host.enter("OsteoScreenTraining")
    logic = slicer.util.getModuleLogic("OsteoScreenTraining")

    def wait(job: Path, ending: str = "finished") -> Any:
        host.wait_until(lambda: logic.state(str(job)).state not in ("none", "running"), 1800)
        state = logic.state(str(job))
        assert state.state == ending, f"{state.message}\n{state.log_tail}"
        panel.updatePanel()
        return state

    data, run = folder / "data", folder / "run"
    words = ["dataset", "import-qupath", folder / "drawn", "--slices", folder / "slices", "-o", data]
    logic.start(words, str(folder / "importing"))
    wait(folder / "importing")
    panel.parameterNode.dataFolder = str(data)
    panel.ui.buildButton.click()
    wait(data / "jobs" / "build")
    panel.ui.checkButton.click()
    wait(data / "jobs" / "check")
    assert "12 of 12 subjects are included" in panel.ui.dataLabel.text
    assert "normal 4, osteopenia 4, osteoporosis 4" in panel.ui.dataLabel.text
    from OsteoScreenTrainingSlicerLib.Parameters import SplitChoice

    panel.parameterNode.split = SplitChoice.RANDOM
    panel.ui.splitButton.click()
    refused = wait(data / "jobs" / "split", "failed").message
    panel.parameterNode.runFolder = str(run)
    logic.start(training(folder), str(run))
    wait(run)
    for key, text in CARD.items():
        setattr(panel.parameterNode, f"bundle{key.capitalize()}", text)
    panel.evaluate.export(str(folder / "mine.zip"))
    assert "Exported" in panel.ui.statusLabel.text
    volume = slicer.util.loadVolume(str(ct))
    screened = slicer.util.getModuleLogic("OsteoScreen").screen(
        volume, **levels, segmentationModel=str(folder / "mine.zip"), force=True, device="cpu"
    )
    return {"split": refused, "bundle": load_bundle(folder / "mine.zip"), "result": to_dict(screened)}


# ---- what has to hold


def found_by_check(data: Path) -> dict[str, Any]:
    found = json.loads((data / "check" / "check.json").read_text(encoding="utf-8"))
    assert (data / "check" / "index.html").is_file()
    return {key: value for key, value in found.items() if key not in ("data_set", "date")}


def masks_of(data: Path, subject: Subject) -> dict[str, np.ndarray]:
    geometry = open_ct(data / subject.ct).geometry
    masks = read_vertebrae(data / subject.masks, LEVELS)
    heights = {"L1": subject.l1_z_mm, "L2": subject.l2_z_mm}
    return {name: masks[name].coverage_on(geometry, geometry.nearest_slice(heights[name])) >= 0.5 for name in LEVELS}


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def check_data_sets(folders: dict[str, Path], cases: dict[str, SimulatedVolume]) -> None:
    """Both ways made the same data set, and it holds what is true of the cases."""
    manifests = {way: read_manifest(folder / "subjects.csv") for way, folder in folders.items()}
    assert manifests["slicer"] == manifests["commands"]
    assert [subject.subject for subject in manifests["commands"]] == list(cases)
    for subject in manifests["commands"]:
        truth = cases[subject.subject]
        masks = {way: masks_of(folder, subject) for way, folder in folders.items()}
        for level in LEVELS:
            assert np.array_equal(masks["slicer"][level], masks["commands"][level])
            drawn = truth.coverage[centre_slice(truth, level)] >= 128
            assert dice(masks["commands"][level], drawn) > (0.999 if subject.subject in IN_SLICER else 0.985)
        # Of the DICOM series the headers say it, of the others the user.
        assert subject.kvp == 120
        assert subject.age_years == 50 + int(subject.subject[1:])
    for name in ("images.npy", "masks.npy", "slices.csv"):
        slices = {way: (folder / "slices" / name).read_bytes() for way, folder in folders.items()}
        assert slices["slicer"] == slices["commands"], name
    found = {way: found_by_check(folder) for way, folder in folders.items()}
    assert (found["commands"]["errors"], found["commands"]["warnings"], found["commands"]["slices"]) == (0, 0, 24)
    assert found["commands"]["included"] == 12
    assert found["slicer"] == found["commands"]


def check_bundles(bundles: dict[str, Any]) -> None:
    """Both ways exported the same network with the same card, and it has learnt."""
    for bundle in bundles.values():
        assert bundle.sha256 == bundles["commands"].sha256
        assert {key: bundle.description[key] for key in CARD} == CARD
        assert bundle.sha256 != default_bundle("segmentation").sha256
        assert bundle.description["training"]["data"] == "22 real axial CT slices, 2 held out"
        assert bundle.weights()
    described = [{**bundle.description, "created": ""} for bundle in bundles.values()]
    assert described[0] == described[1]


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Return the plain values of a JSON document by their places."""
    if not isinstance(value, (dict, list)):
        return {place: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {key: item for name, part in items for key, item in flat(part, f"{place}/{name}").items()}


def check_screenings(results: dict[str, dict[str, Any]], patient: SimulatedVolume) -> None:
    """Both ways found the same with the new network, and it is true."""
    by_command, by_slicer = (json.loads(json.dumps(results[way])) for way in ("commands", "slicer"))
    # Which volume a file holds is a question of the command's alone: the scene has one.
    (of_the_file,) = [check for check in by_command["eligibility"] if check["check"] == "series"]
    assert of_the_file["outcome"] == "pass"
    by_command["eligibility"].remove(of_the_file)
    for key in MEASURED:
        # Words are the same to the letter; numbers may differ by the rounding of Slicer's matrix from voxels to RAS.
        one, other = flat(by_slicer[key], key), flat(by_command[key], key)
        assert one.keys() == other.keys()
        for place, value in other.items():
            number = isinstance(value, float)
            assert one[place] == (pytest.approx(value, rel=1e-6, abs=1e-6) if number else value), place
    assert by_command["status"] == "screened"
    assert by_command["bundles"][0]["name"] == CARD["name"]
    for level in LEVELS:
        k = centre_slice(patient, level)
        assert by_command["levels"][level]["slice_index"] == k
        area = float((patient.coverage[k] >= 128).sum()) * PIXEL_MM**2
        assert by_command["roi"][level]["outline_area_mm2"] == pytest.approx(area, rel=0.15)
        density = by_command["densitometry"]
        assert density["bmd_mg_cm3"][level] == pytest.approx(
            patient.bmd_mg_cm3[level], abs=2 * density["calibration"]["uncertainty_mg_cm3"]
        )


def test_from_twelve_cases_to_a_screening_by_commands_and_in_slicer(
    host: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if default_bundle("segmentation") is None:
        pytest.skip("no segmentation bundle is installed")
    cases = make_cases(tmp_path / "given")
    patient, ct = simulated(99, 85.0), tmp_path / "patient.nrrd"
    write_nrrd(patient, ct)
    levels = {name.lower(): f"#{centre_slice(patient, name)}" for name in LEVELS}
    folders = {way: tmp_path / way for way in ("commands", "slicer")}
    for folder in folders.values():
        shutil.copytree(tmp_path / "given", folder)
    came = {
        "commands": by_commands(folders["commands"], ct, levels, capsys),
        "slicer": in_slicer(host, folders["slicer"], ct, levels),
    }
    check_data_sets({way: folder / "data" for way, folder in folders.items()}, cases)
    assert "a random split takes 5 of each" in came["slicer"]["split"]
    assert came["slicer"]["split"] in came["commands"]["split"]
    check_bundles({way: made["bundle"] for way, made in came.items()})
    check_screenings({way: made["result"] for way, made in came.items()}, patient)
