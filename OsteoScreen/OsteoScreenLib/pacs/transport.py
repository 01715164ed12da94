"""HTTP as a PACS needs it: credentials to their own server only, certificates checked, patience, and no riddles."""

from __future__ import annotations

import logging
import math
import os
import random
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin

import requests
from requests.auth import AuthBase

from ..errors import UsageError
from .credentials import Credentials, credentials_for
from .errors import NotThere, NotUnderstood, PacsError, Temporary
from .servers import Server, is_loopback, origin_of

T = TypeVar("T")

#: What requests itself looks at for certificates to trust.
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
#: Statuses after which the same request may well succeed (RFC 9110 15.5.9, 15.6; RFC 6585 4).
_TEMPORARY = frozenset((408, 425, 429, 500, 502, 503, 504))

#: A page of a search or the answer to a sent object, as JSON; a listing of `finding.MOST_INSTANCES` has a quarter.
MOST_ANSWER_BYTES = 1 << 28
_CHUNK_BYTES = 1 << 16

# These write URLs into the log at level "debug", and a URL of a search holds the patient's number.
for _name in ("dicomweb_client", "urllib3.connectionpool"):
    logging.getLogger(_name).setLevel(logging.ERROR)


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server, and how often to ask again.

    connect_s, read_s : for a connection, and for the next bytes of an answer [s]
    attempts : how often a request is made in all
    first_wait_s, longest_wait_s : the pause before the second attempt; it doubles up to the longest [s]
    longest_obeyed_s : a server that asks for a longer pause than this is not waited for [s]
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    longest_obeyed_s: float = 120.0


class Connection:
    """A session with one server; may be used by several threads, and is closed by ``with``."""

    def __init__(self, server: Server, patience: Patience | None = None, credentials: Credentials | None = None):
        """Raises UsageError for a file of certificates that is none, and for half a pair of credentials.

        ``credentials`` are those of the environment or keyring, when None.
        """
        self.server = server
        self.patience = Patience() if patience is None else patience
        self.session = _Session(server, self.patience, credentials or credentials_for(server))
        self._stopped = threading.Event()

    def attempt(self, action: Callable[[], T]) -> T:
        """Do it, again and again while it fails for a time; returns what it returns.

        The pauses grow exponentially, with jitter, so that many clients do not come back at once. Raises PacsError
        when it fails for good, when there were too many attempts, or when `stop` was called meanwhile.
        """
        for attempt in range(1, self.patience.attempts + 1):
            self.check_stopped()
            try:
                return action()
            except Temporary as problem:
                wait_s = self._pause(attempt, problem.wait_s)
                if attempt == self.patience.attempts or wait_s is None or self._stopped.wait(wait_s):
                    raise
        raise AssertionError("there is at least one attempt")

    def _pause(self, attempt: int, asked_s: float | None) -> float | None:
        """How long to wait before the next attempt; None where the server asks for longer than we wait."""
        backoff = min(self.patience.first_wait_s * 2 ** (attempt - 1), self.patience.longest_wait_s)
        backoff *= random.uniform(0.5, 1.0)
        if asked_s is None:
            return backoff
        return None if asked_s > self.patience.longest_obeyed_s else max(asked_s, backoff)

    def ask(self, method: str, url: str, **options: Any) -> requests.Response:
        """The whole answer to one request, held in memory.  Raises PacsError, also for one too long for that."""
        response = self.session.request(method, url, **{**options, "stream": True})
        # What `requests.Response.content` would do, but not for an answer without end.
        response._content = b"".join(self.body(response, MOST_ANSWER_BYTES))
        return response

    def body(self, response: requests.Response, most_bytes: int) -> Iterator[bytes]:
        """The body of an answer as it comes.

        Raises `Temporary` where the connection is lost, and PacsError for a body of more than ``most_bytes`` and where
        `stop` was called.
        """
        chunks, came = response.iter_content(_CHUNK_BYTES), 0
        while True:
            self.check_stopped()
            try:
                chunk = next(chunks, None)
            except requests.RequestException as problem:
                raise told(problem, self.server.host, self.patience) from None
            if chunk is None:
                return
            came += len(chunk)
            if came > most_bytes:
                response.close()
                raise PacsError(
                    f"{self.server.host} sends more than {most_bytes >> 20} MiB at once, which is not what it was "
                    "asked for; tell its administrator."
                )
            yield chunk

    def stop(self) -> None:
        """End what goes on in any thread: no further attempt is made, and no further chunk read or sent.

        A thread that waits for a server that says nothing notices it after `Patience.read_s` at the latest. A
        connection that was stopped stays so.
        """
        self._stopped.set()

    def check_stopped(self) -> None:
        """Raise PacsError where `stop` was called."""
        if self._stopped.is_set():
            raise PacsError("The transfer was stopped; started again, it goes on where it was.")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.session.close()


