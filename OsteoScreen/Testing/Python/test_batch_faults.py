"""A batch whose processes are killed, hang or are interrupted: the same command finishes, and its results are those of
an undisturbed run."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import time
from dataclasses import replace

import pytest
from batch_archive import (
    PATIENCE_S,
    check_alone,
    children,
    complaints,
    events,
    finished_ids,
    results,
    rows,
    waited,
    without_places,
    written_at,
)
from phantom_ct import CENTRES

from OsteoScreenLib.batch.study import State
from OsteoScreenLib.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")]

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
    archive, undisturbed, ample_s, tmp_path
):
    out = tmp_path / "out"
    faulty = archive.with_fault(tmp_path / "fault", CRASH_OR_HANG)
    done = faulty.run(out, "--workers=1", f"--timeout={ample_s}")
    assert done.returncode == 0, done.stderr
    failed = rows(out, State.FAILED)
    assert {study_id: (row.kind, row.tries) for study_id, row in failed.items()} == {
        "case-001": ("killed", 2),
        "case-004": ("timeout", 2),
    }
    assert failed["case-001"].reason == "Its process did not survive it: it was ended by SIGSEGV."
    assert failed["case-004"].reason == f"It took longer than {ample_s} s."
    healthy = {study_id: found for study_id, found in undisturbed.items() if study_id not in failed}
    assert {study_id: found for study_id, found in results(out).items() if study_id in healthy} == healthy
    log = events(out)
    alone = [line["study"] for line in log if line["event"] == "study begun" and line["alone"]]
    # A machine that stops for a while makes others suspects too.
    assert [study_id for study_id in alone if study_id in failed] == ["case-001", "case-004"]
    check_alone(log)
    assert archive.run(out, "--workers=1", "--again=failed").returncode == 0
    assert results(out) == undisturbed


def test_a_child_and_a_worker_killed_at_random_moments_lose_nothing(archive, undisturbed, tmp_path):
    out, chance = tmp_path / "out", random.Random(SEED)
    held = archive.holding(tmp_path / "held", "case-005")
    with held.started(out, "--workers=2") as driver:
        for words in (CHILD, WORKER):
            waited(lambda: finished_ids(out) or driver.poll() is not None)
            time.sleep(chance.uniform(0.1, 1.0))
            waited(lambda: _kills_one_of(children(driver.pid, words), chance))  # noqa: B023
        held.let_go("case-005")
        _, complained = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0, complained
    assert results(out) == undisturbed


def test_a_driver_that_is_interrupted_and_then_killed_goes_on_and_screens_nothing_twice(archive, undisturbed, tmp_path):
    out, chance = tmp_path / "out", random.Random(SEED)
    held = archive.holding(tmp_path / "held", "case-003", "case-005")
    with held.started(out, "--workers=2") as driver:
        waited(lambda: finished_ids(out) or driver.poll() is not None)
        os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, complained = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 130
    assert complaints(complained) == "osteoscreen: Interrupted; what is finished stays, and the same command goes on.\n"
    assert (events(out)[-1]["event"], events(out)[-1]["kind"]) == ("driver stopped", "interrupted")
    assert State.RUNNING not in {row.state for row in rows(out).values()}
    written = written_at(out)
    held.let_go("case-003")
    with held.started(out, "--workers=1") as driver:
        waited(lambda: "case-003" in finished_ids(out) or driver.poll() is not None)
        time.sleep(chance.uniform(0.0, 0.5))
        workers = children(driver.pid, CHILD)
        os.kill(driver.pid, signal.SIGKILL)
        driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == -signal.SIGKILL
    # Nobody outlives the driver for long: what it left computing would compete with the next one's workers.
    assert workers
    waited(lambda: not any(_is_alive(pid) for pid in workers))
    written = {**written_at(out), **written}
    last = archive.run(out, "--workers=1")
    assert last.returncode == 0, last.stderr
    assert results(out) == undisturbed
    assert written_at(out).items() >= written.items() and "case-003" in written
    ends = [line["study"] for line in events(out) if line["event"] == "study ended" and line["state"] == "screened"]
    assert len(ends) == len(set(ends))


def test_a_second_driver_is_refused_and_the_first_goes_on_undisturbed(archive, undisturbed, tmp_path, capsys):
    out = tmp_path / "out"
    held = archive.holding(tmp_path / "held", "case-005")
    with held.started(out, "--workers=1") as first:
        waited(lambda: finished_ids(out) or first.poll() is not None)
        assert main(archive.words(out, "--workers=1")) == 1
        assert capsys.readouterr().err.startswith(f"osteoscreen: Another batch works on {out} (process {first.pid} on ")
        held.let_go("case-005")
        _, complained = first.communicate(timeout=PATIENCE_S)
    assert (first.returncode, complaints(complained)) == (0, "")
    assert results(out) == undisturbed
    assert [line["event"] for line in events(out) if line["event"].startswith("driver")] == [
        "driver begun",
        "driver ended",
    ]


def test_a_corrupt_dicom_in_every_tenth_study_costs_that_study_alone(archive, undisturbed, tmp_path):
    """Ten studies; in the tenth every file is cut short, and in the fifth, which is screened all the same, that of one
    slice."""
    many, out = replace(archive, studies=10), tmp_path / "out"
    like = {study_id: archive.ids[n % archive.studies] for n, study_id in enumerate(many.ids)}
    scans = {study_id: archive.scan(other) for study_id, other in like.items()}
    for study_id, share in (("case-009", 1 / 3), ("case-004", 1 / 2)):
        scans[study_id] = shutil.copytree(scans[study_id], tmp_path / study_id)
        files = sorted(scans[study_id].iterdir())
        for path in files if study_id == "case-009" else [files[CENTRES["L1"]]]:
            path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    done = many.run(out, "--workers=1", manifest=many.manifest("tenth.csv", ct=lambda study_id: str(scans[study_id])))
    assert (done.returncode, done.stderr) == (0, "")
    found = results(out)
    corrupt = found.pop("case-009"), found.pop("case-004")
    expected = without_places(undisturbed)
    assert without_places(found) == {study_id: expected[like[study_id]] for study_id in found}
    assert corrupt[0] == ("failed", "unreadable", {})
    assert corrupt[1][0] == "screened", "it was told to, by --force"
    refusing = [check for check in corrupt[1][5]["eligibility"] if check["check"] == "files"]
    assert [(check["outcome"], check["value"]) for check in refusing] == [("refuse", 1)]


WEAR = """
if event == "subprocess.Popen" and "OsteoScreenLib.batch.apart" in sys.modules:
    apart = sys.modules["OsteoScreenLib.batch.apart"]
    apart.MOST_STUDIES, apart.MOST_GROWTH_MB = 3, 200.0
