"""Who we are to a server: from the environment, or from the keyring of the operating system; from nowhere else.

Credentials are never an argument of a command (other users of the computer see those), never part of a URL, and never
written to a file of ours.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import OsteoScreenError, UsageError
from .servers import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

USER_VARIABLE = "OSTEOSCREEN_DICOMWEB_USER"
PASSWORD_VARIABLE = "OSTEOSCREEN_DICOMWEB_PASSWORD"
TOKEN_VARIABLE = "OSTEOSCREEN_DICOMWEB_TOKEN"
#: The service under which the keyring holds credentials; its "user" is the server's URL.
SERVICE = "osteoscreen"


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
    """What the keyring holds for a server's URL; None where it has nothing, or there is no usable keyring."""
    import keyring
    from keyring.errors import KeyringError

    try:
        kept = keyring.get_password(SERVICE, url)
        return None if kept is None else Credentials(**json.loads(kept))
    except (KeyringError, ValueError, TypeError):
        return None


def store(url: str, credentials: Credentials) -> None:
    """Give credentials to the keyring, in place of those it had.  Raises OsteoScreenError where it takes none."""
    import keyring
    from keyring.errors import KeyringError

    credentials.check()
    kept = {name: value for name, value in vars(credentials).items() if value}
    try:
        keyring.set_password(SERVICE, url, json.dumps(kept))
    except KeyringError as problem:
        raise OsteoScreenError(
            f"The keyring of this computer takes nothing ({type(problem).__name__}); unlock or install one, or give "
            f"the credentials by {USER_VARIABLE} and {PASSWORD_VARIABLE}, or {TOKEN_VARIABLE}."
        ) from None


def forget(url: str) -> bool:
    """Remove a server's credentials from the keyring; returns whether there were any."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.delete_password(SERVICE, url)
    except KeyringError:
        return False
    return True
