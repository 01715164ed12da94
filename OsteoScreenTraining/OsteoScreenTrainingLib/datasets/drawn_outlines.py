"""Outlines drawn on exported slices (see :mod:`.slice_images`) as masks on the CT, and as rows of the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from PIL import Image
from shapely.affinity import scale
from shapely.geometry.base import BaseGeometry

from OsteoScreenLib.ct import CT, open_ct
from OsteoScreenLib.errors import InputError, UsageError
from OsteoScreenLib.levels import read_vertebrae
from OsteoScreenLib.progress import Progress, silent

from .checking.measures import SliceMeasures, measure
from .checking.outline_checks import BONE_EDGE_HU, POSSIBLE_MM2
from .folder import LEVELS
from .manifest import MANIFEST, Subject, read_manifest
from .manifest_lock import fill_in
from .masks import MASKS, write_masks
from .qupath import coverage, read_annotations
from .slice_images import SIDECAR, SliceImage, check_picture, grey, read_sidecar, relative_path

_GEOJSON = (".geojson", ".json", ".geojson.gz", ".json.gz")
_PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
#: A brush may reach beyond the picture by this, in pixels; what lies outside is cut off.
_BEYOND = 2.0
#: The edge of a scaled outline has to be this much brighter for the scale to be named as the likely mistake.
_CLEARLY_BONE_HU = 180.0
_AT = 0.5


@dataclass
class DrawnImport:
    """What became of an import.

    Attributes:
        subjects: levels by imported subject.
        left_out: why a file or a subject was not imported, by its name.
        notes: what the user should know of imported ones.
    """

    subjects: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A picture, and the mask (rows, columns) that what was drawn on it becomes."""

    image: SliceImage
    mask: npt.NDArray[np.bool_]


def import_qupath(geojson: Sequence[Path], pictures: Path, dataset: Path, progress: Progress = silent) -> DrawnImport:
    """Turn QuPath's GeoJSON into masks on the CT and rows of the manifest of ``dataset``.

    ``geojson`` are files or folders of them, each file named after its picture; ``pictures`` is the folder with the
    exported slices and their sidecars. A pixel belongs to a mask where the outline covers at least half of it: the
    coverage itself, which is exact, does not fit into a binary mask. Each subject is imported whole or not at all;
    cells of the manifest that are filled in are kept, and have to agree.

    Raises:
        UsageError: there is no exported slice, or no GeoJSON.
        InputError: nothing can be imported, or the manifest cannot be read.
        OsteoScreenError: the data set cannot be written to.
    """
    done = DrawnImport()
    by_subject = _by_subject(_files(geojson), _sidecars(pictures), done)
    rows = {row.subject: row for row in _manifest(dataset)}
    filled: list[Subject] = []
    for number, (subject, files) in enumerate(by_subject.items(), 1):
        try:
            row, notes = _import_subject(subject, files, pictures, dataset, rows.get(subject))
        except (InputError, UsageError) as error:
            done.left_out[subject] = str(error)
        else:
            filled.append(row)
            done.subjects[subject] = sorted(image.level for image in files.values())
            done.notes.extend(notes)
        progress("Importing the outlines", number, len(by_subject))
    if not done.subjects:
        name, reason = next(iter(done.left_out.items()))
        raise InputError(f"No outline could be imported; the first reason: {name}: {reason}")
    fill_in(dataset, filled)
    return done


def _sidecars(folder: Path) -> dict[str, SliceImage]:
    found = [read_sidecar(path) for path in sorted(folder.glob(f"*{SIDECAR}"))]
    if not found:
        raise UsageError(
            f"{folder} holds no exported slice (no *{SIDECAR}); name the folder that 'osteoscreen dataset "
            "export-slices' wrote to."
        )
    return {image.name.casefold(): image for image in found}


