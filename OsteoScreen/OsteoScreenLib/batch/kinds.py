"""The kind of what went wrong, in plain words, as rows, pages, tables and the audit log have it.

Kinds of trouble that may pass (:class:`.outcome.Trouble`) are words already, and a refused study's are the names of
its checks.
"""

from __future__ import annotations

#: Nobody expected this error.
UNEXPECTED = "unexpected error"

#: What kind of error each class is. The first releases kept the classes' names, and "Unexpected".
_WORDS = {
    "NoSuchSeries": "no such series",
    "UnusableLevels": "unusable levels",
    "UsageError": "wrong request",
    "NotThere": "not on its server",
    "PacsError": "not given by its server",
    "InputError": "unreadable",
    "SegmentationFailed": "no outline",
    "StudyRefused": "cannot be measured",
    "StoreError": "store cannot be written",
    "ClusterLost": "workers lost",
    "BatchStopped": "no study can be screened",
    "OsteoScreenError": "cannot be done",
    "KeyboardInterrupt": "interrupted",
    "Unexpected": UNEXPECTED,
}


def kind_of(error: BaseException) -> str:
    """Return the kind of an error: that of its class, or of the nearest above it which has one."""
    names = (one.__name__ for one in type(error).__mro__)
    return next((_WORDS[name] for name in names if name in _WORDS), UNEXPECTED)


def plain_kind(kept: str) -> str:
    """Return the kind that a row holds, in the words of today where an earlier version kept it."""
    return _WORDS.get(kept, kept)
