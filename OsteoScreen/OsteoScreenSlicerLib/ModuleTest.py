"""Reload and Test, for both modules: the same tests as CTest runs, from the module's Testing/Slicer."""

import os
import sys
import unittest

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from .Errors import ModuleError


class ModuleTest(ScriptedLoadableModuleTest):
    """Runs a module's tests; the class of module X is XTest."""

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run the module's tests."""
        name = type(self).__name__.removesuffix("Test")
        folder = os.path.join(os.path.dirname(slicer.util.modulePath(name)), "Testing", "Slicer")
        if not os.path.isdir(folder):
            raise ModuleError(_("The tests are not part of an installed extension; run them from a clone."))
        # Reload took the library anew: tests that were loaded before would know the old one.
        for loaded in [each for each in sys.modules if _isBelow(sys.modules[each], folder)]:
            del sys.modules[loaded]
        suite = unittest.TestLoader().discover(folder, pattern="*Test.py", top_level_dir=folder)
        if not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful():
            raise AssertionError(f"Tests of the module {name} failed; see the Python console.")


def _isBelow(module, folder):
    return (getattr(module, "__file__", None) or "").startswith(os.path.join(folder, ""))
