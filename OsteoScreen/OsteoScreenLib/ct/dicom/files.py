"""Find the DICOM images in a folder, and read their headers."""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ...errors import InputError, system_reason
from ...progress import Progress
from .codestream import agrees
from .header import CT_CLASSES, HEADER_TAGS, Frame, frames_of
from .values import Header

#: A deflated image may not grow beyond this when it is inflated: a whole Enhanced CT of 1000 slices of 512 x 512.
MAX_INFLATED_BYTES = 1 << 29

#: More files than this are no study: somebody pointed at a disk.
MAX_FILES = 200_000

#: CT slices have 512 or 1024 pixels a side, the largest 2048; a header that claims more asks for memory.
_MAX_PIXELS_ACROSS = 8192

#: Nothing in a scanner is a kilometre away or thick; arithmetic with such numbers ends in infinities.
_FARTHEST_MM = 1e6

#: How a DICOM data set begins that lost its preamble: group 0008 (or 0002), little endian, a low element.
_BARE_STARTS = (b"\x08\x00", b"\x02\x00")


@dataclass
class Found:
    """The images of a folder, and why other files are not among them (reason -> how many)."""

    frames: list[Frame] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def explanation(self) -> str:
        """What was left out, and why, in words."""
        return ", ".join(f"{count} {reason}" for reason, count in self.left_out.most_common())

    @property
    def damaged(self) -> int:
        """How many DICOM files could not be used because they are damaged."""
        return sum(self.left_out[reason] for reason in (DAMAGED, TRUNCATED))


DAMAGED = "with a damaged header"
TRUNCATED = "cut short"


def regular_files(folder: Path, left_out: Counter[str], *, nested: bool = True) -> Iterator[Path]:
    """Every regular file in a folder (and below it, if ``nested``).

    Links out of the folder, devices and pipes are left out; links to folders are not followed, so loops do no harm.

    Raises `InputError` where the folder cannot be opened, or holds more files than any study has.
    """
    root = folder.resolve()
    count = 0

    def cannot_be_opened(problem: OSError) -> None:
        if Path(problem.filename or root) == root:
            raise InputError(f"{folder} cannot be opened: {system_reason(problem)}; check the path.") from problem
        left_out["that cannot be opened"] += 1

    for parent, folders, names in os.walk(root, onerror=cannot_be_opened, followlinks=False):
        folders[:] = sorted(folders) if nested else []
        for name in sorted(names):
            path = Path(parent, name)
            if not _is_regular(path, root, left_out):
                continue
            count += 1
            if count > MAX_FILES:
                raise InputError(f"{folder} holds more than {MAX_FILES} files; name the folder of one study.")
            yield path


def _is_regular(path: Path, root: Path, left_out: Counter[str]) -> bool:
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            left_out["that link out of the folder"] += 1
            return False
        if stat.S_ISREG(path.stat().st_mode):
            return True
        left_out["that are not regular files"] += 1
    except (OSError, RuntimeError):
        left_out["that cannot be opened"] += 1
    return False


def read_headers(paths: Iterable[Path], left_out: Counter[str], progress: Progress) -> Found:
    """The frames of all files that are DICOM images with a place in the patient."""
    found = Found(left_out=left_out)
    every = list(paths)
    for n, path in enumerate(every):
        reason = _add_frames(path, found)
        if reason:
            found.left_out[reason] += 1
        progress("Reading headers", n + 1, len(every))
    return found


