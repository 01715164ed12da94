"""Several studies in one child process: they overlap, and a child that dies or hangs with several costs none of them.

The children are real; in them a study waits, or the process dies, where a file of the test's says so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from batch_archive import ENGINE, PATIENCE_S, Archive, children, waited
from phantom_ct import CENTRES

from OsteoScreenLib.batch import apart
from OsteoScreenLib.batch.near import BEGINNING, bring_near
from OsteoScreenLib.batch.outcome import Order, Outcome, Trouble
from OsteoScreenLib.batch.publish import prepare_set
from OsteoScreenLib.batch.screener import Screener, Screeners
from OsteoScreenLib.batch.settings import BatchSettings, used_bundles, versions
from OsteoScreenLib.batch.study import BatchStudy, State

pytestmark = [
    pytest.mark.slow(together=True),
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="signals, and names of open files, of Linux"),
]

CHILD = "OsteoScreenLib.batch.child"

#: What a child does at its start: in a study's reading, in its turn, and when its outputs are flushed, it looks for a
#: file of that name, says that it was met, and waits until it is gone. It dies where the file says so.
OBEY = """
import os, signal, sys, threading, time
if "OsteoScreenLib.batch.child" in sys.orig_argv:
    control, flush = os.environ["CONTROL"], os.fsync

    def obey(step, path):
        study = next((part[:8] for part in path.split("/") if part.startswith("case-")), None)
        told = os.path.join(control, f"{step}-{study}")
        if not os.path.exists(told):
            return
        with open(told) as file:
            if file.read() == "die":
                os.kill(os.getpid(), signal.SIGKILL)
        os.mkdir(f"{told}-met-{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}")
        while os.path.exists(told):
            time.sleep(0.005)

    def hear(event, args):
        if event == "open" and isinstance(args[0], str) and "/scans/case-" in args[0]:
            obey("read", args[0])
        elif event == "tempfile.mkdtemp":
            obey("turn", args[0])

    def slow_flush(handle):
        obey("flush", os.readlink(f"/proc/self/fd/{handle}"))
        flush(handle)

    os.fsync = slow_flush
    sys.addaudithook(hear)
"""


@dataclass
class Stage:
    """Orders of the archive's studies, asked of one screener in threads, and what its child is told."""

    archive: Archive
    control: Path
    out: Path
    screener: Screener
    threads: ThreadPoolExecutor

    def order(self, study_id: str, **changes) -> Order:
        settings = BatchSettings(
            segmentation_model=str(self.archive.folder / "segmentation"),
            classification_model=str(self.archive.folder / "classification"),
            device="cpu",
            force=True,
        )
        scan = str(self.archive.scan(study_id))
        study = BatchStudy(study_id, scan, l1=f"#{CENTRES['L1']}", l2=f"#{CENTRES['L2']}")
        how = {"timeout_s": PATIENCE_S, "in_flight": 3, **changes}
        return Order(study, settings, str(self.out), "set-1", "hash", versions(), used_bundles(settings), **how)

    def ask(self, study_id: str, **changes) -> Future[Outcome]:
        order = self.order(study_id, **changes).to_json()
        return self.threads.submit(lambda: Outcome.from_json(self.screener.screen(order)))

    def tell(self, step: str, study_id: str, word: str = "wait") -> None:
        (self.control / f"{step}-{study_id}").write_text(word)

    def go_on(self, step: str, study_id: str) -> None:
        (self.control / f"{step}-{study_id}").unlink()

    def met(self, step: str, study_id: str) -> list[Path]:
        return list(self.control.glob(f"{step}-{study_id}-met-*"))

    def child(self) -> int:
        (pid,) = children(os.getpid(), CHILD)
        return pid


@pytest.fixture(scope="module")
def running(archive, tmp_path_factory) -> Iterator[Stage]:
    """One screener for all tests, whose child goes on from one to the next where the test leaves it alive."""
    prelude, control = tmp_path_factory.mktemp("prelude"), tmp_path_factory.mktemp("control")
    (prelude / "sitecustomize.py").write_text(OBEY)
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(8) as threads:
        patch.setenv("PYTHONPATH", str(prelude))
        patch.setenv("CONTROL", str(control))
        screener = Screener()
        yield Stage(archive, control, Path(), screener, threads)
        for told in control.iterdir():
            if told.is_file():
                told.unlink()
        screener.close()


