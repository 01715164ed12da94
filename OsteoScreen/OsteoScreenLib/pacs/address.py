"""A study or series on a server, in one word: ``dicomweb:SERVER/studies/UID/series/UID``, or its URL."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import UsageError
from .answers import given_uid
from .servers import Server

_SCHEME = "dicomweb:"
_FORM = re.compile(r"(?P<server>.+?)/studies/(?P<study>[^/]+)(?:/series/(?P<series>[^/]+))?/?")


@dataclass(frozen=True)
class Address:
    """Where a study is: ``server`` is a URL or a name in the settings; without ``series_uid``, the whole study."""

    server: str
    study_uid: str
    series_uid: str | None = None


def is_address(text: str) -> bool:
    """Whether a text is meant as an address on a server, not as a path."""
    return text.lower().startswith((_SCHEME, "https://", "http://"))


def parse_address(text: str) -> Address:
    """The parts of an address.  Raises UsageError where it is none."""
    rest = text[len(_SCHEME) :] if text.lower().startswith(_SCHEME) else text
    match = _FORM.fullmatch(rest)
    if match is None:
        raise UsageError(
            "A CT on a server is written as dicomweb:SERVER/studies/UID or dicomweb:SERVER/studies/UID/series/UID, "
            "with the server's URL or name; `osteoscreen pacs find SERVER` shows the UIDs."
        )
    series = match["series"]
    return Address(
        match["server"], given_uid(match["study"], "study"), None if series is None else given_uid(series, "series")
    )


def written(server: Server, study_uid: str, series_uid: str | None) -> str:
    """The address of a study or series, for a result: it holds no credentials, because no server's URL does."""
    series = "" if series_uid is None else f"/series/{series_uid}"
    return f"{_SCHEME}{server.url}/studies/{study_uid}{series}"
