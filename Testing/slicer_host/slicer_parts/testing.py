"""Stands for ``slicer.testing``."""

from __future__ import annotations

import sys
import unittest


def runUnitTest(path: str | list[str], testname: str) -> None:
    """Run one unittest by its name and raise if it fails."""
    sys.path.extend([path] if isinstance(path, str) else path)
    result = unittest.TextTestRunner(verbosity=2).run(unittest.TestLoader().loadTestsFromName(testname))
    if not result.wasSuccessful():
        exitFailure()


def exitSuccess() -> None:
    """Do nothing."""


def exitFailure(message: str = "") -> None:
    """Raise."""
    raise Exception(message)
