"""A batch of scans that lie on a server: the real Orthanc, also when it is away for a while."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from batch_archive import PATIENCE_S as LONG_S
from batch_archive import Archive, complaints, finished_ids, results, rows, waited
from orthanc_process import PASSWORD, USER, free_port, missing, running
from phantom_ct import CENTRES
from pydicom import dcmread

from OsteoScreenLib.batch.overview import QUEUE_LIST
from OsteoScreenLib.batch.study import State

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@dataclass(frozen=True)
class Shelf:
    """A server that may be started and stopped, and holds the archive's scans whenever it runs."""

    folder: Path
    port: int
    studies: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def address(self, study_id: str) -> str:
        return f"dicomweb:{self.url}/studies/{self.studies[study_id]}"


@pytest.fixture(scope="module")
def shelf(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = Shelf(tmp_path_factory.mktemp("orthanc"), free_port(), {})
    with running(shelf.folder, shelf.port) as server:
        for study_id in archive.ids:
            files = sorted(archive.scan(study_id).iterdir())
            shelf.studies[study_id] = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
            for file in files:
                server.take(file.read_bytes())
    return shelf


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where fetched files lie meanwhile; the server's password is in the environment."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_USER", USER)
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_PASSWORD", PASSWORD)
    monkeypatch.delenv("OSTEOSCREEN_DICOMWEB_TOKEN", raising=False)
    yield folder
    assert not [path for path in folder.rglob("*") if "fetched" in path.name or path.suffix == ".dcm"]


def check_nothing_is_told(out: Path, shelf: Shelf) -> None:
    """No file says who the patients are or what opens the server; pages and log do not even name it."""
    files = [path for path in out.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        assert not [told for told in (PASSWORD, "Secret", "SECRET") if told.encode() in content], path
        if path.suffix == ".jsonl" or (path.suffix == ".html" and path.parent.parent == out):
            assert str(shelf.port).encode() not in content, path
    assert {"audit.jsonl", "summary.html", "batch.sqlite"} <= {path.name for path in files}


def test_a_server_that_is_away_for_a_while_costs_nothing_but_time(archive, undisturbed, shelf, temporary, tmp_path):
    out, listed = tmp_path / "out", archive.manifest("served.csv", ct=shelf.address)
    with running(shelf.folder, shelf.port):
        driver = archive.start(out, "--workers=1", manifest=listed)
        waited(lambda: finished_ids(out) or driver.poll() is not None)
    _, complained = driver.communicate(timeout=LONG_S)
    assert driver.returncode == 1
    assert "Nothing is lost: the same command goes on once that is mended." in complaints(complained)
    found = rows(out)
    assert {row.state for row in found.values()} == {State.SCREENED, State.WAITING}
    with running(shelf.folder, shelf.port):
        again = archive.run(out, "--workers=1", manifest=listed)
    assert (again.returncode, again.stderr) == (0, "")
    assert without_places(results(out)) == without_places(undisturbed)
    assert {row.tries for study_id, row in rows(out).items() if found[study_id].state is State.SCREENED} == {1}
    check_nothing_is_told(out, shelf)


def test_what_a_query_finds_waits_for_its_levels_and_is_screened_with_them(
    archive, undisturbed, shelf, temporary, tmp_path
):
    out, query = tmp_path / "out", f"dicomweb:{shelf.url}?Modality=CT"
    with running(shelf.folder, shelf.port):
        first = archive.run(out, "--workers=1", manifest=query)
        assert (first.returncode, first.stderr) == (0, "")
        assert {row.state for row in rows(out).values()} == {State.NEEDS_LEVELS}
        (queue,) = out.glob(f"set-*/{QUEUE_LIST}")
        fill_in(queue, tmp_path / "filled.csv", {shelf.address(study_id) for study_id in archive.ids[:2]})
        second = archive.run(out, "--workers=1", manifest=tmp_path / "filled.csv")
        assert (second.returncode, second.stderr) == (0, "")
    ids = {row.study.ct: study_id for study_id, row in rows(out).items()}
    found = without_places(results(out))
    for study_id in archive.ids[:2]:
        assert found[ids[shelf.address(study_id)]] == without_places(undisturbed)[study_id]
    assert len(rows(out, State.NEEDS_LEVELS)) == archive.studies - 2
    check_nothing_is_told(out, shelf)


def fill_in(queue: Path, filled: Path, places: set[str]) -> None:
    levels = {"l1": f"#{CENTRES['L1']}", "l2": f"#{CENTRES['L2']}"}
    with queue.open(encoding="utf-8", newline="") as stream:
        lines = [{**line, **(levels if line["ct"] in places else {})} for line in csv.DictReader(stream)]
    with filled.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def without_places(found: dict[str, object]) -> dict[str, object]:
    """The results of studies without the seal, which says by which list each was asked for."""
    return {study_id: told[:-1] for study_id, told in found.items()}
