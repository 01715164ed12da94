"""The Slicer modules' own tests in the host of Testing/slicer_host.

Several files share a process, as in Slicer's Reload and Test, which runs all of a module's: the host, PyTorch and the
worker process with its networks are started once for them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTING = Path(__file__).resolve().parent
#: In how many processes the tests of each module run: few, and none so long that other tests end before it.
PROCESSES = {"OsteoScreen": 4, "OsteoScreenTraining": 1}

sys.path.insert(0, str(TESTING))
import slicer_host  # noqa: E402 (found on the path above)


def shares() -> list[list[Path]]:
    """Return all test files, those that share a process together."""
    found = []
    for module, count in PROCESSES.items():
        files = sorted((TESTING.parent / module / "Testing" / "Slicer").glob("*Test.py"))
        found += [files[first::count] for first in range(count)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("files", shares(), ids=lambda files: ",".join(file.stem for file in files))
def test_the_module_passes_its_tests(files: list[Path]) -> None:
    if slicer_host.missing():
        pytest.skip(slicer_host.missing())
    # Two cores are shared with other tests; the networks take their share per process. The bound only ends what hangs.
    done = subprocess.run(
        [sys.executable, str(TESTING / "run_module_tests.py"), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=3600,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )
    assert done.returncode == 0, done.stderr[-6000:] + done.stdout[-1000:]
