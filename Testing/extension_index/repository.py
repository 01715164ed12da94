"""Checks of the repository itself: each returns what is wrong, in sentences."""

from __future__ import annotations

from .extension import INDEX, Extension, NotChecked

#: A single file larger than this, MB, does not belong into an extension's repository.
FILE_LIMIT_MB = 15
#: What runs without being read: no programs in the repository.
PROGRAMS = {".exe", ".dll", ".so", ".dylib", ".jar", ".pyc", ".pyd", ".msi", ".whl", ".pkl", ".pt", ".pth"}


def clone_size(extension: Extension) -> list[str]:
    """A clone, its history included, is within the index's limit."""
    megabytes = size_of_clone(extension) / 1e6
    limit = INDEX["clone_limit_mb"]
    return [] if megabytes <= limit else [f"A clone has {megabytes:.0f} MB; at most {limit} MB are accepted."]


def size_of_clone(extension: Extension) -> int:
    """Return the bytes of a clone: its history as git holds it here, and the files of the last commit.

    A server packs the history more tightly, so this is too much by a little. Raises NotChecked where the history is
    not here.
    """
    if extension.git("rev-parse", "--is-shallow-repository").strip() == "true":
        raise NotChecked("the history is not here: this is a shallow clone")
    history = int(extension.git("rev-list", "--disk-usage", "--objects", "HEAD"))
    files = extension.git("ls-tree", "-r", "--long", "HEAD").splitlines()
    return history + sum(int(line.split()[3]) for line in files)


def large_files(extension: Extension) -> list[str]:
    """No single file is large, and none is a program."""
    problems = []
    for name in extension.files:
        path = extension.root / name
        megabytes = path.stat().st_size / 1e6
        if megabytes > FILE_LIMIT_MB:
            problems.append(f"{name} has {megabytes:.0f} MB; at most {FILE_LIMIT_MB} are accepted.")
        if path.suffix.lower() in PROGRAMS:
            problems.append(f"{name} is a program or holds one.")
    return problems


def line_ends(extension: Extension) -> list[str]:
    """Every text ends its lines with LF, in the repository and in every checkout."""
    problems = []
    for record in extension.git("ls-files", "-z", "--eol").rstrip("\0").split("\0"):
        attributes, _, name = record.partition("\t")
        in_index, in_folder, *wanted = attributes.split()
        if in_index in ("i/crlf", "i/mixed") or in_folder in ("w/crlf", "w/mixed"):
            problems.append(f"{name} has lines that end with CRLF.")
        if in_index == "i/lf" and "eol=lf" not in wanted:
            problems.append(f"{name}: .gitattributes does not keep its lines' ends (eol=lf).")
    return problems


def licence(extension: Extension) -> list[str]:
    """There is a licence file under a name that the index finds, and the README names the licence."""
    found = [name for name in INDEX["licence_files"] if name in extension.files]
    if not found:
        return ["No licence file: LICENSE.txt has to lie at the top of the repository."]
    problems = [] if "Apache License" in extension.text(found[0]) else [f"{found[0]} is not the Apache License."]
    return problems + ([] if "Apache-2.0" in extension.text("README.md") else ["README.md does not name the licence."])
