"""`osteoscreen decide` where two readers decide at once, or the folder cannot be written: no decision is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from decided_study import contents

from OsteoScreenLib.cli import application, decide, main, replacing
from OsteoScreenLib.results_io import read_result, write_result

ENGINE = Path(application.__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("nothing_installed_in_module", "one_core")


def test_who_decides_at_the_same_time_is_told_and_nobodys_decision_is_lost(plain):
    words = [sys.executable, "-m", "OsteoScreenLib", "decide", str(plain), "--accept", "--by"]
    environment = {**os.environ, "PYTHONPATH": str(ENGINE), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen([*words, f"Reader {n}"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for n in range(2)
    ]
    ended = [(*process.communicate(timeout=300), process.returncode) for process in running]
    done = {f"Reader {n}" for n, (_, _, code) in enumerate(ended) if code == 0}
    for _, errors, code in ended:
        assert code == 0 or (code == 1 and b"decide again" in errors)
    decisions = read_result(plain / "result.json").decisions
    assert done and {decision.by for decision in decisions} == done
    assert len(decisions) == len(done)


def test_a_result_that_another_reader_is_deciding_on_is_left_alone(plain, capsys):
    before = contents(plain)
    with replacing.alone_in(plain):
        assert main(["decide", str(plain), "--accept", "--by", "N. N."]) == 1
    assert "Someone else decides on this result just now" in capsys.readouterr().err
    assert contents(plain) == before
    assert main(["decide", str(plain), "--accept", "--by", "N. N."]) == 0


def test_a_result_that_was_changed_meanwhile_is_not_overwritten(plain, monkeypatch, capsys):
    """By a program that does not ask for the lock."""
    written = decide.write_all

    def meanwhile(*arguments):
        result = read_result(plain / "result.json")
        write_result(replace(result, disclaimer="Changed meanwhile."), plain / "result.json")
        return written(*arguments)

    monkeypatch.setattr(decide, "write_all", meanwhile)
    assert main(["decide", str(plain), "--accept", "--by", "N. N."]) == 1
    assert "changed meanwhile" in capsys.readouterr().err
    result = read_result(plain / "result.json")
    assert (result.disclaimer, result.decisions) == ("Changed meanwhile.", [])


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), KeyboardInterrupt()])
@pytest.mark.parametrize("held", ["report.pdf", "result.json"])
def test_where_a_file_cannot_be_replaced_all_stay_as_they_were(everything, monkeypatch, capsys, held, error):
    """As on Windows, where another program holds the sheet open."""
    assert main(["decide", str(everything), "--accept", "--by", "First"]) == 0
    before, real = contents(everything), os.replace

    def refusing(source, target):
        if Path(target) == everything / held and "new" in Path(source).parts:
            raise error
        real(source, target)

    monkeypatch.setattr(replacing.os, "replace", refusing)
    assert main(["decide", str(everything), "--discard", "--by", "Second"]) in (1, 130)
    monkeypatch.undo()
    assert contents(everything) == before
    assert [path for path in everything.iterdir() if path.is_dir()] == []
    assert [decision.by for decision in read_result(everything / "result.json").decisions] == ["First"]
