"""Who we are to a server: from the environment, or from the keyring of the operating system; from nowhere else.

Credentials are never an argument of a command (other users of the computer see those), never part of a URL, and never
written to a file of ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ..errors import OsteoScreenError, UsageError
from .servers import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

USER_VARIABLE = "OSTEOSCREEN_DICOMWEB_USER"
PASSWORD_VARIABLE = "OSTEOSCREEN_DICOMWEB_PASSWORD"
TOKEN_VARIABLE = "OSTEOSCREEN_DICOMWEB_TOKEN"
#: The service under which the keyring holds credentials; its "user" is the server's URL.
SERVICE = "osteoscreen"


_INSTEAD = f"give the credentials by {USER_VARIABLE} and {PASSWORD_VARIABLE}, or {TOKEN_VARIABLE}"


@dataclass(frozen=True)
class Credentials:
    """A user with a password (HTTP Basic, RFC 7617) or a token (Bearer, RFC 6750); neither is ever shown."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def header(self) -> str:
        """The value of the header Authorization."""
        if self.token:
            return f"Bearer {self.token}"
        from base64 import b64encode

        return "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")

    def check(self) -> None:
        """Raise UsageError for what cannot be sent: no user, a colon in it, or characters that end a header."""
        if self.token:
            if not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
                raise UsageError("The token holds spaces or characters that no token has; copy it again.")
        elif not self.user or ":" in self.user or not (self.user + self.password).isprintable():
            raise UsageError("A user's name must not be empty, and without ':' or control characters; give it again.")


def credentials_for(server: Server) -> Credentials | None:
    """What the environment, or else the keyring, holds for this server; None where neither has anything."""
    found = from_environment()
    return from_keyring(server.url) if found is None else found


def from_environment() -> Credentials | None:
    """What the environment holds.  Raises UsageError where it holds half of a pair."""
    token, user, password = (os.environ.get(v, "") for v in (TOKEN_VARIABLE, USER_VARIABLE, PASSWORD_VARIABLE))
    if not (token or user or password):
        return None
    if not token and not (user and password):
        raise UsageError(f"{USER_VARIABLE} and {PASSWORD_VARIABLE} belong together; set both, or {TOKEN_VARIABLE}.")
    found = Credentials(token=token) if token else Credentials(user, password)
    found.check()
    return found


def refuse_shared(servers: Sequence[Server]) -> None:
    """Raise UsageError where one command would give the environment's credentials to several servers."""
    if len({server.origin for server in servers}) > 1 and from_environment() is not None:
        raise UsageError(
            "The credentials in the environment are for one server, and the command names two; store each server's "
            "with `osteoscreen pacs login URL` instead, or do it in two commands."
        )


def from_keyring(url: str) -> Credentials | None:
    """What the keyring holds for a server's URL; None where it has nothing, or there is no keyring.

    Raises OsteoScreenError where there is one that cannot be read, or that holds something else.
    """
    import keyring
    from keyring.errors import NoKeyringError

    try:
        kept = _asked(lambda: keyring.get_password(SERVICE, url))
    except NoKeyringError:
        return None
    if kept is None:
        return None
    try:
        found = Credentials(**{name: str(value) for name, value in json.loads(kept).items()})
        found.check()
    except (ValueError, TypeError, AttributeError, UsageError):
        raise OsteoScreenError(
            f"What the keyring of this computer holds for {url} is damaged; store it again with `osteoscreen pacs "
            f"login {url}`."
        ) from None
    return found


def store(url: str, credentials: Credentials) -> None:
    """Give credentials to the keyring, in place of those it had.  Raises OsteoScreenError where it takes none."""
    import keyring
    from keyring.errors import NoKeyringError

    credentials.check()
    kept = json.dumps({name: value for name, value in vars(credentials).items() if value})
    try:
        _asked(lambda: keyring.set_password(SERVICE, url, kept))
        # There are keyrings that take everything and keep nothing.
        stored = _asked(lambda: keyring.get_password(SERVICE, url)) == kept
    except NoKeyringError:
        stored = False
    if not stored:
        raise OsteoScreenError(f"This computer has no keyring that keeps a password; install one, or {_INSTEAD}.")


def forget(url: str) -> bool:
    """Remove a server's credentials from the keyring; returns whether there were any.

    Raises OsteoScreenError where there is a keyring that cannot be opened.
    """
    import keyring
    from keyring.errors import NoKeyringError, PasswordDeleteError

    try:
        _asked(lambda: keyring.delete_password(SERVICE, url))
    except (NoKeyringError, PasswordDeleteError):
        return False
    return True


def _asked(question: Callable[[], T]) -> T:
    """What the keyring answers.  Raises NoKeyringError, PasswordDeleteError, or OsteoScreenError for all the rest."""
    from keyring.errors import NoKeyringError, PasswordDeleteError

    try:
        return question()
    except (NoKeyringError, PasswordDeleteError):
        raise
    except Exception as problem:  # a keyring is somebody else's program, and raises whatever it may
        raise OsteoScreenError(
            f"The keyring of this computer cannot be opened ({type(problem).__name__}); unlock it, or {_INSTEAD}."
        ) from None
