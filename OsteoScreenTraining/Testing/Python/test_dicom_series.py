"""The simulated DICOM series: valid for others' tools, and read back as what was written."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from OsteoScreenLib.errors import OsteoScreenError, UsageError
from OsteoScreenTrainingLib.simulation.dicom_series import SeriesDescription, write_dicom_series

IJK_TO_RAS = np.array([[-0.7, 0, 0, 30], [0, -0.8, 0, 25], [0, 0, 2.0, -512.25], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    return np.random.default_rng(5).integers(-1024, 3072, (4, 48, 64)).astype(np.int16)


@pytest.fixture(scope="module")
def series(hu, tmp_path_factory):
    folder = tmp_path_factory.mktemp("series") / "ct"
    files = write_dicom_series(folder, hu, IJK_TO_RAS, SeriesDescription(seed=7, slice_thickness_mm=2.0))
    assert sorted(folder.iterdir()) == files
    return folder


def test_dciodvfy_finds_nothing_wrong(series):
    checker = shutil.which("dciodvfy")
    if checker is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not on this machine")
    for file in series.iterdir():
        answer = subprocess.run([checker, "-new", str(file)], capture_output=True, text=True, check=False)
        assert answer.returncode == 0
        assert "Error" not in answer.stdout + answer.stderr, answer.stderr
        assert "Warning" not in answer.stdout + answer.stderr, answer.stderr
        assert "CTImage" in answer.stdout + answer.stderr


def test_the_patient_is_plainly_synthetic_and_every_value_is_legal(series):
    for file in series.iterdir():
        with pydicom.config.disable_value_validation():
            dataset = pydicom.dcmread(file)
        for element in dataset:
            pydicom.dataelem.DataElement(element.tag, element.VR, element.value, validation_mode=pydicom.config.RAISE)
        assert "Simulated" in str(dataset.PatientName)
        assert dataset.Manufacturer == "OsteoScreen simulation"
        assert dataset.StudyInstanceUID.startswith("2.25.")
        assert not dataset.file_meta.TransferSyntaxUID.is_compressed


def test_reading_it_back_gives_the_same_volume_in_the_same_place(series, hu):
    from OsteoScreenLib.ct import open_ct

    ct = open_ct(series)
    assert ct.acquisition.modality == "CT"
    assert ct.acquisition.kvp == 120
    assert ct.acquisition.slice_thickness_mm == 2
    assert ct.acquisition.age_years == 60
    for index in range(len(hu)):
        position = ct.geometry.ras(0, 0, index)
        expected = int(round((position[2] - IJK_TO_RAS[2, 3]) / 2.0))
        np.testing.assert_allclose(position, [30, 25, -512.25 + 2 * expected], atol=1e-4)
        np.testing.assert_array_equal(ct.slice(index), hu[expected])


def test_the_same_series_has_the_same_uids_and_another_has_others(hu, series, tmp_path):
    def uids(folder):
        return [
            (d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID, d.FrameOfReferenceUID)
            for d in map(pydicom.dcmread, sorted(folder.iterdir()))
        ]

    write_dicom_series(tmp_path / "same", hu, IJK_TO_RAS, SeriesDescription(seed=7, slice_thickness_mm=2.0))
    write_dicom_series(tmp_path / "other", hu, IJK_TO_RAS, SeriesDescription(seed=8, slice_thickness_mm=2.0))
    first, same, other = uids(series), uids(tmp_path / "same"), uids(tmp_path / "other")
    assert first == same
    assert len({uid for row in first for uid in row}) == 3 + len(hu)
    assert not {uid for row in first for uid in row} & {uid for row in other for uid in row}


def test_nothing_is_overwritten_and_nothing_half_written_is_left(hu, tmp_path):
    description = SeriesDescription(seed=1, slice_thickness_mm=2.0)
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="name a new or an empty folder"):
        write_dicom_series(tmp_path / "ct", hu, IJK_TO_RAS, description)

    def cancel(step: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dicom_series(tmp_path / "new", hu, IJK_TO_RAS, description, cancel)
    with pytest.raises(OsteoScreenError, match="cannot be written"):
        write_dicom_series(tmp_path / "ct" / "mine.txt" / "below", hu, IJK_TO_RAS, description)
    assert [path.name for path in tmp_path.iterdir()] == ["ct"]
    assert [path.name for path in (tmp_path / "ct").iterdir()] == ["mine.txt"]
