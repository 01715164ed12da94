"""A PACS on loopback with one study, which answers as it should, or as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from dicom_files import body, write_series
from pydicom import dcmread
from pydicom.uid import generate_uid
from scripted_server import Request, Scripted, scripted

from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.pacs.fetching import Fetched, fetch_study
from OsteoScreenLib.pacs.servers import find_server
from OsteoScreenLib.pacs.storing import Stored, objects_at, send_objects
from OsteoScreenLib.pacs.transport import Connection, Patience

#: As many attempts as there are, without the pauses.
FAST = Patience(first_wait_s=0.01, longest_wait_s=0.02)

#: How an object comes, by the standard.
RELATED = 'multipart/related; type="application/dicom"'
#: What no message and no log may hold: the patient, and the account.
SECRETS = ("Simulated^Secret", "SECRET-ID", "s3cret-word", "reader-name")

#: What a test does with a request in place of the right answer; it returns whether it answered.
Fault = Callable[[Request], bool]


@dataclass
class Pacs:
    """``objects`` are the files' contents by SOP Instance UID, ``received`` what was sent; ``fault`` is asked first."""

    study: str
    series: str
    objects: dict[str, bytes]
    server: Scripted
    fault: Fault = lambda request: False
    received: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url

    def asked(self, word: str) -> list[Request]:
        """The requests whose path has a word."""
        return [request for request in self.server.requests if word in request.path]

    def connection(self, patience: Patience = FAST) -> Connection:
        return Connection(find_server(self.url), patience)

    def answer(self, request: Request) -> None:
        if self.fault(request):
            return
        path, _, query = request.path.partition("?")
        if request.method == "POST":
            self._store(request)
        elif path.endswith("/instances"):
            request.json([item(StudyInstanceUID=self.study, SOPInstanceUID=uid) for uid in self.objects] * first(query))
        elif path.endswith("/series"):
            about = item(SeriesInstanceUID=self.series, Modality="CT", NumberOfSeriesRelatedInstances=len(self.objects))
            request.json([about] * first(query))
        elif "/instances/" in path:
            request.part(self.objects[path.rpartition("/")[2]])
        else:
            request.json(
                [item(StudyInstanceUID=self.study, PatientID="SECRET-ID", StudyDate="20240615")] * first(query)
            )

    def _store(self, request: Request) -> None:
        content = part_of(request)
        self.received.append(content)
        uid = str(dcmread(BytesIO(content), stop_before_pixels=True).SOPInstanceUID)
        request.json(stored(uid))


def first(query: str) -> int:
    """1 for the first page of a search, 0 for another."""
    return int("offset=0" in query or "offset" not in query)


def item(**values: Any) -> dict[str, Any]:
    """DICOM JSON of a flat data set; a list is a sequence."""
    from pydicom.datadict import tag_for_keyword

    return {
        f"{tag_for_keyword(keyword):08X}": {"vr": "UN", "Value": value if isinstance(value, list) else [value]}
        for keyword, value in values.items()
    }


def stored(uid: str, **more: Any) -> dict[str, Any]:
    return item(ReferencedSOPSequence=[item(ReferencedSOPInstanceUID=uid, **more)])


def failed(uid: str, reason: int) -> dict[str, Any]:
    return item(FailedSOPSequence=[item(ReferencedSOPInstanceUID=uid, FailureReason=reason)])


def part_of(request: Request) -> bytes:
    """The only part of a multipart message."""
    message = BytesHeaderParser().parsebytes(f"Content-Type: {request.headers['Content-Type']}\n\n".encode())
    mark = f"--{message.get_boundary()}".encode()
    start, content, end = request.body.split(mark)
    assert (start, end) == (b"", b"--\r\n")
    head, _, rest = content.partition(b"\r\n\r\n")
    assert head == b"\r\nContent-Type: application/dicom"
    assert rest.endswith(b"\r\n")
    return rest[:-2]


@contextmanager
def pacs_with_study(folder: Path, slices: int = 3) -> Iterator[Pacs]:
    """Write a study into ``folder`` and run a PACS that has it."""
    study, series = generate_uid(), generate_uid()
    files = write_series(folder, body(slices), name=lambda k: f"{k}.dcm", StudyInstanceUID=study, series=series)
    objects = {str(dcmread(path).SOPInstanceUID): path.read_bytes() for path in files}
    with scripted(lambda request: pacs.answer(request)) as server:
        pacs = Pacs(study, series, objects, server)
        yield pacs


def fetch(pacs: Pacs, folder: Path, patience: Patience = FAST, **options: Any) -> Fetched:
    """Fetch the study into a folder."""
    with pacs.connection(patience) as connection:
        return fetch_study(connection, pacs.study, folder, pacs.series, **options)


def send(pacs: Pacs, folder: Path, patience: Patience = FAST, **options: Any) -> list[Stored]:
    """Send what lies in a folder."""
    with pacs.connection(patience) as connection:
        return send_objects(connection, objects_at([folder]), **options)


def contents(folder: Path) -> set[bytes]:
    """What the files of a folder hold, whatever they are called."""
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sentence(problem: pytest.ExceptionInfo[OsteoScreenError]) -> str:
    """What the user reads: it is one line, says whose fault it is, and nothing of the patient or the password."""
    text = str(problem.value)
    assert "\n" not in text and text.endswith(".")
    assert not [secret for secret in SECRETS if secret in text]
    return text
