"""The fixtures that several files of tests share."""

import pytest
from batch_archive import archive as archive
from batch_archive import undisturbed as undisturbed
from orthanc_server import orthanc as orthanc
from orthanc_server import orthanc_process as orthanc_process
from scripted_pacs import pacs as pacs

from OsteoScreenLib.models import locations


@pytest.fixture(scope="module")
def nothing_installed_in_module(tmp_path_factory):
    """No bundle ships and the user has none, for a whole file of tests."""
    empty = tmp_path_factory.mktemp("bundles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(locations.USER_FOLDER_VARIABLE, str(empty / "own"))
        patch.setattr("OsteoScreenLib.models.store.shipped_folders", lambda: [empty / "shipped"])
        yield
