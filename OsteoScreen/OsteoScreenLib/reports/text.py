"""Text that comes from outside, made fit for a page, and the templates that let none through otherwise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ..printable import printable

#: An option of the command line in a sentence, as --l1=-812.5; of bounded length, since no line could hold any other.
_OPTION = re.compile(r"--[a-z][a-z0-9-]{0,30}(?:=[\w.#-]{1,16})?")


def page_environment(templates: Path) -> Environment:
    """Return the environment of a folder of page templates: all text is escaped and :func:`cleaned`."""
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=cleaned,
    )
    environment.filters["unbroken"] = unbroken
    return environment


def unbroken(text: str) -> Markup:
    """Return a sentence :func:`cleaned` and escaped, whose options of the command line do not break at a hyphen."""
    return Markup(_OPTION.sub(r'<span class="option">\g<0></span>', str(escape(cleaned(text)))))


def cleaned(value: Any) -> Any:
    """Text from headers without control, direction-changing and unpaired characters, and not endlessly long.

    Escaping alone would leave a right-to-left override free to reverse a sentence of the page. None becomes an empty
    text; markup and what is no text stay as they are.
    """
    if value is None:
        return ""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
