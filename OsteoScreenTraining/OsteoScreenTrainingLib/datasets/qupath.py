"""QuPath's GeoJSON: the annotations of a picture, as QuPath 0.2 to 0.6 write them.

Read are a FeatureCollection, a bare array of Features and a single Feature; Polygon and MultiPolygon with holes; the
class from ``classification`` (``name`` or ``names``), else the annotation's own name. Ignored are colours (the old
signed ``colorRGB`` too), measurements, identifiers, ``nucleusGeometry`` and all other keys. Coordinates are pixels from
the picture's upper left corner, so that the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from OsteoScreenLib.errors import InputError
from OsteoScreenLib.levels import vertebra_named

#: A drawing of one vertebra has a few thousand points; files beyond this are whole-slide exports.
_MOST_BYTES = 64 << 20
_SHAPES = ("Polygon", "MultiPolygon")
#: Classes that QuPath has from the start and means to be left out, which end in this.
_IGNORED = "*"


@dataclass(frozen=True)
class Annotation:
    """A drawn shape: ``level`` is the vertebra that its class or name means, ``shape`` a (multi)polygon in pixels."""

    level: str
    shape: BaseGeometry


def read_annotations(path: Path) -> list[Annotation]:
    """Read the annotations of a GeoJSON file.

    Raises:
        InputError: it cannot be read, is no GeoJSON, or an annotation has no class, a class that is no vertebra, no
            area, or is not a plain shape; the sentence says which.
    """
    features = list(_features(_document(path), path.name))
    if not features:
        raise InputError(f"{path.name} holds no annotation; draw the vertebral body and export it as GeoJSON.")
    found = []
    for number, feature in enumerate(features, 1):
        where = f"{path.name}, annotation {number}"
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        if _is_ignored(properties):
            continue
        found.append(Annotation(_level(properties, where), _shape(feature.get("geometry"), where)))
    if not found:
        raise InputError(f"{path.name} holds annotations of ignored classes only; give one the class L1 or L2.")
    return found


def _document(path: Path) -> Any:
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else open(path, "rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise InputError(f"{path.name} cannot be read: {reason}.") from error
    if data[:2] == b"PK":
        raise InputError(f"{path.name} is a zip file; unpack it, or export without compression.")
    if len(data) > _MOST_BYTES:
        raise InputError(f"{path.name} is too large for the outlines of a slice; export the annotations alone.")
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is no GeoJSON, or is cut short; export it from QuPath again.") from error


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _features(document: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the features of a document: a collection, an array of features or of collections, or one feature."""
    for item in document if isinstance(document, list) else [document]:
        is_collection = isinstance(item, dict) and item.get("type") == "FeatureCollection"
        members: Any = item.get("features") if is_collection else [item]
        for feature in members if isinstance(members, list) else (None,):
            if isinstance(feature, dict) and feature.get("type") == "Feature":
                yield feature
            elif isinstance(feature, dict) and feature.get("type") in (*_SHAPES, "GeometryCollection"):
                raise InputError(
                    f"{name} holds a shape without a class; export the annotation as a Feature with its class."
                )
            else:
                raise InputError(f"{name} is JSON, and no GeoJSON of annotations; export it from QuPath as GeoJSON.")


def _is_ignored(properties: Mapping[str, Any]) -> bool:
    return any(name.endswith(_IGNORED) for name in _classes(properties))


def _classes(properties: Mapping[str, Any]) -> list[str]:
    """Return the names in an annotation's class: one, or several of a derived class."""
    given = properties.get("classification")
    if isinstance(given, str):
        return [given]
    if not isinstance(given, dict):
        return []
    names = given.get("names")
    listed = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    # QuPath writes a derived class as "L1: checked" where it writes one name.
    single = given.get("name")
    return listed or ([part.strip() for part in single.split(":")] if isinstance(single, str) else [])


