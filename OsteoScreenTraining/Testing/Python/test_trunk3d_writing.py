"""``osteoscreen simulate trunks``: a set of trunks on disk, whole or not at all."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.errors import UsageError
from OsteoScreenTrainingLib.simulation.trunk3d import TrunkRequest, simulate_trunk, write_trunks, writing


def _main(*arguments):
    return main(["simulate", "trunks", *map(str, arguments)])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trunks") / "set"
    assert _main("-o", folder, "--count", 3, "--seed", 6, "--spacing", 8) == 0
    return folder


def test_a_set_has_volumes_labels_and_truth(written, capsys):
    names = sorted(path.name for path in written.iterdir())
    each = [f"trunk-{n:05d}{end}" for n in range(3) for end in (".json", ".labels.nrrd", ".nrrd")]
    assert names == ["contact-sheet.png", "dataset.json", *each]
    header = json.loads((written / "dataset.json").read_text())
    assert (header["schema"], header["count"], header["seed"]) == ("osteoscreen-trunks/1", 3, 6)
    assert header["labels"]["20"] == "L1 body"


def test_what_is_written_is_what_is_simulated(written):
    expected = simulate_trunk(6, 1, spacing_mm=8.0)
    image = sitk.ReadImage(str(written / "trunk-00001.nrrd"))
    assert (sitk.GetArrayFromImage(image) == expected.hu).all()
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(written / "trunk-00001.labels.nrrd")))
    assert (labels == expected.labels).all()
    truth = json.loads((written / "trunk-00001.json").read_text())
    assert truth["vertebrae"] == json.loads(json.dumps(expected.truth.as_dict()["vertebrae"]))
    assert np.allclose(truth["ijk_to_ras"], expected.ijk_to_ras)


def test_the_engine_reads_it_where_the_truth_says(written):
    for number in range(3):
        ct = open_ct(written / f"trunk-{number:05d}.nrrd")
        truth = json.loads((written / f"trunk-{number:05d}.json").read_text())
        whole = [v for v in truth["vertebrae"] if v["whole"]]
        heights = np.array([ct.geometry.slice_z(k) for k in (0, ct.volume().shape[0] - 1)])
        for v in whole:
            assert heights.min() - 4 <= v["centre"][2] <= heights.max() + 4
        if whole:
            i, j, k = np.round(ct.geometry.ijk(np.array(whole[len(whole) // 2]["centre"]))).astype(int)
            assert ct.volume()[k, j, i] > -100


def test_workers_do_not_change_the_trunks(tmp_path, written):
    write_trunks(tmp_path / "set", TrunkRequest(count=3, seed=6, spacing_mm=8.0, workers=2))
    for path in written.glob("*.json"):
        assert (tmp_path / "set" / path.name).read_text() == path.read_text()
    first, again = (sitk.ReadImage(str(folder / "trunk-00002.nrrd")) for folder in (written, tmp_path / "set"))
    assert (sitk.GetArrayFromImage(first) == sitk.GetArrayFromImage(again)).all()


def test_nifti_and_a_region(tmp_path):
    arguments = ("--count", 1, "--spacing", 10, "--format", "nifti", "--region", "abdomen")
    assert _main("-o", tmp_path / "set", *arguments) == 0
    trunk = simulate_trunk(1, 0, spacing_mm=10.0, region="abdomen")
    ct = open_ct(tmp_path / "set" / "trunk-00000.nii.gz")
    assert sorted(ct.volume().shape) == sorted(trunk.hu.shape)
    assert np.allclose(np.sort(ct.geometry.spacing_mm), 10.0, atol=1e-4)


def test_it_is_whole_or_not_there(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "write_contact_sheet", fails)
    assert _main("-o", tmp_path / "set", "--count", 1, "--spacing", 12) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    assert _main("-o", tmp_path, "--count", 1) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "arguments",
    [("--count", 0), ("--seed", -1), ("--spacing", 0), ("--region", "knee"), ("--format", "jpeg"), ("--workers", 0)],
)
def test_what_makes_no_sense_is_refused(tmp_path, arguments):
    assert _main("-o", tmp_path / "set", *arguments) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_library_refuses_alike(tmp_path):
    with pytest.raises(UsageError, match="--spacing"):
        write_trunks(tmp_path / "set", TrunkRequest(spacing_mm=0.1))
