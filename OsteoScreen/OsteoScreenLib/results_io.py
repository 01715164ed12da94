"""`result.json`: from the dataclasses of :mod:`OsteoScreenLib.results` to the file and back.

The file's form is the JSON schema beside this module, ``result.schema.json``; nothing is written that it does not
accept, and no number that JSON cannot hold.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .documents import schema_problem, strict_json
from .errors import InputError, OsteoScreenError, system_reason
from .printable import printable
from .results import (
    SCHEMA,
    BundleUse,
    Calibration,
    Check,
    Classification,
    Decision,
    Densitometry,
    EarlierResult,
    FollowUp,
    Identity,
    InputDescription,
    Level,
    NumberedLevel,
    NumberedVertebra,
    Numbering,
    RoiMeasures,
    ScreeningResult,
)

SCHEMA_PATH = Path(__file__).with_name("result.schema.json")
_MAKES_ALL: ContextVar[bool] = ContextVar("makes_all", default=True)


@lru_cache(maxsize=1)
def result_schema() -> dict[str, Any]:
    """Return the published JSON schema (draft 2020-12) of `result.json`."""
    schema: dict[str, Any] = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    return schema


def to_dict(result: ScreeningResult) -> dict[str, Any]:
    """Return the result as plain JSON values, with the keys of `result.json`.

    Its texts are `printable`, except for the input's path, by which the scan is found again.

    Raises OsteoScreenError when a number is not finite or a value has no JSON form.
    """
    document = {"schema": SCHEMA, **_plain(result, "result")}
    document["input"]["path"] = result.input.path
    for level in document["levels"].values():
        del level["name"]
    return document


def from_dict(document: dict[str, Any]) -> ScreeningResult:
    """Return the result that a `result.json` document describes; keys of later versions are ignored.

    Raises InputError when the document does not follow the schema.
    """
    problem = schema_problem(document, result_schema())
    if problem:
        raise InputError(f"This is not a valid OsteoScreen result: {problem}.")
    return assemble(document)


def assemble(document: dict[str, Any]) -> ScreeningResult:
    """Return the result of a document that `to_dict` made, unchecked; :func:`from_dict` is for any other.

    It is for where the schema's validator is not installed.
    """
    densitometry = document["densitometry"]
    classification = document["classification"]
    return ScreeningResult(
        status=document["status"],
        input=_build(InputDescription, {**document["input"], "spacing_mm": tuple(document["input"]["spacing_mm"])}),
        eligibility=[_build(Check, check) for check in document["eligibility"]],
        levels={name: _build(Level, {**level, "name": name}) for name, level in document["levels"].items()},
        roi={name: _roi(roi) for name, roi in document["roi"].items()},
        densitometry=None if densitometry is None else _densitometry(densitometry),
        classification=None if classification is None else _build(Classification, classification),
        agreement=document["agreement"],
        bundles=[_build(BundleUse, bundle) for bundle in document["bundles"]],
        software=dict(document["software"]),
        timing_s=dict(document["timing_s"]),
        # Files of before these were known lack them.
        numbering=numbering_of(document.get("numbering")),
        decisions=[_build(Decision, decision) for decision in document.get("decisions", [])],
        follow_up=[_follow_up(change) for change in document.get("follow_up", [])],
        identity=None if document.get("identity") is None else _build(Identity, document["identity"]),
        disclaimer=document["disclaimer"],
    )


def write_result(result: ScreeningResult, path: str | os.PathLike[str]) -> Path:
    """Write `result.json` whole or not at all, and return its path.

    Raises OsteoScreenError when the result does not follow the schema, holds a number that is not finite, or the
    file cannot be written.
    """
    document = to_dict(result)
    problem = schema_problem(document, result_schema())
    if problem:
        raise OsteoScreenError(f"The result was not written, because it does not follow its schema: {problem}.")
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return write_text_atomically(_with_escapes(text), path)


def read_result(path: str | os.PathLike[str]) -> ScreeningResult:
    """Read a `result.json`.  Raises InputError when it is missing, not JSON, or does not follow the schema."""
    try:
        document = strict_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The result {path} cannot be read: {system_reason(error)}; check the path.") from error
    except ValueError as error:
        raise InputError(
            f"The result {path} is not a JSON file ({error}); give a result.json that OsteoScreen wrote."
        ) from error
    return from_dict(document)


def write_text_atomically(text: str, path: str | os.PathLike[str]) -> Path:
    """Write UTF-8 text under a temporary name in the same folder, then give it its name; return the path.

    What UTF-8 cannot hold (the bytes of a file's name that are no text) is written as a backslash escape, which is
    also JSON's. Raises OsteoScreenError when the file cannot be written.
    """
    return write_bytes_atomically(text.encode("utf-8", "backslashreplace"), path)


@contextmanager
def where_it_was() -> Iterator[None]:
    """Make no folder above that which a file is written to: where a share is gone meanwhile, its files would land on
    the disk beneath it."""
    before = _MAKES_ALL.set(False)
    try:
        yield
    finally:
        _MAKES_ALL.reset(before)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there; see `where_it_was`.  Raises OSError."""
    folder.mkdir(parents=_MAKES_ALL.get(), exist_ok=True)


def write_bytes_atomically(data: bytes, path: str | os.PathLike[str]) -> Path:
    """Write ``data`` under a temporary name in the same folder, then give it its name; return the path.

    Raises OsteoScreenError when the file cannot be written.
    """
    target = Path(path)
    temporary = None
    try:
        make_folder(target.parent)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            temporary = file.name
            # A temporary file is private to its owner; the finished one gets the rights that any new file gets.
            os.chmod(temporary, 0o666 & ~process_umask())
            file.write(data)
        os.replace(temporary, target)
    except OSError as error:
        raise OsteoScreenError(f"{target} cannot be written: {system_reason(error)}.") from error
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
    return target


@cache
def process_umask() -> int:
    """Return the process's mask for new files.

    It can be learnt by setting it alone: once, for other threads make files meanwhile.
    """
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _with_escapes(document: str) -> str:
    """Return a JSON text with JSON's escapes for what is not to be seen, such as a direction override in a path."""
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in document)


