"""DICOM JSON (PS3.18 F) as plain words and numbers; nothing in it is believed before it is looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydicom.datadict import tag_for_keyword

from ..errors import UsageError
from .errors import PacsError

# PS3.5 9.1 has no leading zeros in a component, but archives are full of such UIDs, and they do no harm.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64

Item = Mapping[str, Any]


def is_uid(text: str) -> bool:
    """Whether a text is a UID; then it may also be a part of a URL or a file's name."""
    return len(text) <= _LONGEST_UID and text.isascii() and _UID.fullmatch(text) is not None


def given_uid(text: str, what: str) -> str:
    """A UID that the user gave; ``what`` it is the UID of.  Raises UsageError where it is none."""
    if not is_uid(text):
        raise UsageError(f"The UID of the {what} has digits and dots and at most 64 of them; copy it again.")
    return text


def uid(item: Item, keyword: str, host: str) -> str:
    """A UID in a server's answer.  Raises PacsError where there is none, or something else in its place."""
    found = word(item, keyword)
    if not is_uid(found):
        raise PacsError(f"{host} sent an answer in which {keyword} is not a UID; tell its administrator.")
    return found


def word(item: Item, keyword: str) -> str:
    """The first value of an element as text, "" where there is none; a person's name is its alphabetic part."""
    value = next(iter(_values(item, keyword)), None)
    if isinstance(value, Mapping):
        value = value.get("Alphabetic")
    return str(value).strip(" \0") if isinstance(value, (str, int, float)) else ""


def words(item: Item, keyword: str) -> tuple[str, ...]:
    """All values of an element as text."""
    return tuple(str(value) for value in _values(item, keyword) if isinstance(value, (str, int, float)))


def number(item: Item, keyword: str) -> int | None:
    """The first value of an element as a whole number, None where there is none."""
    text = word(item, keyword)
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def items(item: Item, keyword: str) -> list[Item]:
    """The items of a sequence."""
    return [value for value in _values(item, keyword) if isinstance(value, Mapping)]


def _values(item: Item, keyword: str) -> list[Any]:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    element = item.get(f"{tag:08X}")
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values if isinstance(values, list) else []
