"""A patient's files, and results of them to decide on, for the tests of `osteoscreen decide`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from followed_patient import write_calibration, write_scan
from no_bundles import no_bundles
from phantom_ct import make_phantom
from pydicom.uid import generate_uid
from tiny_bundle import write_tiny_bundle

from OsteoScreenLib.cli import main, replacing


@pytest.fixture(scope="module")
def one_core():
    """PyTorch computes on one core meanwhile."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def patient(tmp_path_factory):
    """A CT, the same series with other pixels, another series, and the outlines of L1 and L2."""
    folder = tmp_path_factory.mktemp("phantom")
    phantom = make_phantom()
    series = generate_uid()
    write_scan(folder / "ct", phantom, series=series)
    write_scan(folder / "edited", make_phantom(L1=90.0), series=series)
    write_scan(folder / "other", phantom)
    phantom.write_outlines(folder / "outlines.seg.nrrd")
    write_calibration(folder / "calibration.json")
    write_tiny_bundle(folder / "outliner")
    return folder


@pytest.fixture(scope="session")
def screened_patient(patient, tmp_path_factory):
    """Results to copy: with everything beside them, and the plain one; no bundle that is installed took part."""
    folder = tmp_path_factory.mktemp("screened")
    outlined = ["screen", str(patient / "ct"), "--masks", str(patient / "outlines.seg.nrrd")]
    with no_bundles(folder):
        assert main([*outlined, "-o", str(folder / "all"), "--write", "all"]) == 0
        assert main([*outlined, "-o", str(folder / "plain")]) == 0
    return folder


@pytest.fixture
def everything(screened_patient, tmp_path):
    """A folder with a result and everything that can be written beside it."""
    return Path(shutil.copytree(screened_patient / "all", tmp_path / "all"))


@pytest.fixture
def plain(screened_patient, tmp_path):
    """A folder with what is always written."""
    return Path(shutil.copytree(screened_patient / "plain", tmp_path / "plain"))


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name, without the lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != replacing.LOCK}
