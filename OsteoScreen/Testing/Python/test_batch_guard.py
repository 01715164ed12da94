"""What a batch leaves on the disk beside its results: the lock, the log, and folders that are whole or not there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from batch_archive import ENGINE, events
from report_cases import refused, screened

from OsteoScreenLib.batch.audit import AUDIT, AuditLog
from OsteoScreenLib.batch.lock import HOLDER, OutputTaken, sole_driver
from OsteoScreenLib.batch.publish import STAGING, OutputProblem, Seal, StudyPlace, prepare_set, sweep_set
from OsteoScreenLib.batch.store_file import StoreError
from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.reports.kinds import RESULT
from OsteoScreenLib.results_io import make_folder, write_result

SEAL = Seal("hash of the set", "hash of the question")

HOLD = """
import sys
from OsteoScreenLib.batch.lock import sole_driver
with sole_driver(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ENGINE)},
    )
    assert process.stdout.readline() == "held\n"
    return process


# -- the lock


def test_the_second_driver_is_told_who_holds_the_output_until_that_one_ends_anyhow(tmp_path):
    holder = hold(tmp_path)
    whose = rf"process {holder.pid} on {socket.gethostname()}, since \d{{4}}-\d\d-\d\dT"
    with pytest.raises(OutputTaken, match=whose), sole_driver(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with sole_driver(tmp_path):
        assert json.loads((tmp_path / HOLDER).read_text())["pid"] == os.getpid()
    assert not (tmp_path / HOLDER).exists()


def test_the_command_refuses_an_output_that_another_driver_works_on(tmp_path, capsys):
    (tmp_path / "list.csv").write_text("ct,l1\nscan.nrrd,#1\n")
    (tmp_path / "out").mkdir()
    holder = hold(tmp_path / "out")
    words = ["batch", str(tmp_path / "list.csv"), "-o", str(tmp_path / "out")]
    assert main(words) == 1
    holder.communicate()
    said = capsys.readouterr().err
    assert said.startswith(f"osteoscreen: Another batch works on {tmp_path / 'out'} (process {holder.pid} on ")
    assert not (tmp_path / "out" / AUDIT).exists()


# -- the log


def test_lines_are_numbered_on_across_drivers_and_a_cut_one_is_taken_away(tmp_path):
    for event in ("first", "second"):
        log = AuditLog(tmp_path)
        log.note(event, study="case-1")
        log.close()
    with (tmp_path / AUDIT).open("ab") as file:
        file.write(b'{"n": 3, "at": "2026-')
    log = AuditLog(tmp_path)
    log.note("third")
    log.close()
    assert [(line["n"], line["event"]) for line in events(tmp_path)] == [
        (1, "first"),
        (2, "second"),
        (3, "log repaired"),
        (4, "third"),
    ]


def test_a_log_that_is_one_cut_line_begins_anew(tmp_path):
    (tmp_path / AUDIT).write_bytes(b'{"n": 1')
    AuditLog(tmp_path).close()
    assert [line["event"] for line in events(tmp_path)] == ["log repaired"]


def test_a_clock_that_jumps_changes_neither_the_order_nor_the_seconds(tmp_path):
    start = datetime(2026, 3, 1, tzinfo=timezone.utc)
    walls = iter([start, start + timedelta(days=400), start - timedelta(days=9)])
    ups = iter([100.0, 101.0, 102.5, 103.0])
    log = AuditLog(tmp_path, wall=lambda: next(walls), monotonic=lambda: next(ups))
    for event in ("a", "b", "c"):
        log.note(event)
    log.close()
    found = events(tmp_path)
    assert [line["up"] for line in found] == [1.0, 2.5, 3.0]
    assert [line["at"][:10] for line in found] == ["2026-03-01", "2027-04-05", "2026-02-20"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full, a disk that is full")
def test_a_full_disk_is_a_sentence(tmp_path):
    (tmp_path / AUDIT).symlink_to("/dev/full")
    with pytest.raises(StoreError, match="no space left on device; once that is mended, the same command goes on"):
        AuditLog(tmp_path).note("event")


# -- the folder of a study


def place(out: Path, seal: Seal = SEAL) -> StudyPlace:
    return StudyPlace(out, "set-1", "case-1", seal)


def write(at: StudyPlace, result=None) -> None:
    with at.writing() as folder:
        (folder / "report.html").write_text("page")
        write_result(result or screened(), folder / RESULT)


def test_a_study_is_there_as_a_whole_and_known_again(tmp_path):
    prepare_set(tmp_path, "set-1", {})
    assert place(tmp_path).finished() is None
    write(place(tmp_path))
    assert place(tmp_path).finished() == screened()
    assert os.stat(place(tmp_path).folder).st_mode & 0o777 == 0o777 & ~_umask()
    assert list((tmp_path / "set-1" / STAGING).iterdir()) == []


@pytest.mark.parametrize("other", [Seal("another set", SEAL.asked), Seal(SEAL.set_hash, "another question")])
def test_outputs_made_of_something_else_are_not_taken_over_but_replaced(tmp_path, other):
    prepare_set(tmp_path, "set-1", {})
    write(place(tmp_path, other), refused())
    assert place(tmp_path).finished() is None
    write(place(tmp_path))
    assert place(tmp_path).finished() == screened()
    assert place(tmp_path, other).finished() is None
    assert list((tmp_path / "set-1" / STAGING).iterdir()) == []


@pytest.mark.parametrize("damage", ["result.json", "batch.json"])
def test_a_folder_that_lacks_something_is_not_taken_over(tmp_path, damage):
    prepare_set(tmp_path, "set-1", {})
    write(place(tmp_path))
    path = place(tmp_path).folder / damage
    path.write_bytes(path.read_bytes()[:-40])
    assert place(tmp_path).finished() is None


def test_what_goes_wrong_leaves_nothing_and_is_told_apart_from_the_disks(tmp_path):
    prepare_set(tmp_path, "set-1", {})

    def fail(error: Exception) -> None:
        with place(tmp_path).writing() as folder:
            (folder / "report.html").write_text("half a page")
            raise error

    with pytest.raises(OutputProblem, match=r"cannot be written to .*: no space left on device"):
        fail(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OsteoScreenError, match="does not follow its schema") as caught:
        fail(OsteoScreenError("It does not follow its schema."))
    assert not isinstance(caught.value, OutputProblem)
    assert {path.name for path in (tmp_path / "set-1").rglob("*")} == {"set.json", STAGING}


def test_where_the_share_is_gone_nothing_is_made_in_its_place(tmp_path):
    out = tmp_path / "share" / "out"
    prepare_set(out, "set-1", {})
    (tmp_path / "share").rename(tmp_path / "unmounted")
    (tmp_path / "share").mkdir()
    with pytest.raises(OutputProblem, match="it is not there any more"):
        write(place(out))
    assert list((tmp_path / "share").iterdir()) == []


def test_where_the_share_goes_while_a_study_is_written_nothing_is_made_in_its_place(tmp_path):
    share, out = tmp_path / "share", tmp_path / "share" / "out"
    prepare_set(out, "set-1", {})
    for write_one in (
        lambda folder: write_result(screened(), folder / RESULT),
        lambda folder: make_folder(folder / "dicom"),
    ):
        with pytest.raises(OutputProblem, match="it is not there any more"), place(out).writing() as folder:
            share.rename(tmp_path / "unmounted")
            out.mkdir(parents=True)
            write_one(folder)
        assert list(out.iterdir()) == []
        with pytest.raises(OutputProblem, match="it is not there any more"):
            sweep_set(out, "set-1")
        assert list(out.iterdir()) == []
        shutil.rmtree(share)
        (tmp_path / "unmounted").rename(share)


def test_what_was_being_written_when_the_driver_died_is_swept(tmp_path):
    prepare_set(tmp_path, "set-1", {"id": "set-1"})
    write(place(tmp_path))
    (tmp_path / "set-1" / STAGING / "case-2-abc").mkdir()
    prepare_set(tmp_path, "set-1", {"id": "set-1"})
    assert list((tmp_path / "set-1" / STAGING).iterdir()) == []
    assert place(tmp_path).finished() == screened()


# -- the command line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers=0"], "--workers is from 1 to 1024"),
        (["--workers=2", "--scheduler=tcp://host:1"], "give one of them"),
        (["--timeout=0"], "--timeout is more than 0"),
        (["--again=running"], "There is no final state 'running'"),
        (["--write=tiff"], "Nothing can be written as 'tiff'"),
    ],
)
def test_wrong_options_are_told_before_anything_is_made(tmp_path, capsys, words, said):
    (tmp_path / "list.csv").write_text("ct,l1\nscan.nrrd,#1\n")
    assert main(["batch", str(tmp_path / "list.csv"), "-o", str(tmp_path / "out"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_wrong_manifest_screens_nothing(tmp_path, capsys):
    (tmp_path / "list.csv").write_text("ct,l1\nscan.nrrd,#1\nother.nrrd,upstairs\n")
    assert main(["batch", str(tmp_path / "list.csv"), "-o", str(tmp_path / "out")]) == 4
    assert "Line 3" in capsys.readouterr().err


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