def _files(given: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in given:
        if path.is_dir():
            files += sorted(file for file in path.iterdir() if file.is_file() and _is_geojson(file))
        elif path.is_file():
            files.append(path)
        else:
            raise UsageError(f"There is no GeoJSON at {path}; check the path.")
    if not files:
        raise UsageError("There is no GeoJSON there (*.geojson or *.json); export the annotations from QuPath.")
    return list(dict.fromkeys(files))


def _is_geojson(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith(_GEOJSON) and not name.endswith(SIDECAR) and not name.startswith(".")


def _by_subject(
    files: Sequence[Path], images: Mapping[str, SliceImage], done: DrawnImport
) -> dict[str, dict[Path, SliceImage]]:
    """Return the files and their pictures by subject; who cannot be told goes to ``done.left_out``."""
    found: dict[str, dict[Path, SliceImage]] = {}
    for path in files:
        image = images.get(_stem(path.name).casefold())
        if image is None:
            done.left_out[path.name] = "no exported slice has that name; name the GeoJSON after its picture."
        else:
            found.setdefault(image.subject, {})[path] = image
    return found


def _stem(name: str) -> str:
    for suffixes in (_GEOJSON, _PICTURES):
        for suffix in sorted(suffixes, key=len, reverse=True):
            if name.lower().endswith(suffix):
                name = name[: -len(suffix)]
                break
    return name


def _manifest(dataset: Path) -> list[Subject]:
    return read_manifest(dataset / MANIFEST) if (dataset / MANIFEST).exists() else []


def _import_subject(
    name: str, files: Mapping[Path, SliceImage], pictures: Path, dataset: Path, row: Subject | None
) -> tuple[Subject, list[str]]:
    """Write a subject's masks and return its row; raises InputError or UsageError with the reason it cannot be."""
    images = sorted(files.values(), key=lambda image: image.level)
    for one, other in pairwise(images):
        if one.level == other.level:
            raise InputError(f"There are two GeoJSON files for {one.image}; keep the right one.")
        if not one.same_scan(other):
            raise InputError(f"{one.image} and {other.image} are of different CT; export both from one.")
        if one.z_mm <= other.z_mm:
            raise InputError(
                f"The slice of {one.level} (S {one.z_mm:.1f} mm) does not lie above that of {other.level} "
                f"(S {other.z_mm:.1f} mm): the levels are swapped; export the slices again."
            )
    ct = open_ct(pictures / images[0].ct, series=images[0].series_uid)
    drawn: dict[str, _Drawn] = {}
    notes: list[str] = []
    for path, image in files.items():
        drawn[image.level] = _drawn(path, image, pictures, ct, notes)
    missing = [level for level in LEVELS if level not in drawn]
    if missing:
        notes.append(f"{name}: no outline of {missing[0]}; the subject is left out of a build without it.")
    target = dataset / MASKS / f"{name}.seg.nrrd"
    filled = _row(name, row, images, ct, target, pictures, dataset)
    _refuse_loss(target, list(drawn))
    masks = {level: (one.image.slice_index, one.mask) for level, one in drawn.items()}
    write_masks(dataset, name, masks, ct.geometry)
    return filled, notes


def _drawn(path: Path, image: SliceImage, pictures: Path, ct: CT, notes: list[str]) -> _Drawn:
    """Return what was drawn on a picture; raises InputError where it cannot be meant so."""
    check_picture(pictures, image)
    _check_scan(ct, image, pictures)
    annotations = read_annotations(path)
    for level in {annotation.level for annotation in annotations} - {image.level}:
        if level in LEVELS:
            raise InputError(
                f"{path.name}: the picture shows {image.level}, and the annotation's class is {level}; correct the "
                "class, or export the slices again if the levels are swapped."
            )
        raise InputError(f"{path.name}: the class is {level}; only L1 and L2 can be imported.")
    if len(annotations) > 1:
        notes.append(f"{path.name}: {len(annotations)} annotations of {image.level} were joined.")
    shape = shapely.union_all([annotation.shape for annotation in annotations])
    _check_inside(shape, image, path.name)
    hu = ct.slice(image.slice_index)
    seen = _measured(shape, image, hu)
    if seen is None:
        raise InputError(f"{path.name}: the outline covers no pixel by half; draw it again.")
    if seen.edge_hu < BONE_EDGE_HU:
        raise InputError(
            f"{path.name}: the outline does not lie on bone (its edge reads at most {seen.edge_hu:.0f} HU)"
            f"{_likely(shape, image, hu)}; draw on the exported picture as it is, and export pixel coordinates."
        )
    return _Drawn(image, coverage(shape, image.rows, image.columns) >= _AT)


def _check_scan(ct: CT, image: SliceImage, pictures: Path) -> None:
    """Make sure that the CT is the one of which the picture was exported."""
    mine = image.geometry()
    same_place = ct.geometry.shape == mine.shape and np.allclose(ct.geometry.ijk_to_ras, mine.ijk_to_ras, atol=1e-3)
    if same_place:
        shown = grey(ct.slice(image.slice_index), image.window_hu)
        with Image.open(pictures / image.image) as picture:
            same_place = bool(np.array_equal(np.asarray(picture), shown))
    if not same_place:
        raise InputError(
            f"The CT at {image.ct} is not the one of which {image.image} was exported; put that back, or export the "
            "slices again."
        )


def _check_inside(shape: BaseGeometry, image: SliceImage, name: str) -> None:
    left, top, right, bottom = shape.bounds
    if min(left, top) >= -_BEYOND and right <= image.columns + _BEYOND and bottom <= image.rows + _BEYOND:
        return
    row_mm, column_mm = image.pixel_spacing_mm
    reason = "the picture was scaled or cropped before it was drawn on, or the coordinates are no pixels"
    if right <= image.columns * column_mm * 1000 and bottom <= image.rows * row_mm * 1000 and max(right, bottom) > 8192:
        reason = "the coordinates seem to be microns"
    raise InputError(
        f"{name}: the outline reaches to column {right:.0f}, row {bottom:.0f}, and the picture has {image.columns} x "
        f"{image.rows} pixels: {reason}; draw on the exported picture as it is, and export pixel coordinates."
    )


def _measured(shape: BaseGeometry, image: SliceImage, hu: npt.NDArray[np.float32]) -> SliceMeasures | None:
    covered = np.round(coverage(shape, image.rows, image.columns) * 255).astype(np.uint8)
    return measure(image.subject, image.level, hu, covered, float(np.sqrt(np.prod(image.pixel_spacing_mm))))


def _likely(shape: BaseGeometry, image: SliceImage, hu: npt.NDArray[np.float32]) -> str:
    """Return, in words, at which other scale the outline would lie on bone; nothing where there is none."""
    row_mm, column_mm = image.pixel_spacing_mm
    for text, x, y in (
        ("the coordinates seem to be millimetres", 1 / column_mm, 1 / row_mm),
        ("the coordinates seem to be microns", 1e-3 / column_mm, 1e-3 / row_mm),
        ("the picture seems to have been halved in size", 2.0, 2.0),
        ("the picture seems to have been doubled in size", 0.5, 0.5),
        ("the picture seems to have been made four times smaller", 4.0, 4.0),
        ("the picture seems to have been made four times larger", 0.25, 0.25),
    ):
        seen = _measured(scale(shape, x, y, origin=(0, 0)), image, hu)
        fits = seen is not None and POSSIBLE_MM2[0] <= seen.area_mm2 <= POSSIBLE_MM2[1]
        if fits and seen is not None and seen.edge_hu >= _CLEARLY_BONE_HU:
            return f": {text}"
    return ": the picture may have been scaled or cropped, or it is another subject's"


def _row(
    name: str, row: Subject | None, images: Sequence[SliceImage], ct: CT, target: Path, pictures: Path, dataset: Path
) -> Subject:
    """Return the subject's row with the cells that were empty filled; raises InputError where others disagree."""
    row = row or Subject(name)
    place = pictures / images[0].ct
    if row.ct is not None and (dataset / row.ct).resolve() != place.resolve():
        raise InputError(f"{MANIFEST} names the CT {row.ct}, and the pictures are of another; empty that cell.")
    if row.masks is not None and (dataset / row.masks).resolve() != target.resolve():
        raise InputError(f"{MANIFEST} names the outlines {row.masks} already; empty that cell to replace them.")
    cells = {
        "ct": row.ct or relative_path(place, dataset),
        "masks": target.relative_to(dataset).as_posix(),
        "series_uid": row.series_uid or ct.series_instance_uid,
    }
    heights = dict(_heights(row, images, ct))
    return replace(row, **cells, **heights)  # type: ignore[arg-type]


def _heights(row: Subject, images: Sequence[SliceImage], ct: CT) -> Iterator[tuple[str, float]]:
    for image in images:
        column = f"{image.level.lower()}_z_mm"
        given: float | None = getattr(row, column)
        if given is not None and ct.geometry.nearest_slice(given) != image.slice_index:
            raise InputError(
                f"{MANIFEST} has {image.level} at S {given:g} mm, and the picture shows S {image.z_mm:.1f} mm; empty "
                "that cell, or export the right slice."
            )
        yield column, round(image.z_mm, 4) if given is None else given


def _refuse_loss(target: Path, levels: Sequence[str]) -> None:
    """Refuse to replace outlines that hold a level which is not imported now."""
    if not target.exists():
        return
    lost = [level for level in read_vertebrae(target, LEVELS) if level not in levels]
    if lost:
        raise InputError(f"{target.name} holds {lost[0]} already; import the GeoJSON of both levels together.")
