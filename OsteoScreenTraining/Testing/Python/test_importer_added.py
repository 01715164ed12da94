"""An importer is one file in `datasets/public/importers`: from there on the command line imports with it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.manifest import read_manifest
from OsteoScreenTrainingLib.datasets.public import importers
from OsteoScreenTrainingLib.datasets.public.importers.registry import importer
from Testing.Python.public_scans import report_rows, run_dataset, write_volume
from Testing.Python.recipes import lying_in, recipe

NAME = "side-by-side"


@pytest.fixture
def added(repository, tmp_path):
    """Put the documentation's example where importers are looked for."""
    folder = tmp_path / "importers"
    folder.mkdir()
    with lying_in(importers, "side_by_side", recipe(repository, "An importer"), folder, importers.find_importers):
        yield
    importers.IMPORTERS.pop(NAME)


def test_one_file_is_all_that_an_importer_needs(added, square_scan, tmp_path, capsys):
    code, said = run_dataset(capsys, "import-side-by-side", "--help")
    assert code == 0
    assert "--scanner" in said.out and "--bmd-from-hu" in said.out
    scan, _ = square_scan
    folder, dataset = tmp_path / "scans", tmp_path / "set"
    write_volume(scan.hu, scan.ijk_to_ras, folder / "one.nii.gz")
    write_volume(scan.labels, scan.ijk_to_ras, folder / "one_labels.nii.gz")
    write_volume(scan.labels, scan.ijk_to_ras, folder / "two_labels.nii.gz")
    code, said = run_dataset(capsys, "import-side-by-side", folder, "-o", dataset, "--scanner", "AX-17")
    assert code == 0, said.err
    assert "1 subjects, 1 with L1 and L2 outlined" in said.out
    assert "two_labels.nii.gz has no CT two.nii.gz" in said.out
    (subject,) = read_manifest(dataset / "subjects.csv")
    assert (subject.subject, subject.scanner) == ("one", "AX-17")
    assert [row["outcome"] for row in report_rows(dataset)] == ["accepted", "accepted", "rejected"]
    assert json.loads((dataset / "sources.json").read_text())["collection"]["name"] == "Side by side"
    assert run_dataset(capsys, "build", dataset)[0] == 0
    assert len(DataSet(dataset).slices) == 2


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="There is an importer 'verse' already"):
        importer("verse", "the same again")


def test_the_help_of_an_import_loads_nothing_heavy(paths):
    script = (
        f"import sys; sys.path[:0] = {paths!r}\n"
        "from OsteoScreenLib.cli import main\n"
        "code = main(['dataset', 'import-verse', '--help'])\n"
        "print('HEAVY', sorted({'torch', 'numpy', 'SimpleITK', 'pydicom', 'scipy'} & set(sys.modules)))\n"
        "sys.exit(code)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert "--metadata FILE" in said.stdout and "HEAVY []" in said.stdout
