"""A batch from a folder to its pages, and the pages anew, as a user asks for them."""

from __future__ import annotations

import shutil

import pyarrow.dataset as ds
import pytest
from batch_archive import rows
from batch_pages import checked, filled_store
from phantom_ct import CENTRES

from OsteoScreenLib.batch.overview import QUEUE, QUEUE_LIST, SUMMARY
from OsteoScreenLib.batch.study import State
from OsteoScreenLib.cli import main


def test_a_folder_is_screened_and_its_open_levels_come_back(archive, tmp_path):
    folder = tmp_path / "tree"
    for study_id in archive.ids[:2]:
        shutil.copytree(archive.scan(study_id), folder / study_id)
    out = folder / "out"
    first = archive.run(out, "--workers=1", manifest=folder)
    assert first.returncode == 0 and "needs levels 2" in first.stdout, first.stderr
    assert {row.state for row in rows(out).values()} == {State.NEEDS_LEVELS}
    (pages,) = out.glob("set-*")
    assert f"Summary: {pages / SUMMARY}" in first.stdout and f": {pages / QUEUE}" in first.stdout
    listed = (pages / QUEUE_LIST).read_text(encoding="utf-8").splitlines()
    names = listed[0].split(",")
    filled = [dict(zip(names, line.split(","), strict=True)) for line in listed[1:]]
    filled[0] |= {"l1": f"#{CENTRES['L1']}", "l2": f"#{CENTRES['L2']}"}
    back = "\n".join([listed[0], *(",".join(cells.values()) for cells in filled)])
    (tmp_path / "filled.csv").write_text(back, encoding="utf-8")
    second = archive.run(out, "--workers=1", manifest=tmp_path / "filled.csv")
    assert "screened 1, needs levels 1" in second.stdout, second.stderr
    text, links = checked(pages / SUMMARY)
    report = next(link for link in links if filled[0]["id"] in link)
    assert (pages / report).is_file() and "case-00" not in text


def test_pages_are_written_anew_and_sets_compared(tmp_path, capsys):
    store, (first, second) = filled_store(tmp_path / "out", count=40, one=0.0, two=6.0)
    store.close()
    out = str(tmp_path / "out")
    assert main(["batch-pages", out, "--data-set", str(tmp_path / "all")]) == 0
    assert f"Summary: {tmp_path / 'out' / second.id / SUMMARY}" in capsys.readouterr().out
    assert not (tmp_path / "out" / first.id).exists()
    assert main(["batch-pages", out, "--set", first.id, "--data-set", str(tmp_path / "all")]) == 0
    assert ds.dataset(tmp_path / "all", partitioning="hive").count_rows() == 80
    capsys.readouterr()
    assert main(["batch-pages", out, "--compare", first.id, second.id]) == 0
    checked(tmp_path / "out" / f"comparison-{first.id}-{second.id}.html")
    assert "Comparison: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 4),
        (["--set", "none"], 4),
        (["--compare", "set-a", "set-a"], 2),
        (["--compare", "set-a", "set-b", "--set", "set-a"], 2),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, capsys, words, code):
    if words:
        filled_store(tmp_path / "out", count=1, one=0.0)[0].close()
    assert main(["batch-pages", str(tmp_path / "out"), *words]) == code
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("osteoscreen: ") and said.err.count("\n") == 1


def test_nothing_is_written_among_the_scans(tmp_path, capsys):
    assert main(["batch", str(tmp_path), "-o", str(tmp_path / ".")]) == 2
    assert "is the folder of an input; name another folder with -o." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
