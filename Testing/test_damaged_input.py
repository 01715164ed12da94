"""Damaged, wrong, hostile, empty and mislabelled input: the right exit code and one clear sentence, nothing else.

Every case of the table in ``damaged/`` runs the whole command in this process, and a few of them again as a process of
their own. Each says what is done to the input, the exit code, and what the sentence has to name (a pattern, looked for
in any case).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dicom_files import write_series
from phantom_ct import make_phantom
from tiny_bundle import write_tiny_bundle

from OsteoScreenLib import errors
from OsteoScreenLib.cli import main
from OsteoScreenLib.results_io import read_result

sys.path.append(str(Path(__file__).resolve().parent))

from damaged.table import (
    BUNDLE,
    CASES,
    FEW,
    INPUT,
    LEVELS,
    OTHER,
    REFUSED,
    SCREENED,
    SERIES,
    USAGE,
    Sources,
    copied,
    measured,
)

ENGINE = Path(errors.__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Sources:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sound")
    phantom = make_phantom()
    write_series(folder / "dicom", phantom.hu[FEW], **SERIES)
    return Sources(
        phantom,
        folder / "dicom",
        phantom.write(folder / "ct.nii.gz"),
        phantom.write_outlines(folder / "outlines.seg.nrrd"),
        phantom.write_vertebrae(folder / "vertebrae"),
        write_tiny_bundle(folder / "tiny"),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_damaged_input(case, sources, tmp_path, capfd):
    (tmp_path / "in").mkdir()
    out = tmp_path / "out"
    code = main(["screen", *case.words(sources, tmp_path / "in"), "-o", str(out)])
    shown = capfd.readouterr()
    said = shown.err.strip()
    assert code == case.code, f"{code}: {said or shown.out}"
    assert "Traceback" not in shown.out + shown.err
    assert not list(tmp_path.rglob(".osteoscreen-*"))
    assert not (tmp_path / "escaped").exists()
    if code == SCREENED:
        assert said == ""
        check_screened(out)
        return
    assert re.search(case.says, said, re.IGNORECASE | re.DOTALL), said
    assert said.startswith("osteoscreen: ")
    assert "\n" not in said
    assert len(said) < 900
    if code == REFUSED:
        result = read_result(out / "result.json")
        assert result.status == "refused"
        assert any(check.outcome == "refuse" for check in result.eligibility)
        assert (result.roi, result.densitometry) == ({}, None)
        assert not (out / "segmentation.seg.nrrd").exists()
    else:
        assert shown.out == ""
        assert not out.exists()


def check_screened(out: Path) -> None:
    result = read_result(out / "result.json")
    assert result.status == "screened"
    assert set(result.roi) == {"L1", "L2"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>x" not in page
    assert "Simulated^Secret" not in page
    assert "SECRET-ID" not in page
    assert (out / "segmentation.seg.nrrd").exists()


def assert_one_sentence(stderr: str) -> None:
    """One line of ours, beside the progress that a slow machine tells of."""
    lines = [line for line in stderr.splitlines() if not re.search(r"…( \(\d+ of \d+\))?$", line)]
    assert len(lines) == 1, stderr
    assert lines[0].startswith("osteoscreen: ")


def test_there_are_at_least_sixty_kinds_and_none_twice():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 60


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("NRRD cut short", INPUT),
        ("every DICOM file cut in its header", INPUT),
        ("level far outside", USAGE),
        ("80 kVp", REFUSED),
        ("bundle whose weights are cut short", BUNDLE),
    ],
)
def test_as_a_process_of_its_own(name, code, sources, tmp_path):
    words = next(case for case in CASES if case.name == name).words(sources, tmp_path)
    answer = subprocess.run(
        [sys.executable, "-m", "OsteoScreenLib", "screen", *words, "-o", str(tmp_path / "out"), "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ENGINE)},
        check=False,
    )
    assert answer.returncode == code, answer.stderr
    assert_one_sentence(answer.stderr)
    if code == REFUSED:
        assert json.loads(answer.stdout)["status"] == "refused"
    else:
        assert answer.stdout == ""
        assert not (tmp_path / "out").exists()


# ---- the output folder


@pytest.mark.parametrize("place", ["a file", "the scan's folder", "below a file"])
def test_an_output_that_cannot_be(place, sources, tmp_path, capfd):
    scan = copied(sources.dicom, tmp_path)
    before = sorted(path.name for path in scan.iterdir())
    out = {"a file": tmp_path / "file", "the scan's folder": scan, "below a file": tmp_path / "file" / "out"}[place]
    (tmp_path / "file").write_text("mine")
    assert main(["screen", *measured(scan, sources), "-o", str(out)]) == USAGE
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "folder" in said
    assert sorted(path.name for path in scan.iterdir()) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_outlines_in_the_output_folder_are_not_overwritten(sources, tmp_path, capfd):
    shutil.copy(sources.outlines, tmp_path / "segmentation.seg.nrrd")
    words = [str(sources.dicom), "--masks", str(tmp_path / "segmentation.seg.nrrd"), *LEVELS]
    assert main(["screen", *words, "-o", str(tmp_path)]) == USAGE
    assert "overwritten" in capfd.readouterr().err
    assert main(["screen", *words, "-o", str(tmp_path / "new")]) == SCREENED


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_console_is_no_traceback(sources, tmp_path):
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "OsteoScreenLib", "screen", *measured(sources.dicom, sources), "--json",
             "-o", str(tmp_path / "out")],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ENGINE)},
        )  # fmt: skip
    assert "Traceback" not in answer.stderr
    assert answer.returncode == OTHER
    assert_one_sentence(answer.stderr)
    assert read_result(tmp_path / "out" / "result.json").status == "screened"
