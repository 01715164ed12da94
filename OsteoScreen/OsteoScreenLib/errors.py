"""The errors a user can meet, each with the exit code of the command line.

Every message is one sentence on what is wrong and, where there is one, a second on what to do next.
"""

from __future__ import annotations

import errno

#: Windows has no quotas by this name.
_DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


class OsteoScreenError(Exception):
    """Base of every error that is shown to a user as a sentence, never as a traceback."""

    exit_code = 1


class UsageError(OsteoScreenError):
    """The command, or a call of the library, asks for something that makes no sense."""

    exit_code = 2


class NoSuchSeries(UsageError):
    """A series is asked for that the scan does not hold."""


class UnusableLevels(UsageError):
    """The levels cannot be measured on this scan: outside it, swapped, without a middle that can be seen."""


class StudyRefused(OsteoScreenError):
    """The study was read, but must not be screened as it is; the reasons are in the result."""

    exit_code = 3


class SegmentationFailed(StudyRefused):
    """No usable outline was found on a slice; nothing is measured in its place."""


class InputError(OsteoScreenError):
    """The input cannot be read, or is not what it claims to be."""

    exit_code = 4


class BundleError(OsteoScreenError):
    """A model bundle is missing, damaged, or does not match its description."""

    exit_code = 5


def system_reason(error: BaseException) -> str:
    """Return what the operating system objected to, in words: "permission denied", "the disk is full".

    Libraries wrap its errors in their own, whose text may hold even a traceback, so it is looked for in the causes.
    """
    found = system_error(error)
    if found is None:
        return " ".join(str(error).split()) or type(error).__name__
    return "the disk is full" if found.errno in _DISK_FULL else (found.strerror or str(found)).lower()


def system_error(error: BaseException | None) -> OSError | None:
    """Return the operating system's error that an error is, or was raised of; None where there is none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error came of a disk that is full, or of a quota."""
    found = system_error(error)
    return found is not None and found.errno in _DISK_FULL
