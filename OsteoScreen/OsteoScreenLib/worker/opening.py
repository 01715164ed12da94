"""What the worker reads for its caller: a CT from its path, as the command line would read it, as an array."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UsageError
from ..progress import Progress
from . import exchange


def open_scan(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Read the CT at the message's "path" and write its HU, in canonical orientation, into its "folder".

    The answer's "ct" is that of a message. Raises what `open_ct` raises, and UsageError for a message that makes no
    sense.
    """
    from ..ct import open_ct

    path, series, folder = message.get("path"), message.get("series"), message.get("folder")
    if not isinstance(path, str) or not (series is None or isinstance(series, str)):
        raise UsageError("The message lacks path, where the CT is; series, the UID of one, is a text or null.")
    if not isinstance(folder, str) or not os.path.isdir(folder):
        raise UsageError("The message lacks folder, an existing folder to write the CT's array to.")
    ct = open_ct(path, series, progress)
    array = exchange.write_array(_small(ct.volume(progress)), folder, "ct")
    described = exchange.describe_ct(
        array,
        ct.geometry.ijk_to_ras,
        ct.acquisition,
        findings=ct.findings,
        path=ct.path,
        kind=ct.kind,
        series_instance_uid=ct.series_instance_uid,
    )
    return {"ct": described}


def _small(volume: npt.NDArray[np.float32]) -> npt.NDArray:
    """The same numbers as int16 where all of them are whole and fit, which takes half the room."""
    with np.errstate(invalid="ignore"):
        whole = volume.astype(np.int16)
    return whole if np.array_equal(whole, volume) else volume
