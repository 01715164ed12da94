"""The README's picture of the code is the code's: every file has its box, and every import its arrow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

LIBRARIES = {
    "OsteoScreenLib": "OsteoScreen",
    "OsteoScreenSlicerLib": "OsteoScreen",
    "OsteoScreenTrainingLib": "OsteoScreenTraining",
    "OsteoScreenTrainingSlicerLib": "OsteoScreenTraining",
}
#: The box that all may import; the picture draws no arrow to it.
GROUND = "ground"


@dataclass(frozen=True)
class Picture:
    """The README's diagram: the box of every path that a label names, and the arrows between boxes."""

    boxes: dict[str, str]
    arrows: frozenset[tuple[str, str]]

    def box_of(self, path: str) -> str | None:
        """Return the box of a file, by its path from the repository's root; None where it has none."""
        whole = [Path(path), *Path(path).parents]
        return next((self.boxes[str(part)] for part in whole if str(part) in self.boxes), None)

    def reached_from(self, box: str) -> set[str]:
        """Return the boxes that arrows lead to from this one, by any number of steps."""
        found: set[str] = set()
        waiting = [box]
        while waiting:
            here = waiting.pop()
            new = {target for source, target in self.arrows if source == here} - found
            found |= new
            waiting += new
        return found


def read_picture(text: str) -> Picture:
    """Return the picture of a Mermaid flowchart whose subgraphs are folders and whose labels list what lies there."""
    boxes: dict[str, str] = {}
    arrows: set[tuple[str, str]] = set()
    folder = ""
    for line in text.splitlines():
        subgraph = re.match(r'\s*subgraph \w+\["([\w/]+)"\]', line)
        box = re.match(r'\s*(\w+)\["(.+)"\]\s*$', line)
        arrow = re.match(r"\s*(\w+(?: & \w+)*) --> (\w+(?: & \w+)*)\s*$", line)
        if subgraph:
            folder = subgraph[1]
        elif box:
            for name in re.split(r"[\s,]+|<br/>", box[2]):
                if name.endswith(("/", ".py")):
                    boxes[f"{folder}/{name}".rstrip("/")] = box[1]
        elif arrow:
            arrows |= {(source, target) for source in arrow[1].split(" & ") for target in arrow[2].split(" & ")}
    return Picture(boxes, frozenset(arrows))


def imports_of(path: Path, root: Path) -> Iterator[str]:
    """Yield the files of ours that a file imports when it runs, by their paths from ``root``."""
    package = path.relative_to(root).parent
    for node in _running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            for alias in node.names if base is not None else []:
                found = _file(root, base / alias.name) or _file(root, base)
                if found:
                    yield found
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] in LIBRARIES and (found := _file(root, Path(LIBRARIES[parts[0]], *parts))):
                    yield found


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk all of a module but what only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _running(node)


def _base(node: ast.ImportFrom, package: Path) -> Path | None:
    parts = node.module.split(".") if node.module else []
    if node.level:
        return Path(*package.parts[: len(package.parts) - node.level + 1], *parts)
    return Path(LIBRARIES[parts[0]], *parts) if parts[0] in LIBRARIES else None


def _file(root: Path, module: Path) -> str | None:
    for candidate in (module.with_name(module.name + ".py"), module / "__init__.py"):
        if (root / candidate).is_file():
            return candidate.as_posix()
    return None


def files_of_the_code(root: Path) -> list[Path]:
    """Return every file of the libraries and the two modules."""
    modules = [root / "OsteoScreen/OsteoScreen.py", root / "OsteoScreenTraining/OsteoScreenTraining.py"]
    return modules + [
        path for name, folder in LIBRARIES.items() for path in sorted((root / folder / name).rglob("*.py"))
    ]


def imports_between_boxes(picture: Picture, root: Path) -> Mapping[tuple[str, str], str]:
    """Return, for each pair of boxes of which one imports the other, a sentence that says where."""
    found: dict[tuple[str, str], str] = {}
    for path in files_of_the_code(root):
        source = picture.box_of(path.relative_to(root).as_posix())
        for imported in imports_of(path, root):
            target = picture.box_of(imported)
            if source != target and target is not None and source is not None:
                found.setdefault((source, target), f"{path.relative_to(root)} imports {imported}")
    return found


@pytest.fixture(scope="module")
def root(repository):
    return repository


@pytest.fixture(scope="module")
def picture(root):
    blocks = re.findall(r"```mermaid\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1, "the README has one picture of the code"
    return read_picture(blocks[0])


@pytest.fixture(scope="module")
def between(picture, root):
    return imports_between_boxes(picture, root)


def test_every_file_has_a_box_and_every_name_in_a_box_a_file(picture, root):
    named = (path.relative_to(root).as_posix() for path in files_of_the_code(root) if path.name != "__init__.py")
    assert [name for name in named if picture.box_of(name) is None] == []
    assert [path for path in picture.boxes if not (root / path).exists()] == []


def test_every_import_between_boxes_is_drawn_or_follows_from_what_is(picture, between):
    undrawn = [said for (source, target), said in between.items()
               if target != GROUND and target not in picture.reached_from(source)]  # fmt: skip
    assert undrawn == []


def test_every_arrow_is_an_import(picture, between):
    assert picture.arrows - set(between) == frozenset()


def test_arrows_point_one_way(picture):
    assert [box for box in set(picture.boxes.values()) if box in picture.reached_from(box)] == []


def test_what_all_may_import_imports_none_of_them(between):
    assert [said for (source, _), said in between.items() if source == GROUND] == []


def test_the_engine_imports_neither_training_nor_slicer(root):
    engine = (root / "OsteoScreen/OsteoScreenLib").rglob("*.py")
    assert [found for path in engine for found in imports_of(path, root) if "/OsteoScreenLib/" not in found] == []


def test_a_wrong_picture_is_seen(tmp_path):
    library = tmp_path / "OsteoScreen" / "OsteoScreenLib"
    for name, text in {"a": "", "b": "from . import a", "c": "from .b import x\nif TYPE_CHECKING:\n    from . import d",
                       "d": ""}.items():  # fmt: skip
        library.mkdir(parents=True, exist_ok=True)
        (library / f"{name}.py").write_text(text, encoding="utf-8")
    drawn = 'subgraph engine["OsteoScreen/OsteoScreenLib"]\n' + "\n".join(f'{name}["{name}.py"]' for name in "abcd")
    for module in ("OsteoScreen/OsteoScreen.py", "OsteoScreenTraining/OsteoScreenTraining.py"):
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_text("", encoding="utf-8")
    right = read_picture(drawn + "\nc --> b\nb --> a")
    assert set(imports_between_boxes(right, tmp_path)) == {("c", "b"), ("b", "a")} == set(right.arrows)
    assert right.reached_from("c") == {"a", "b"}
    assert "a" in read_picture(drawn + "\nc --> b\nb --> a\na --> c").reached_from("a")
