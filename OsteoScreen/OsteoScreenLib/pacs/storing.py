"""Give objects to a server (STOW-RS, DICOM PS3.18 10.5), one by one and unchanged, and say what became of each."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

import requests
from requests.exceptions import JSONDecodeError

from ..errors import InputError, UsageError, system_reason
from ..progress import Progress, silent
from .answers import Item, is_uid, items, number, word
from .errors import PacsError
from .instances import instance_of
from .journal import Journal
from .transport import Connection, media_type, wrong_type

#: What a folder is sent of.
PATTERN = "*.dcm"

_CHUNK_BYTES = 1 << 16

#: Failure reasons that say "I have it already": duplicate SOP instance of DICOM PS3.7 C.5 (0111H), and the 45070 of
#: Microsoft's DICOM service (its conformance statement).
_THERE_ALREADY = (0x0111, 45070)

#: DICOM PS3.18 Table I.2-2, by the first value of a range.
_REASONS = {
    0x0110: "it could not process the object",
    0x0122: "it does not take objects of this kind",
    0x0124: "you may not store there",
    0xA700: "it is out of resources",
    0xA900: "the object does not fit its own kind",
    0xC000: "it cannot understand the object",
    0xC122: "it does not take this transfer syntax",
}

#: What became of an object; the last alone is a failure.
Outcome = Literal["stored", "stored with a warning", "was there already", "was sent before", "failed"]


@dataclass(frozen=True)
class Stored:
    """What became of one object; ``reason`` is what the server says of a failure or warning."""

    path: Path
    instance_uid: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class _Object:
    path: Path
    instance_uid: str
    size: int
    sha256: str


def objects_at(places: Sequence[Path]) -> list[Path]:
    """The DICOM files that are meant: files as named, and the ``*.dcm`` of folders, not of those below.

    Raises UsageError where there is nothing, InputError for a folder that may not be read.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            try:
                os.listdir(place)  # where it may not be read, a glob would find nothing
            except OSError as problem:
                raise _unreadable(place, problem) from None
            here = sorted(path for path in place.glob(PATTERN) if path.is_file())
            if not here:
                raise UsageError(f"{place} holds no {PATTERN} file; name the folder or the files that are to be sent.")
            found += here
        elif place.is_file():
            found.append(place)
        else:
            raise UsageError(f"{place} is not there; name the folder or the files that are to be sent.")
    return list(dict.fromkeys(found))


def send_objects(connection: Connection, paths: Sequence[Path], progress: Progress = silent) -> list[Stored]:
    """Send DICOM files; returns what became of each, in their order.

    An object that the server accepted before, by the journal beside it, is not sent again. Nothing is sent before
    all files were looked at.

    ``progress`` is called before each object. It may raise to cancel, and another thread may call
    ``connection.stop()``; what the server has accepted is in the journal.

    Raises InputError for a file that is no DICOM object, UsageError for a damaged journal, OsteoScreenError where the
    journal cannot be written, and PacsError where the server cannot be asked at all.
    """
    objects = [_object(path) for path in paths]
    journals = {folder: Journal(folder, connection.server) for folder in {each.path.parent for each in objects}}
    for journal in journals.values():
        journal.write()
    results = []
    for n, each in enumerate(objects):
        progress("Sending to the server", n, len(objects))
        try:
            connection.check_stopped()
            results.append(_send(connection, each, journals[each.path.parent]))
        except PacsError as problem:
            done = sum(result.outcome != "failed" for result in results)
            raise PacsError(
                f"{problem} Of {len(objects)} objects {done} were sent so far; sent again, only the others go."
            ) from None
    progress("Sending to the server", len(objects), len(objects))
    return results


def _object(path: Path) -> _Object:
    try:
        instance = instance_of(path)
        digest, size = hashlib.sha256(), 0
        for chunk in _chunks(path):
            digest.update(chunk)
            size += len(chunk)
    except OSError as problem:
        raise _unreadable(path, problem) from None
    except ValueError:
        raise InputError(f"{path} is no DICOM file; nothing was sent.") from None
    if not all(is_uid(each) for each in (instance.uid, instance.series_uid, instance.study_uid)):
        raise InputError(
            f"{path} has no valid UIDs of its own, its series and its study, which a PACS needs; nothing was sent."
        )
    return _Object(path, instance.uid, size, digest.hexdigest())


def _unreadable(path: Path, problem: OSError) -> InputError:
    return InputError(f"{path} cannot be read: {system_reason(problem)}; nothing was sent.")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _send(connection: Connection, each: _Object, journal: Journal) -> Stored:
    if journal.has(each.instance_uid, each.sha256):
        return Stored(each.path, each.instance_uid, "was sent before")
    response = connection.attempt(lambda: _post(connection, each))
    result = _result(each, _answer(response, connection.server.host))
    if result.outcome != "failed":
        journal.note(each.instance_uid, each.sha256)
    return result


def _post(connection: Connection, each: _Object) -> requests.Response:
    boundary = uuid4().hex
    return connection.ask(
        "POST",
        f"{connection.server.url}/studies",
        data=_Body(connection, each, boundary),
        headers={
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        },
    )


class _Body:
    """An object as the only part of a message, read while it is sent, so that it need not fit into memory."""

    def __init__(self, connection: Connection, each: _Object, boundary: str) -> None:
        self._connection = connection
        self._object = each
        self._head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self._object.size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """Raises InputError before the end where the file is no longer the one that was looked at."""
        yield self._head
        digest, size = hashlib.sha256(), 0
        try:
            for chunk in _chunks(self._object.path):
                self._connection.check_stopped()
                digest.update(chunk)
                size += len(chunk)
                if size > self._object.size:
                    break
                yield chunk
        except OSError as problem:
            raise _unreadable(self._object.path, problem) from None
        if digest.hexdigest() != self._object.sha256:
            raise InputError(f"{self._object.path} changed while it was sent, and was not stored; send it again.")
        yield self._tail


def _answer(response: requests.Response, host: str) -> Item:
    """The data set of a STOW answer (PS3.18 10.5.3.2)."""
    if media_type(response) not in ("application/dicom+json", "application/json"):
        raise wrong_type(response, host)
    try:
        answer = response.json()
    except (JSONDecodeError, RecursionError):
        answer = None
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(answer, dict):
        raise PacsError(f"{host} does not say in DICOM JSON what became of the object; ask its administrator.")
    return answer


def _result(each: _Object, answer: Item) -> Stored:
    for item in items(answer, "FailedSOPSequence"):
        reason = number(item, "FailureReason") or 0
        if reason in _THERE_ALREADY:
            return Stored(each.path, each.instance_uid, "was there already")
        return Stored(each.path, each.instance_uid, "failed", _words(reason))
    for item in items(answer, "ReferencedSOPSequence"):
        if word(item, "ReferencedSOPInstanceUID") != each.instance_uid:
            continue
        warning = number(item, "WarningReason")
        if warning is None:
            return Stored(each.path, each.instance_uid, "stored")
        return Stored(each.path, each.instance_uid, "stored with a warning", f"warning {warning:04X}")
    return Stored(each.path, each.instance_uid, "failed", "the server does not say that it has stored it")


def _words(reason: int) -> str:
    exact = _REASONS.get(reason) or _REASONS.get(reason & 0xFF00) or _REASONS.get(reason & 0xF000)
    return f"{exact or 'it gives no known reason'} (failure reason {reason:04X})"
