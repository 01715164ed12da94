"""The extension as it lies in a folder: its files, the variables of its CMakeLists.txt, its catalogue entry."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cached_property
from pathlib import Path
from typing import Any

INDEX: dict[str, Any] = json.loads((Path(__file__).parent / "index.json").read_text(encoding="utf-8"))


class NotChecked(Exception):
    """A check cannot be made on this machine; the message says why."""


class Extension:
    """An extension's repository at ``root``; its modules are the folders that CMakeLists.txt adds."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def text(self, path: str) -> str:
        """Return the content of a file, or nothing where there is no such file."""
        file = self.root / path
        return file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""

    @cached_property
    def name(self) -> str:
        """The name that CMake's project() gives, empty without one."""
        found = re.search(r"^project\(\s*(\w+)", self.cmake, re.MULTILINE)
        return found[1] if found else ""

    @cached_property
    def cmake(self) -> str:
        """The top-level CMakeLists.txt."""
        return self.text("CMakeLists.txt")

    @cached_property
    def metadata(self) -> dict[str, str]:
        """What set(EXTENSION_... "...") says, each on one line."""
        return dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"\n]*)"\)$', self.cmake, re.MULTILINE))

    @cached_property
    def entry_files(self) -> list[Path]:
        """The catalogue entries in Resources: one, named after the extension."""
        return sorted((self.root / "Resources").glob("*.json"))

    @cached_property
    def entry(self) -> dict[str, Any]:
        """The catalogue entry; empty where it cannot be read."""
        try:
            document = json.loads(self.entry_files[0].read_bytes())
        except (IndexError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    @cached_property
    def modules(self) -> list[str]:
        """The folders of the modules."""
        return re.findall(r"^add_subdirectory\((\w+)\)$", self.cmake, re.MULTILINE)

    @cached_property
    def files(self) -> list[str]:
        """The files that git keeps, or would keep, as far as they are there. Raises NotChecked without git."""
        names = self.git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        return [name for name in names if name and (self.root / name).is_file()]

    def git(self, *words: str) -> str:
        """Return what a git command prints. Raises NotChecked where there is no git or no repository."""
        try:
            done = subprocess.run(["git", "-C", str(self.root), *words], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotChecked("it takes git and a repository") from error
        return done.stdout.decode("utf-8", "replace")

    def file_of_url(self, url: str) -> Path | None:
        """Return the file in this repository that a raw.githubusercontent.com URL names, or None where it is not ours.

        Ours are the repository and the branch of the catalogue entry.
        """
        repository = str(self.entry.get("scm_url", "")).removesuffix(".git").removeprefix("https://github.com/")
        ours = f"https://raw.githubusercontent.com/{repository}/{self.entry.get('scm_revision')}/"
        return self.root / url.removeprefix(ours) if url.startswith(ours) else None
