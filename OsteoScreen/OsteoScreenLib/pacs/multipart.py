"""The one part of a multipart answer, written to a file as it comes: a whole one, or an error."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from typing import BinaryIO

from .errors import PacsError, Temporary

#: A part's headers are a few lines; what is longer is no header.
_MOST_HEADER_BYTES = 1 << 14


def boundary_of(content_type: str) -> str | None:
    """The boundary that a multipart answer's Content-Type names, None where it names none."""
    message = Message()
    message["Content-Type"] = content_type
    found = message.get_param("boundary")
    return found if isinstance(found, str) and found.isascii() and found else None


def copy_only_part(chunks: Iterator[bytes], boundary: str, file: BinaryIO, host: str) -> None:
    """Write the body of the only part (RFC 2046 5.1) to ``file``, without holding more than a chunk of it.

    Raises `Temporary` where the answer ends before its closing boundary, and `PacsError` where there is another part.
    """
    part = _Part(chunks, host)
    part.skip_past(b"--" + boundary.encode("ascii"))
    part.skip_past(b"\r\n\r\n")
    part.copy_until(b"\r\n--" + boundary.encode("ascii"), file)
    if part.next_two() != b"--":
        raise PacsError(f"{host} sent several objects where one was asked for; tell its administrator.")


class _Part:
    def __init__(self, chunks: Iterator[bytes], host: str) -> None:
        self._chunks = chunks
        self._host = host
        self._data = b""

    def _more(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise Temporary(f"{self._host} broke off in the middle of its answer; try again.")
        self._data += chunk

    def skip_past(self, mark: bytes) -> None:
        while (found := self._data.find(mark)) < 0:
            if len(self._data) > _MOST_HEADER_BYTES:
                raise PacsError(f"{self._host} sends multipart answers that are not proper; tell its administrator.")
            self._more()
        self._data = self._data[found + len(mark) :]

    def copy_until(self, mark: bytes, file: BinaryIO) -> None:
        while (found := self._data.find(mark)) < 0:
            # The mark may begin in this chunk and end in the next.
            sure = max(len(self._data) - len(mark) + 1, 0)
            file.write(self._data[:sure])
            self._data = self._data[sure:]
            self._more()
        file.write(self._data[:found])
        self._data = self._data[found + len(mark) :]

    def next_two(self) -> bytes:
        while len(self._data) < 2:
            self._more()
        return self._data[:2]
