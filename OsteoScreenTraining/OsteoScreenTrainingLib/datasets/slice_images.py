"""Centre slices as pictures for a drawing tool, each with a sidecar that takes what is drawn back onto the CT.

A picture is the whole canonical slice, pixel for pixel, in 8-bit grey. Its sidecar ``NAME.slice.json`` (schema
``osteoscreen-slice-image/1``) holds the subject, the level, the CT, its geometry, and a hash of the picture, so that
one that was scaled, cropped or edited is noticed.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from OsteoScreenLib.ct import CT, Geometry
from OsteoScreenLib.errors import InputError, UsageError, system_reason
from OsteoScreenLib.results import Level
from OsteoScreenLib.results_io import write_bytes_atomically, write_text_atomically

from .manifest import takes

SCHEMA, SIDECAR = "osteoscreen-slice-image/1", ".slice.json"
#: Level 300, width 1500: the usual bone window of CT, HU.
BONE_WINDOW_HU = (-450.0, 1050.0)

PictureFormat = Literal["png", "tiff"]


@dataclass(frozen=True)
class SliceImage:
    """A picture of a slice, as its sidecar describes it.

    Attributes:
        subject, level: whose slice, and of which vertebra.
        image, sha256: the picture's file beside the sidecar, and the hash of its bytes.
        columns, rows, pixel_spacing_mm: its size, and the distance of neighbouring rows and columns.
        ct: the CT's path from the sidecar's folder; ``series_uid`` its series, None where it is no DICOM.
        ct_shape, ct_ijk_to_ras, ct_slice_origins: the canonical CT's geometry (see ``OsteoScreenLib.ct.Geometry``).
        slice_index, z_mm: the slice, and RAS S of its centre.
        ijk_to_ras: 4 x 4, from (column, row, 0, 1) of the picture, pixel centres at whole numbers, to RAS mm.
        window_hu: what is black and what is white.
    """

    subject: str
    level: str
    image: str
    sha256: str
    columns: int
    rows: int
    pixel_spacing_mm: tuple[float, float]
    ct: str
    series_uid: str | None
    ct_shape: tuple[int, int, int]
    ct_ijk_to_ras: list[list[float]]
    ct_slice_origins: list[list[float]] | None
    slice_index: int
    z_mm: float
    ijk_to_ras: list[list[float]]
    window_hu: tuple[float, float]

    @property
    def name(self) -> str:
        """The name of the picture, of its sidecar and of what a drawing tool exports of it, without their suffixes."""
        return Path(self.image).stem

    def geometry(self) -> Geometry:
        """Return where the CT's pixels lie."""
        return Geometry(self.ct_shape, np.array(self.ct_ijk_to_ras), self.ct_slice_origins)  # type: ignore[arg-type]

    def same_scan(self, other: SliceImage) -> bool:
        """Return whether both pictures are of one CT, at one place."""
        return (self.ct, self.series_uid, self.ct_shape, self.ct_ijk_to_ras) == (
            other.ct, other.series_uid, other.ct_shape, other.ct_ijk_to_ras,
        )  # fmt: skip


def export_slices(
    ct: CT,
    levels: Mapping[str, Level],
    folder: Path,
    subject: str | None = None,
    window_hu: tuple[float, float] = BONE_WINDOW_HU,
    picture_format: PictureFormat = "png",
) -> list[SliceImage]:
    """Write the levels' slices as ``SUBJECT_LEVEL.png`` and their sidecars into ``folder``; return what was written.

    ``subject`` is a name without meaning; without it, one is made of the CT's hash.

    Raises:
        UsageError: no manifest takes the name, the window is empty, L1 does not lie above L2, or there are other
            pictures of that name.
        InputError: a slice cannot be decoded.
        OsteoScreenError: the folder cannot be written to.
    """
    name = subject or f"S{ct.sha256()[:10]}"
    if not takes({"subject": name}):
        raise UsageError(
            f"A subject cannot be called {name[:64]!r}; use letters, digits, dots, dashes and underscores, and never a "
            "patient's name or number."
        )
    if not (all(map(math.isfinite, window_hu)) and window_hu[0] < window_hu[1]):
        raise UsageError("The window goes from the HU shown black to those shown white, such as -450 1050.")
    if {"L1", "L2"} <= set(levels) and levels["L1"].z_mm <= levels["L2"].z_mm:
        raise UsageError("L1 does not lie above L2; check the levels: RAS S grows towards the head.")
    written = []
    for level in levels.values():
        data = _encoded(grey(ct.slice(level.slice_index), window_hu), picture_format)
        described = _described(ct, level, folder, name, f"{name}_{level.name}.{picture_format}", window_hu, data)
        _refuse_other(folder, described)
        written.append((described, data))
    for described, data in written:
        write_bytes_atomically(data, folder / described.image)
        document = {"schema": SCHEMA, **asdict(described)}
        write_text_atomically(json.dumps(document, indent=1) + "\n", folder / f"{described.name}{SIDECAR}")
    return [described for described, _ in written]


