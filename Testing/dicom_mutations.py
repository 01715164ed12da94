"""Damages DICOM files in ways that writers, networks, anonymisers and attackers do; the same seed, the same damage."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator, dcmread
from pydicom.uid import (
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import VR

_PREAMBLE = 132
_PIXEL_DATA = 0x7FE00010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
#: VRs whose length takes four bytes after two reserved ones (PS3.5 7.1.2).
_LONG_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
_VRS = (*(str(vr.value) for vr in VR if len(vr.value) == 2), "ZZ", "  ", "\0\0")

#: Numbers and words that no scanner writes, for elements of text.
_ODD_TEXTS = (
    *(b"", b" ", b"0", b"-0", b"-1", b"1", b"nan", b"inf", b"-inf", b"1e400", b"1e308", b"-1e308", b"1e-320"),
    *(b"9" * 16, b"9" * 400, b"1e", b".", b"--1", b"0x10", b"1,5", b"1_000", b"\\", b"\\\\\\\\\\", b"0\\0\\0"),
    *(b"nan\\nan\\nan", b"1e308\\1e308\\1e308", b"1e155\\1e155\\1e155", b"0\\0\\0\\0\\0\\0", b"1\\0\\0\\1\\0\\0"),
    *(b"1\\0\\0\\0\\1\\1e-9", b"0.7\\nan", b"1e-12\\1e-12", b"1e12\\1e12", b"0\\0\\1e17", b"0\\0\\-1e300"),
    *(b"\xff\xfe\xfd", b"\x1b$B", b"\x1b$)C\xb1\xe8", "\u202egnp".encode(), b"a\0b\0c", b"\r\n\x1b[2J", b"%s%n{0}"),
    *(b"A" * 70000, b"00000000", b"99999999", b"20240230", b"999Y", b"-12Y", b"000D"),
)
_CHARACTER_SETS = (
    *(b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 9999", b"\\ISO 2022 IR 87", b"ISO 2022 IR 13\\ISO 2022 IR 159"),
    *(b"GB18030", b"GBK", b"utf-7", b"punycode", b"rot13", b"\\\\\\", b"ISO_IR 192\\ISO 2022 IR 87", b"\xff\xff"),
)
#: What the reader acts on: damage there goes deepest.
_KEYWORDS = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"),
    *("NumberOfFrames", "PlanarConfiguration", "PhotometricInterpretation", "PixelPaddingValue", "RescaleSlope"),
    *("RescaleIntercept", "RescaleType", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"),
    *("SliceThickness", "InstanceNumber", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "ImageType"),
    *("KVP", "PatientAge", "PatientSex", "PatientBirthDate", "StudyDate", "ConvolutionKernel", "Exposure"),
    *("GantryDetectorTilt", "Manufacturer", "SpecificCharacterSet", "PatientName", "ContrastBolusAgent"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "TransferSyntaxUID"),
)
_TAGS = frozenset(tag for tag in map(tag_for_keyword, _KEYWORDS) if tag is not None)


@dataclass(frozen=True)
class _Element:
    """Where an element of the top level lies in the file: its tag, its header, its value."""

    tag: int
    vr: str | None
    start: int
    value: int
    length: int

    @property
    def length_at(self) -> int:
        """Where its length is written."""
        return self.value - (2 if self._short else 4)

    @property
    def _short(self) -> bool:
        return self.vr is not None and self.vr not in _LONG_VRS

    @property
    def length_bytes(self) -> int:
        """How many bytes its length takes."""
        return 2 if self._short else 4


class Damaged:
    """A DICOM file in memory, with what is known of how it is laid out before the damage."""

    def __init__(self, data: bytes) -> None:
        meta = dcmread(io.BytesIO(data), specific_tags=[]).file_meta if data[128:132] == b"DICM" else None
        self.syntax = str(getattr(meta, "TransferSyntaxUID", ImplicitVRLittleEndian))
        self.start = 0
        if meta is not None:
            self.start = _PREAMBLE + 12 + int(meta.FileMetaInformationGroupLength)
        self.deflated = self.syntax == DeflatedExplicitVRLittleEndian
        if self.deflated:
            data = data[: self.start] + zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[self.start :])
        self.order = ">" if self.syntax == ExplicitVRBigEndian else "<"
        self.implicit = self.syntax == ImplicitVRLittleEndian
        self.data = bytearray(data)
        self.elements = self._elements()

    def _elements(self) -> list[_Element]:
        stream = io.BytesIO(self.data)
        stream.seek(self.start)
        found = []
        try:
            for raw in data_element_generator(stream, self.implicit, self.order == "<"):
                if isinstance(raw, RawDataElement):
                    vr = None if self.implicit else raw.VR
                    head = 8 if vr is None or vr not in _LONG_VRS else 12
                    found.append(_Element(int(raw.tag), vr, raw.value_tell - head, raw.value_tell, raw.length))
        except Exception:
            pass  # the elements up to an earlier damage are enough
        return found

    @property
    def pixels(self) -> int:
        """Where the pixel data's element begins; the end of the file where there is none."""
        return next((e.start for e in self.elements if e.tag == _PIXEL_DATA), len(self.data))

    def packed(self) -> bytes:
        """The file as it is written."""
        if not self.deflated:
            return bytes(self.data)
        packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = packer.compress(bytes(self.data[self.start :])) + packer.flush()
        return bytes(self.data[: self.start]) + body

    def head(self, tag: int, vr: str, length: int) -> bytes:
        """The header of an element in the file's own way of writing them."""
        words = struct.pack(self.order + "HH", tag >> 16, tag & 0xFFFF)
        if self.implicit or tag >> 16 == 0xFFFE:
            return words + struct.pack(self.order + "I", length)
        if vr in _LONG_VRS:
            return words + vr.encode() + b"\0\0" + struct.pack(self.order + "I", length)
        return words + vr.encode() + struct.pack(self.order + "H", length & 0xFFFF)


