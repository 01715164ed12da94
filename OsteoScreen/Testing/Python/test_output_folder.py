"""What a run leaves on disk: all of it or nothing, and nothing of the user's touched."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from OsteoScreenLib.cli.output import refuse_overwriting, staged_output
from OsteoScreenLib.errors import OsteoScreenError, UsageError

OWN = ("report.html", "segmentation.seg.nrrd", "result.json")


def write(output, **texts):
    with staged_output(output, OWN) as folder:
        for name, text in texts.items():
            (folder / {"report": OWN[0], "outlines": OWN[1], "result": OWN[2]}[name]).write_text(text)


def fail(output, error):
    with staged_output(output, OWN) as folder:
        (folder / "result.json").write_text("half")
        raise error


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_a_new_folder_appears_whole_with_its_parents(tmp_path):
    out = tmp_path / "a" / "b" / "out"
    write(out, report="page", result="{}")
    assert contents(out) == {"report.html": "page", "result.json": "{}"}
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    if os.name != "nt":
        mask = os.umask(0)
        os.umask(mask)
        assert out.stat().st_mode & 0o777 == 0o777 & ~mask


def test_a_later_run_replaces_its_own_files_and_no_others(tmp_path):
    write(tmp_path, report="old", outlines="old", result="old")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "report.html.bak").write_text("mine")
    write(tmp_path, report="new", result="new")
    assert contents(tmp_path) == {
        "notes.txt": "mine",
        "report.html": "new",
        "report.html.bak": "mine",
        "result.json": "new",
    }


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), UsageError("no")])
def test_nothing_remains_of_a_run_that_fails(tmp_path, error):
    out = tmp_path / "deep" / "out"
    with pytest.raises(type(error)):
        fail(out, error)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_the_earlier_one_as_it_was(tmp_path):
    write(tmp_path, report="old", result="old")
    with pytest.raises(ValueError, match="no"):
        fail(tmp_path, ValueError("no"))
    assert contents(tmp_path) == {"report.html": "old", "result.json": "old"}


def test_result_json_never_lies_beside_another_runs_report(tmp_path, monkeypatch):
    write(tmp_path, report="old", result="old")
    real = os.replace

    def fail_at_report(source, target):
        if Path(target).name == "report.html":
            raise OSError(errno.EIO, "Input/output error", str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", fail_at_report)
    with pytest.raises(OsteoScreenError, match="input/output error"):
        write(tmp_path, report="new", result="new")
    assert not (tmp_path / "result.json").exists()


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    for out in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(UsageError, match="not a folder"):
            write(out, result="{}")
    assert (tmp_path / "out").read_text() == "a file"


def test_a_full_disk_is_a_sentence(tmp_path):
    with (
        pytest.raises(OsteoScreenError, match="the disk is full") as caught,
        staged_output(tmp_path / "out", OWN),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OsteoScreenError, match="permission denied"):
            write(tmp_path / "out", result="{}")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/proc/1").exists(), reason="needs a folder where nobody can write")
def test_a_folder_where_nobody_can_write_is_a_sentence():
    with pytest.raises(OsteoScreenError, match="cannot be written"):
        write("/proc/osteoscreen-out", result="{}")


def test_an_error_about_reading_is_not_blamed_on_the_output(tmp_path):
    with pytest.raises(OSError, match="Input/output"), staged_output(tmp_path / "out", OWN):
        raise OSError(errno.EIO, "Input/output error", str(tmp_path / "ct" / "1.dcm"))


def test_inputs_are_never_overwritten(tmp_path):
    scan = tmp_path / "ct"
    scan.mkdir()
    with pytest.raises(UsageError, match="folder of an input"):
        refuse_overwriting(scan, OWN, [str(scan), None])
    with pytest.raises(UsageError, match="would be overwritten"):
        refuse_overwriting(tmp_path, OWN, [None, str(tmp_path / "segmentation.seg.nrrd")])
    refuse_overwriting(tmp_path / "out", OWN, [str(scan), str(tmp_path / "segmentation.seg.nrrd")])
