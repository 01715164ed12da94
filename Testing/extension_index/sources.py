"""Checks of what the modules' code does when Slicer starts: each returns what is wrong, in sentences.

Slicer imports every module's main file at start-up, and with it what that imports at file scope, here followed through.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from .extension import Extension

#: What the index's review allows at file scope beside Python's own library, and Qt's wrappers, which are Slicer's.
BROUGHT_BY_SLICER = {"slicer", "vtk", "vtkmodules", "SimpleITK", "numpy", "scipy", "qt", "ctk"}
ALLOWED = BROUGHT_BY_SLICER | sys.stdlib_module_names
#: Names of calls that read, write, start or fetch something.
EFFECTS = {"open", "read_text", "read_bytes", "write_text", "urlopen", "urlretrieve", "run", "Popen", "system"}
#: What Slicer knows to install packages with; a name of it beside torch is what reviewers refuse.
INSTALLERS = {"pip_install", "pip_ensure"}


def imports(extension: Extension) -> list[str]:
    """Nothing that Slicer imports at start-up needs a package that Slicer does not bring."""
    problems = []
    for path in started(extension):
        for name in sorted({root.partition(".")[0] for root in _imported(_tree(path), _package(extension, path))}):
            if name and name not in ALLOWED and _found(extension, name) is None:
                problems.append(f"{_shown(extension, path)} imports {name} at file scope.")
    return problems


def file_scope(extension: Extension) -> list[str]:
    """What Slicer imports at start-up only defines: no calls for their effect, no loops, nothing opened or started."""
    problems = []
    for path in started(extension):
        for node in _file_scope(_tree(path)):
            if _acts(node):
                problems.append(f"{_shown(extension, path)}:{node.lineno} does something when it is imported.")
    return problems


def installs(extension: Extension) -> list[str]:
    """No code of the modules installs torch by pip; PyTorch's extension does."""
    problems = []
    for name in _code(extension):
        if not any(installer in extension.text(name) for installer in INSTALLERS):
            continue
        for node in ast.walk(_tree(extension.root / name)):
            if isinstance(node, ast.Call) and _called(node) in INSTALLERS and "torch" in ast.dump(node).lower():
                problems.append(f"{name}:{node.lineno} installs torch by itself.")
    for name in extension.files:
        if Path(name).name.startswith("requirements") and name.partition("/")[0] in extension.modules:
            lines = extension.text(name).splitlines()
            problems += [f"{name} lists {line}." for line in lines if line.lower().startswith("torch")]
    return problems


def _code(extension: Extension) -> Iterator[str]:
    """Give the names of the modules' own Python files, tests left out."""
    for name in extension.files:
        if name.endswith(".py") and name.partition("/")[0] in extension.modules and "/Testing/" not in name:
            yield name


def started(extension: Extension) -> list[Path]:
    """Return the files of this repository that are imported when Slicer starts, each once."""
    waiting = [extension.root / module / f"{module}.py" for module in extension.modules]
    found: list[Path] = []
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found.append(path)
        for name in _imported(_tree(path), _package(extension, path)):
            parts = name.split(".")
            packages = (".".join(parts[:n]) for n in range(1, len(parts) + 1))
            waiting += [file for package in packages if (file := _found(extension, package)) is not None]
    return sorted(found)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _shown(extension: Extension, path: Path) -> str:
    return path.relative_to(extension.root).as_posix()


def _found(extension: Extension, name: str) -> Path | None:
    """Return the file of a module that lies in this repository, as Slicer's path has it, or None."""
    for module in extension.modules:
        base = extension.root / module / name.replace(".", "/")
        for path in (base.with_name(base.name + ".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def _package(extension: Extension, path: Path) -> str:
    parts = path.relative_to(extension.root).with_suffix("").parts[1:]
    return ".".join(parts[:-1])


def _file_scope(tree: ast.Module) -> Iterator[ast.stmt]:
    """Give the statements that run on import, those in branches and class bodies too, less what only types need."""
    waiting = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If):
            only_types = "TYPE_CHECKING" in ast.dump(node.test)
            as_program = "__main__" in ast.dump(node.test)
            waiting += node.orelse if only_types or as_program else [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            handled = [statement for handler in node.handlers for statement in handler.body]
            waiting += [*node.body, *handled, *node.orelse, *node.finalbody]
        elif isinstance(node, (ast.With, ast.ClassDef)):
            waiting += node.body


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Give the full names of what a file imports when it is imported; ``package`` is the one that it lies in."""
    for node in _file_scope(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _acts(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, (ast.For, ast.While, ast.With, ast.Delete)):
        return True
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        return any(isinstance(part, ast.Call) and _called(part) in EFFECTS for part in ast.walk(node))
    return False


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
