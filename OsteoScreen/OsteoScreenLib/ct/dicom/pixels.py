"""Decode single slices of a DICOM series into HU."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ...errors import InputError
from ...progress import Progress
from ...turns import away, current
from ..study import OUTSIDE_HU
from .checks import padding_is_plausible
from .decoding import decoded
from .files import readable
from .header import Frame

_SAMPLE_BYTES = 4096


class DicomSource:
    """The slices of a DICOM series in order; each is decoded when it is asked for, and not kept."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = tuple(frames)
        self.files = tuple(dict.fromkeys(frame.path for frame in self._frames))
        self.frames = tuple((frame.path, frame.index) for frame in self._frames)
        self.decoded_slices = 0

    def plane(self, index: int) -> npt.NDArray[np.float32]:
        """One stored slice (rows, columns) in HU; raises `InputError` where its pixels cannot be decoded."""
        frame = self._frames[index]
        stored = self._stored(frame)
        self.decoded_slices += 1
        hu = stored.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # of a line that is no CT's, which `checks.rescale` refuses
            hu *= np.float32(1.0 if frame.slope is None else frame.slope)
            hu += np.float32(frame.intercept or 0.0)
        if frame.padding is not None and padding_is_plausible(frame):
            hu[(stored >= frame.padding[0]) & (stored <= frame.padding[1])] = OUTSIDE_HU
        return hu

    def whole(self, progress: Progress) -> npt.NDArray[np.float32]:
        """The stored volume (slices, rows, columns) in HU."""
        first = self._frames[0]
        volume = np.empty((len(self._frames), first.rows, first.columns), dtype=np.float32)
        for n in range(len(volume)):
            volume[n] = self.plane(n)
            progress("Reading slices", n + 1, len(volume))
        return volume

    def sha256(self) -> str:
        """See `OsteoScreenLib.ct.study.CT.sha256`."""
        digest = hashlib.sha256()
        for frame in self._frames:
            span = frame.file_size - frame.pixel_offset
            described = (frame.sop_uid, frame.index, frame.position, frame.orientation, frame.spacing, frame.rows)
            stored = (frame.columns, frame.slope, frame.intercept, frame.transfer_syntax, span)
            digest.update(repr((*described, *stored)).encode())
            try:
                with frame.path.open("rb") as stream:
                    middle = frame.pixel_offset + int(span * ((frame.index or 0) + 0.5) / frame.frames)
                    stream.seek(max(frame.pixel_offset, middle - _SAMPLE_BYTES // 2))
                    digest.update(stream.read(_SAMPLE_BYTES))
            except OSError:
                raise _gone(frame) from None
        return digest.hexdigest()

    @staticmethod
    def _stored(frame: Frame) -> npt.NDArray:
        _bring_near(frame)
        try:
            with frame.path.open("rb") as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                stored = decoded(_decodable(file, frame), frame.index)
        except OSError:
            raise _gone(frame) from None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # whatever damaged data provoke in a decoder: a panic of the RLE one is no Exception
            raise InputError(
                f"The pixels of {frame.path.name} are damaged or cut short; copy or export the series again."
            ) from None
        if stored.shape != (frame.rows, frame.columns):
            raise InputError(
                f"The pixels of {frame.path.name} do not fill {frame.rows} x {frame.columns}; copy it again."
            )
        return stored


def _bring_near(frame: Frame) -> None:
    """Have the system read a file while other studies compute, where there are any: decoding then waits for no disk.

    What cannot be read is told when it is decoded.
    """
    if current() is None or frame.frames > 1:
        return
    with away(), suppress(OSError):
        frame.path.read_bytes()


def _decodable(file: BinaryIO, frame: Frame) -> BinaryIO | Dataset:
    stream, bare = readable(file)
    if not bare:
        return stream
    # Without its preamble a file has no transfer syntax either; the header was parsed with the one it turned out to be.
    dataset = dcmread(stream, force=True)
    dataset.file_meta.TransferSyntaxUID = UID(frame.transfer_syntax)
    return dataset


def _gone(frame: Frame) -> InputError:
    return InputError(f"{frame.path.name} can no longer be opened; the series changed while it was read.")