def grey(hu: npt.NDArray[np.float32], window_hu: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Return HU as the grey of a picture: 0 at the window's lower end and below, 255 at its upper end and above."""
    low, high = window_hu
    return np.round(np.clip((hu - low) / (high - low), 0.0, 1.0) * 255).astype(np.uint8)


def _encoded(pixels: npt.NDArray[np.uint8], picture_format: PictureFormat) -> bytes:
    data = io.BytesIO()
    options: dict[str, Any] = {"compression": "tiff_adobe_deflate"} if picture_format == "tiff" else {}
    Image.fromarray(pixels).save(data, format=picture_format, **options)
    return data.getvalue()


def _described(
    ct: CT, level: Level, folder: Path, subject: str, image: str, window_hu: tuple[float, float], data: bytes
) -> SliceImage:
    geometry = ct.geometry
    matrix = np.array(geometry.ijk_to_ras)
    matrix[:3, 3] = geometry.ras(0, 0, level.slice_index)
    origins = geometry.slice_origins
    return SliceImage(
        subject=subject,
        level=level.name,
        image=image,
        sha256=hashlib.sha256(data).hexdigest(),
        columns=geometry.shape[2],
        rows=geometry.shape[1],
        pixel_spacing_mm=geometry.pixel_spacing_mm,
        ct=relative_path(Path(ct.path), folder),
        series_uid=ct.series_instance_uid,
        ct_shape=geometry.shape,
        ct_ijk_to_ras=geometry.ijk_to_ras.tolist(),
        ct_slice_origins=None if origins is None else origins.tolist(),
        slice_index=level.slice_index,
        z_mm=level.z_mm,
        ijk_to_ras=matrix.tolist(),
        window_hu=window_hu,
    )


def relative_path(path: Path, folder: Path) -> str:
    """Return a path as seen from ``folder``, with slashes; the whole path where it is on another drive."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()


def _refuse_other(folder: Path, described: SliceImage) -> None:
    """Refuse to replace the picture that somebody may have drawn on by another one."""
    path = folder / f"{described.name}{SIDECAR}"
    if path.exists() and read_sidecar(path).sha256 != described.sha256:
        raise UsageError(
            f"{path} is the sidecar of another picture; name another folder with -o, or another subject with --subject."
        )


def read_sidecar(path: Path) -> SliceImage:
    """Read a sidecar.

    Raises:
        InputError: it cannot be read, or is damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.pop("schema", None) != SCHEMA:
            raise ValueError(f"it is not of the schema {SCHEMA!r}")
        for name in ("pixel_spacing_mm", "ct_shape", "window_hu"):
            values[name] = tuple(values[name])
        found = SliceImage(**values)
        found.geometry()
        if not takes({"subject": found.subject}) or Path(found.image).name != found.image:
            raise ValueError("its subject or its picture has no plain name")
        if (found.rows, found.columns) != found.ct_shape[1:] or not 0 <= found.slice_index < found.ct_shape[0]:
            raise ValueError("its slice is none of its CT")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"The sidecar {path} cannot be used ({reason}); export the slice again.") from error
    return found


def check_picture(folder: Path, described: SliceImage) -> None:
    """Make sure that a picture is the one that was exported.

    Raises:
        InputError: it is not there, was scaled, cropped, edited or saved anew; the sentence says which.
    """
    path = folder / described.image
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({system_reason(error)}); put the exported picture back.") from error
    if hashlib.sha256(data).hexdigest() == described.sha256:
        return
    try:
        with Image.open(io.BytesIO(data)) as picture:
            size = picture.size
    except Exception as error:  # Pillow answers damaged files with whatever its parsing meets
        raise InputError(f"{path} is no picture any more; export the slice again.") from error
    if size != (described.columns, described.rows):
        raise InputError(
            f"{path} was scaled or cropped: it measures {size[0]} x {size[1]} pixels, and {described.columns} x "
            f"{described.rows} were exported. Draw on the exported picture as it is."
        )
    raise InputError(f"{path} was edited or saved anew since it was exported; draw on the exported picture as it is.")
