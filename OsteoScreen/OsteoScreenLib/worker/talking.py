"""What the worker says to a DICOMweb server: find, look into a study, fetch, send. Each message names its server.

Every message has "server" and "credentials"; they come over the pipe, and are written nowhere unless "keep" asks for
the keyring::

    {"server": {"at": "https://host/dicom-web" or a name in the settings, "insecure_http": false},
     "credentials": {"user": "", "password": "", "token": ""} or null, "keep": false}

Without credentials, those of the environment or the keyring are used. Each message adds to that, and is answered by::

    pacs_find    {"wanted": {"patient_id": "", "accession": "", "study_date": "", "modality": ""}, "most": 100}
                 {"studies": [FoundStudy], "more": false}
    pacs_series  {"study": UID}
                 {"series": [FoundSeries]}
    pacs_fetch   {"study": UID, "series": UID, "folder": "/path"}
                 {"folder": "/path/UID", "came": 12, "were_there": 0}
    pacs_send    {"paths": ["/path/sr.dcm"]}
                 {"results": [{"name": "sr.dcm", "outcome": "stored", "reason": ""}]}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..progress import Progress

if TYPE_CHECKING:
    from ..pacs.credentials import Credentials
    from ..pacs.transport import Connection

Talk = Callable[[Mapping[str, Any], Progress], dict[str, Any]]
_WANTED = {"patient_id", "accession", "study_date", "modality"}
#: Studies that are looked for where the message does not say how many.
MOST_STUDIES = 100


def _find(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    from ..pacs.finding import Wanted, find_studies

    given = message.get("wanted") or {}
    if not isinstance(given, Mapping) or set(given) - _WANTED:
        raise UsageError(f"The message's wanted holds what can be searched for: {', '.join(sorted(_WANTED))}.")
    wanted = Wanted(**{key: str(value) for key, value in given.items()})
    with _connected(message) as connection:
        studies, more = find_studies(connection, wanted, int(message.get("most") or MOST_STUDIES))
        _keep(message, connection)
    return {"studies": [asdict(study) for study in studies], "more": more}


def _series(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    from ..pacs.answers import given_uid
    from ..pacs.finding import find_series

    study = given_uid(_text(message, "study"), "study")
    with _connected(message) as connection:
        return {"series": [asdict(series) for series in find_series(connection, study)]}


def _fetch(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    from ..pacs.fetching import fetch_study

    study, series = _text(message, "study"), _text(message, "series")
    with _connected(message) as connection:
        got = fetch_study(connection, study, Path(_text(message, "folder")), series, progress)
    return {"folder": str(got.folder / series), "came": got.came, "were_there": got.were_there}


def _send(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    from ..pacs.storing import send_objects

    paths = message.get("paths")
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
        raise UsageError("The message lacks paths, the DICOM files to send.")
    with _connected(message) as connection:
        results = send_objects(connection, [Path(path) for path in paths], progress)
        _keep(message, connection)
    return {
        "results": [{"name": each.path.name, "outcome": each.outcome, "reason": each.reason} for each in results],
    }


TALKS: dict[str, Talk] = {"pacs_find": _find, "pacs_series": _series, "pacs_fetch": _fetch, "pacs_send": _send}


def _connected(message: Mapping[str, Any]) -> Connection:
    from ..pacs.servers import find_server
    from ..pacs.transport import Connection

    server = message.get("server")
    if not isinstance(server, Mapping):
        raise UsageError("The message lacks server, the one to talk to.")
    found = find_server(_text(server, "at"), insecure_http=server.get("insecure_http") is True)
    return Connection(found, credentials=_credentials(message))


def _credentials(message: Mapping[str, Any]) -> Credentials | None:
    from ..pacs.credentials import Credentials

    given = message.get("credentials")
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise UsageError("The message's credentials are no object.")
    found = Credentials(**{key: str(given.get(key) or "") for key in ("user", "password", "token")})
    found.check()
    return found


def _keep(message: Mapping[str, Any], connection: Connection) -> None:
    """Give the credentials to the keyring where that was asked for: only now, when the server took them."""
    from ..pacs.credentials import store

    credentials = _credentials(message)
    if message.get("keep") is True and credentials is not None:
        store(connection.server.url, credentials)


def _text(message: Mapping[str, Any], key: str) -> str:
    value = message.get(key)
    if not isinstance(value, str) or not value:
        raise UsageError(f"The message lacks {key}.")
    return value
