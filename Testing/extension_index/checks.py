"""All checks under their names, and the run of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import catalogue, metadata, packaging, readme, repository, sources
from .extension import Extension, NotChecked

#: A check returns what is wrong, in sentences; its docstring says what is asked for.
Check = Callable[[Extension], list[str]]

CHECKS: Mapping[str, Check] = {
    "entry": catalogue.schema,
    "name": catalogue.name,
    "category": catalogue.category,
    "repository": catalogue.repository,
    "dependencies": catalogue.dependencies,
    "metadata": metadata.variables,
    "description": metadata.description,
    "icon": metadata.icon,
    "screenshots": metadata.screenshots,
    "clone size": repository.clone_size,
    "large files": repository.large_files,
    "line ends": repository.line_ends,
    "licence": repository.licence,
    "packaging": packaging.cmake_lists,
    "imports": sources.imports,
    "file scope": sources.file_scope,
    "torch": sources.installs,
    "readme": readme.readme,
}


def run_checks(extension: Extension) -> dict[str, list[str] | NotChecked]:
    """Return what each check found: nothing, sentences, or that it cannot be made here."""
    found: dict[str, list[str] | NotChecked] = {}
    for name, check in CHECKS.items():
        try:
            found[name] = check(extension)
        except NotChecked as reason:
            found[name] = reason
    return found
