"""Checks of the catalogue entry, Resources/NAME.json: each returns what is wrong, in sentences."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from jsonschema import Draft7Validator

from .extension import INDEX, Extension

#: What an entry may say (the index's schema 1.0.2, its descriptions left out).
_TEXT = {"type": "string"}
ENTRY = {
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": INDEX["schema"]},
        "category": _TEXT,
        "scm_url": _TEXT,
        "scm_revision": _TEXT,
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": _TEXT},
        "dicom_support_rule": _TEXT,
        "build_subdirectory": _TEXT,
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}


def schema(extension: Extension) -> list[str]:
    """The entry is one JSON file with LF ends that fits the schema."""
    if len(extension.entry_files) != 1:
        return [f"Resources holds {len(extension.entry_files)} JSON files; the catalogue entry is to be the only one."]
    content = extension.entry_files[0].read_bytes()
    problems = ["The entry has a carriage return; its lines have to end with LF."] if b"\r" in content else []
    try:
        document = json.loads(content)
    except ValueError as error:
        return [*problems, f"The entry is not JSON: {error}."]
    return problems + [f"{error.json_path}: {error.message}" for error in Draft7Validator(ENTRY).iter_errors(document)]


def name(extension: Extension) -> list[str]:
    """The entry, CMake's project and the main module have one name, which does not begin with Slicer."""
    stems = [path.stem for path in extension.entry_files]
    problems = []
    if stems != [extension.name]:
        problems.append(f"The entry is named {stems}, but CMakeLists.txt says project({extension.name}).")
    if extension.name.lower().startswith("slicer"):
        problems.append("An extension's name does not begin with Slicer; its repository's name does.")
    if extension.name not in extension.modules:
        problems.append(f"No module is named {extension.name}.")
    return problems


def category(extension: Extension) -> list[str]:
    """The category is one that the index knows."""
    given = extension.entry.get("category")
    return [] if given in INDEX["categories"] else [f"{given!r} is none of the index's categories."]


def repository(extension: Extension) -> list[str]:
    """The repository's URL is https, named Slicer..., and its page is the homepage; the revision is a branch."""
    url = str(extension.entry.get("scm_url", ""))
    problems = []
    if urlsplit(url).scheme != "https" or not urlsplit(url).path.endswith(".git"):
        problems.append(f"scm_url is not an https URL that ends with .git: {url!r}.")
    if not urlsplit(url).path.rsplit("/", 1)[-1].startswith("Slicer"):
        problems.append(f"The repository's name has to begin with Slicer: {url!r}.")
    if extension.metadata.get("HOMEPAGE") != url.removesuffix(".git"):
        problems.append(f"EXTENSION_HOMEPAGE is not the repository's page: {extension.metadata.get('HOMEPAGE')!r}.")
    if extension.entry.get("scm_revision") != "main":
        problems.append("scm_revision has to be the branch main, so that an update needs no new entry.")
    return problems


def dependencies(extension: Extension) -> list[str]:
    """Every dependency is in the index, and CMake says the same as the entry; PyTorch is one of them."""
    given = extension.entry.get("build_dependencies", [])
    problems = [f"No extension {needed} is in the index." for needed in given if needed not in INDEX["extensions"]]
    in_cmake = extension.metadata.get("DEPENDS", "NA").replace("NA", "").split()
    if sorted(in_cmake) != sorted(given):
        problems.append(f"EXTENSION_DEPENDS says {in_cmake}, the entry {given}.")
    if "PyTorch" not in given:
        problems.append("PyTorch is missing: torch may only come through that extension.")
    return problems
