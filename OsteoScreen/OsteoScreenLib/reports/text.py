"""Text that comes from outside, made fit for a page, and the templates that let none through otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..printable import printable


def page_environment(templates: Path) -> Environment:
    """Return the environment of a folder of page templates: all text is escaped and :func:`cleaned`."""
    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=cleaned,
    )


def cleaned(value: Any) -> Any:
    """Text from headers without control, direction-changing and unpaired characters, and not endlessly long.

    Escaping alone would leave a right-to-left override free to reverse a sentence of the page. None becomes an empty
    text; markup and what is no text stay as they are.
    """
    if value is None:
        return ""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
