"""What the worker and its caller exchange: arrays as .npy files, and JSON values for everything else.

Both sides use it, so it needs numpy alone. The protocol itself is described in :mod:`OsteoScreenLib.worker`.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from ..errors import BundleError, InputError, OsteoScreenError, SegmentationFailed, UsageError, system_reason
from ..outlines import LevelOutline
from ..results import BundleUse, Check, Level, Outcome, ScreeningResult, SetBy

if TYPE_CHECKING:
    from ..ct import CT, Acquisition

PathLike = str | os.PathLike[str]

#: The engine's errors that are kinds of the protocol's by their names, the special ones before their base.
ENGINE_ERRORS: tuple[type[OsteoScreenError], ...] = (
    SegmentationFailed,
    UsageError,
    InputError,
    BundleError,
    OsteoScreenError,
)


@dataclass(frozen=True, eq=False)
class Done:
    """What "outline" or "screen" came to: ``result`` is None for "outline"; ``bundle`` is the segmentation's."""

    outlines: dict[str, LevelOutline]
    device: str
    bundle: BundleUse | None
    result: ScreeningResult | None


# -- arrays


def write_array(array: npt.NDArray, folder: PathLike, name: str) -> Path:
    """Write an array as a new .npy file in ``folder``, whole or not at all; return its path.

    The file's name begins with ``name`` and is like no other's. Raises OsteoScreenError where it cannot be written.
    """
    target = Path(folder) / f"{name}-{uuid.uuid4().hex[:12]}.npy"
    temporary = None
    try:
        with tempfile.NamedTemporaryFile("wb", dir=target.parent, prefix=f".{name}.", delete=False) as file:
            temporary = file.name
            np.save(file, array, allow_pickle=False)
        os.replace(temporary, target)
    except OSError as error:
        raise OsteoScreenError(f"{target} cannot be written: {system_reason(error)}.") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
    return target


def read_array(path: PathLike, *, mapped: bool = False) -> npt.NDArray:
    """Return the array of a .npy file; ``mapped`` leaves it on the disk, read-only, until it is looked at.

    Raises InputError where the file is missing or damaged, or holds Python objects.
    """
    try:
        array = np.load(os.fspath(path), mmap_mode="r" if mapped else None, allow_pickle=False)
    except OSError as error:
        raise InputError(f"The array {path} cannot be read: {system_reason(error)}.") from error
    except (ValueError, EOFError, TypeError) as error:
        raise InputError(f"The array {path} is damaged or no .npy file of numbers; write it again.") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise InputError(f"The array {path} is an archive of arrays; write a single one as .npy.")
    return array


# -- the CT


def describe_ct(
    array: PathLike,
    ijk_to_ras: npt.ArrayLike,
    acquisition: Acquisition | None = None,
    *,
    findings: Iterable[Check] = (),
    path: str = "",
    kind: str = "memory",
    series_instance_uid: str | None = None,
) -> dict[str, Any]:
    """Return the "ct" of a message: the .npy file of its HU (slices, rows, columns), and what else is known of it.

    ``ijk_to_ras`` (4 x 4) takes the array's (column, row, slice, 1) to RAS mm. The rest is as for `ct_from_array`, and
    comes from `open_dicom_files` where the volume has DICOM files.
    """
    from ..ct import acquisition_to_dict

    return {
        "array": os.fspath(array),
        "ijk_to_ras": np.asarray(ijk_to_ras, dtype=float).tolist(),
        "acquisition": None if acquisition is None else acquisition_to_dict(acquisition),
        "findings": [plain(asdict(finding)) for finding in findings],
        "path": path,
        "kind": kind,
        "series_instance_uid": series_instance_uid,
    }


def open_described_ct(described: Mapping[str, Any]) -> CT:
    """Return the CT of a message's "ct", its array left on the disk until slices are asked for.

    Raises InputError where the array cannot be read or is no CT, UsageError where the description makes no sense.
    """
    from ..ct import acquisition_from_dict, ct_from_array
    from ..ct.study import Kind

    kind = described.get("kind", "memory")
    if kind not in get_args(Kind):
        raise UsageError(f"A CT's kind is one of {', '.join(get_args(Kind))}, not {kind!r}.")
    acquisition = described.get("acquisition")
    uid = described.get("series_instance_uid")
    try:
        matrix = np.array(described.get("ijk_to_ras"), dtype=float)
    except (TypeError, ValueError):
        raise UsageError("The CT's ijk_to_ras is no matrix of 4 x 4 numbers.") from None
    return ct_from_array(
        read_array(_text(described, "array"), mapped=True),
        matrix,
        None if acquisition is None else acquisition_from_dict(acquisition),
        findings=tuple(_finding(item) for item in described.get("findings") or ()),
        path=str(described.get("path") or ""),
        kind=kind,
        series_instance_uid=None if uid is None else str(uid),
    )


