"""Checks of the page that a stranger reads first: each returns what is wrong, in sentences."""

from __future__ import annotations

import re

from .extension import Extension

#: What the index's template and review ask a homepage for, and how it is found in the README.
ASKED = {
    "a picture": r"!\[[^\]]+\]\(\S+\)",
    "a section with a tutorial": r"^#+ .*tutorial",
    "where the tutorial's data come from": r"sample data",
    "a section on how to cite": r"^#+ .*(cit(e|ing|ation))",
    "a link to the publication": r"https://(doi\.org|pubmed|www\.ncbi|bmcmusculoskeletdisord)",
    "a section on privacy": r"^#+ .*(privacy|leaves your computer)",
    "a section on disk use and removal": r"^#+ .*(disk|remov|uninstall)",
    "a section on the limits": r"^#+ .*limit",
    "the words research use only": r"research use only",
}


def readme(extension: Extension) -> list[str]:
    """README.md has what is asked of a homepage: summary, picture, modules, tutorial, data, citation, privacy."""
    text = extension.text("README.md")
    lines = text.splitlines()
    problems = [] if lines and lines[0] == f"# {extension.name}" else ["README.md does not begin with the name."]
    summary = next((line for line in lines[1:] if line.strip()), "")
    if summary.startswith(("#", "!", "|", "[")) or len(summary) < 60:
        problems.append("README.md does not begin with a summary in a sentence or two.")
    for what, pattern in ASKED.items():
        if not re.search(pattern, text, re.MULTILINE | re.IGNORECASE):
            problems.append(f"README.md lacks {what}.")
    for module in extension.modules:
        title = re.search(r'parent\.title = _\("([^"]+)"\)', extension.text(f"{module}/{module}.py"))
        if title is None or f"*{title[1]}*" not in text:
            problems.append(f"README.md does not name the module {module}.")
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
        if not (extension.root / target).exists():
            problems.append(f"README.md links to {target}, which is not there.")
    return problems
