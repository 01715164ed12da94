"""The errors of a PACS; each is one sentence that names the server's host, and never what was asked about whom."""

from __future__ import annotations

from ..errors import InputError


class PacsError(InputError):
    """The server does not give or take what it is asked for."""


class NotThere(PacsError):
    """The server has no such thing (404)."""


class NotUnderstood(PacsError):
    """The server takes the question for a wrong one (400)."""


class Temporary(PacsError):
    """It may go better at the next try; ``wait_s`` is how long the server wants to be left alone [s], if it says so."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s
