"""A batch whose disks fail it: it stops with a sentence and nothing half-written, and the same command goes on.

The disks are real: file systems that are mounted for a test alone, in a namespace of its own (`unshare`, Linux), which
needs no rights where the system lets users have such namespaces.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from batch_archive import PATIENCE_S, complaints, events, finished_ids, results, rows, waited

from OsteoScreenLib.batch.driver import none_there
from OsteoScreenLib.batch.study import State

#: Runs in the namespace: argv is the scenario, OUT and the command as JSON. It prints what each run said, as JSON.
IN_NAMESPACE = """
import json, os, pathlib, subprocess, sys, time
scenario, out, command = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
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

if scenario == "full":
    mount("-t", "tmpfs", "-o", "size=500k", "tmpfs", out)
    run()
    mount("-o", "remount,size=64m", out)
    run()
elif scenario == "read-only":
    mount("-t", "tmpfs", "-o", "size=64m,ro", "tmpfs", out)
    run()
    mount("-o", "remount,rw", out)
    run()
elif scenario == "share gone":
    share = out + "-share"
    os.mkdir(share)
    mount("--bind", share, out)
    run(lambda: subprocess.run(["umount", "-l", out], check=True))
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
        command = json.dumps(archive.command(out, "--workers=1"))
        words = ["unshare", "-rm", sys.executable, "-c", IN_NAMESPACE, scenario, str(out), command]
        done = subprocess.run(
            words, env=archive.environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stderr
        told = [
            [each[0], complaints(each[1])] if each and isinstance(each[0], int) else each
            for each in json.loads(done.stdout)
        ]
        return told, tmp_path / "out-kept"

    return run


def test_a_full_disk(mounted, undisturbed):
    (first, second), out = mounted("full")
    assert first[0] == 1
    assert "full" in first[1] or "no space left on device" in first[1]
    assert first[1].count("\n") == 1 and first[1].startswith("osteoscreen: ")
    assert second == [0, ""]
    assert results(out) == undisturbed


def test_an_output_that_is_read_only(mounted, undisturbed):
    (first, second), out = mounted("read-only")
    assert first[0] == 1
    assert "cannot be written: read-only file system" in first[1] and first[1].count("\n") == 1
    assert second == [0, ""]
    assert results(out) == undisturbed


def test_a_share_of_outputs_that_vanishes(mounted, undisturbed):
    (first, beneath, second), out = mounted("share gone")
    assert first[0] == 1
    assert "is not there any more" in first[1] and first[1].count("\n") == 1
    assert beneath == []  # nothing was written to the disk under the share
    assert second == [0, ""]
    assert results(out) == undisturbed
    assert {row.state for row in rows(out).values()} == {State.SCREENED}


def test_a_share_of_scans_that_vanishes(archive, undisturbed, tmp_path):
    out, scans = tmp_path / "out", archive.folder / "scans"
    driver = archive.start(out, "--workers=1")
    # Until the driver knows of a scan that was there, it says that none is.
    waited(lambda: finished_ids(out) and rows(out, State.SCREENED))
    scans.rename(tmp_path / "elsewhere")
    try:
        _, complained = driver.communicate(timeout=PATIENCE_S)
    finally:
        (tmp_path / "elsewhere").rename(scans)
    assert driver.returncode == 1
    assert "Scans that were there before are not there any more: is their share mounted?" in complained
    assert not rows(out, State.FAILED)
    assert archive.run(out, "--workers=1").returncode == 0
    assert results(out) == undisturbed
    # What happened is in the log, and where the scans lie is not.
    log = (out / "audit.jsonl").read_text()
    assert [line["kind"] for line in events(out) if line.get("state") == "waiting again"]
    assert [line["kind"] for line in events(out) if line["event"] == "driver stopped"] == ["no study can be screened"]
    assert str(archive.folder) not in log
    assert "scans" not in log


def test_one_scan_that_is_not_there_is_said_not_to_be():
    assert str(none_there(1)).startswith("The scan is not where the manifest says: is its share mounted?")


def test_scans_that_were_never_there_fail_only_where_others_are_there(archive, tmp_path):
    out = tmp_path / "out"
    nowhere = archive.manifest("nowhere.csv", ct=lambda study_id: f"unmounted/{study_id}")
    done = archive.run(out, "--workers=1", manifest=nowhere)
    assert done.returncode == 4
    assert "None of the 6 scans is where the manifest says: is their share mounted?" in done.stderr
    assert {row.state for row in rows(out).values()} == {State.WAITING}
    some = archive.manifest("some.csv", ct=lambda s: f"{'unmounted' if s == 'case-000' else 'scans'}/{s}")
    assert archive.run(out, "--workers=1", manifest=some).returncode == 0
    found = rows(out)
    assert found["case-000"].state is State.FAILED and found["case-000"].kind == "missing"
    assert {found[study_id].state for study_id in archive.ids[1:]} == {State.SCREENED}
