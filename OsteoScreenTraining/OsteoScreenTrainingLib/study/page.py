"""The page of a study: its tables and figures in one place, readable without a network, a script or a font."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment
from PIL import Image

from OsteoScreenLib.reports.text import page_environment
from OsteoScreenLib.results_io import write_text_atomically

from ..figures.style import DPI, WIDE_IN
from ..page_style import page_styles
from ..tables import Cell

TEMPLATES = Path(__file__).with_name("templates")
#: Where the page looks for what it shows, relative to its folder.
FIGURES, TABLES = "figures", "tables"

Kind = Literal["simulated", "real", "published"]

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class PageTable:
    """A table and the name of its CSV file in ``tables/``.

    ``emphasised`` holds (row, column) of the cells in bold, from 0; ``kind`` is where its numbers come from, the page's
    own kind where None.
    """

    title: str
    csv: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    emphasised: frozenset[tuple[int, int]] = frozenset()
    kind: Kind | None = None


@dataclass(frozen=True)
class PageFigure:
    """A figure and the names of its two files in ``figures/``; ``alt`` says what it shows to who cannot see it."""

    title: str
    png: str
    svg: str
    caption: str
    alt: str
    kind: Kind | None = None


@dataclass(frozen=True)
class Section:
    """A part of the page; ``identifier`` (a-z, 0-9, -) is its anchor."""

    identifier: str
    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[PageTable] = ()
    figures: Sequence[PageFigure] = ()


@dataclass(frozen=True)
class StudyPage:
    """What the page says. ``facts`` and ``provenance`` are (name, value)."""

    title: str
    subtitle: str
    kind: Literal["simulated", "real"]
    facts: Sequence[tuple[str, str]]
    notices: Sequence[str]
    sections: Sequence[Section]
    provenance: Sequence[tuple[str, str]]


def write_page(folder: Path, content: StudyPage) -> Path:
    """Write ``folder/index.html``, whole or not at all, and return its path.

    The figures and tables have to lie in ``folder`` already. Raises ValueError where a name is no plain file name, an
    anchor comes twice or a table is not rectangular, FileNotFoundError where a file is missing, and OsteoScreenError
    where the page cannot be written.
    """
    _check(folder, content)
    styles, allowed = page_styles()
    page = _environment().get_template("study.html").render(
        page=content,
        folders={"figures": FIGURES, "tables": TABLES},
        # Browsers differ on whether 'self' covers the pictures beside a page that was opened from a disk.
        policy=f"default-src 'none'; img-src 'self' file:; style-src {allowed}; base-uri 'none'; "
        "form-action 'none'",
        styles=styles,
        sizes={figure.png: _size(folder / FIGURES / figure.png) for figure in _figures(content)},
    )  # fmt: skip
    return write_text_atomically(page, folder / "index.html")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = page_environment(TEMPLATES)
    environment.filters["cell"] = _cell
    return environment


def _cell(value: Any) -> Any:
    """Show an absent value as a dash, and a number that nobody wrote out for reading with four digits."""
    if value is None or value != value:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else value


def _figures(content: StudyPage) -> list[PageFigure]:
    return [figure for section in content.sections for figure in section.figures]


def _size(png: Path) -> dict[str, Any]:
    """Return a picture's size on the page in CSS pixels, of which an inch has 96."""
    with Image.open(png) as picture:
        width, height = picture.size
    return {"width": round(width * 96 / DPI), "height": round(height * 96 / DPI), "wide": width >= 0.9 * WIDE_IN * DPI}


def _check(folder: Path, content: StudyPage) -> None:
    anchors = [section.identifier for section in content.sections]
    if len(set(anchors)) != len(anchors) or not all(_IDENTIFIER.fullmatch(anchor) for anchor in anchors):
        raise ValueError(f"The sections' identifiers {anchors} are not different words of a-z, 0-9 and -.")
    for figure in _figures(content):
        _check_file(folder / FIGURES, figure.png)
        _check_file(folder / FIGURES, figure.svg)
    for table in (table for section in content.sections for table in section.tables):
        _check_file(folder / TABLES, table.csv)
        if any(len(row) != len(table.header) for row in table.rows):
            raise ValueError(f"A row of the table {table.title!r} differs from its header in length.")


def _check_file(folder: Path, name: str) -> None:
    if not _FILE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a plain file name.")
    if not (folder / name).is_file():
        raise FileNotFoundError(f"The page names {folder / name}, which does not exist.")
