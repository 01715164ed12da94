"""A kind of output is one file in `reports/kinds`: from there on every command knows it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from written_study import WrittenStudy, write_study

from OsteoScreenLib.cli import main
from OsteoScreenLib.reports import kinds
from OsteoScreenLib.reports.kinds.registry import OUTPUT_KINDS, WRITERS, OutputKind, writes
from OsteoScreenLib.results_io import read_result


def recipe(repository: Path) -> str:
    """The file that the documentation has for an example."""
    text = (repository / "Docs" / "extending.md").read_text(encoding="utf-8")
    return text.partition("## A report")[2].partition("```python\n")[2].partition("```")[0]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def added(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file lies in the package's folder, as far as imports go."""
    folder = tmp_path / "added"
    folder.mkdir()
    (folder / "plain_text.py").write_text(recipe(repository), encoding="utf-8")
    monkeypatch.setattr(kinds, "__path__", [*kinds.__path__, str(folder)])
    kinds.find_kinds()
    yield
    for table in (OUTPUT_KINDS, WRITERS, sys.modules):
        for name in ("text", f"{kinds.__name__}.plain_text"):
            table.pop(name, None)  # type: ignore[attr-defined]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_one_file_is_all_that_a_kind_needs(
    added: None, study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["screen", "--help"]) == 0
    assert "text: the result in plain sentences (summary.txt)" in " ".join(capsys.readouterr().out.split())
    assert "text" in kinds.chosen_kinds(["all"])
    out = tmp_path / "out"
    assert study.screen(out, "--write=text,csv") == 0
    assert "Also written: csv, text" in capsys.readouterr().out
    result = read_result(out / "result.json")
    assert f"L1 {result.roi['L1'].mean_hu:.0f} HU" in (out / "summary.txt").read_text(encoding="utf-8")
    # What a reader decides is told in every output that lies there.
    assert main(["decide", str(out), "--by", "A. Reader", "--discard"]) == 0
    assert "Discarded by A. Reader" in (out / "summary.txt").read_text(encoding="utf-8")
    assert study.screen(out) == 0
    assert {"result.csv", "summary.txt"}.isdisjoint(names(out))


def test_why_a_study_cannot_give_it_is_said(added: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = write_study(tmp_path / "study", KVP="80")
    out = tmp_path / "out"
    assert refused.screen(out, "--write=text", force=False) == 3
    assert "Not written: text. The study was refused, so there is nothing to sum up." in capsys.readouterr().err
    assert names(out) == {"report.html", "result.json"}


def test_an_input_of_its_name_is_not_overwritten(
    added: None, study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "summary.txt").write_text("the user's own")
    assert study.screen(tmp_path, "--calibration", str(tmp_path / "summary.txt")) == 2
    assert "would be overwritten" in capsys.readouterr().err


def test_what_a_kind_needs_is_what_slicer_installs(repository: Path) -> None:
    listed = (repository / "OsteoScreen" / "Resources" / "requirements-export.txt").read_text(encoding="utf-8")
    needed = {name for kind in OUTPUT_KINDS.values() for name in kind.packages}
    assert needed == {line.partition(">=")[0] for line in listed.splitlines() if line and not line.startswith("#")}


@pytest.mark.parametrize(
    "taken", [{"pdf": OutputKind(("other.pdf",), "another sheet")}, {"sheet": OutputKind(("report.pdf",), "a sheet")}]
)
def test_a_kind_takes_no_others_name_or_file(taken: dict[str, OutputKind]) -> None:
    before = dict(OUTPUT_KINDS)
    with pytest.raises(ValueError, match="is there already"):
        writes(taken)
    assert before == OUTPUT_KINDS