class _Auth(AuthBase):
    """Gives the credentials to their own server. Without any it is there too, so that no .netrc is looked into."""

    def __init__(self, server: Server, credentials: Credentials | None) -> None:
        self._origin = server.origin
        self._header = None if credentials is None else credentials.header()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header is not None and origin_of(str(request.url)) == self._origin:
            request.headers["Authorization"] = self._header
        return request


class _Session(requests.Session):
    """A session whose every request checks the certificate, has a timeout, and ends in an answer or a `PacsError`."""

    def __init__(self, server: Server, patience: Patience, credentials: Credentials | None) -> None:
        super().__init__()
        self._server = server
        self._patience = patience
        self._has_credentials = credentials is not None
        self._trusted = _trusted(server.ca_file)
        self.auth = _Auth(server, credentials)

    def request(self, method: str | bytes, url: str | bytes, *_: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """As requests does it with ``stream``, so that the body is yet to be read (see `Connection.body`).

        Raises `Temporary` where another attempt makes sense, and `PacsError` where none does. A redirect is followed
        for GET only, not to plain http unless that was allowed, and not with our credentials to another server.
        """
        method, url = str(method).upper(), str(url)
        # dicomweb-client sets the header Host without the port, which other servers behind one address need.
        headers = {k: v for k, v in (options.pop("headers", None) or {}).items() if k.lower() != "host"}
        options.update(headers=headers, allow_redirects=False, verify=self._trusted, stream=True)
        options["timeout"] = (self._patience.connect_s, self._patience.read_s)
        for _redirect in range(_MOST_REDIRECTS + 1):
            response = self._answer(method, url, options)
            if response.status_code not in _REDIRECTS:
                self._check_status(method, response)
                return response
            url = self._redirected(method, url, response)
        raise PacsError(f"{self._server.host} redirects in circles; check the server's URL.")

    def _answer(self, method: str, url: str, options: dict[str, Any]) -> requests.Response:
        if is_loopback(origin_of(url)[1]):
            # What stays on this computer does not take the way over a proxy of the network's.
            options = {**options, "proxies": {"http": None, "https": None, "all": None}}
        try:
            return super().request(method, url, **options)
        except requests.RequestException as problem:
            raise told(problem, self._server.host, self._patience) from None

    def _redirected(self, method: str, url: str, response: requests.Response) -> str:
        target = urljoin(url, response.headers.get("Location", ""))
        response.close()
        try:
            scheme, host, _ = origin_of(target)
        except ValueError:
            raise PacsError(f"{self._server.host} redirects to nowhere; check the server's URL.") from None
        if method != "GET":
            raise PacsError(
                f"{self._server.host} redirects what is sent to it, and patients' data go nowhere but where you said; "
                "give the URL that its administrator names."
            )
        plain = self._server.insecure_http or (self._server.origin[0] == "http" and is_loopback(host))
        if (scheme == "http" and not plain) or "@" in target.split("/")[2]:
            raise PacsError(f"{self._server.host} redirects to an address that is not safe; ask its administrator.")
        return target

    def _check_status(self, method: str, response: requests.Response) -> None:
        status, host = response.status_code, self._server.host
        # 409 is how a STOW says that something was not stored (PS3.18 10.5.3).
        if status < 400 or (status == 409 and method == "POST"):
            return
        response.close()
        if status in _TEMPORARY:
            wait_s = _retry_after_s(response)
            when = "later" if wait_s is None else f"in {max(math.ceil(wait_s), 1)} s, as it asks for"
            raise Temporary(f"{host} cannot answer now (HTTP status {status}); try again {when}.", wait_s)
        if status == 400:
            raise NotUnderstood(f"{host} does not understand the request (HTTP status 400); check the server's URL.")
        if status == 401:
            what = "does not accept the credentials" if self._has_credentials else "wants to know who you are"
            raise PacsError(
                f"{host} {what} (HTTP status 401); store them with `osteoscreen pacs login {self._server.url}`, or "
                "set OSTEOSCREEN_DICOMWEB_USER and OSTEOSCREEN_DICOMWEB_PASSWORD, or OSTEOSCREEN_DICOMWEB_TOKEN."
            )
        if status == 403:
            raise PacsError(f"{host} does not allow you this (HTTP status 403); ask its administrator for the right.")
        if status == 404:
            raise NotThere(f"{host} has nothing there (HTTP status 404); check the server's URL and the UIDs.")
        raise PacsError(f"{host} refuses the request (HTTP status {status}); check the server's URL.")


def _trusted(ca_file: str | None) -> str | bool:
    """The certificates to trust: a file, or True for those that requests brings; never none."""
    chosen = ca_file or next((os.environ[v] for v in _CA_VARIABLES if os.environ.get(v)), None)
    if chosen is None:
        return True
    path = Path(chosen).expanduser()
    try:
        if not path.is_dir():
            ssl.create_default_context(cafile=path)
    except (OSError, ValueError):  # ssl's own errors are among OSError
        raise UsageError(
            f"{chosen} holds no certificates to trust; name a PEM file with --ca-file or {_CA_VARIABLES[0]}."
        ) from None
    return str(path)


def told(problem: Exception, host: str, patience: Patience) -> PacsError:
    """A failed connection as a sentence; the library's own words may hold a URL with the patient's number."""
    if isinstance(problem, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(problem):
        if "mismatch" in str(problem):
            return PacsError(
                f"The certificate of {host} is for another name, so nothing was sent to it; give the URL with the name "
                "that the certificate is for."
            )
        if "expired" in str(problem):
            return PacsError(
                f"The certificate of {host} has expired, so nothing was sent to it; tell its administrator."
            )
        return PacsError(
            f"The certificate of {host} is not trusted, so nothing was sent to it; where it is signed by your "
            "institution, name that authority's certificate with --ca-file or REQUESTS_CA_BUNDLE."
        )
    if isinstance(problem, requests.exceptions.SSLError):
        return PacsError(f"{host} does not speak TLS as it should; check whether the URL's port is the one for https.")
    if isinstance(problem, requests.exceptions.ProxyError):
        return Temporary("The proxy of this network cannot be used; check HTTPS_PROXY and NO_PROXY.")
    if isinstance(problem, requests.exceptions.ConnectTimeout):
        return Temporary(f"{host} cannot be reached within {patience.connect_s:g} s; check the URL and the network.")
    if isinstance(problem, requests.exceptions.Timeout) or "Read timed out" in str(problem):
        return Temporary(f"{host} stopped answering for {patience.read_s:g} s; try again, or give --timeout.")
    if isinstance(problem, requests.exceptions.ChunkedEncodingError):
        return Temporary(f"{host} broke off in the middle of its answer; try again.")
    if isinstance(problem, requests.exceptions.ConnectionError):
        return Temporary(f"{host} cannot be reached, or hangs up; check the URL, and whether the server runs.")
    return PacsError(f"{host} sends what is not proper HTTP ({type(problem).__name__}); check the server's URL.")


def _retry_after_s(response: requests.Response) -> float | None:
    """How long a server wants to be left alone [s]: a number or a date (RFC 9110 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max((when - datetime.now(timezone.utc)).total_seconds(), 0.0)


def media_type(response: requests.Response) -> str:
    """The media type of an answer, without its parameters, in lower case."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def wrong_type(response: requests.Response, host: str) -> PacsError:
    """What to say of an answer that is not DICOM."""
    if media_type(response) in ("text/html", "application/xhtml+xml"):
        return PacsError(
            f"{host} answers with a web page (perhaps one to sign in) instead of DICOM; check that the URL is where "
            "its DICOMweb services begin, and your credentials."
        )
    return PacsError(f"{host} answers with something that is not DICOM; check that the URL is that of DICOMweb.")
