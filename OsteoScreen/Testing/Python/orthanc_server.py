"""Orthanc, a real PACS, as fixtures; `orthanc_process` starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from orthanc_process import PASSWORD, USER, Orthanc, missing, running

__all__ = ["PASSWORD", "USER", "Orthanc", "orthanc", "orthanc_process"]


@pytest.fixture(scope="session")
def orthanc_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if missing():
        pytest.skip(missing())
    with running(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def orthanc(orthanc_process: Orthanc, monkeypatch: pytest.MonkeyPatch) -> Orthanc:
    """The server, empty, with its credentials in the environment."""
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_USER", USER)
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_PASSWORD", PASSWORD)
    monkeypatch.delenv("OSTEOSCREEN_DICOMWEB_TOKEN", raising=False)
    orthanc_process.clear()
    return orthanc_process
