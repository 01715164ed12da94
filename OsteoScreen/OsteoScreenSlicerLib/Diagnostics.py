"""What helps to find a fault: versions, device, bundles and the module's own last messages. No patient in it."""

import collections
import importlib.metadata
import logging
import platform
from dataclasses import dataclass

import slicer

LOGGER = logging.getLogger("OsteoScreen")
_KEPT_LINES = 200
_PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "pydicom", "safetensors", "jsonschema", "Jinja2", "Pillow")


@dataclass(frozen=True)
class NetworksUsed:
    """What a screening ran on: the device, and the bundles as (name, version, sha256)."""

    device: str
    bundles: list


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


def diagnostics(recentLog, used):
    """Return the text for the clipboard.

    :param used: the NetworksUsed of the last screening, None where there was none.
    """
    from OsteoScreenLib import __version__

    lines = [
        f"OsteoScreen {__version__}",
        f"Slicer {slicer.app.applicationVersion} ({slicer.app.revision})",
        f"Python {platform.python_version()} on {platform.platform()}",
        *(f"{name} {_version(name)}" for name in _PACKAGES),
        f"device used last: {used.device if used else 'none yet'}",
        *(f"bundle {name} {version} {sha256[:12]}" for name, version, sha256 in (used.bundles if used else [])),
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
