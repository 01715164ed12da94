"""The fixtures that several files of tests share; what is heavy is imported where a test asks for it."""

import shutil
from pathlib import Path

import pytest
from batch_archive import ample_s as ample_s
from batch_archive import archive as archive
from batch_archive import undisturbed as undisturbed
from batch_archive import undisturbed_out as undisturbed_out
from no_bundles import no_bundles
from orthanc_server import orthanc as orthanc
from orthanc_server import orthanc_process as orthanc_process


@pytest.fixture(scope="module")
def nothing_installed_in_module(tmp_path_factory):
    """No bundle ships and the user has none, for a whole file of tests."""
    with no_bundles(tmp_path_factory.mktemp("bundles")):
        yield


@pytest.fixture(scope="module")
def one_core():
    """PyTorch computes on one core meanwhile."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# -- results to decide on


@pytest.fixture(scope="session")
def patient(tmp_path_factory):
    """The folder of a patient's files; see `decided_study.write_patient`."""
    from decided_study import write_patient

    return write_patient(tmp_path_factory.mktemp("patient"))


@pytest.fixture(scope="session")
def screened_patient(patient, tmp_path_factory):
    """Results of the patient, to be copied."""
    from decided_study import screen_patient

    return screen_patient(patient, tmp_path_factory.mktemp("screened"))


@pytest.fixture
def everything(screened_patient, tmp_path):
    """A folder with a result and everything that can be written beside it."""
    return Path(shutil.copytree(screened_patient / "all", tmp_path / "all"))


@pytest.fixture
def plain(screened_patient, tmp_path):
    """A folder with what is always written."""
    return Path(shutil.copytree(screened_patient / "plain", tmp_path / "plain"))


# -- DICOM objects


@pytest.fixture(scope="session")
def object_files(tmp_path_factory):
    """The phantom and the bundles, for tests that write nothing beside them."""
    from dicom_object_study import write_files

    return write_files(tmp_path_factory.mktemp("phantom"))


@pytest.fixture(scope="session")
def outlined_study(object_files):
    """The phantom outlined by the small network, for tests that change nothing of it."""
    return object_files.outlined()


@pytest.fixture(scope="session")
def report_folder(outlined_study, tmp_path_factory):
    """A folder with its report of measurements, and the segmentation that this refers to."""
    from OsteoScreenLib.reports.dicom import write_dicom_objects

    folder = tmp_path_factory.mktemp("objects")
    write_dicom_objects(outlined_study, folder, kinds=["seg", "sr"])
    return folder


# -- a PACS


@pytest.fixture
def pacs(tmp_path, monkeypatch):
    """A PACS that wants an account, which the environment has; its study lies in ``tmp_path / "ct"`` too."""
    from scripted_pacs import pacs_with_study

    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_USER", "reader-name")
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_PASSWORD", "s3cret-word")
    monkeypatch.delenv("OSTEOSCREEN_DICOMWEB_TOKEN", raising=False)
    with pacs_with_study(tmp_path / "ct") as pacs:
        yield pacs
