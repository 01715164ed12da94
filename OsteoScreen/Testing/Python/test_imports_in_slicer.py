"""What the Slicer module imports runs on what Slicer brings: numpy, scipy, SimpleITK and pydicom."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import OsteoScreenLib

ENGINE = Path(OsteoScreenLib.__file__).resolve().parents[1]

#: Refuses every package that is neither Python's own, nor one of the four, nor the engine.
BLOCKED = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        allowed = {"numpy", "scipy", "SimpleITK", "pydicom", "OsteoScreenLib"} | set(sys.stdlib_module_names)
        if root not in allowed and not root.startswith("_"):
            raise ModuleNotFoundError(f"No module named {root!r}", name=root)

sys.meta_path.insert(0, Refused())
# What the environment's .pth files loaded is not there either.
for name in [name for name in sys.modules if name.partition(".")[0] in {"torch", "jsonschema", "jinja2", "PIL"}]:
    del sys.modules[name]
"""

MODULES = [
    "OsteoScreenLib.batch.manifest",
    "OsteoScreenLib.pacs.address",
    "OsteoScreenLib.ct",
    "OsteoScreenLib.ct.eligibility",
    "OsteoScreenLib.levels",
    "OsteoScreenLib.levels.names",
    "OsteoScreenLib.results",
    "OsteoScreenLib.results_io",
    "OsteoScreenLib.request",
    "OsteoScreenLib.errors",
    "OsteoScreenLib.outlines",
    "OsteoScreenLib.densitometry",
    "OsteoScreenLib.segmentation_io",
    "OsteoScreenLib.worker",
    "OsteoScreenLib.worker.exchange",
    "OsteoScreenLib.worker.operations",
    "OsteoScreenLib.reports.pictures",
    "OsteoScreenLib.reports.wording",
    "OsteoScreenLib.preparing",
    "OsteoScreenLib.outlining",
    "OsteoScreenLib.screening",
]

PANEL = """
import numpy as np
from OsteoScreenLib.ct import acquisition_to_dict, ct_from_array, open_dicom_files
from OsteoScreenLib.ct.eligibility import acquisition_checks
from OsteoScreenLib.levels import VertebraMask, level_at, levels_from_vertebrae, snap_to_centre
from OsteoScreenLib.worker import exchange

read = open_dicom_files(sys.argv[1].split("|"))
ct = ct_from_array(np.full(read.geometry.shape, 60, np.int16), read.geometry.ijk_to_ras, read.acquisition)
assert acquisition_checks(ct, age_years=60.0, sex="F")
mask = np.zeros(ct.geometry.shape, bool)
mask[2:5, 10:30, 10:30] = True
levels = levels_from_vertebrae({"L1": VertebraMask("L1", mask, ct.geometry)}, ct, ("L1", "L2"), confirmed=False)
assert levels["L1"].slice_index == 3 and not levels["L1"].confirmed
path = exchange.write_array(np.zeros((3, 32, 32), np.int16), sys.argv[2], "ct")
described = exchange.describe_ct(path, ct.geometry.ijk_to_ras, read.acquisition, findings=read.findings)
assert exchange.open_described_ct(described).acquisition == read.acquisition
answers = []
from OsteoScreenLib.worker.operations import handle
handle({"id": 1, "do": "warm_up"}, answers.append)
print(answers)
"""


def run(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ENGINE)}
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + script, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_every_module_of_the_panel_needs_what_slicer_brings_and_loads_nothing_that_is_slow():
    """SciPy's signal processing takes as long as the rest of screening, without PyTorch; few screenings need it."""
    script = "import importlib\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    script += "print('ok', *{'scipy.signal', 'scipy.stats'} & set(sys.modules))"
    answer = run(script, *MODULES)
    assert answer.stdout.strip() == "ok", answer.stderr


def test_the_block_blocks():
    for package in ("torch", "safetensors", "jsonschema", "jinja2", "PIL", "tqdm", "matplotlib"):
        assert f"No module named '{package}'" in run(f"import {package}").stderr


def test_the_panel_works_and_the_worker_says_what_is_missing(tmp_path):
    from dicom_files import body, write_series

    paths = write_series(tmp_path / "series", body())
    answer = run(PANEL, "|".join(map(str, paths)), str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    assert "'kind': 'MissingPackage'" in answer.stdout
    assert "PyTorch is not installed" in answer.stdout


@pytest.mark.parametrize("name", ["write_html", "render_html"])
def test_the_page_is_imported_when_it_is_asked_for(name):
    script = f"from OsteoScreenLib import reports\ntry:\n    reports.{name}\nexcept ImportError as e:\n    print(e)"
    assert "jinja2" in run(script).stdout
