"""A small archive of phantoms as DICOM, and `osteoscreen batch` on it as a process of its own."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock
from phantom_ct import CENTRES, ORIGIN_RAS, PIXEL_MM, SLICE_MM, make_phantom

import OsteoScreenLib
from OsteoScreenLib.batch.audit import AUDIT
from OsteoScreenLib.batch.publish import SEAL, STAGING
from OsteoScreenLib.batch.store import Store, study_folder
from OsteoScreenLib.batch.study import State, StudyRow
from OsteoScreenLib.reports.kinds import REPORT, RESULT

ENGINE = Path(OsteoScreenLib.__file__).resolve().parents[1]
PATIENCE_S = 300.0

_GOING = re.compile(r"\d+ of \d+: ")

#: What a test's process does at its start; see `Archive.with_fault`.
_FAULT = """
import os, sys
def _fault(event, args):
{body}
sys.addaudithook(_fault)
"""

#: A child that comes to the scan of a study waits there while a file of the study's name lies beside this, and says so.
_HOLD = """
if event == "open" and "OsteoScreenLib.batch.child" in sys.orig_argv and "/scans/case-" in str(args[0]):
    import time
    held = os.path.join(os.path.dirname(__file__), str(args[0]).partition("/scans/")[2][:8])
    while os.path.exists(held):
        os.makedirs(held + "-waits", exist_ok=True)
        time.sleep(0.02)
