"""A batch whose processes are killed, hang or are interrupted: the same command finishes, and its results are those of
an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pytest
from batch_archive import PATIENCE_S, children, complaints, events, finished_ids, results, rows, waited

from OsteoScreenLib.batch.study import State

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

CHILD, WORKER = "OsteoScreenLib.batch.child", "multiprocessing.spawn import spawn_main"
SEED = 20240615


CRASH_OR_HANG = """
if event == "open" and "batch.child" in " ".join(sys.orig_argv) and "scans/case-" in str(args[0]):
    if "case-001" in str(args[0]):
        import ctypes
        ctypes.string_at(0)
    if "case-004" in str(args[0]):
        import time
        time.sleep(1000)
"""


def test_a_study_that_crashes_and_one_that_hangs_are_tried_once_more_alone_and_set_aside(
    archive, undisturbed, tmp_path
):
    out = tmp_path / "out"
    done = archive.with_fault(tmp_path / "fault", CRASH_OR_HANG).run(out, "--workers=2", "--timeout=10")
    assert done.returncode == 0, done.stderr
    failed = rows(out, State.FAILED)
    assert {study_id: (row.kind, row.tries) for study_id, row in failed.items()} == {
        "case-001": ("killed", 2),
        "case-004": ("timeout", 2),
    }
    assert failed["case-001"].reason == "Its process did not survive it: it was ended by SIGSEGV."
    assert failed["case-004"].reason == "It took longer than 10 s."
    healthy = {study_id: found for study_id, found in undisturbed.items() if study_id not in failed}
    assert {study_id: found for study_id, found in results(out).items() if study_id in healthy} == healthy
    log = events(out)
    alone = [line["study"] for line in log if line["event"] == "study begun" and line["alone"]]
    assert alone == ["case-001", "case-004"]
    # Nothing else ran while they did.
    running = set()
    for line in log:
        if line["event"] == "study begun":
            assert not (line["alone"] and running)
            running.add(line["study"])
        elif line["event"] == "study ended":
            running.discard(line["study"])
    assert archive.run(out, "--workers=2", "--again=failed").returncode == 0
    assert results(out) == undisturbed


def test_children_and_workers_killed_at_random_moments_lose_nothing(archive, undisturbed, tmp_path):
    out, chance = tmp_path / "out", random.Random(SEED)
    driver = archive.start(out, "--workers=2")
    killed = []

    def kill_now_and_then() -> None:
        for words in (CHILD, WORKER, CHILD):
            waited(lambda: finished_ids(out) or driver.poll() is not None)
            time.sleep(chance.uniform(0.1, 1.0))
            found = children(driver.pid, words)
            if found:
                victim = chance.choice(found)
                os.kill(victim, signal.SIGKILL)
                killed.append(words)

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    _, complained = driver.communicate(timeout=PATIENCE_S)
    killer.join()
    assert driver.returncode == 0, complained
    assert killed
    assert results(out) == undisturbed


def test_a_driver_killed_at_random_moments_goes_on_and_screens_nothing_twice(archive, undisturbed, tmp_path):
    out, chance = tmp_path / "out", random.Random(SEED)
    for kill in range(2):
        driver = archive.start(out, "--workers=2")
        before = len(finished_ids(out))
        waited(lambda: len(finished_ids(out)) > before or driver.poll() is not None)  # noqa: B023
        time.sleep(chance.uniform(0.0, 0.5))
        workers = children(driver.pid, CHILD)
        os.kill(driver.pid, signal.SIGKILL)
        driver.communicate(timeout=PATIENCE_S)
        assert driver.returncode == -signal.SIGKILL, kill
        # Nobody outlives the driver for long: what it left computing would compete with the next one's workers.
        waited(lambda: not any(_is_alive(pid) for pid in workers), 30.0)  # noqa: B023
    last = archive.run(out, "--workers=2")
    assert last.returncode == 0, last.stderr
    assert results(out) == undisturbed
    ends = [line["study"] for line in events(out) if line["event"] == "study ended" and line["state"] == "screened"]
    assert sorted(ends) == archive.ids


def test_an_interrupted_batch_says_so_and_goes_on(archive, undisturbed, tmp_path):
    out = tmp_path / "out"
    driver = archive.start(out, "--workers=2")
    waited(lambda: finished_ids(out))
    asked = time.monotonic()
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, complained = driver.communicate(timeout=PATIENCE_S)
    assert time.monotonic() - asked < 20
    assert driver.returncode == 130
    assert complaints(complained) == "osteoscreen: Interrupted; what is finished stays, and the same command goes on.\n"
    assert State.RUNNING not in {row.state for row in rows(out).values()}
    assert archive.run(out, "--workers=2").returncode == 0
    assert results(out) == undisturbed


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
