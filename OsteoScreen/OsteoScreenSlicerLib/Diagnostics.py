"""What helps to find a fault: versions, device, bundles and the module's own last messages. No patient in it."""

import collections
import importlib.metadata
import logging
import platform

import slicer

LOGGER = logging.getLogger("OsteoScreen")
_KEPT_LINES = 200
_PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "pydicom", "safetensors", "jsonschema", "Jinja2", "Pillow")


class RecentLog(logging.Handler):
    """Keeps the module's last messages in memory."""

    def __init__(self):
        super().__init__()
        self.lines = collections.deque(maxlen=_KEPT_LINES)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record):
        self.lines.append(self.format(record))

    def addText(self, text):
        """Add lines from elsewhere (the worker process)."""
        self.lines.extend(line for line in text.splitlines() if line.strip())


def diagnostics(recentLog, device, bundles):
    """Return the text for the clipboard.

    :param device: what the networks ran on last; empty where they have not run.
    :param bundles: the bundles that were used last, as (name, version, sha256).
    """
    from OsteoScreenLib import __version__

    lines = [
        f"OsteoScreen {__version__}",
        f"Slicer {slicer.app.applicationVersion} ({slicer.app.revision})",
        f"Python {platform.python_version()} on {platform.platform()}",
        *(f"{name} {_version(name)}" for name in _PACKAGES),
        f"device used last: {device or 'none yet'}",
        *(f"bundle {name} {version} {sha256[:12]}" for name, version, sha256 in bundles),
        "",
        "last messages:",
        *recentLog.lines,
    ]
    return "\n".join(lines) + "\n"


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
