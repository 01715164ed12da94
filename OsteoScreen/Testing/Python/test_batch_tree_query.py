"""The studies of a batch from a real PACS."""

from __future__ import annotations

import pytest
from dicom_files import body, write_series

from OsteoScreenLib.batch.ids import is_study_id
from OsteoScreenLib.batch.sources import read_studies
from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.pacs.address import parse_address
from OsteoScreenLib.pacs.errors import PacsError

UIDS = {"1.2.826.0.1.1": "20240110", "1.2.826.0.1.2": "20240220", "1.2.826.0.1.3": "20250330"}


def test_a_query_gives_the_studies_that_the_server_finds(orthanc, tmp_path):
    for uid, date in UIDS.items():
        write_series(tmp_path / uid, body(2), StudyInstanceUID=uid, StudyDate=date, name=lambda k: f"{k}.dcm")
        assert main(["pacs", "send", orthanc.url, str(tmp_path / uid)]) == 0
    studies = list(read_studies(f"dicomweb:{orthanc.url}?StudyDate=20240101-20241231"))
    assert {parse_address(study.ct).study_uid for study in studies} == set(list(UIDS)[:2])
    assert all(is_study_id(study.id) and study.id != parse_address(study.ct).study_uid for study in studies)
    again = list(read_studies(f"{orthanc.url}?modality=CT&studydate=20240101-20241231"))
    assert {study.id for study in again} == {study.id for study in studies}
    assert len(list(read_studies(f"dicomweb:{orthanc.url}"))) == 3
    for query in ("Modality=MR", "PatientID=nobody"):
        with pytest.raises(UsageError, match="finds no such study"):
            read_studies(f"dicomweb:{orthanc.url}?{query}")
    with pytest.raises(UsageError, match="date"):
        read_studies(f"dicomweb:{orthanc.url}?StudyDate=January")


def test_a_server_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr("random.uniform", lambda least, most: 0.0)  # the pauses between attempts are so much shorter
    with pytest.raises(PacsError) as caught:
        read_studies("dicomweb:http://127.0.0.1:9/dicom-web?StudyDate=20240101")
    assert str(caught.value).endswith(".") and "20240101" not in str(caught.value)
