"""The examples for clusters where the package that they are made with is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "Resources"


@pytest.mark.parametrize(
    ("example", "package", "words", "extra"),
    [
        ("batch_on_a_cluster.py", "dask_jobqueue", ["slurm", "LIST"], "osteoscreen[batch,cluster]"),
        ("batch_on_kubernetes.py", "dask_kubernetes", ["--image=I", "LIST"], "osteoscreen[kubernetes]"),
    ],
)
def test_an_example_without_its_package_says_what_brings_it(example, package, words, extra):
    run = f"runpy.run_path({str(EXAMPLES / example)!r}, run_name='__main__')"
    without = f"import runpy, sys; sys.modules[{package!r}] = None; {run}"
    done = subprocess.run([sys.executable, "-c", without, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert extra in done.stderr and len(done.stderr.splitlines()) == 1