"""


def _hear_interrupts() -> None:
    # Whoever runs the tests in the background has SIGINT ignored, and so would the driver.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Archive:
    """``studies`` phantoms below ``folder``; each has another HU in L1, so that no result passes for another's."""

    folder: Path
    studies: int
    prelude: list[Path] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [f"case-{n:03d}" for n in range(self.studies)]

    def scan(self, study_id: str) -> Path:
        return self.folder / "scans" / study_id

    def manifest(self, name: str = "manifest.csv", **columns: Callable[[str], str]) -> Path:
        """Write a list of all studies; ``columns`` change or add what they are named after."""
        cells: dict[str, Callable[[str], str]] = {
            "id": str,
            "ct": lambda study_id: f"scans/{study_id}",
            **{level.lower(): (lambda study_id, k=k: f"#{k}") for level, k in CENTRES.items() if level in ("L1", "L2")},
            **columns,
        }
        # Each process of a session has lists of its own beside the scans.
        path = self.folder / (name if name == "manifest.csv" else f"{os.getpid()}-{name}")
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(cells)
            writer.writerows([cell(study_id) for cell in cells.values()] for study_id in self.ids)
        return path

    def words(self, out: Path, *more: str, manifest: Path | None = None) -> list[str]:
        """The command line of `osteoscreen batch`, without the program."""
        bundles = [f"--{role}-model={self.folder / role}" for role in ("segmentation", "classification")]
        listed = str(manifest or self.folder / "manifest.csv")
        return ["batch", listed, "-o", str(out), *bundles, "--device=cpu", "--force", *more]

    def command(self, out: Path, *more: str, manifest: Path | None = None) -> list[str]:
        return [sys.executable, "-m", "OsteoScreenLib", *self.words(out, *more, manifest=manifest)]

    def environment(self) -> dict[str, str]:
        paths = [*map(str, self.prelude), str(ENGINE)]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}

    @contextmanager
    def started(self, out: Path, *more: str, manifest: Path | None = None) -> Iterator[subprocess.Popen[str]]:
        """The driver in a session of its own, so that a signal to its group reaches it and its workers alone; it is
        killed where the test leaves it running."""
        process = subprocess.Popen(
            self.command(out, *more, manifest=manifest),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_hear_interrupts if os.name == "posix" else None,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                kill = process.kill if os.name != "posix" else lambda: os.killpg(process.pid, signal.SIGKILL)
                kill()
                process.communicate()

    def run(self, out: Path, *more: str, manifest: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the driver to its end."""
        with self.started(out, *more, manifest=manifest) as process:
            said, complained = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(process.args, process.returncode, said, complaints(complained))

    def with_fault(self, folder: Path, body: str) -> Archive:
        """The archive, whose processes run ``body`` for every event of Python's audit hooks (``event``, ``args``).

        So a study can kill its process, hang, or meet an error of the disk, where the program itself knows nothing
        of it.
        """
        folder.mkdir(parents=True)
        indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
        (folder / "sitecustomize.py").write_text(_FAULT.format(body=indented))
        return Archive(self.folder, self.studies, [folder])

    def holding(self, folder: Path, *ids: str, fault: str = "") -> Archive:
        """The archive, whose children wait before the scans of these studies until `let_go`.

        So it is no matter of speed whether a batch is still under way when something happens to it.
        """
        held = self.with_fault(folder, _HOLD + fault)
        for study_id in ids:
            (folder / study_id).touch()
        return held

    def waits(self, *ids: str) -> bool:
        """Whether children have come to all of these studies of `holding`."""
        return all((self.prelude[-1] / f"{study_id}-waits").exists() for study_id in ids)

    def let_go(self, *ids: str) -> None:
        """Let these studies of `holding` go on."""
        for study_id in ids:
            (self.prelude[-1] / study_id).unlink()


def write_archive(folder: Path, studies: int) -> Archive:
    """Write the scans, the bundles and the manifest."""
    # Here, because every test's process imports this module for its fixtures.
    from dicom_files import write_series
    from pydicom.uid import generate_uid
    from tiny_bundle import write_tiny_bundle
    from tiny_classifier import write_tiny_classifier

    archive = Archive(folder, studies)
    for n, study_id in enumerate(archive.ids):
        write_series(
            archive.scan(study_id),
            make_phantom(L1=110.0 + 2 * n).hu,
            spacing=SLICE_MM,
            origin=(-ORIGIN_RAS[0], -ORIGIN_RAS[1], ORIGIN_RAS[2]),
            PixelSpacing=[PIXEL_MM, PIXEL_MM],
            SliceThickness=str(SLICE_MM),
            StudyInstanceUID=generate_uid(),
            FrameOfReferenceUID=generate_uid(),
        )
    write_tiny_bundle(folder / "segmentation")
    write_tiny_classifier(folder / "classification")
    archive.manifest()
    return archive


def once_a_session(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that ``make`` fills, for all processes of a session (pytest-xdist) together: the first one that asks
    makes it, and the others wait for it. Nobody may change it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, whole = base / name, base / f"{name}-is-whole"
    with FileLock(base / f"{name}.lock"):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Six studies that can be screened; to be copied, not to be changed."""
    return Archive(once_a_session(tmp_path_factory, "archive", lambda folder: write_archive(folder, 6)), 6)


@pytest.fixture(scope="session")
def undisturbed_out(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a batch of the archive that nobody disturbs; to be copied, not to be changed."""

    def make(folder: Path) -> None:
        done = archive.run(folder / "out", "--workers=1")
        assert (done.returncode, done.stderr) == (0, "")

    return once_a_session(tmp_path_factory, "undisturbed", make) / "out"


@pytest.fixture(scope="session")
def ample_s(undisturbed_out: Path) -> int:
    """Seconds that suffice for a study of the archive, also where the machine has become much slower since."""
    return max(4, math.ceil(8 * max(row.seconds or 0.0 for row in rows(undisturbed_out).values())))


@pytest.fixture(scope="session")
def undisturbed(archive: Archive, undisturbed_out: Path) -> dict[str, object]:
    """What such a batch finds."""
    found = results(undisturbed_out)
    assert set(found) == set(archive.ids)
    assert {told[0] for told in found.values()} == {"screened"}
    return found


def complaints(words: str) -> str:
    """What a driver wrote to stderr, without the lines that a slow machine gets to see of how it goes."""
    return "".join(line for line in words.splitlines(keepends=True) if not _GOING.match(line))


def rows(out: Path, *states: State) -> dict[str, StudyRow]:
    """The rows of the only set, by id."""
    with Store.read(out) as store:
        (only,) = store.sets()
        return {row.study.id: row for row in store.rows(only.id, *states)}


def results(out: Path) -> dict[str, object]:
    """What a batch found, without what differs between two runs of the same: times, tries and places."""
    with Store.read(out) as store:
        (only,) = store.sets()
        found = {row.study.id: _told(out, only.id, row) for row in store.rows(only.id)}
    assert list((out / only.id / STAGING).iterdir()) == []
    return found


def written_at(out: Path) -> dict[str, int]:
    """When the page of each study was written, by id; one that is screened again has another."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob(f"set-*/??/*/{REPORT}")}


def without_places(found: dict[str, object]) -> dict[str, object]:
    """The results of studies without the seal, which says where each lay and how it was asked for."""
    return {study_id: told[:-1] for study_id, told in found.items()}  # type: ignore[index]


def _told(out: Path, set_id: str, row: StudyRow) -> object:
    measures = {key: value for key, value in row.measures.items() if key != "time_s"}
    folder = study_folder(out, set_id, row.study.id)
    if row.state not in (State.SCREENED, State.REFUSED):
        assert not folder.exists()
        return row.state.value, row.kind, measures
    document = json.loads((folder / RESULT).read_text())
    del document["timing_s"], document["input"]["path"]
    files = sorted(path.name for path in folder.iterdir())
    return row.state.value, row.kind, measures, row.doubt, files, document, (folder / SEAL).read_text()


def events(out: Path) -> list[dict]:
    """The log, each line of which is JSON and numbered one by one."""
    lines = [json.loads(line) for line in (out / AUDIT).read_text().splitlines()]
    assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))
    return lines


def check_alone(log: list[dict]) -> None:
    """Nothing else ran while a study was tried alone."""
    running: set[str] = set()
    for line in log:
        if line["event"] == "study begun":
            assert not (line["alone"] and running)
            running.add(line["study"])
        elif line["event"] == "study ended":
            running.discard(line["study"])


def children(pid: int, words: str) -> list[int]:
    """The processes below ``pid`` whose command line has ``words`` in it."""
    import psutil

    found = []
    try:
        for process in psutil.Process(pid).children(recursive=True):
            try:
                if words in " ".join(process.cmdline()):
                    found.append(process.pid)
            except psutil.Error:
                continue
    except psutil.NoSuchProcess:
        pass
    return found


def waited(condition: Callable[[], object], seconds: float = PATIENCE_S) -> object:
    """Wait until the condition holds, and return what it returned."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to pass")


def finished_ids(out: Path) -> list[str]:
    """Studies whose folders are there, as the disk shows them while a driver runs."""
    return [path.parent.name for path in out.glob(f"set-*/??/*/{RESULT}")]
