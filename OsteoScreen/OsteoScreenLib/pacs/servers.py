"""Which servers there are: by their URL, or by the name that the user gave them in a small file."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..errors import OsteoScreenError, UsageError, system_reason

#: Names another folder for the user's settings.
SETTINGS_FOLDER_VARIABLE = "OSTEOSCREEN_SETTINGS"
SETTINGS_FILE = "servers.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEYS = {"url", "ca_file"}
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Server:
    """A DICOMweb server: ``url`` is where its services begin, without credentials, query or closing slash.

    ca_file : certificates to trust instead of the usual ones (PEM)
    insecure_http : whether the user said that plain http may go over the network
    """

    url: str
    ca_file: str | None = None
    insecure_http: bool = False

    @property
    def host(self) -> str:
        """Host and port, as a message names the server."""
        return urlsplit(self.url).netloc

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: whom the credentials are for."""
        return origin_of(self.url)


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an http or https URL.  Raises ValueError where there is none."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("no http or https URL")
    return parts.scheme, parts.hostname, _PORTS[parts.scheme] if parts.port is None else parts.port


def is_loopback(host: str) -> bool:
    """Whether a host is this computer itself, so that nothing said to it goes over a network."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_server(name_or_url: str, *, ca_file: str | None = None, insecure_http: bool = False) -> Server:
    """The server that a URL or a name in the settings stands for.

    ``ca_file`` goes before the one in the settings.  Raises UsageError for a URL with credentials in it, for plain
    http that would leave this computer unless ``insecure_http``, and for a name that is not in the settings.
    """
    if "://" in name_or_url:
        return Server(checked_url(name_or_url, insecure_http=insecure_http), ca_file, insecure_http)
    known = named_servers()
    if name_or_url not in known:
        shown = f"{name_or_url!r}" if _NAME.fullmatch(name_or_url) else "That"
        there = f"known are {', '.join(sorted(known))}" if known else "there is none yet"
        raise UsageError(
            f"{shown} is neither the URL of a DICOMweb server nor the name of one ({there}); give a URL such as "
            "https://host/dicom-web, or name it once with `osteoscreen pacs add NAME URL`."
        )
    entry = known[name_or_url]
    url = checked_url(entry["url"], insecure_http=insecure_http)
    return Server(url, ca_file or entry.get("ca_file"), insecure_http)


def checked_url(url: str, *, insecure_http: bool = False) -> str:
    """The URL without its closing slash, with its scheme and host in lower case.

    Raises UsageError for what is no URL of a server, or not safe.
    """
    parts = _split(url)
    host = parts.hostname or ""
    if parts.scheme == "http" and not (insecure_http or is_loopback(host)):
        raise UsageError(
            f"Plain http would carry the patient's data and your password over the network unprotected; use https for "
            f"{host}, or say --insecure-http where that network is trusted."
        )
    netloc = f"[{host}]" if ":" in host else host
    if parts.port is not None and parts.port != _PORTS[parts.scheme]:
        netloc += f":{parts.port}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        origin_of(url)
    except ValueError:
        raise UsageError("That is no URL of a server; write it as https://host/dicom-web.") from None
    if "@" in parts.netloc:
        raise UsageError(
            "A URL must not hold a user's name or password, because it ends in logs and results; leave them out, and "
            "store them with `osteoscreen pacs login URL` or give them by OSTEOSCREEN_DICOMWEB_USER and _PASSWORD."
        )
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise UsageError("The URL of a server has no '?' or '#' part; give where its DICOMweb services begin.")
    # What urlsplit drops without a word must not be in it either.
    proper = re.fullmatch(r"[A-Za-z0-9._:\[\]-]+", parts.netloc) and re.fullmatch(r"[\w./~%:+-]*", parts.path, re.A)
    if not proper or not url.isprintable() or " " in url:
        raise UsageError("The URL holds characters that no server's address has; write it as https://host/dicom-web.")
    return parts


# -- the settings


def settings_file() -> Path:
    """Where the names of servers are kept; it need not exist yet."""
    return _settings_folder() / SETTINGS_FILE


def _settings_folder() -> Path:
    chosen = os.environ.get(SETTINGS_FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "OsteoScreen"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "OsteoScreen"
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "osteoscreen"


def named_servers() -> dict[str, dict[str, str]]:
    """Name -> {"url", and "ca_file" where there is one}, of the servers in the settings.

    Raises UsageError where the file is damaged, or holds what does not belong there, such as a password.
    """
    path = settings_file()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} cannot be read ({type(problem).__name__}); mend or delete it.") from None
    try:
        servers: Any = json.loads(text)["servers"]
        for name, entry in servers.items():
            _check_entry(name, entry)
    except (ValueError, KeyError, TypeError, AttributeError):
        example = '{"servers": {"NAME": {"url": "https://host/dicom-web"}}}'
        raise UsageError(f"{path} is not as it should be; write it as {example}, or delete it.") from None
    return dict(servers)


def _check_entry(name: str, entry: dict[str, str]) -> None:
    strange = set(entry) - _KEYS
    if strange:
        raise UsageError(
            f"The server {name!r} in {settings_file()} has more than 'url' and 'ca_file'; take the rest out: passwords "
            "are kept by `osteoscreen pacs login`, never in that file."
        )
    if not _NAME.fullmatch(name) or not all(isinstance(value, str) for value in (entry["url"], *entry.values())):
        raise ValueError("no name, or no text")


def name_server(name: str, url: str, ca_file: str | None = None, *, insecure_http: bool = False) -> Path:
    """Keep a server under a name, in place of what had it; returns the settings file.  Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError("A server's name has letters, digits, dots, dashes and underscores; choose another.")
    entry = {"url": checked_url(url, insecure_http=insecure_http)}
    if ca_file is not None:
        entry["ca_file"] = str(Path(ca_file).resolve())
    return _write({**named_servers(), name: entry})


def forget_server(name: str) -> Path:
    """Take a name out of the settings; returns the settings file.  Raises UsageError where it is not there."""
    known = named_servers()
    if known.pop(name, None) is None:
        raise UsageError("There is no server of that name; `osteoscreen pacs servers` lists them.")
    return _write(known)


def _write(servers: dict[str, dict[str, str]]) -> Path:
    path = settings_file()
    try:
        write_json(path, {"servers": servers})
    except OSError as problem:
        raise OsteoScreenError(f"The settings cannot be written to {path}: {system_reason(problem)}.") from problem
    return path


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all; its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