def _plain(value: Any, where: str) -> Any:
    """Return a value as JSON types; `where` names it in the error."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return printable(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name), f"{where}.{item.name}") for item in fields(value)}
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            raise OsteoScreenError(f"The result was not written, because {where} is not a finite number ({value}).")
        return float(value)
    if isinstance(value, dict):
        return {printable(str(key)): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise OsteoScreenError(f"The result was not written, because {where} has no JSON form ({type(value).__name__}).")


def _build(kind: type, document: dict[str, Any]) -> Any:
    """Return the dataclass with the keys of the document that it knows."""
    known = {item.name for item in fields(kind)}
    return kind(**{key: value for key, value in document.items() if key in known})


def _roi(document: dict[str, Any]) -> RoiMeasures:
    centre = document["circle_centre_ras_mm"]
    return _build(  # type: ignore[no-any-return]
        RoiMeasures,
        {
            **document,
            "circle_centre_ras_mm": None if centre is None else tuple(centre),
            "outline_ras_mm": [tuple(point) for point in document["outline_ras_mm"]],
            "centroid_ras_mm": tuple(document["centroid_ras_mm"]),
        },
    )


def _densitometry(document: dict[str, Any]) -> Densitometry:
    return _build(  # type: ignore[no-any-return]
        Densitometry,
        {
            **document,
            "calibration": _build(Calibration, document["calibration"]),
            "bmd_mg_cm3": dict(document["bmd_mg_cm3"]),
        },
    )


def numbering_of(document: Mapping[str, Any] | None) -> Numbering | None:
    """Return the numbering of a document that `to_dict` made, unchecked; None where there is none."""
    if document is None:
        return None
    vertebrae = [
        _build(NumberedVertebra, {**vertebra, "centre_ras_mm": tuple(vertebra["centre_ras_mm"])})
        for vertebra in document["vertebrae"]
    ]
    levels = {name: _build(NumberedLevel, level) for name, level in document["levels"].items()}
    return _build(Numbering, {**document, "vertebrae": vertebrae, "levels": levels})  # type: ignore[no-any-return]


def _follow_up(document: dict[str, Any]) -> FollowUp:
    return _build(FollowUp, {**document, "earlier": _build(EarlierResult, document["earlier"])})  # type: ignore[no-any-return]
