"""What must never be found in an output, whatever a header or a person wrote: each check returns what it found."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from OsteoScreenLib.reports.dicom.values import LONGEST
from OsteoScreenLib.reports.kinds import own_files

OWN_FILES = set(own_files())
#: Held while a reader decides.
LOCK = ".osteoscreen-decide.lock"
TAGS_OF_THE_PAGE = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "article", "div",
    "span", "p", "h1", "h2", "h3", "strong", "br", "bdi", "code", "ul", "ol", "li", "dl", "dt", "dd", "table",
    "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "input", "label", "svg", "image", "path", "rect",
    "line", "circle", "text", "defs", "lineargradient", "stop",
}  # fmt: skip
ACTIVE_IN_PDF = (b"/JavaScript", b"/JS", b"/URI", b"/Launch", b"/OpenAction", b"/AA", b"/EmbeddedFile", b"/Annots")
#: What turns the order of a line about; marks such as joiners belong to names in some scripts, and DICOM keeps them.
OVERRIDES = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: What is said of a step that takes long.
PROGRESS = r"[A-Z][A-Za-z ]+ …( \(\d+ of \d+\))?$"
LONGEST_TEXT = 8100
LONGEST_FILE = 2_000_000
TEXT_VRS = {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}


def unseen(text: str) -> str:
    """The characters of a line that are not to be seen."""
    return "".join(c for c in text if unicodedata.category(c).startswith(("C", "Zl", "Zp")))


def strings(value: Any) -> Iterator[str]:
    """All texts of a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


class _Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS_OF_THE_PAGE:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.found.append(f"<{tag} {name}>")
            if name in ("src", "href", "xlink:href", "action") and not (value or "").startswith("data:image/png;"):
                self.found.append(f"<{tag} {name}={value}>")

    def handle_data(self, data: str) -> None:
        self.text += data


def page_faults(page: str) -> list[str]:
    """Markup, and characters that are not to be seen, in the page."""
    return [*_Page(page).found, *_in_line("page", page.replace("\n", ""), LONGEST_FILE)]


def page_text(page: str) -> str:
    return _Page(page).text


def table_faults(content: bytes) -> list[str]:
    """What a spreadsheet would take for a formula, another cell or another row."""
    text = content.decode("utf-8")
    header, *rows = csv.reader(text.splitlines())
    found = [] if len(rows) == 1 and len(rows[0]) == len(header) else [f"{len(rows)} rows"]
    for cell in (cell for row in rows for cell in row):
        found += _in_line("cell", cell, 1100)
        for part in re.split(r"[,;|]", cell):
            start = unicodedata.normalize("NFKC", part.lstrip(" \"'"))[:1]
            quoted = part.lstrip(' "').startswith("'")
            if start and start in "=+-@" and not quoted and not _is_number(cell):
                found.append(f"formula {cell[:60]!r}")
    return found


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e[-+]?\d+)?", cell) is not None


def json_faults(text: str, exact: tuple[str, ...] = ()) -> list[str]:
    """Characters that are not to be seen, and endless texts; ``exact`` are the texts that have to be as they are."""
    found = _in_line("JSON", text.replace("\n", ""), LONGEST_FILE)
    return found + [x for item in strings(json.loads(text)) if item not in exact for x in _in_line("text", item)]


def pdf_faults(content: bytes) -> list[str]:
    """Another page, or anything active."""
    pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", content))
    found = [] if pages == 1 else [f"{pages} pages"]
    orders = re.sub(rb"stream\r?\n.*?endstream", b"", content, flags=re.DOTALL)
    return found + [f"active {word.decode()}" for word in ACTIVE_IN_PDF if re.search(re.escape(word) + rb"\b", orders)]


def pdf_text(path: Path) -> str | None:
    """The sheet's text; None where no program is there that reads it."""
    if shutil.which("pdftotext") is None:
        return None
    answer = subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True)
    return answer.stdout.decode("utf-8")


def dicom_faults(dataset: Dataset) -> list[str]:
    """Characters that are not to be seen, and values longer than DICOM lets them be."""
    found = []
    for element in dataset.iterall():
        if element.VR not in TEXT_VRS or element.value in (None, ""):
            continue
        values = element.value if element.VM > 1 else [element.value]
        for value in values:
            most = 3 * 64 + 2 if element.VR == "PN" else LONGEST.get(element.VR, 64)
            bad = [c for c in str(value) if c in OVERRIDES or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
            found += [f"{element.tag} holds {bad!a}"] if bad else []
            found += [f"{element.tag} is {len(str(value))} characters"] if len(str(value)) > most else []
    return found


def console_faults(out: str, err: str) -> list[str]:
    """Lines that nobody wrote, and what a terminal would obey."""
    found = [x for line in (out + err).split("\n") for x in _in_line("console", line, 5000)]
    found += [f"line {line[:60]!r}" for line in err.splitlines() if not re.match("osteoscreen: |" + PROGRESS, line)]
    return found + [f"line {line[:60]!r}" for line in out.splitlines() if line.startswith("ERROR forged")]


def folder_faults(folder: Path, exact: tuple[str, ...] = ()) -> list[str]:
    """All that is wrong with what a run wrote, and with the names of it."""
    found = [f"file {path.name!r}" for path in folder.rglob("*") if path.name not in (*OWN_FILES, LOCK)]
    for path in sorted(folder.iterdir()):
        faults: list[str] = []
        if path.suffix == ".json":
            faults = json_faults(path.read_text(encoding="utf-8"), exact)
        elif path.suffix == ".html":
            faults = page_faults(path.read_text(encoding="utf-8"))
        elif path.suffix == ".csv":
            faults = table_faults(path.read_bytes())
        elif path.suffix == ".pdf":
            faults = pdf_faults(path.read_bytes()) + _in_line(
                "sheet", re.sub(r"[\n\f]", "", pdf_text(path) or ""), 20_000
            )
        elif path.suffix == ".dcm":
            faults = dicom_faults(dcmread(path))
        found += [f"{path.name}: {fault}" for fault in faults]
        if path.suffix not in (".dcm",) and path.stat().st_size > LONGEST_FILE:
            found.append(f"{path.name} is {path.stat().st_size} bytes")
    return found


def _in_line(where: str, text: str, most: int = LONGEST_TEXT) -> list[str]:
    found = [f"{where} holds {unseen(text)[:8]!a}"] if unseen(text) else []
    return found + ([f"{where} is {len(text)} characters"] if len(text) > most else [])
