"""Text that comes from outside, made fit for DICOM's value representations (PS3.5, 6.2).

Objects are written in UTF-8 (ISO_IR 192), so a name is copied as the source's character set decodes it. What no value
may hold is taken out: control characters and direction overrides become a space, a backslash (DICOM's separator of
values) a slash, what could not be decoded a question mark; what is longer than its representation allows is cut. A
date, time, age or number that is none is left empty.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date, datetime
from typing import Any

from pydicom.valuerep import DS, DT, TM

#: Longest values in characters (PS3.5, table 6.2-1).
LONGEST = {"SH": 16, "LO": 64, "ST": 1024, "LT": 10240, "UT": 100_000}
_PN_GROUP, _PN_GROUPS, _PN_COMPONENTS = 64, 3, 5
_DIRECTION_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: Control, unpaired surrogate and unassigned characters; line and paragraph separators.
_UNFIT = frozenset(("Cc", "Cs", "Cn", "Zl", "Zp"))
#: What stands where a character could not be decoded.
_UNDECODABLE = "\ufffd"
_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")


def text(value: object, vr: str = "LO") -> str:
    """Return ``value`` as one line of the representation ``vr`` (a key of `LONGEST`), without a backslash."""
    plain = "".join(" " if _is_unfit(character) else character for character in str(value)[: 4 * LONGEST[vr]])
    return plain.replace(_UNDECODABLE, "?").strip().replace("\\", "/")[: LONGEST[vr]].rstrip()


def person_name(value: object) -> str:
    """Return a person's name: at most three component groups of five components, each group at most 64 characters."""
    groups = [_group(group) for group in str(value)[:2000].split("=")[:_PN_GROUPS]]
    return "=".join(groups).rstrip("=")


def uid(value: object) -> str:
    """Return a UID without its padding, "" where it is none (PS3.5, 9.1)."""
    plain = str(value).strip(" \0")
    return plain if len(plain) <= 64 and _UID.fullmatch(plain) else ""


def dicom_date(value: object) -> str:
    """Return a date as YYYYMMDD, "" where it is none."""
    digits = str(value).strip().replace(".", "").replace("-", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).strftime("%Y%m%d") if len(digits) == 8 else ""
    except ValueError:
        return ""


def dicom_time(value: object) -> str:
    """Return a time as it is written, "" where it is none."""
    plain = str(value).strip()
    try:
        return plain if re.fullmatch(r"\d\d(\d\d(\d\d(\.\d{1,6})?)?)?", plain) and TM(plain) is not None else ""
    except ValueError:
        return ""


def number(value: object) -> Any:
    """Return a finite number above zero as a decimal string, None where it is none."""
    try:
        found = float(str(value))
    except ValueError:
        return None
    return DS(found, auto_format=True) if math.isfinite(found) and found > 0 else None


def age(value: object) -> str:
    """Return an age string such as 069Y, "" where it is none."""
    plain = str(value).strip().upper()
    return plain if re.fullmatch(r"\d{3}[DWMY]", plain) else ""


def sex(value: object) -> str:
    """Return F, M or O, "" where it is none of them."""
    plain = str(value).strip().upper()
    return plain if plain in ("F", "M", "O") else ""


def date_time(moment: datetime) -> DT:
    """Return a moment as DICOM's DT, with its offset from UTC where it has one."""
    return DT(moment.strftime("%Y%m%d%H%M%S.%f") + moment.strftime("%z")[:5])


def _group(group: str) -> str:
    components = [text(component) for component in group.split("^")]
    first, rest = components[: _PN_COMPONENTS - 1], components[_PN_COMPONENTS - 1 :]
    kept = [*first, " ".join(filter(None, rest))] if rest else first
    return "^".join(kept)[:_PN_GROUP].rstrip(" ^")


def _is_unfit(character: str) -> bool:
    if " " <= character <= "~":
        return False
    return unicodedata.category(character) in _UNFIT or character in _DIRECTION_OVERRIDES
