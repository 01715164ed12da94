"""Header values as plain numbers and words: forgiving of how they are written, strict about what they mean."""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag


@lru_cache(maxsize=512)
def tag_of(keyword: str) -> BaseTag:
    """The tag of a keyword of the standard."""
    return Tag(keyword)


class Header:
    """Quick, read-only access to a data set's values by keyword.

    Values are taken from their stored bytes, because converting them one by one through pydicom costs three times as
    much as parsing the header, and a series has hundreds of headers whose values repeat.
    """

    __slots__ = ("_dataset",)

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def words(self, keyword: str) -> tuple[str, ...]:
        """The (multi-valued) words of an element; () where it is absent or empty."""
        value = self._value(keyword)
        return _split(value) if isinstance(value, bytes) else texts(value)

    def word(self, keyword: str) -> str:
        """All words of an element, joined; "" where it is absent or empty."""
        return "/".join(self.words(keyword))

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Exactly ``count`` finite numbers, or None."""
        value = self._value(keyword)
        return _numbers(value, count) if isinstance(value, bytes) else numbers(value, count)

    def number(self, keyword: str) -> float | None:
        """A finite number (the first, of several), or None."""
        value = self._value(keyword)
        words: Any = _split(value) if isinstance(value, bytes) else value
        if isinstance(words, (tuple, list)) or hasattr(words, "append"):
            words = words[0] if len(words) else None
        return number(words)

    def short(self, keyword: str, *, signed: bool = False) -> int | None:
        """A 16-bit number (VR US or SS), or None."""
        value = self._value(keyword)
        if isinstance(value, bytes):
            order = "<" if self._little_endian(keyword) else ">"
            return int(struct.unpack(order + "hH"[not signed], value[:2])[0]) if len(value) >= 2 else None
        whole = integer(value)
        return whole - 0x10000 if signed and whole is not None and whole > 0x7FFF else whole

    def sequence(self, keyword: str) -> list[Header]:
        """The items of a sequence; none where a damaged header makes something else of it."""
        value = self._dataset.get(keyword)
        return [Header(item) for item in value] if isinstance(value, Sequence) else []

    def __contains__(self, keyword: str) -> bool:
        return tag_of(keyword) in self._dataset

    def _value(self, keyword: str) -> Any:
        tag = tag_of(keyword)
        if tag not in self._dataset:
            return None
        return self._dataset.get_item(tag).value

    def _little_endian(self, keyword: str) -> bool:
        element = self._dataset.get_item(tag_of(keyword))
        return element.is_little_endian if isinstance(element, RawDataElement) else True


@lru_cache(maxsize=4096)
def _split(value: bytes) -> tuple[str, ...]:
    try:
        whole = value.decode("utf-8")
    except UnicodeDecodeError:
        whole = value.decode("latin-1")
    whole = whole.strip(" \0")
    return tuple(word.strip(" \0") for word in whole.split("\\")) if whole else ()


@lru_cache(maxsize=4096)
def _numbers(value: bytes, count: int) -> tuple[float, ...] | None:
    return numbers(_split(value), count)


def text(value: Any) -> str:
    """A header value as words, without padding; "" for none."""
    return "" if value is None else str(value).strip(" \0")


def texts(value: Any) -> tuple[str, ...]:
    """A multi-valued header value as words."""
    if value is None or value == "":
        return ()
    return (text(value),) if isinstance(value, (str, int, float)) else tuple(text(v) for v in value)


def number(value: Any) -> float | None:
    """A header value as a finite number, or None."""
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def integer(value: Any) -> int | None:
    """A header value as a whole number, or None."""
    result = number(value)
    return None if result is None else int(result)


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """A header value as exactly ``count`` finite numbers, or None."""
    if value is None or isinstance(value, (str, bytes)):
        return None
    try:
        found = [number(v) for v in value]
    except TypeError:
        return None
    finite = tuple(v for v in found if v is not None)
    return finite if len(finite) == len(found) == count else None
