"""Decoding one image, by whichever way the installed pydicom has: 3 decodes single frames, 2.4 whole files."""

from __future__ import annotations

import warnings
from typing import BinaryIO

import numpy.typing as npt
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ...printable import printable

try:
    from pydicom import pixels
except ImportError:  # pydicom 2.4, in Slicer 5.10
    pixels = None  # type: ignore[assignment]


#: Longer names of transfer syntaxes come from damaged headers.
_LONGEST_NAME = 120


def can_decode(transfer_syntax: str) -> bool:
    """Whether pixels in this transfer syntax can be decoded with what is installed (looked at, not tried)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is no UID
        uid = UID(transfer_syntax)
        if pixels is None:
            return any(h.is_available() and h.supports_transfer_syntax(uid) for h in config.pixel_data_handlers)
        try:
            return bool(pixels.get_decoder(uid).is_available)
        except NotImplementedError:
            return False


def syntax_name(transfer_syntax: str) -> str:
    """The name of a transfer syntax, fit for a sentence; what is no UID is its own name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return printable(UID(transfer_syntax).name, _LONGEST_NAME)


def decoded(image: BinaryIO | Dataset, index: int | None) -> npt.NDArray:
    """The stored values (rows, columns) of an image, or of frame ``index`` of a multi-frame one.

    Raises whatever damaged data provoke in a decoder.
    """
    if pixels is not None:
        values: npt.NDArray = pixels.pixel_array(image, index=index)
        return values
    dataset = image if isinstance(image, Dataset) else dcmread(image)
    values = dataset.pixel_array
    # Bits above the stored ones may hold anything; pydicom 3 clears them.
    unused = int(dataset.BitsAllocated) - int(dataset.BitsStored)
    values = (values if index is None or values.ndim == 2 else values[index]) << unused
    return values >> unused
