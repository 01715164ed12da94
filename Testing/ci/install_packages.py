"""In Slicer: install PyTorch (CPU) through its extension, and what the modules' requirement files list."""

import glob
import os
import sys

import slicer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import reporting


def install():
    """Install all that the modules would ask for when they are used."""
    import PyTorchUtils

    torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, forceComputationBackend="cpu")
    reporting.say(f"torch {torch.__version__}")
    for module in ("OsteoScreen", "OsteoScreenTraining"):
        folder = os.path.dirname(slicer.util.modulePath(module))
        for path in sorted(glob.glob(os.path.join(folder, "Resources", "requirements*.txt"))):
            reporting.say(f"requirements: {path}")
            slicer.util.pip_install(["-r", path])


reporting.finish(install)
