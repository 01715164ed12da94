"""How a CT was acquired: what its header says, and None for what it does not say. No names, no identifiers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

from ..errors import InputError


@dataclass(frozen=True)
class SiemensOsteo:
    """The scanner's own calibration: BMD (CaHA, mg/cm3) = slope * HU + intercept.

    Source: Siemens private block "SIEMENS CT VA0  COAD", elements xx90 offset, xx92 slope, xx93 intercept, xx96
    phantom number, read from real headers (shared reference notes on the field).
    """

    slope: float
    intercept: float
    phantom: int | None = None
    offset: float | None = None


@dataclass(frozen=True)
class Acquisition:
    """What the header says of the acquisition; None (or an empty tuple) is "not said", never "normal".

    ``contrast`` is True or False only where the header says so. ``kvp`` in kV, lengths in mm, ``tube_current_mas`` in
    mAs (exposure), angles in degrees. ``scanner_id`` is the device's serial number, or else its station name.
    ``sex`` is "F", "M" or "O" as in DICOM.
    """

    modality: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    kernel: str | None = None
    contrast: bool | None = None
    contrast_agent: str | None = None
    manufacturer: str | None = None
    model_name: str | None = None
    scanner_id: str | None = None
    age_years: float | None = None
    sex: str | None = None
    study_date: date | None = None
    series_description: str | None = None
    patient_position: str | None = None
    tube_current_mas: float | None = None
    gantry_tilt_deg: float | None = None
    image_type: tuple[str, ...] = ()
    photometric: str | None = None
    rescale_type: str | None = None
    osteo: SiemensOsteo | None = None


def acquisition_to_dict(acquisition: Acquisition) -> dict[str, Any]:
    """The acquisition as JSON values, for `acquisition_from_dict`: the date as ISO 8601, tuples as lists."""
    document = asdict(acquisition)
    document["study_date"] = acquisition.study_date.isoformat() if acquisition.study_date else None
    document["image_type"] = list(acquisition.image_type)
    return document


def acquisition_from_dict(document: Mapping[str, Any]) -> Acquisition:
    """The acquisition that `acquisition_to_dict` wrote; keys that are missing are "not said", unknown ones ignored.

    Raises `InputError` where a value is of another type than the attribute's.
    """
    return Acquisition(**_values(Acquisition, document, "acquisition"))


def _values(kind: type, document: Any, where: str) -> dict[str, Any]:
    """The values of ``document`` for the dataclass ``kind``, each read by its attribute's declared type."""
    if not isinstance(document, Mapping):
        raise InputError(f"The {where} is {type(document).__name__}, not an object; write it by acquisition_to_dict.")
    known = {item.name: str(item.type) for item in fields(kind)}
    return {key: _value(document[key], known[key], f"{where}.{key}") for key in known if key in document}


def _value(value: Any, declared: str, where: str) -> Any:
    if value is None and declared.endswith("| None"):
        return None
    read = _READERS[declared.removesuffix(" | None")]
    try:
        return read(value)
    except (TypeError, ValueError):
        raise InputError(
            f"The header's {where} is {str(value)[:40]!r}, which is no {declared.removesuffix(' | None')}."
        ) from None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _words(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _several_words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError
    return tuple(_words(word) for word in value)


def _osteo(value: Any) -> SiemensOsteo:
    return SiemensOsteo(**_values(SiemensOsteo, value, "osteo"))


_READERS = {
    "float": _number,
    "int": _whole,
    "str": _words,
    "bool": _truth,
    "date": lambda value: date.fromisoformat(_words(value)),
    "tuple[str, ...]": _several_words,
    "SiemensOsteo": _osteo,
}
