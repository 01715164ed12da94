"""Ask a server what it has (QIDO-RS, DICOM PS3.18 10.6), page by page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, cast

from dicomweb_client.web import DICOMwebClient
from requests import Response, Session
from requests.exceptions import JSONDecodeError

from ..errors import UsageError
from .answers import Item, number, uid, word, words
from .errors import NotThere, NotUnderstood, PacsError
from .transport import Connection, media_type, wrong_type

#: How many are asked for at a time; a server may give fewer.
PAGE = 200

#: More instances than this are no series that anybody screens, and more series no study.
MOST_INSTANCES = 20_000
MOST_SERIES = 2_000

_STUDY_FIELDS = ("StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries")
_SERIES_FIELDS = ("SeriesDescription", "NumberOfSeriesRelatedInstances")
#: Not every server knows these of a series without opening its images; some then take the question for a wrong one.
_IMAGE_FIELDS = ("ConvolutionKernel", "SliceThickness")


@dataclass(frozen=True)
class FoundSeries:
    """A series of a study; what the server does not say is "" or None."""

    uid: str
    modality: str
    description: str
    instances: int | None
    kernel: str
    thickness_mm: str


@dataclass(frozen=True)
class FoundStudy:
    """A study; ``patient_name``, ``patient_id`` and ``accession`` identify the patient and are not for logs."""

    uid: str
    date: str
    description: str
    modalities: tuple[str, ...]
    series: int | None
    patient_name: str
    patient_id: str
    accession: str


@dataclass(frozen=True)
class Wanted:
    """Which studies to find; what is "" does not matter.  ``study_date`` is a day or a range, "20240101-20240630"."""

    patient_id: str = ""
    accession: str = ""
    study_date: str = ""
    modality: str = ""

    def contradicted_by(self, study: FoundStudy) -> bool:
        """Whether a study is none of those: a server that does not know a key may ignore it, and give everybody's.

        What the server does not say of a study contradicts nothing.
        """
        first, dash, last = self.study_date.partition("-")
        days = (first, last or "9" * 8) if dash else (first, first)
        return bool(
            not _fits(self.patient_id, study.patient_id)
            or not _fits(self.accession, study.accession)
            or (self.study_date and re.fullmatch("[0-9]{8}", study.date) and not days[0] <= study.date <= days[1])
            or (self.modality and study.modalities and not any(_fits(self.modality, m) for m in study.modalities))
        )

    def filters(self) -> dict[str, str]:
        """The query's keys.  Raises UsageError for a date that is none."""
        keys = {
            "PatientID": self.patient_id,
            "AccessionNumber": self.accession,
            "StudyDate": checked_dates(self.study_date),
            "ModalitiesInStudy": self.modality,
        }
        return {key: value for key, value in keys.items() if value}


def _fits(wanted: str, said: str) -> bool:
    """Whether a value is the wanted one (* and ? as in PS3.4 C.2.2.2.4; servers differ in minding upper case)."""
    pattern = wanted.strip().lower().replace("[", "[[]")
    return not wanted or not said or fnmatchcase(said.lower(), pattern)


def checked_dates(text: str) -> str:
    """A day or range of days as DICOM writes them.  Raises UsageError where it is none."""
    if not text:
        return ""
    first, _dash, last = text.partition("-")
    days = [day for day in (first, last) if day]
    try:
        if not days or not all(re.fullmatch(r"[0-9]{8}", day) for day in days):
            raise ValueError
        dates = [datetime.strptime(day, "%Y%m%d") for day in days]
    except ValueError:
        raise UsageError("A study's date is YYYYMMDD, or YYYYMMDD-YYYYMMDD for a range; write it so.") from None
    if dates != sorted(dates):
        raise UsageError("The range of study dates ends before it begins; swap the two.")
    return text


def find_studies(connection: Connection, wanted: Wanted, most: int) -> tuple[list[FoundStudy], bool]:
    """The first ``most`` studies, and whether there are more.  Raises PacsError or UsageError."""
    search = _search("studies", wanted.filters(), _STUDY_FIELDS)
    every = (_study(item, connection.server.host) for item in _pages(connection, "StudyInstanceUID", search))
    found = list(islice((study for study in every if not wanted.contradicted_by(study)), most + 1))
    return found[:most], len(found) > most


def _study(item: Item, host: str) -> FoundStudy:
    return FoundStudy(
        uid=uid(item, "StudyInstanceUID", host),
        date=word(item, "StudyDate"),
        description=word(item, "StudyDescription"),
        modalities=words(item, "ModalitiesInStudy"),
        series=number(item, "NumberOfStudyRelatedSeries"),
        patient_name=word(item, "PatientName"),
        patient_id=word(item, "PatientID"),
        accession=word(item, "AccessionNumber"),
    )


