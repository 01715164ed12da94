"""Decode single slices of a DICOM series into HU."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from pydicom.pixels import pixel_array

from ...errors import InputError
from ...progress import Progress
from ..study import OUTSIDE_HU
from .header import Frame


class DicomSource:
    """The slices of a DICOM series in order; each is decoded when it is asked for."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames
        self.decoded_slices = 0

    def plane(self, index: int) -> npt.NDArray:
        """One stored slice (rows, columns) in HU, float32."""
        frame = self._frames[index]
        self.decoded_slices += 1
        try:
            stored = pixel_array(frame.path, index=frame.index)
        except Exception as problem:  # the decoders raise whatever damaged data provokes
            raise InputError(
                f"The pixels of {frame.path.name} cannot be decoded ({type(problem).__name__}); copy the series again."
            ) from None
        if stored.shape != (frame.rows, frame.columns):
            raise InputError(f"The pixels of {frame.path.name} are not {frame.rows} x {frame.columns}.")
        hu = stored.astype(np.float32) * np.float32(1.0 if frame.slope is None else frame.slope)
        hu += np.float32(frame.intercept or 0.0)
        if frame.padding is not None:
            hu[(stored >= frame.padding[0]) & (stored <= frame.padding[1])] = OUTSIDE_HU
        return hu

    def whole(self, progress: Progress) -> npt.NDArray:
        """The stored volume (slices, rows, columns) in HU, float32."""
        first = self._frames[0]
        volume = np.empty((len(self._frames), first.rows, first.columns), dtype=np.float32)
        for n in range(len(volume)):
            volume[n] = self.plane(n)
            progress("Reading slices", n + 1, len(volume))
        return volume

    def sha256(self) -> str:
        """See `CT.sha256`."""
        digest = hashlib.sha256()
        for frame in self._frames:
            digest.update(
                f"{frame.sop_uid}|{frame.index}|{frame.position}|{frame.orientation}|{frame.spacing}|{frame.rows}|"
                f"{frame.columns}|{frame.slope}|{frame.intercept}|{frame.transfer_syntax}|"
                f"{frame.file_size - frame.pixel_offset}\n".encode()
            )
            with frame.path.open("rb") as stream:
                stream.seek(frame.pixel_offset + (frame.file_size - frame.pixel_offset) // 2)
                digest.update(stream.read(4096))
        return digest.hexdigest()