def _add_frames(path: Path, found: Found) -> str | None:
    """Read one file's frames; returns why there are none."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            size = os.fstat(file.fileno()).st_size
            dataset, offset, span, syntax = read_dataset(file, HEADER_TAGS)
            whole = syntax in _NATIVE or _pictures_fit(file, offset, size, dataset)
            kind = "" if "Rows" in dataset else _sop_class(dataset)
    except InvalidDicomError:
        return "that are not DICOM"
    except OSError:
        return "that cannot be opened"
    except Exception:  # a damaged header provokes whatever it may in pydicom
        return DAMAGED
    if "Rows" not in dataset:
        return DAMAGED if kind in ("", *CT_CLASSES) else "DICOM objects without an image"
    if span <= 0 or not whole:
        return TRUNCATED
    try:
        # A deflated file has no place of its own for the pixels: they are somewhere in the whole.
        start = 0 if syntax == DeflatedExplicitVRLittleEndian else offset
        frames = list(frames_of(dataset, path, size, start, syntax))
    except Exception:
        return DAMAGED
    return _adopt(frames, span, found)


def _sop_class(dataset: Dataset) -> str:
    return str(dataset.file_meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID") or "")


def _pictures_fit(file: BinaryIO, offset: int, size: int, dataset: Dataset) -> bool:
    """Whether the fragments of compressed pixel data fit into the file (DICOM PS3.5 A.4).

    Some decoders fill in what a cut file lacks without a word, so this has to be seen beforehand. Raises ValueError
    where a picture says to be of another size than the header.
    """
    file.seek(offset)
    if file.read(12)[8:] != b"\xff\xff\xff\xff":
        return True
    header = Header(dataset)
    rows, columns = header.short("Rows") or 0, header.short("Columns") or 0
    is_grey = (header.short("SamplesPerPixel") or 1) == 1
    at = offset + 12
    while at + 8 <= size:
        file.seek(at)
        tag, length = struct.unpack("<4sI", file.read(8))
        if tag == b"\xfe\xff\xdd\xe0":
            return True
        if is_grey and not agrees(file, at + 8, length, rows, columns):
            raise ValueError("a picture of another size")
        at += 8 + length
    return at == size


def _adopt(frames: list[Frame], span: int, found: Found) -> str | None:
    if not frames or frames[0].samples != 1 or frames[0].modality in _NOT_IMAGES:
        return "images of another kind (captures, segmentations, cine)"
    first = frames[0]
    if first.is_localizer:
        return "scouts"
    if not all(f.position and f.orientation and f.spacing for f in frames):
        return "images without a position in the patient"
    if any(abs(length) > _FARTHEST_MM for f in frames for length in _lengths(f)):
        return DAMAGED
    if not (0 < first.rows <= _MAX_PIXELS_ACROSS and 0 < first.columns <= _MAX_PIXELS_ACROSS):
        return DAMAGED
    if (
        first.transfer_syntax in _NATIVE
        and span < first.rows * first.columns * first.frames * first.bits_allocated // 8
    ):
        return TRUNCATED
    found.frames.extend(frames)
    return None


def _lengths(frame: Frame) -> Iterator[float]:
    yield from (*frame.place("position"), *frame.place("orientation"), *frame.place("spacing"))
    yield frame.thickness or 0.0


_NOT_IMAGES = frozenset(("SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "SR", "PR", "KO", "DOC", "REG", "FID", "RWV"))
_NATIVE = frozenset(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DeflatedExplicitVRLittleEndian))


def read_dataset(file: BinaryIO, tags: Iterable[BaseTag]) -> tuple[Dataset, int, int, str]:
    """A header, where its pixel data begin, how long they are (in the readable stream), and its transfer syntax.

    Raises `InvalidDicomError` where the file is not DICOM, and whatever pydicom raises where it is damaged.
    """
    stream, force = readable(file)
    deflated = stream is not file
    dataset = dcmread(stream, stop_before_pixels=True, specific_tags=list(tags), force=force)
    offset = stream.tell()
    length = stream.seek(0, os.SEEK_END)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "") or "")
    if deflated:
        syntax = DeflatedExplicitVRLittleEndian
    if not syntax:
        # pydicom 2.4 has no original_encoding, and pydicom 4 no is_implicit_VR any more.
        implicit = dataset.original_encoding[0] if hasattr(dataset, "original_encoding") else dataset.is_implicit_VR
        syntax = ExplicitVRLittleEndian if implicit is False else ImplicitVRLittleEndian
    return dataset, offset, length - offset, syntax


def readable(file: BinaryIO) -> tuple[BinaryIO, bool]:
    """The file as pydicom can read it (inflated where it is deflated), and whether it lost its preamble."""
    start = file.read(132)
    file.seek(0)
    if start[128:] != b"DICM":
        bare = (start[:2] in _BARE_STARTS and start[2:4] != b"\0\0") or start[:4] == b"\x08\0\0\0"
        return file, bare
    if DeflatedExplicitVRLittleEndian.encode() not in file.read(1024):
        file.seek(0)
        return file, False
    file.seek(0)
    return _inflated(file), False


def _inflated(file: BinaryIO) -> BinaryIO:
    file.seek(132)
    meta = read_file_meta_info(file.name)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        file.seek(0)
        return file
    start = 132 + 12 + int(meta.FileMetaInformationGroupLength)
    file.seek(start)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    body = inflater.decompress(file.read(), MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise ValueError("inflates beyond any CT")
    file.seek(0)
    # Explicit VR little endian is what a deflated body is, and its UID is shorter by a padded ".99".
    head = file.read(start).replace(DeflatedExplicitVRLittleEndian.encode(), b"1.2.840.10008.1.2.1\0\0\0", 1)
    return io.BytesIO(head + body)
