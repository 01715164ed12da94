"""A batch whose disks fail it: it stops with a sentence and nothing half-written, and the same command goes on.

The disks are real: file systems that are mounted for a test alone, in a namespace of its own (`unshare`, Linux), which
needs no rights where the system lets users have such namespaces.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from batch_archive import PATIENCE_S, complaints, events, finished_ids, results, rows, waited, without_places

from OsteoScreenLib.batch.driver import none_there
from OsteoScreenLib.batch.study import State

pytestmark = pytest.mark.slow

#: Runs in the namespace: argv is the scenario, OUT, the command as JSON, and the file that holds a study back. It
#: prints what each run said, as JSON.
IN_NAMESPACE = """
import json, os, pathlib, subprocess, sys, time
scenario, out, command, holding = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4]
told = []

def mount(*words):
    subprocess.run(["mount", *words], check=True)

def run(meanwhile=None):
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if meanwhile:
        while driver.poll() is None and not list(pathlib.Path(out).glob("set-*/??/*/result.json")):
            time.sleep(0.02)
        meanwhile()
    said, complained = driver.communicate()
    told.append([driver.returncode, complained])

def take_the_share_away():
    subprocess.run(["umount", "-l", out], check=True)
    os.unlink(holding)

if scenario == "disk":
    os.unlink(holding)
    mount("-t", "tmpfs", "-o", "size=500k,ro", "tmpfs", out)
    run()
    mount("-o", "remount,rw", out)
    run()
    mount("-o", "remount,size=64m", out)
    run()
elif scenario == "share":
    share = out + "-share"
    os.mkdir(share)
    mount("--bind", share, out)
    run(take_the_share_away)
    told.append(sorted(os.listdir(out)))
    mount("--bind", share, out)
    run()
subprocess.run(["cp", "-a", out + "/.", out + "-kept"], check=True)
print(json.dumps(told))
"""


@pytest.fixture
def mounted(archive, tmp_path):
    """Runs a scenario; returns what it told, and the folder in which the output then lies."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare on this machine")
    trial = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True)
    if trial.returncode:
        pytest.skip(f"this system gives no namespace to mount in: {trial.stderr.decode().strip()}")

    def run(scenario: str) -> tuple[list, Path]:
        out = tmp_path / "out"
        out.mkdir()
        (tmp_path / "out-kept").mkdir()
        held = archive.holding(tmp_path / "held", "case-005")
        command = json.dumps(held.command(out, "--workers=1"))
        words = [scenario, str(out), command, str(held.prelude[-1] / "case-005")]
        done = subprocess.run(
            ["unshare", "-rm", sys.executable, "-c", IN_NAMESPACE, *words],
            env=held.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = [
            [each[0], complaints(each[1])] if each and isinstance(each[0], int) else each
            for each in json.loads(done.stdout)
        ]
        return told, tmp_path / "out-kept"

    return run


def test_an_output_that_is_read_only_and_then_full(mounted, undisturbed):
    (read_only, full, last), out = mounted("disk")
    assert read_only[0] == 1
    assert "cannot be written: read-only file system" in read_only[1] and read_only[1].count("\n") == 1
    assert full[0] == 1
    assert "full" in full[1] or "no space left on device" in full[1]
    assert full[1].count("\n") == 1 and full[1].startswith("osteoscreen: ")
    assert last == [0, ""]
    assert results(out) == undisturbed


def test_a_share_of_outputs_that_vanishes(mounted, undisturbed):
    (first, beneath, second), out = mounted("share")
    assert first[0] == 1
    assert "is not there any more" in first[1] and first[1].count("\n") == 1
    assert beneath == []  # nothing was written to the disk under the share
    assert second == [0, ""]
    assert results(out) == undisturbed
    assert {row.state for row in rows(out).values()} == {State.SCREENED}


def test_a_share_of_scans_that_vanishes(archive, undisturbed, tmp_path):
    out, share = tmp_path / "out", replace(archive, folder=shutil.copytree(archive.folder, tmp_path / "share"))
    scans, away = share.folder / "scans", share.folder / "elsewhere"
    held = share.holding(tmp_path / "held", "case-005")
    with held.started(out, "--workers=1") as driver:
        waited(lambda: finished_ids(out) or driver.poll() is not None)
        scans.rename(away)
        held.let_go("case-005")
        _, complained = driver.communicate(timeout=PATIENCE_S)
    away.rename(scans)
    assert driver.returncode == 1
    assert "Scans that were there before are not there any more: is their share mounted?" in complained
    assert not rows(out, State.FAILED)
    assert share.run(out, "--workers=1").returncode == 0
    assert without_places(results(out)) == without_places(undisturbed)
    # What happened is in the log, and where the scans lie is not.
    log = (out / "audit.jsonl").read_text()
    assert [line["kind"] for line in events(out) if line.get("state") == "waiting again"]
    assert [line["kind"] for line in events(out) if line["event"] == "driver stopped"] == ["no study can be screened"]
    assert str(share.folder) not in log
    assert "scans" not in log


def test_one_scan_that_is_not_there_is_said_not_to_be():
    assert str(none_there(1)).startswith("The scan is not where the manifest says: is its share mounted?")


def test_scans_none_of_which_is_there_fail_none(archive, tmp_path):
    """And one that is not, among others that are, fails: test_batch_run.py."""
    few, out = replace(archive, studies=3), tmp_path / "out"
    nowhere = few.manifest("nowhere.csv", ct=lambda study_id: f"unmounted/{study_id}")
    done = few.run(out, "--workers=1", manifest=nowhere)
    assert done.returncode == 4
    assert "None of the 3 scans is where the manifest says: is their share mounted?" in done.stderr
    assert {row.state for row in rows(out).values()} == {State.WAITING}