@pytest.fixture
def stage(running, tmp_path) -> Stage:
    for told in running.control.iterdir():
        told.unlink() if told.is_file() else told.rmdir()
    prepare_set(tmp_path, "set-1", {})
    running.out = tmp_path
    return running


def found(outcome: Outcome) -> tuple:
    return outcome.state, {key: value for key, value in outcome.measures.items() if key != "time_s"}


def expected(undisturbed, study_id: str) -> tuple:
    state, _, measures, *_ = undisturbed[study_id]
    return State(state), measures


def test_one_study_computes_while_another_is_read_and_a_third_is_written(stage, undisturbed):
    stage.tell("read", "case-000")
    stage.tell("flush", "case-001")
    reading, writing = stage.ask("case-000"), stage.ask("case-001")
    waited(lambda: stage.met("read", "case-000") and stage.met("flush", "case-001"))
    computing = stage.ask("case-002")
    assert found(computing.result(PATIENCE_S)) == expected(undisturbed, "case-002")
    assert not reading.done()
    assert not writing.done()
    stage.go_on("read", "case-000")
    stage.go_on("flush", "case-001")
    assert found(reading.result(PATIENCE_S)) == expected(undisturbed, "case-000")
    assert found(writing.result(PATIENCE_S)) == expected(undisturbed, "case-001")


def test_while_one_computes_the_others_wait_and_their_time_stands_still(stage, ample_s):
    stage.tell("turn", "case-000")
    first = stage.ask("case-000")
    waited(lambda: stage.met("turn", "case-000"))
    others = [stage.ask(study_id, timeout_s=ample_s) for study_id in ("case-001", "case-002")]
    time.sleep(ample_s + 1)
    assert not any(other.done() for other in others)
    stage.go_on("turn", "case-000")
    outcomes = [future.result(PATIENCE_S) for future in (first, *others)]
    assert [outcome.state for outcome in outcomes] == [State.SCREENED] * 3
    assert outcomes[0].seconds >= ample_s + 1
    assert all(outcome.seconds < ample_s for outcome in outcomes[1:])


def test_a_child_killed_with_three_in_hand_costs_none_of_them_and_each_is_tried_by_itself(stage, undisturbed):
    ids = ["case-000", "case-001", "case-002"]
    stage.ask("case-003").result(PATIENCE_S)
    child = stage.child()
    fetched = Path(tempfile.mkdtemp(prefix=f"osteoscreen-fetched-{child}-"))
    (fetched / "scan").write_text("a patient's")
    for study_id in ids:
        stage.tell("read", study_id)
    asked = [stage.ask(study_id) for study_id in ids]
    waited(lambda: all(stage.met("read", study_id) for study_id in ids))
    left = list(ids)

    def read_anew() -> list[str]:
        return [
            study_id for study_id in left if any(f"-met-{child}-" not in at.name for at in stage.met("read", study_id))
        ]

    os.kill(child, signal.SIGKILL)
    # Nobody knows whose fault it was: no two are read at once from here on.
    for _ in ids:
        waited(read_anew)
        time.sleep(0.3)
        (alone,) = read_anew()
        left.remove(alone)
        stage.go_on("read", alone)
    assert [found(future.result(PATIENCE_S)) for future in asked] == [
        expected(undisturbed, study_id) for study_id in ids
    ]
    assert stage.child() != child
    assert not fetched.exists()  # what it had from a server does not stay


def test_what_a_child_has_fetched_goes_when_its_worker_ends(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ENGINE), "TMPDIR": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-m", CHILD], env=environment, **pipes) as child:
        (tmp_path / f"osteoscreen-fetched-{child.pid}-abc" / "1.2.3").mkdir(parents=True)
        child.communicate(timeout=PATIENCE_S)  # which closes its stdin, as the end of the worker does
    assert list(tmp_path.iterdir()) == []


def test_one_of_three_that_kills_its_child_is_found_and_the_others_are_screened(stage, undisturbed):
    stage.tell("turn", "case-001", "die")
    asked = {study_id: stage.ask(study_id) for study_id in ("case-000", "case-001", "case-002")}
    outcomes = {study_id: future.result(PATIENCE_S) for study_id, future in asked.items()}
    assert (outcomes["case-001"].trouble, outcomes["case-001"].reason) == (
        Trouble.KILLED,
        "Its process did not survive it: it was ended by SIGKILL.",
    )
    for study_id in ("case-000", "case-002"):
        assert found(outcomes[study_id]) == expected(undisturbed, study_id)