def _finding(document: Any) -> Check:
    if not isinstance(document, Mapping) or document.get("outcome") not in get_args(Outcome):
        raise UsageError("A finding of the CT needs check, outcome (pass, warn or refuse) and message.")
    return Check(_text(document, "check"), document["outcome"], _text(document, "message"), document.get("value"))


# -- levels and outlines


def read_levels(described: Any, ct: CT) -> dict[str, Level]:
    """Return the levels of a message, on the slices of ``ct``.

    Raises UsageError where they make no sense, or the scan has no such slice.
    """
    from ..levels import level_at

    levels = {}
    for name, item in _object(described, "levels").items():
        index = item.get("slice_index") if isinstance(item, Mapping) else None
        if not isinstance(index, int) or isinstance(index, bool):
            raise UsageError(f"The level {name} needs a slice_index, the number of its slice.")
        set_by = item.get("set_by", "user")
        if set_by not in get_args(SetBy):
            raise UsageError(f"The level {name} is set by one of {', '.join(get_args(SetBy))}, not {set_by!r}.")
        levels[name] = level_at(ct, index, name, set_by, confirmed=bool(item.get("confirmed", True)))
    return levels


def write_masks(masks: Mapping[str, npt.NDArray], folder: PathLike) -> dict[str, str]:
    """Write the user's masks, (rows, columns) by level, into ``folder``; return the "masks" of a message."""
    return {name: str(write_array(np.asarray(mask, bool), folder, f"{name}-user")) for name, mask in masks.items()}


def read_masks(described: Any) -> dict[str, npt.NDArray]:
    """Return the masks of a message by level.  Raises InputError where a file cannot be read."""
    masks = _object(described or {}, "masks")
    return {name: read_array(_text(masks, name)) for name in masks}


def write_outlines(outlines: Mapping[str, LevelOutline], folder: PathLike) -> dict[str, Any]:
    """Write the outlines' arrays into ``folder``; return the "outlines" of an answer."""
    return {
        name: {
            "slice_index": int(outline.slice_index),
            "mask": str(write_array(outline.mask, folder, f"{name}-mask")),
            "probability": None
            if outline.probability is None
            else str(write_array(outline.probability, folder, f"{name}-probability")),
            "confidence": float(outline.confidence),
        }
        for name, outline in outlines.items()
    }


def read_outlines(described: Any) -> dict[str, LevelOutline]:
    """Return the outlines of an answer (or of a "report"), with their arrays.

    Raises InputError where a file cannot be read, UsageError where they make no sense.
    """
    outlines = {}
    for name, item in _object(described or {}, "outlines").items():
        if not isinstance(item, Mapping) or not isinstance(item.get("slice_index"), int):
            raise UsageError(f"The outline of {name} needs slice_index, mask, probability and confidence.")
        mask = read_array(_text(item, "mask"))
        probability = None if item.get("probability") is None else read_array(_text(item, "probability"))
        if mask.ndim != 2 or (probability is not None and probability.shape != mask.shape):
            raise UsageError(f"The outline of {name} is no mask (rows, columns) with a probability of the same shape.")
        confidence = float(item.get("confidence", 1.0))
        outlines[name] = LevelOutline(item["slice_index"], mask.astype(bool), probability, confidence)
    return outlines


# -- answers


def read_done(done: Mapping[str, Any]) -> Done:
    """Return what the "done" of "outline" or "screen" says, with its arrays.

    For a later "report", keep ``done["outlines"]`` and ``done["result"]`` as they are. Raises InputError where an
    array cannot be read.
    """
    from ..results_io import assemble

    bundle, result = done.get("bundle"), done.get("result")
    return Done(
        outlines=read_outlines(done.get("outlines")),
        device=str(done.get("device", "")),
        bundle=None if bundle is None else BundleUse(**bundle),
        result=None if result is None else assemble(result),
    )


def plain(value: Any) -> Any:
    """Return a check's value as JSON has it: numpy's numbers as Python's, tuples and arrays as lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return plain(value.tolist()) if isinstance(value, (np.generic, np.ndarray)) else value


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"The message's {what} is no object of levels by name.")
    return value


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str):
        raise UsageError(f"The message lacks {key}, a text.")
    return value
