"""Reports of one screening: the page, the pictures that it shows, and, in :mod:`.kinds`, every further output."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .html import render_html, write_html
    from .pictures import LevelPicture, SagittalPicture, StudyPictures, sagittal_picture

__all__ = ["LevelPicture", "SagittalPicture", "StudyPictures", "render_html", "sagittal_picture", "write_html"]


def __getattr__(name: str) -> Any:
    # The page needs Jinja2 and Pillow, which screening without a page does without, and `--help` needs not even numpy.
    if name in __all__:
        module = "html" if name.endswith("_html") else "pictures"
        return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
