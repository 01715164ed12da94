"""What a compressed picture says of its own size, before a decoder believes it.

Decoders make room for the size that the codestream claims, whatever the DICOM header says, and libjpeg goes on for ever
with a height of zero; so a picture is looked at before it is decoded.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
#: Frame headers of JPEG (ISO 10918-1, table B.1: SOF0 to SOF15 without DHT, JPG and DAC) and JPEG-LS (ISO 14495-1).
_FRAME_HEADERS = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, 0xD9
#: More segments before the frame header than this are none of an encoder's.
_MOST_SEGMENTS = 200


def agrees(file: BinaryIO, start: int, length: int, rows: int, columns: int) -> bool:
    """Whether a fragment of pixel data does not begin a picture of another size, nor one that does not say its size."""
    file.seek(start)
    head = file.read(min(length, len(_JPEG_2000)))
    if head.startswith(_JPEG):
        return _jpeg_size(file, start + len(_JPEG), start + length) == (rows, columns)
    if head.startswith(_JPEG_2000):
        return _jpeg_2000_size(file, start + len(_JPEG_2000)) == (rows, columns)
    return True


def _jpeg_size(file: BinaryIO, at: int, end: int) -> tuple[int, int] | None:
    """Rows and columns of one component of at most 16 bits; None where there is no frame header of such a picture."""
    for _ in range(_MOST_SEGMENTS):
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[0] != 0xFF or at + 10 > end:
            return None
        marker, (length,) = head[1], struct.unpack(">H", head[2:4])
        if marker == 0xFF:  # fill bytes may stand before any marker
            at += 1
            continue
        if marker in _FRAME_HEADERS:
            bits, rows, columns, components = struct.unpack(">BHHB", head[4:10])
            return (rows, columns) if components == 1 and 2 <= bits <= 16 else None
        if marker in (_SCAN, _END) or length < 2:
            return None
        at += 2 + length
    return None


def _jpeg_2000_size(file: BinaryIO, at: int) -> tuple[int, int] | None:
    """Rows and columns by the marker SIZ (ISO 15444-1, A.5.1); None where it is cut short or has several components."""
    file.seek(at)
    head = file.read(38)
    if len(head) < 38:
        return None
    right, bottom, left, top = struct.unpack(">4I", head[4:20])
    (components,) = struct.unpack(">H", head[36:38])
    return (bottom - top, right - left) if components == 1 else None
