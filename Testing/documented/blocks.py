"""The fenced blocks and the inline code of the documentation, with file and line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

#: How a line begins that is a command. A block without a language and without such a line is a picture in letters.
PROGRAMS = ("python3 ", "osteoscreen ", "torchrun ", ".venv/bin/python ", "pip ", "PythonSlicer ", "dask ", "git ")

_FENCE = re.compile(r"^\s*```(\w*)\s*$")
_INLINE = re.compile(r"(`+)(.+?)\1")


@dataclass(frozen=True)
class Block:
    """A fenced block: ``text`` without its fences, ``line`` that of the first fence, counted from 1."""

    file: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.file.relative_to(REPOSITORY).as_posix()}:{self.line}"

    @property
    def is_shell(self) -> bool:
        """Whether it holds commands, one a line; a script (bash) is one piece and none of these."""
        return self.language in ("", "sh", "shell", "text") and any(
            line.startswith(PROGRAMS) for line in self.text.splitlines()
        )

    def commands(self) -> list[str]:
        """Its commands in order, each on one line, without comments."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        found = (without_comment(line) for line in joined.splitlines())
        return [command for command in found if command]


def without_comment(line: str) -> str:
    """A shell's line without its comment, and with one blank where it has several outside quotes."""
    parts = re.findall(r"""'[^']*'|"[^"]*"|\s+|\#?[^\s'"]+""", line)
    kept: list[str] = []
    for part in parts:
        if part.startswith("#") and (not kept or kept[-1] == " "):
            break
        kept.append(" " if part.isspace() else part)
    return "".join(kept).strip()


def pages() -> list[Path]:
    """Every page of the documentation that has commands."""
    beside = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md")]
    return [page for page in beside if page.exists()] + sorted((REPOSITORY / "Docs").rglob("*.md"))


def blocks() -> list[Block]:
    """The fenced blocks of all pages."""
    return [block for page in pages() for block in blocks_of(page)]


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of one page."""
    found: list[Block] = []
    begun: tuple[int, str] | None = None
    held: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence and begun is None:
            begun, held = (number, fence.group(1)), []
        elif fence and begun is not None:
            found.append(Block(page, begun[0], begun[1], "\n".join(held)))
            begun = None
        elif begun is not None:
            held.append(line)
    assert begun is None, f"{page}: the block that begins in line {begun and begun[0]} does not end"
    return found


def prose(page: Path) -> list[tuple[int, str]]:
    """The lines outside fenced blocks, with their numbers."""
    inside, found = False, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            found.append((number, line))
    return found


def inline_code(page: Path) -> list[tuple[int, str]]:
    """What stands between backticks in a line of text, with the line's number."""
    return [(number, match.group(2).strip()) for number, line in prose(page) for match in _INLINE.finditer(line)]


def documents_in_text(page: Path) -> list[tuple[int, str]]:
    """The JSON documents that stand in the text rather than in a block."""
    return [(number, code) for number, code in inline_code(page) if code.startswith('{"')]