def _level(properties: Mapping[str, Any], where: str) -> str:
    classes = _classes(properties)
    written = properties.get("name")
    named = [*classes, *([written] if isinstance(written, str) else [])]
    if not any(name.strip() for name in named):
        raise InputError(f"{where} has no class; give it the class L1 or L2 in QuPath, or delete it.")
    levels = [vertebra_named(name) for name in named]
    by_class = {level for level in levels[: len(classes)] if level}
    by_name = {level for level in levels[len(classes) :] if level}
    if len(by_class) > 1 or (by_class and by_name and by_class != by_name):
        raise InputError(f"{where} is called {_shown(named)}, which is not one vertebra; correct its class or name.")
    for level in (*by_class, *by_name):
        return level
    raise InputError(f"{where} has the class {_shown(named)}; only L1 and L2 can be imported.")


def _shown(names: Sequence[str]) -> str:
    return " and ".join(repr(name if len(name) <= 40 else f"{name[:40]}…") for name in names[:3])


def _shape(geometry: Any, where: str) -> BaseGeometry:
    if not isinstance(geometry, dict) or geometry.get("type") not in _SHAPES:
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        said = f"a {kind[:30]}" if isinstance(kind, str) and kind.isalpha() else "no shape"
        raise InputError(f"{where} is {said}; draw an area (polygon, brush or wand).")
    _check_plane(geometry.get("plane"), where)
    given: Any = geometry.get("coordinates")
    polygons: Any = [given] if geometry["type"] == "Polygon" else given
    try:
        parts = [_polygon(rings) for rings in polygons]
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise InputError(f"{where} has coordinates that are no polygon; export it from QuPath again.") from error
    for part in parts:
        if not shapely.is_valid(part):
            raise InputError(f"{where} {_fault(part)}; redraw it there.")
    whole = shapely.union_all(parts)
    if whole.area <= 0:
        raise InputError(f"{where} has no area; draw it again.")
    return whole


def _check_plane(plane: Any, where: str) -> None:
    if not isinstance(plane, dict):
        return
    if any(plane.get(axis) not in (None, 0, 0.0) for axis in ("z", "t")):
        raise InputError(
            f"{where} lies on plane z = {plane.get('z')!r:.12}, t = {plane.get('t')!r:.12}; the exported pictures have "
            "one plane, so it belongs to another image."
        )


def _polygon(rings: Any) -> BaseGeometry:
    points = [np.array([[float(point[0]), float(point[1])] for point in ring]) for ring in rings]
    if not points or not all(np.isfinite(ring).all() for ring in points):
        raise ValueError("no finite points")
    return shapely.Polygon(points[0], points[1:])


def _fault(part: BaseGeometry) -> str:
    reason = shapely.is_valid_reason(part)
    if "Self-intersection" in reason:
        at = reason[reason.find("[") + 1 : reason.find("]")].split()
        place = f" near column {float(at[0]):.0f}, row {float(at[1]):.0f}" if len(at) == 2 else ""
        return f"crosses itself{place}"
    if "Hole" in reason or "Nested" in reason or "Interior" in reason:
        return "has a hole that does not lie in it"
    return "is no closed area"


def coverage(shape: BaseGeometry, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """Return how much of each pixel a shape covers, exactly: (rows, columns), 0 to 1.

    The pixel in row r and column c is the square from (c, r) to (c + 1, r + 1). What lies outside is left out.
    """
    covered = np.zeros((rows, columns))
    left, top, right, bottom = shape.bounds
    first = max(math.floor(top), 0), max(math.floor(left), 0)
    last = min(math.ceil(bottom), rows), min(math.ceil(right), columns)
    if first[0] >= last[0] or first[1] >= last[1]:
        return covered
    row, column = np.mgrid[first[0] : last[0], first[1] : last[1]]
    pixels = shapely.box(column, row, column + 1, row + 1)
    shapely.prepare(shape)
    inside = shapely.contains_properly(shape, pixels)
    edge = shapely.intersects(shape, pixels) & ~inside
    part = inside.astype(float)
    part[edge] = shapely.area(shapely.intersection(shape, pixels[edge]))
    covered[first[0] : last[0], first[1] : last[1]] = part
    return covered
