"""Run the Slicer modules' tests (unittest files written for it) in the host: run_module_tests.py FILE... [NAME...].

All files run in one process, one after another, as Slicer's Reload and Test runs them; NAME is a class of the last
file, or a class and a method (LevelsTest.test_l2_may_be_left_out).
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

TESTING = Path(__file__).resolve().parent
MODULES = ("OsteoScreen", "OsteoScreenTraining")


def main(files: list[Path], names: list[str]) -> int:
    """Run the tests of the files, or those named of the last; returns 0 when all passed, 5 when a file has none."""
    folders = dict.fromkeys(str(file.parent) for file in files)
    sys.path[:0] = [*folders, str(TESTING)]
    import slicer_host

    slicer_host.start()
    for name in MODULES:
        slicer_host.load_module(str(TESTING.parent / name / f"{name}.py"))
    loader = unittest.TestLoader()
    chosen = [f"{files[-1].stem}.{name}" for name in names] or [file.stem for file in files]
    suites = [loader.loadTestsFromName(name) for name in chosen]
    empty = not all(suite.countTestCases() for suite in suites)
    result = unittest.TextTestRunner(verbosity=2, failfast=False).run(unittest.TestSuite(suites))
    print(f"ran {result.testsRun} tests, {len(result.skipped)} skipped")
    for name in reversed(MODULES):
        slicer_host.unload(name)
    return 1 if not result.wasSuccessful() else 5 if empty else 0


if __name__ == "__main__":
    files = [word for word in sys.argv[1:] if word.endswith(".py")]
    sys.exit(main([Path(file).resolve() for file in files], [word for word in sys.argv[1:] if word not in files]))
