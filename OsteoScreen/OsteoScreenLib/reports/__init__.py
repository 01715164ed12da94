"""Reports of one screening: the page, and the pictures that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .pictures import LevelPicture, SagittalPicture, StudyPictures, sagittal_picture

if TYPE_CHECKING:
    from .html import render_html, write_html

__all__ = ["LevelPicture", "SagittalPicture", "StudyPictures", "render_html", "sagittal_picture", "write_html"]


def __getattr__(name: str) -> Any:
    # The page needs Jinja2 and Pillow, and screening without a page has to do without them.
    if name in ("render_html", "write_html"):
        from . import html

        return getattr(html, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
