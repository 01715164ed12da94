"""The fixtures that several files of tests share."""

import pytest
from batch_archive import archive as archive
from batch_archive import undisturbed as undisturbed
from batch_archive import undisturbed_out as undisturbed_out
from decided_study import everything as everything
from decided_study import one_core as one_core
from decided_study import patient as patient
from decided_study import plain as plain
from decided_study import screened_patient as screened_patient
from no_bundles import no_bundles
from orthanc_server import orthanc as orthanc
from orthanc_server import orthanc_process as orthanc_process
from scripted_pacs import pacs as pacs
from trial_bundle import own_bundles as own_bundles
from trial_bundle import saved_trial as saved_trial
from trial_bundle import trial as trial
from trial_bundle import trial_network as trial_network


@pytest.fixture(scope="module")
def nothing_installed_in_module(tmp_path_factory):
    """No bundle ships and the user has none, for a whole file of tests."""
    with no_bundles(tmp_path_factory.mktemp("bundles")):
        yield
