"""Stands for ``slicer.i18n``: texts go through Qt's translator under the name of the file that holds them."""

from __future__ import annotations

import functools
import sys
from pathlib import Path


def translate(context: str, text: str) -> str:
    """Return a text in the application's language."""
    import slicer

    return slicer.app.translate(context, text)


def tr(text: str) -> str:
    """Return a text in the application's language; the calling file is its context."""
    return translate(_context(sys._getframe(1).f_code.co_filename), text)


@functools.cache
def _context(file: str) -> str:
    return Path(file).stem
