"""The importers, a module for each collection: where it keeps its files, and what it says of its subjects.

The modules are found by themselves. They import nothing heavy at their top level, so that ``--help`` is instant.
"""

from __future__ import annotations

import importlib
import pkgutil

from .registry import IMPORTERS

__all__ = ["IMPORTERS", "find_importers"]


def find_importers() -> None:
    """Import the modules of this folder, which registers their importers."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)


find_importers()
