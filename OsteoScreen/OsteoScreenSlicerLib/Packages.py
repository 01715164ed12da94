"""PyTorch and the other packages: whether they are there, and their installation when the user asks for it.

PyTorch comes through the PyTorch extension (PyTorchUtils), which picks the build for the computer's GPU; the others
through Slicer's own installer. Nothing is installed or imported before a user asks for something that needs it.
"""

import importlib
import importlib.metadata
import os
import re

import slicer
from slicer.i18n import tr as _

from .Errors import MissingPackages

# Networks are saved as safetensors and run by any PyTorch from this on (the engine's own requirement).
TORCH_REQUIREMENT = ">=2.2"
_RESOURCES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "Resources")
# What the networks need, what PDF and DICOM objects need, and what a PACS needs.
REQUIREMENTS_FILE, EXPORT_REQUIREMENTS, PACS_REQUIREMENTS = (
    os.path.join(_RESOURCES, name) for name in ("requirements.txt", "requirements-export.txt", "requirements-pacs.txt")
)


class ExtraPackages:
    """Packages that some of a module's wishes need; installed when a user first has one.

    :param requirementsFile: path of their requirements.txt.
    :param requester: the module's name, for Slicer's own dialogs.
    """

    def __init__(self, requirementsFile, requester="OsteoScreen"):
        self._requirementsFile = requirementsFile
        self._requester = requester

    def missing(self):
        """Return the names of the packages that are not installed, without importing any of them."""
        return [name for name in requirementNames(self._requirementsFile) if not isInstalled(name)]

    def require(self):
        """Raise MissingPackages where something is missing; nothing is installed."""
        missing = self.missing()
        if missing:
            told = _("{packages} is not installed; the button for this in the {requester} panel installs it.")
            raise MissingPackages(told.format(packages=", ".join(missing), requester=self._requester))

    def install(self):
        """Install what is missing, after Slicer has asked the user. Main thread only. Raises MissingPackages."""
        _pipEnsure(self._requirementsFile, self._requester)

    def ensure(self):
        """Install what is missing, where something is; otherwise as ``install``."""
        if self.missing():
            self.install()


class Packages(ExtraPackages):
    """What a module's networks need: PyTorch, and the packages of a requirements.txt."""

    def missing(self):
        """Return the names of the packages that are not installed, without importing any of them."""
        return ([] if isInstalled("torch") else ["PyTorch"]) + ExtraPackages.missing(self)

    def explanation(self):
        """Return what is missing and what the button does, in words; empty where nothing is missing."""
        missing = self.missing()
        if not missing:
            return ""
        text = _("To run networks, {requester} needs {packages}, which this Slicer does not have yet.").format(
            requester=self._requester, packages=", ".join(missing)
        )
        if "PyTorch" in missing and not hasPyTorchExtension():
            return f"{text} {_extensionAdvice()}"
        return f"{text} " + _(
            "They are downloaded once, from the Python package index (PyTorch: some hundred megabytes to some "
            "gigabytes, by the computer's GPU). What needs no network works without them."
        )

    def require(self):
        """Raise MissingPackages where something is missing; nothing is installed."""
        missing = self.missing()
        if missing:
            told = _('{packages} is not installed; press "Install" at the top of the {requester} panel.')
            raise MissingPackages(told.format(packages=", ".join(missing), requester=self._requester))

    def install(self):
        """Install what is missing, after Slicer has asked the user. Main thread only.

        :raises MissingPackages: the user declined, PyTorch is damaged, or the PyTorch extension is not there.
        """
        if not isInstalled("torch"):
            self._installTorch()
        else:
            self._checkTorch()
        ExtraPackages.install(self)

    def torch(self):
        """Return the module torch through PyTorchUtils, for use inside this process. Nothing is installed.

        :raises MissingPackages: it is not there, or does not load.
        """
        self.require()
        return self._checkTorch()

    def _installTorch(self):
        logic = _pyTorchLogic()
        torch = logic.installTorch(askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT)
        if torch is None:
            raise MissingPackages(_("PyTorch was not installed, so nothing can be outlined yet; press Install again."))

    def _checkTorch(self):
        """Return torch through PyTorchUtils; by itself where it is installed and that extension is not."""
        try:
            torch = self._pyTorchUtilsTorch() if hasPyTorchExtension() else importlib.import_module("torch")
        except Exception as error:  # a half-installed PyTorch fails in many ways, TypeError among them
            raise MissingPackages(damagedTorch(error)) from error
        if torch is None:
            raise MissingPackages(damagedTorch(_("it is only half there")))
        return torch

    @staticmethod
    def _pyTorchUtilsTorch():
        logic = _pyTorchLogic()
        return logic.torch if logic.torchInstalled() else None


def damagedTorch(reason):
    """Return what to do about a PyTorch that does not load."""
    return _(
        "PyTorch is installed but does not load ({reason}). Uninstall it in the module PyTorch Utils, restart Slicer, "
        "and install it again."
    ).format(reason=reason)


def isInstalled(name):
    """Return whether a package is installed, by its metadata and without importing it."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def requirementNames(path=REQUIREMENTS_FILE):
    """Return the names of the packages in a requirements.txt."""
    with open(path, encoding="utf-8") as file:
        lines = [line.split("#")[0].strip() for line in file]
    return [re.split(r"[<>=!~\[; ]", line, maxsplit=1)[0] for line in lines if line]


def hasPyTorchExtension():
    """Return whether the PyTorch extension's module PyTorchUtils is loaded."""
    return hasattr(slicer.modules, "pytorchutils")


def _pyTorchLogic():
    if not hasPyTorchExtension():
        raise MissingPackages(_extensionAdvice())
    import PyTorchUtils

    return PyTorchUtils.PyTorchUtilsLogic()


def _extensionAdvice():
    return _(
        "The extension PyTorch is not installed: install it in the Extensions Manager, restart Slicer, and come back."
    )


def _pipEnsure(path, requester):
    """Install what a requirements file lists; Slicer asks before it downloads anything."""
    try:
        from slicer.packaging import load_requirements, pip_ensure
    except ImportError:
        _pipInstallBefore512(path, requester)
        return
    try:
        pip_ensure(load_requirements(path), requester=requester)
    except RuntimeError as error:
        raise MissingPackages(str(error)) from error


def _pipInstallBefore512(path, requester):
    """Slicer before 5.12 has no slicer.packaging, and its pip_install does not ask."""
    missing = [name for name in requirementNames(path) if not isInstalled(name)]
    if not missing:
        return
    question = _("{requester} needs the Python packages {packages}. Install them now?").format(
        requester=requester, packages=", ".join(missing)
    )
    if not slicer.util.confirmOkCancelDisplay(question):
        raise MissingPackages(_("The packages were not installed, so this cannot be done yet."))
    slicer.util.pip_install(f'-r "{path}"')
