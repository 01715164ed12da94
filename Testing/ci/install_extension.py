"""In Slicer: install an extension from the extensions server, with what it depends on: install_extension.py NAME."""

import os
import sys

import slicer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import reporting


def install():
    """Install the extension; its modules are there from the next start on."""
    manager = slicer.app.extensionsManagerModel()
    manager.setInteractive(False)
    for name in reporting.words():
        if not manager.updateExtensionsMetadataFromServer(True, True):
            raise RuntimeError("The extensions server does not answer.")
        if not manager.installExtensionFromServer(name, False) or not manager.isExtensionInstalled(name):
            raise RuntimeError(f"The extension {name} was not installed.")
        paths = [path for path in manager.extensionModulePaths(name) if os.path.isdir(path)]
        reporting.say(f"installed the extension {name}: {paths}")
        # Under --testing Slicer leaves alone the settings that name an extension's folders: later steps are told them.
        if "GITHUB_ENV" in os.environ:
            with open(os.environ["GITHUB_ENV"], "a", encoding="utf-8") as file:
                file.write(f"SLICER_MODULE_PATHS={os.pathsep.join(paths)}\n")


reporting.finish(install)
