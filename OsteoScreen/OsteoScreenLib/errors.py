"""The errors a user can meet, each with the exit code of the command line.

Every message is one sentence on what is wrong and, where there is one, a second on what to do next.
"""

from __future__ import annotations


class OsteoScreenError(Exception):
    """Base of every error that is shown to a user as a sentence, never as a traceback."""

    exit_code = 1


class UsageError(OsteoScreenError):
    """The command, or a call of the library, asks for something that makes no sense."""

    exit_code = 2


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
