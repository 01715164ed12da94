"""Every message that the page on troubleshooting quotes stands in the code, word for word."""

from __future__ import annotations

import ast
import re
import sys
from functools import lru_cache
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent))

from documented.blocks import REPOSITORY, prose

PAGE = REPOSITORY / "Docs" / "troubleshooting.md"
CODE = ("run.py", "OsteoScreen/OsteoScreen*/**/*.py", "OsteoScreenTraining/OsteoScreen*/**/*.py")
#: What stands in a literal where something is put in when it is shown.
_HOLE = "\x00"


def literal(node: ast.AST) -> str | None:
    """A text of the code, with a mark in each place where something is filled in; None for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"\{\w*\}", _HOLE, node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else _HOLE for part in node.values)
    return None


@lru_cache(maxsize=1)
def literals() -> str:
    """All texts of the code, one a line."""
    found = []
    for pattern in CODE:
        for path in REPOSITORY.glob(pattern):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [text.replace("\n", " ") for node in ast.walk(tree) if (text := literal(node))]
    return "\n".join(found)


def quoted() -> list[tuple[int, str]]:
    """The messages of the page's tables, with their lines."""
    return [(line, match.group(1)) for line, text in prose(PAGE) if (match := re.match(r"\| `([^`]+)` \|", text))]


def stands_in_code(message: str) -> bool:
    pieces = [re.escape(piece.strip()) for piece in message.split("…")]
    return re.search(".*".join(pieces), literals()) is not None


def test_there_are_messages() -> None:
    assert len(quoted()) > 60
    assert not stands_in_code("The moon is in the wrong house; wait a month.")


@pytest.mark.parametrize(("line", "message"), quoted(), ids=[str(line) for line, _ in quoted()])
def test_the_message_stands_in_the_code(line: int, message: str) -> None:
    assert stands_in_code(message), f"{PAGE.name}:{line}: nothing in the code says {message!r}"