if event == "open" and "batch.child" in " ".join(sys.orig_argv) and "scans/case-" in str(args[0]):
    study = str(args[0]).partition("scans/")[2][:8]
    if study not in vars(sys).setdefault("_studies", []):
        sys._studies.append(study)
        with open(os.environ["SERVED"], "a") as log:
            log.write(f"{study} {os.getpid()}\\n")
        if study == "case-001":
            sys._kept = b"1" * 400_000_000
"""


def test_a_child_is_replaced_when_it_has_grown_and_when_it_has_done_its_share(
    archive, undisturbed, tmp_path, monkeypatch
):
    served, out = tmp_path / "served", tmp_path / "out"
    monkeypatch.setenv("SERVED", str(served))
    done = archive.with_fault(tmp_path / "fault", WEAR).run(out, "--workers=1", "--in-flight=1")
    assert (done.returncode, done.stderr) == (0, "")
    assert results(out) == undisturbed
    assert {row.tries for row in rows(out).values()} == {1}
    children_of = [line.split() for line in served.read_text().splitlines()]
    assert [study for study, _ in children_of] == archive.ids
    # The first grew with its second study, the second one did the three that a child may do here.
    assert [len(list(group)) for _, group in itertools.groupby(pid for _, pid in children_of)] == [2, 3, 1]


def _kills_one_of(pids: list[int], chance: random.Random) -> bool:
    try:
        os.kill(chance.choice(pids), signal.SIGKILL)
    except (IndexError, ProcessLookupError):  # there is none just now, or it ended in this moment
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:  # it ended in this moment
        return False
