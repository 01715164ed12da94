"""In Slicer: run those of the modules' tests that are named by file, or all: run_tests.py [FILE ...]."""

import glob
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import reporting

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files():
    """Return the files of tests."""
    there = sorted(glob.glob(os.path.join(REPOSITORY, "*", "Testing", "Slicer", "*Test.py")))
    named = [os.path.basename(word) for word in reporting.words()]
    return [path for path in there if not named or os.path.basename(path) in named]


def test():
    """Run every test and write what comes of it to the log."""
    suite = unittest.TestSuite()
    for path in files():
        sys.path.insert(0, os.path.dirname(path))
        suite.addTests(unittest.TestLoader().loadTestsFromName(os.path.splitext(os.path.basename(path))[0]))
    result = unittest.TextTestRunner(stream=reporting.log, verbosity=2).run(suite)
    if not result.wasSuccessful() or not result.testsRun:
        raise AssertionError(f"{len(result.failures) + len(result.errors)} of {result.testsRun} tests failed")


reporting.finish(test)
