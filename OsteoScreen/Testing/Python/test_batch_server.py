"""A batch of scans that lie on a server: the real Orthanc, also when it is away for a while."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from batch_archive import PATIENCE_S as LONG_S
from batch_archive import (
    Archive,
    complaints,
    finished_ids,
    once_a_session,
    results,
    rows,
    waited,
    without_places,
)
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


@pytest.fixture
def shelf(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A server of the test's own; it is not running."""

    def make(folder: Path) -> None:
        with running(folder) as server:
            for study_id in archive.ids:
                for file in archive.scan(study_id).iterdir():
                    server.take(file.read_bytes())

    first = {study_id: next(archive.scan(study_id).iterdir()) for study_id in archive.ids}
    uids = {study_id: str(dcmread(file, stop_before_pixels=True).StudyInstanceUID) for study_id, file in first.items()}
    folder = tmp_path_factory.mktemp("orthanc") / "own"
    shutil.copytree(once_a_session(tmp_path_factory, "orthanc-with-archive", make), folder)
    return Shelf(folder, free_port(), uids)


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


#: A child that fetches a third study waits with it while the file HOLD is there, and asks again at once, not after
#: seconds.
HOLD_AND_HURRY = """
if event == "tempfile.mkdtemp" and "osteoscreen-fetched-" in str(args[0]):
    import itertools, time
    transport = sys.modules["OsteoScreenLib.pacs.transport"]
    transport.Patience.__init__.__defaults__ = (10.0, 30.0, 5, 0.05, 0.1, 120.0)
    number = next(vars(sys).setdefault("_fetches", itertools.count()))
    while number > 1 and os.path.exists(os.environ["HOLD"]):
        time.sleep(0.02)
"""


def test_a_server_that_is_away_for_a_while_costs_nothing_but_time(
    archive, undisturbed, shelf, temporary, tmp_path, monkeypatch
):
    out, hold, listed = tmp_path / "out", tmp_path / "hold", archive.manifest("served.csv", ct=shelf.address)
    hold.touch()
    monkeypatch.setenv("HOLD", str(hold))
    held = archive.with_fault(tmp_path / "fault", HOLD_AND_HURRY)
    with ExitStack() as stack:
        with running(shelf.folder, shelf.port):
            driver = stack.enter_context(held.started(out, "--workers=1", manifest=listed))
            waited(lambda: finished_ids(out) or driver.poll() is not None)
        hold.unlink()
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