_Mutation = Callable[[Damaged, random.Random], None]


def mutated(data: bytes, rng: random.Random) -> tuple[bytes, list[str]]:
    """A damaged copy of a file, by one to three mutations, and their names."""
    file = Damaged(data)
    names = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        # Damage that needs the layout goes for most of them: random bytes alone seldom get past the preamble.
        mutation = rng.choice(_OF_ELEMENTS if file.elements and rng.random() < 0.7 else _OF_BYTES)
        mutation(file, rng)
        names.append(mutation.__name__.lstrip("_"))
        file.elements = file._elements()
    return file.packed(), names


# -- damage to bytes


def _place(file: Damaged, rng: random.Random) -> int:
    """Somewhere: mostly in the header, or where the pixel data begin."""
    pixels = min(file.pixels, len(file.data))
    ends = (rng.randrange(0, max(1, len(file.data))), rng.randrange(0, max(1, pixels)))
    begin = min(pixels + rng.randrange(0, 200), max(0, len(file.data) - 1))
    return rng.choice((*ends, ends[1], begin))


def _truncate(file: Damaged, rng: random.Random) -> None:
    del file.data[_place(file, rng) :]


def _flip_bytes(file: Damaged, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if file.data:
            file.data[_place(file, rng)] = rng.randrange(256)


def _flip_bit(file: Damaged, rng: random.Random) -> None:
    if file.data:
        file.data[_place(file, rng)] ^= 1 << rng.randrange(8)


def _cut_chunk(file: Damaged, rng: random.Random) -> None:
    at = _place(file, rng)
    del file.data[at : at + rng.choice((1, 2, 7, 64, 4096))]


def _repeat_chunk(file: Damaged, rng: random.Random) -> None:
    at = _place(file, rng)
    chunk = file.data[at : at + rng.choice((1, 8, 100, 5000))]
    file.data[at:at] = chunk * rng.choice((1, 1, 50))


def _insert_noise(file: Damaged, rng: random.Random) -> None:
    at = _place(file, rng)
    file.data[at:at] = rng.randbytes(rng.choice((1, 2, 16, 1000)))


def _fill_chunk(file: Damaged, rng: random.Random) -> None:
    at = _place(file, rng)
    size = min(rng.choice((1, 4, 32, 2048)), len(file.data) - at)
    file.data[at : at + size] = rng.choice((b"\0", b"\xff")) * size


def _lose_preamble(file: Damaged, rng: random.Random) -> None:
    del file.data[: rng.choice((128, _PREAMBLE, file.start or _PREAMBLE))]
    file.deflated = False


# -- damage to elements


def _element(file: Damaged, rng: random.Random, *, long_enough: int = 0) -> _Element | None:
    """An element, mostly one that the reader acts on."""
    known = [e for e in file.elements if e.length >= long_enough]
    wanted = [e for e in known if e.tag in _TAGS or e.tag == _PIXEL_DATA]
    return rng.choice(wanted if wanted and rng.random() < 0.8 else known) if known else None


def _change_vr(file: Damaged, rng: random.Random) -> None:
    element = _element(file, rng)
    if element is not None and not file.implicit:
        file.data[element.start + 4 : element.start + 6] = rng.choice(_VRS).encode()


def _change_length(file: Damaged, rng: random.Random) -> None:
    element = _element(file, rng)
    if element is None:
        return
    most = (1 << 8 * element.length_bytes) - 1
    odd = (0, 1, 3, most, most - 1, most // 2, element.length + 1, element.length - 1, element.length * 2, 0x7FFFFFFE)
    form = "H" if element.length_bytes == 2 else "I"
    length = min(max(0, rng.choice(odd)), most)
    file.data[element.length_at : element.value] = struct.pack(file.order + form, length)


def _change_tag(file: Damaged, rng: random.Random) -> None:
    element = _element(file, rng)
    if element is not None:
        tag = rng.choice((*sorted(_TAGS), _ITEM, _ITEM_END, _SEQUENCE_END, 0, 0xFFFFFFFF, rng.getrandbits(32)))
        file.data[element.start : element.start + 4] = struct.pack(file.order + "HH", tag >> 16, tag & 0xFFFF)


def _change_number(file: Damaged, rng: random.Random) -> None:
    """Overwrite the value's own bytes: sizes, counts, bits."""
    element = _element(file, rng, long_enough=2)
    if element is not None:
        number = rng.choice((0, 1, 2, 7, 8, 12, 17, 32, 33, 64, 255, 1000, 8192, 32767, 32768, 65535))
        file.data[element.value : element.value + 2] = struct.pack(file.order + "H", number)


def _change_text(file: Damaged, rng: random.Random) -> None:
    element = _element(file, rng)
    if element is not None and element.tag != _PIXEL_DATA:
        _replace(file, element, rng.choice(_ODD_TEXTS))


def _change_noise(file: Damaged, rng: random.Random) -> None:
    element = _element(file, rng, long_enough=1)
    if element is not None:
        size = min(element.length, 64, len(file.data) - element.value)
        file.data[element.value : element.value + size] = rng.randbytes(max(0, size))


def _change_syntax(file: Damaged, rng: random.Random) -> None:
    """Another transfer syntax than the one that the data are written in."""
    at = file.data.find(file.syntax.encode(), 0, file.start or len(file.data))
    if at >= 0:
        other = rng.choice((*map(str, AllTransferSyntaxes), "1.2.3", "1.2.840.10008.1.2.4.999", "x", ""))
        size = len(file.syntax) + len(file.syntax) % 2
        file.data[at : at + size] = other.encode()[:size].ljust(size, b"\0")
        file.deflated = False


def _change_encoding(file: Damaged, rng: random.Random) -> None:
    """A character set that the texts are not in, or that there is none of."""
    _insert(file, _text_element(file, 0x00080005, "CS", rng.choice(_CHARACTER_SETS)), 0x00080005)


def _drop(file: Damaged, rng: random.Random) -> None:
    element = _element(file, rng)
    if element is not None and element.length != _UNDEFINED:
        del file.data[element.start : element.value + element.length]


def _repeat(file: Damaged, rng: random.Random) -> None:
    """The same element again, elsewhere."""
    element, other = _element(file, rng), _element(file, rng)
    if element is not None and other is not None and element.length < 5000:
        chunk = file.data[element.start : element.value + element.length]
        file.data[other.start : other.start] = chunk * rng.choice((1, 2, 500))


def _nest(file: Damaged, rng: random.Random) -> None:
    """Sequences within sequences, deeper than any standard, in a tag that is read or skipped."""
    tag = rng.choice((0x52009229, 0x52009230, 0x00180012, 0x00283000, 0x00081140, 0x00091001, 0x00400275))
    inner = b""
    for _ in range(rng.choice((3, 30, 300, 2000))):
        if rng.random() < 0.5 and len(inner) < 1 << 30:
            body = file.head(_ITEM, "", len(inner)) + inner
            inner = file.head(tag, "SQ", len(body)) + body
        else:
            item = file.head(_ITEM, "", _UNDEFINED) + inner + file.head(_ITEM_END, "", 0)
            inner = file.head(tag, "SQ", _UNDEFINED) + item + file.head(_SEQUENCE_END, "", 0)
    _insert(file, inner, tag)


def _multiply_items(file: Damaged, rng: random.Random) -> None:
    """Very many items of a sequence, empty or with a position each."""
    tag = rng.choice((0x52009230, 0x52009229, 0x00283000, 0x00180012))
    place = b"-100\\-90\\-500"
    inside = rng.choice(
        (b"", _text_element(file, 0x00200032, "DS", place), _text_element(file, 0x00280030, "DS", b"1"))
    )
    item = file.head(_ITEM, "", len(inside)) + inside
    body = item * rng.choice((2, 100, 5000))
    _insert(file, file.head(tag, "SQ", len(body)) + body, tag)


def _open_fragments(file: Damaged, rng: random.Random) -> None:
    """Fragments of compressed pixel data that do not add up."""
    pixels = file.pixels
    at = file.data.find(struct.pack("<HH", 0xFFFE, 0xE000), pixels)
    if at >= 0:
        length = rng.choice((0, 1, 4, 0xFFFFFFFE, _UNDEFINED, rng.getrandbits(32), rng.getrandbits(12)))
        file.data[at + 4 : at + 8] = struct.pack("<I", length)


def _spoil_codestream(file: Damaged, rng: random.Random) -> None:
    """The first bytes of a compressed picture: its own size, depth and number of components."""
    at = file.data.find(struct.pack("<HH", 0xFFFE, 0xE000), file.pixels + 20)
    if at >= 0:
        for _ in range(rng.choice((1, 2, 6))):
            place = at + 8 + rng.randrange(0, 120)
            if place < len(file.data):
                file.data[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _text_element(file: Damaged, tag: int, vr: str, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return file.head(tag, vr, len(value)) + value


def _insert(file: Damaged, element: bytes, tag: int) -> None:
    """Put an element where its tag has its place, before any that is there already."""
    at = next((e.start for e in file.elements if e.tag >= tag), file.pixels)
    file.data[at:at] = element


def _replace(file: Damaged, element: _Element, value: bytes) -> None:
    value += b" " * (len(value) % 2)
    if element.length_bytes == 2:
        value = value[:0xFFFE]
    end = element.value + (0 if element.length == _UNDEFINED else element.length)
    form = "H" if element.length_bytes == 2 else "I"
    file.data[element.length_at : end] = struct.pack(file.order + form, len(value)) + value


_OF_BYTES: Sequence[_Mutation] = (
    *(_truncate, _flip_bytes, _flip_bit, _cut_chunk, _repeat_chunk, _insert_noise, _fill_chunk, _lose_preamble),
)
_OF_ELEMENTS: Sequence[_Mutation] = (
    *(_change_vr, _change_length, _change_tag, _change_number, _change_text, _change_text, _change_noise),
    *(_change_syntax, _change_encoding, _drop, _repeat, _nest, _multiply_items, _open_fragments, _spoil_codestream),
)
