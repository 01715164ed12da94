"""Checks of what CMakeLists.txt tells the Extensions Manager: each returns what is wrong, in sentences."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from .extension import Extension

WANTED = ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "KEYWORDS", "DEPENDS")
#: The Extensions Manager shows icons of this size, pixels.
ICON_SIDE = 128
#: A description that the catalogue shows whole, characters (about three lines there).
DESCRIPTION_LENGTH = 300


def variables(extension: Extension) -> list[str]:
    """Each variable is set once, on one line, and not empty; the category is left to the entry."""
    problems = [
        f"EXTENSION_{name} has to be set, on one line." for name in WANTED if not extension.metadata.get(name, "")
    ]
    for name in set(re.findall(r"\bEXTENSION_(\w+) ", extension.cmake)):
        if len(re.findall(rf"^set\(EXTENSION_{name}\b", extension.cmake, re.MULTILINE)) > 1:
            problems.append(f"EXTENSION_{name} is set more than once.")
    if "CATEGORY" in extension.metadata:
        problems.append("EXTENSION_CATEGORY has no effect; the category stands in the entry.")
    return problems


def description(extension: Extension) -> list[str]:
    """The description is one or two sentences."""
    text = extension.metadata.get("DESCRIPTION", "")
    sentences = len(re.findall(r"[.!?](?:\s|$)", text))
    problems = [] if 1 <= sentences <= 2 else [f"The description has {sentences} sentences; one or two are asked for."]
    if len(text) > DESCRIPTION_LENGTH:
        problems.append(f"The description has {len(text)} characters; {DESCRIPTION_LENGTH} are shown.")
    return problems


def icon(extension: Extension) -> list[str]:
    """The icon's URL names a PNG of this repository, 128 pixels wide and high."""
    url = extension.metadata.get("ICONURL", "")
    problems, path = _image(extension, url)
    if path is not None and not problems:
        with Image.open(path) as image:
            if image.format != "PNG" or image.size != (ICON_SIDE, ICON_SIDE):
                problems.append(f"{url} is {image.format}, {image.size}; it has to be PNG of {ICON_SIDE} pixels.")
    return problems


def screenshots(extension: Extension) -> list[str]:
    """Each screenshot's URL names an image of this repository; there is at least one."""
    urls = extension.metadata.get("SCREENSHOTURLS", "").split()
    return [problem for url in urls for problem in _image(extension, url)[0]] or ([] if urls else ["There is none."])


def _image(extension: Extension, url: str) -> tuple[list[str], Path | None]:
    path = extension.file_of_url(url)
    if path is None:
        return [f"{url or 'No URL'} is not under raw.githubusercontent.com, this repository, its branch."], None
    if path.relative_to(extension.root).as_posix() not in extension.files:
        return [f"{url}: no such file is in the repository."], None
    try:
        with Image.open(path) as image:
            image.verify()
    except (OSError, UnidentifiedImageError, SyntaxError):
        return [f"{url}: the file is not an image."], path
    return [], path