def find_series(connection: Connection, study_uid: str) -> list[FoundSeries]:
    """The series of a study; [] where the server has no such study.  Raises PacsError."""
    try:
        found = _series(connection, study_uid, (*_SERIES_FIELDS, *_IMAGE_FIELDS))
    except NotUnderstood:
        found = _series(connection, study_uid, _SERIES_FIELDS)
    return [
        FoundSeries(
            uid=uid(item, "SeriesInstanceUID", connection.server.host),
            modality=word(item, "Modality"),
            description=word(item, "SeriesDescription"),
            instances=number(item, "NumberOfSeriesRelatedInstances"),
            kernel=word(item, "ConvolutionKernel"),
            thickness_mm=word(item, "SliceThickness"),
        )
        for item in found
    ]


def _series(connection: Connection, study_uid: str, fields: Sequence[str]) -> list[Item]:
    pages = _pages(connection, "SeriesInstanceUID", _search("series", {}, fields, study_uid))
    found = list(islice(pages, MOST_SERIES + 1))
    if len(found) > MOST_SERIES:
        raise PacsError(f"The study has more than {MOST_SERIES} series; that is no CT to screen.")
    return found


def find_instances(connection: Connection, study_uid: str, series_uid: str) -> list[str]:
    """The SOP Instance UIDs of a series, [] where the server has no such series.  Raises PacsError."""
    pages = _pages(connection, "SOPInstanceUID", _search("instances", {}, (), study_uid, series_uid))
    found = [uid(item, "SOPInstanceUID", connection.server.host) for item in islice(pages, MOST_INSTANCES + 1)]
    if len(found) > MOST_INSTANCES:
        raise PacsError(f"The series has more than {MOST_INSTANCES} instances; that is no CT to screen.")
    return found


_Search = Callable[[DICOMwebClient, int], list[dict[str, Any]]]


def _search(level: str, filters: dict[str, str], fields: Sequence[str], *uids: str) -> _Search:
    def page(client: DICOMwebClient, offset: int) -> list[dict[str, Any]]:
        search = getattr(client, f"search_for_{level}")
        found: list[dict[str, Any]] = search(*uids, limit=PAGE, offset=offset, fields=fields, search_filters=filters)
        return found

    return page


def _pages(connection: Connection, key: str, search: _Search) -> Iterator[Item]:
    """Every item that a search finds, once; ends also with a server that does not know of pages.

    Raises PacsError for more than `MOST_INSTANCES` items, because a search of so many is none.
    """
    client = _client(connection)
    seen: set[str] = set()
    offset = 0
    while True:
        page = _page(connection, client, search, offset)
        fresh = [item for item in page if word(item, key) not in seen]
        seen.update(word(item, key) for item in fresh)
        yield from fresh
        offset += len(page)
        if not fresh:
            return
        if offset > MOST_INSTANCES + PAGE:
            raise PacsError(f"{connection.server.host} finds more than {MOST_INSTANCES}; narrow the search.")


def _page(connection: Connection, client: DICOMwebClient, search: _Search, offset: int) -> list[Item]:
    host = connection.server.host
    try:
        found = connection.attempt(lambda: search(client, offset))
    except NotThere:
        return []
    except (JSONDecodeError, RecursionError):
        raise PacsError(f"{host} sends JSON that is not proper; check that the URL is that of DICOMweb.") from None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise PacsError(f"{host} answers with something that is not DICOM JSON; check the server's URL.")
    return list(found)


def _client(connection: Connection) -> DICOMwebClient:
    session = cast(Session, _JsonSession(connection))
    client = DICOMwebClient(connection.server.url, session=session, permissive_uid=True)
    client.set_http_retry_params(retry=False)  # `Connection.attempt` does, and for lost connections too
    return client


class _JsonSession:
    """The part of a session that a search uses, where an answer is JSON or an error."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, url: str, **options: Any) -> Response:
        """GET one page of results.  Raises PacsError."""
        # Wildcards may stand in a query as they are (RFC 3986 3.4), and Orthanc does not decode them.
        url = url.replace("%2A", "*").replace("%3F", "?")
        response = self._connection.ask("GET", url, **options)
        if response.content and media_type(response) not in ("application/dicom+json", "application/json"):
            raise wrong_type(response, self._connection.server.host)
        return response
