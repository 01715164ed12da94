"""What people read says mg/cm³; mg/cm3 stands where a machine reads it, and where a terminal prints it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Written into DICOM objects and data sets, or printed by commands; everything else is read on a page or in a panel.
PLAIN = {
    "OsteoScreen/OsteoScreenLib/cli",
    "OsteoScreen/OsteoScreenLib/reports/dicom/capture_picture.py",
    "OsteoScreen/OsteoScreenLib/reports/dicom/codes.py",
    "OsteoScreen/OsteoScreenLib/reports/dicom/content.py",
    "OsteoScreenTraining/OsteoScreenTrainingLib/cli",
    "OsteoScreenTraining/OsteoScreenTrainingLib/simulation/cohort/writing.py",
}
WRONG = re.compile(r"\bm?g/(cm\^?3|cm<sup>3|cc|ccm)\b")
TYPESET = ("*.md", "Docs/**/*.md", "OsteoScreen*/**/*.md", "OsteoScreen*/**/*.html", "OsteoScreen*/**/*.ui")


def said(code: str) -> Iterator[tuple[int, str]]:
    """Line and text of each string in Python code that is no docstring."""
    tree = ast.parse(code)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and node.body]
    docstrings = {id(statement.value) for statement in first if isinstance(statement, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line, without what a page shows as code: a terminal's output, a file's contents."""
    text = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)
    for number, line in enumerate(text.splitlines(), 1):
        yield number, re.sub(r"`[^`]*`", "", line)


def sources(repository: Path) -> list[Path]:
    """The files whose words people read, schemas among them, since what is wrong is told in their descriptions."""
    code = [path for path in repository.glob("OsteoScreen*/**/*.py") if "Testing" not in path.parts]
    schemas = [*repository.glob("OsteoScreen*/**/*.schema.json")]
    return [*code, *schemas, *(path for pattern in TYPESET for path in repository.glob(pattern))]


def wrong_in(path: Path) -> list[int]:
    """The numbers of the lines with the unit as a machine has it."""
    text = path.read_text(encoding="utf-8")
    return sorted({line for line, words in (said if path.suffix == ".py" else prose)(text) if WRONG.search(words)})


def test_what_people_read_has_the_unit_in_one_spelling(repository: Path) -> None:
    found, plain = {}, set()
    for path in sources(repository):
        name = path.relative_to(repository).as_posix()
        place = next((place for place in PLAIN if f"{name}/".startswith(f"{place}/")), None)
        lines = wrong_in(path)
        if place is not None and lines:
            plain.add(place)
        elif lines:
            found[name] = lines
    assert not found, f"Write mg/cm³ here, or say in this test why not: {found}"
    assert plain == PLAIN, "An exception that is none any more."


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.py", '"""In mg/cm3."""\nX = "mg/cm³"  # mg/cm3\ny = f"{X} mg/cm3"\n', [3]),
        ("a.md", "94 mg/cm3 `mg/cm3`\n```\n94 mg/cm3\n```\n`bmd_mg_cm3`\n94 g/cm^3\n", [1, 6]),
        ("a.html", "<p>{{ bmd }}\nmg/cm<sup>3</sup></p>\n", [2]),
    ],
)
def test_the_other_spelling_is_found(name: str, text: str, lines: list[int], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert wrong_in(tmp_path / name) == lines
