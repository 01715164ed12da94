"""The worker's "open": the scan at a path as an array, with the geometry that the command line would see."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_files import body, write_series

from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.worker import exchange
from OsteoScreenLib.worker.operations import handle


def answer(message):
    answers = []
    handle({"id": 1, "do": "open", **message}, answers.append)
    return answers[-1]


def test_a_dicom_folder_comes_as_the_same_scan(tmp_path):
    write_series(tmp_path / "scan", body())
    done = answer({"path": str(tmp_path / "scan"), "series": None, "folder": str(tmp_path)})["done"]
    direct, opened = open_ct(tmp_path / "scan"), exchange.open_described_ct(done["ct"])
    assert np.array_equal(opened.volume(), direct.volume())
    assert np.allclose(opened.geometry.ijk_to_ras, direct.geometry.ijk_to_ras)
    assert opened.acquisition == direct.acquisition and opened.findings == direct.findings
    assert exchange.read_array(done["ct"]["array"]).dtype == np.int16


def test_numbers_between_whole_ones_stay_as_they_are(tmp_path):
    import SimpleITK as sitk

    voxels = np.linspace(-900, 900, 8 * 16 * 16, dtype=np.float32).reshape(8, 16, 16)
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / "ct.nrrd"))
    done = answer({"path": str(tmp_path / "ct.nrrd"), "folder": str(tmp_path)})["done"]
    assert np.array_equal(exchange.open_described_ct(done["ct"]).volume(), open_ct(tmp_path / "ct.nrrd").volume())


@pytest.mark.parametrize(
    ("message", "kind", "told"),
    [
        ({"path": "/nowhere/at/all", "folder": "."}, "InputError", "check the path"),
        ({"path": None, "folder": "."}, "UsageError", "lacks path"),
        ({"path": "x", "series": 7, "folder": "."}, "UsageError", "a text or null"),
        ({"path": "x"}, "UsageError", "lacks folder"),
    ],
)
def test_what_cannot_be_opened_says_why(message, kind, told):
    error = answer(message)["error"]
    assert error["kind"] == kind and told in error["message"]
