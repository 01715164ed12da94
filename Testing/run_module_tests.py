"""Run the Slicer module's tests (unittest files written for it) in the host: run_module_tests.py FILE."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

TESTING = Path(__file__).resolve().parent
MODULES = ("OsteoScreen", "OsteoScreenTraining")


def main(file: Path, names: list[str]) -> int:
    """Run the tests of a file, or those named; returns 0 when all passed, 5 when none ran."""
    sys.path[:0] = [str(file.parent), str(TESTING)]
    import slicer_host

    slicer_host.start()
    for name in MODULES:
        slicer_host.load_module(str(TESTING.parent / name / f"{name}.py"))
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromNames([f"{file.stem}.{name}" for name in names] or [file.stem])
    result = unittest.TextTestRunner(verbosity=2, failfast=False).run(suite)
    print(f"ran {result.testsRun} tests, {len(result.skipped)} skipped")
    for name in reversed(MODULES):
        slicer_host.unload(name)
    return 1 if not result.wasSuccessful() else 0 if result.testsRun else 5


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
