"""The Slicer modules' own tests, each file in a process of its own, in the host of Testing/slicer_host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTING = Path(__file__).resolve().parent
FILES = [
    file
    for module in ("OsteoScreen", "OsteoScreenTraining")
    for file in sorted((TESTING.parent / module / "Testing" / "Slicer").glob("*Test.py"))
]

sys.path.insert(0, str(TESTING))
import slicer_host  # noqa: E402 (found on the path above)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_module_passes_its_tests(file: Path) -> None:
    if slicer_host.missing():
        pytest.skip(slicer_host.missing())
    # Two cores are shared with other tests; the networks take their share per process.
    done = subprocess.run(
        [sys.executable, str(TESTING / "run_module_tests.py"), str(file)],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )
    assert done.returncode == 0, done.stderr[-6000:] + done.stdout[-1000:]