def test_one_of_three_that_hangs_ends_its_child_and_the_others_are_asked_for_again(stage, undisturbed, ample_s):
    stage.tell("turn", "case-001")
    hanging = stage.ask("case-001", timeout_s=ample_s)
    waited(lambda: stage.met("turn", "case-001"))
    others = {study_id: stage.ask(study_id) for study_id in ("case-000", "case-002")}
    outcome = hanging.result(PATIENCE_S)
    assert (outcome.trouble, outcome.reason) == (Trouble.TIMEOUT, f"It took longer than {ample_s} s.")
    for study_id, future in others.items():
        assert found(future.result(PATIENCE_S)) == expected(undisturbed, study_id)


def test_a_worn_child_ends_what_it_has_in_hand_and_is_replaced_then(stage, monkeypatch):
    stage.ask("case-003").result(PATIENCE_S)
    child = stage.child()
    stage.tell("read", "case-000")
    last = stage.ask("case-000")
    waited(lambda: stage.met("read", "case-000"))
    monkeypatch.setattr(apart, "MOST_STUDIES", 1)
    following = stage.ask("case-001")
    time.sleep(0.5)
    assert not following.done()
    assert stage.child() == child
    stage.go_on("read", "case-000")
    assert last.result(PATIENCE_S).state is State.SCREENED
    assert following.result(PATIENCE_S).state is State.SCREENED
    assert stage.child() != child


# -- what is brought near


def read_by(work) -> int:
    """How many bytes the process reads meanwhile, from disks or the cache."""

    def so_far() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["rchar"])

    before, own = so_far(), so_far()
    work()
    return so_far() - before - 2 * (own - before)


def test_of_a_folder_the_beginnings_are_brought_near_and_of_a_volume_what_screening_reads(tmp_path):
    series = tmp_path / "series"
    series.mkdir()
    for n in range(5):
        (series / f"{n}.dcm").write_bytes(bytes(200_000))
    assert read_by(lambda: bring_near(str(series), whole=True)) == pytest.approx(5 * BEGINNING, abs=2000)
    for name, whole, count in (
        ("packed.nrrd", False, 200_000),
        ("packed.nii.gz", False, 200_000),
        ("plain.nii", False, BEGINNING),
        ("plain.nii", True, 200_000),
    ):
        (tmp_path / name).write_bytes(bytes(200_000))
        assert read_by(lambda: bring_near(str(tmp_path / name), whole=whole)) == pytest.approx(count, abs=2000)  # noqa: B023


def test_what_is_no_file_of_the_folder_is_not_opened_and_what_is_not_there_is_no_error(tmp_path):
    (tmp_path / "outside").write_bytes(bytes(200_000))
    series = tmp_path / "series"
    series.mkdir()
    (series / "link.dcm").symlink_to(tmp_path / "outside")
    os.mkfifo(series / "pipe.dcm")  # whose opening would wait for ever
    (series / "empty.dcm").touch()
    assert read_by(lambda: bring_near(str(series), whole=True)) < 2000
    for path in (tmp_path / "nowhere", series / "pipe.dcm", "\0"):
        assert read_by(lambda: bring_near(str(path), whole=True)) < 2000  # noqa: B023


# -- who gets which order


class Counting(Screener):
    """Takes orders and holds them until it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self.now = 0
        self.counting, self.end = threading.Lock(), threading.Event()

    def screen(self, document):
        with self.counting:
            self.now += 1
            self.most = max(self.most, self.now)
        self.end.wait(PATIENCE_S)
        with self.counting:
            self.now -= 1
        return {}


def test_a_workers_children_share_its_orders_and_no_thread_of_the_worker_is_kept_by_one_in_hand(monkeypatch):
    made: list[Counting] = []

    def make() -> Counting:
        made.append(Counting())
        return made[-1]

    monkeypatch.setattr("OsteoScreenLib.batch.screener.Screener", make)
    screeners, left = Screeners(), []
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(screeners.screen, {"in_flight": 3}, 2, lambda: left.append(1)) for _ in range(8)]
        waited(lambda: len(left) == 6 and sum(each.now for each in made) == 6)
        time.sleep(0.1)
        assert len(left) == 6  # two wait in their threads until there is room
        assert [each.now for each in made] == [3, 3]
        for each in made:
            each.end.set()
        for future in asked:
            future.result(PATIENCE_S)
    assert len(left) == 8
    assert max(each.most for each in made) == 3
