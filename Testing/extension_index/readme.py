"""Checks of the page that a stranger reads first: each returns what is wrong, in sentences."""

from __future__ import annotations

import re

from .extension import Extension

#: What the index's template and review ask a homepage for, and how it is found in README.md.
ASKED_OF_README = {
    "a picture": r"!\[[^\]]+\]\(\S+\)",
    "a section on how to cite": r"^#+ .*(cit(e|ing|ation))",
    "a link to the publication": r"https://(doi\.org|pubmed)",
    "a section on the limits": r"^#+ .*limit",
    "a section on privacy": r"^#+ .*(privacy|leaves your computer)",
    "the words research use only": r"research use only",
    "a link to the tutorial": r"\[[^\]]*tutorial[^\]]*\]\(\S+\)",
}
#: What they ask the documentation for, and how it is found in README.md or a page of Docs.
ASKED_OF_DOCUMENTATION = {
    "a tutorial": r"^#+ .*tutorial",
    "where the tutorial's data come from": r"sample data",
    "what it takes on the disk": r"^(#+ .*|\*\*[^*]*)\bdisk\b",
    "how to remove it": r"^(#+ .*|\*\*[^*]*)(\bremov|\buninstall|\bbe rid of)",
}


def readme(extension: Extension) -> list[str]:
    """README.md and Docs have what is asked for: summary, picture, modules, tutorial, data, citation, privacy."""
    text = extension.text("README.md")
    lines = text.splitlines()
    problems = [] if lines and lines[0] == f"# {extension.name}" else ["README.md does not begin with the name."]
    summary = next((line for line in lines[1:] if line.strip()), "")
    if summary.startswith(("#", "!", "|", "[")) or len(summary) < 60:
        problems.append("README.md does not begin with a summary in a sentence or two.")
    pages = [extension.text(name) for name in extension.files if name.startswith("Docs/") and name.endswith(".md")]
    everything = "\n".join([text, *pages])
    for where, asked, said in (
        ("README.md", ASKED_OF_README, text),
        ("The documentation", ASKED_OF_DOCUMENTATION, everything),
    ):
        lacking = [
            what for what, pattern in asked.items() if not re.search(pattern, said, re.MULTILINE | re.IGNORECASE)
        ]
        problems += [f"{where} lacks {what}." for what in lacking]
    for module in extension.modules:
        title = re.search(r'parent\.title = _\("([^"]+)"\)', extension.text(f"{module}/{module}.py"))
        if title is None or f"*{title[1]}*" not in text:
            problems.append(f"README.md does not name the module {module}.")
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
        if not (extension.root / target).exists():
            problems.append(f"README.md links to {target}, which is not there.")
    return problems
