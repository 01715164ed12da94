"""Where model bundles lie: those that ship with the engine, and those of the user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Names another folder for the user's bundles.
USER_FOLDER_VARIABLE = "OSTEOSCREEN_MODELS"

_LIBRARY = Path(__file__).resolve().parents[1]


def shipped_folders() -> list[Path]:
    """Return the folders that may hold the shipped bundles, the first that exists being the one.

    In the repository and in Slicer they are the module's resources; in a wheel, the data of a package.
    """
    return [_LIBRARY.parent / "Resources" / "Models", _LIBRARY / "shipped_models"]


def user_folder() -> Path:
    """Return the folder of the user's own bundles; it need not exist yet."""
    chosen = os.environ.get(USER_FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "OsteoScreen" / "models"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "OsteoScreen" / "models"
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "osteoscreen" / "models"
