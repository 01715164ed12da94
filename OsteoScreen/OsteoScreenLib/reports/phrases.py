"""Values as the page prints them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..densitometry.bmd import qct_category

_ABBREVIATIONS = {"kvp": "kVp", "roi": "ROI", "hu": "HU", "fov": "field of view", "l1": "L1", "l2": "L2", "ct": "CT"}


def number(value: Any, digits: int = 1) -> str:
    """A number as it is shown, with a true minus sign; a missing one in words."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return "not available"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def mineral(name: str) -> str:
    """The mineral of a calibration as it is printed."""
    return {"K2HPO4": "K₂HPO₄"}.get(name, name)


def value_text(value: Any) -> str:
    """A check's value in short; empty where there is nothing to show."""
    if value is None or value == "" or value == [] or value == {}:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        text = number(value, 2)
        return text.rstrip("0").rstrip(".") if "." in text else ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(value_text(item) for item in value)
    return str(value)


def check_name(check: str) -> str:
    """The name of a check as a heading."""
    words = [_ABBREVIATIONS.get(word, word) for word in check.replace("-", "_").split("_") if word]
    name = " ".join(words)
    return name if words and words[0] in ("kVp", "ROI", "HU", "L1", "L2", "CT") else name[:1].upper() + name[1:]


def bmd_number(value: float) -> str:
    """A BMD with as few decimals as keep it in its category: 79.6 is not shown as 80."""
    return next(
        (number(value, digits) for digits in (0, 1, 2) if qct_category(round(value, digits)) == qct_category(value)),
        number(value, 3),
    )


def joined(names: list[str]) -> str:
    """Names in a sentence: "L1 and L2"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
