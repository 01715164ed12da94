"""Slice data sets on disk (schema ``osteoscreen-slices/1``): axial slices with their trabecular masks.

``images.npy`` holds int16 HU and ``masks.npy`` uint8 coverage (0 to 255; 127.5 is the edge), both (slices, rows,
columns) in file order, so that a slice is one read at a known offset: nothing is decoded. Plain reads are used rather
than a memory map because a file that is cut short under a map kills the process, while a short read is an error that
can be told.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from OsteoScreenLib.errors import InputError, system_reason

SCHEMA = "osteoscreen-slices/1"
HEADER = "dataset.json"


@dataclass(frozen=True)
class SliceRecord:
    """One slice: ``pixel_mm`` is its pixel's side, ``body`` its body's centre (row, column) in pixels or ``None``,
    ``subject`` what must not be split between training and validation, ``values`` its row of slices.csv."""

    pixel_mm: float
    body: tuple[float, float] | None
    subject: str
    values: dict[str, str]


class _ArrayFile:
    """A .npy file whose first axis is read item by item."""

    def __init__(self, path: Path, dtype: str):
        self.path = path
        try:
            self._file = open(path, "rb")  # noqa: SIM115 - lives as long as the data set
            version = np.lib.format.read_magic(self._file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            self.shape, fortran, self.dtype = read(self._file)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read as a .npy file: {error}.") from error
        if fortran or self.dtype != np.dtype(dtype) or len(self.shape) != 3:
            raise InputError(f"{path} must hold {dtype} (slices, rows, columns) in C order.")
        self._start = self._file.tell()
        self._bytes = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        if os.fstat(self._file.fileno()).st_size < self._start + self._bytes * self.shape[0]:
            raise InputError(f"{path} is cut short; write the data set again.")
        self._lock = threading.Lock()

    def read(self, index: int, out: np.ndarray) -> None:
        try:
            with self._lock:
                self._file.seek(self._start + self._bytes * index)
                count = self._file.readinto(out.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise InputError(f"{self.path} can no longer be read: {system_reason(error)}.") from error
        if count != self._bytes:
            raise InputError(f"{self.path} was cut short while it was being read.")


class SliceDataset:
    """The slices of one folder, or of several that have the same slice size.

    Raises:
        InputError: a folder is missing, incomplete or of another schema; the sentence says which and why.
    """

    def __init__(self, folders: Sequence[str | os.PathLike[str]]):
        self.folders = [Path(folder) for folder in folders]
        self.records: list[SliceRecord] = []
        self._images: list[_ArrayFile] = []
        self._masks: list[_ArrayFile] = []
        self._place: list[tuple[int, int]] = []
        self.kinds: list[str] = []
        for number, folder in enumerate(self.folders):
            self._open(number, folder)
        shapes = {images.shape[1:] for images in self._images}
        if len(shapes) != 1:
            raise InputError(f"The data sets differ in slice size ({shapes}); train on them one at a time.")
        self.rows, self.columns = shapes.pop()

    def _open(self, number: int, folder: Path) -> None:
        try:
            header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"{folder} is not a slice data set (no readable dataset.json); make one with 'osteoscreen simulate "
                "slices'."
            ) from error
        except ValueError as error:
            raise InputError(f"{folder / HEADER} is not valid JSON.") from error
        schema = header.get("schema") if isinstance(header, dict) else None
        if schema != SCHEMA:
            raise InputError(f"{folder} has the schema {schema!r}; this version reads {SCHEMA!r}.")
        images, masks = _ArrayFile(folder / "images.npy", "<i2"), _ArrayFile(folder / "masks.npy", "|u1")
        records = _read_records(folder / "slices.csv", number)
        if not images.shape == masks.shape or len(records) != images.shape[0]:
            raise InputError(
                f"{folder} does not agree with itself: {images.shape[0]} images, {masks.shape[0]} masks and "
                f"{len(records)} rows in slices.csv."
            )
        self._images.append(images)
        self._masks.append(masks)
        self.kinds.append(str(header.get("kind", "unknown")))
        self._place.extend((number, index) for index in range(len(records)))
        self.records.extend(records)

    def __len__(self) -> int:
        return len(self.records)

    def read(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the images, int16 HU, and masks, uint8 coverage, of some slices: (slices, rows, columns) each."""
        images = np.empty((len(indices), self.rows, self.columns), np.int16)
        masks = np.empty(images.shape, np.uint8)
        for row, index in enumerate(indices):
            number, place = self._place[index]
            self._images[number].read(place, images[row])
            self._masks[number].read(place, masks[row])
        return images, masks

    def split(self, fraction: float, seed: int) -> tuple[list[int], list[int]]:
        """Return the indices to train on and those held out: about ``fraction`` of the subjects, but at least one
        where there are several; none for 0.

        A subject's side depends on its name and ``seed`` alone, so that it stays when the data set grows; only where
        ``fraction`` is too little for one subject, the one that is held out may be another then.
        """
        draws = [_draw(record.subject, seed) for record in self.records]
        held_out = [draw < fraction for draw in draws]
        if fraction > 0 and not any(held_out) and len(set(draws)) > 1:
            held_out = [draw == min(draws) for draw in draws]
        train = [index for index, out in enumerate(held_out) if not out]
        return train, [index for index, out in enumerate(held_out) if out]

    def of(self, part_of: Mapping[str, str], part: str) -> list[int]:
        """Return the indices of the slices whose subject is in ``part`` by ``part_of`` (part by subject)."""
        return [index for index, record in enumerate(self.records) if part_of.get(record.subject) == part]

    def fingerprint(self) -> str:
        """Return a hash of what the folders' headers and tables say; of other slices it is another."""
        digest = hashlib.sha256()
        for folder in self.folders:
            for name in (HEADER, "slices.csv"):
                digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
        return digest.hexdigest()

    def check_still_there(self) -> None:
        """Raise :class:`InputError` if a folder has vanished since it was opened."""
        for folder in self.folders:
            if not (folder / "images.npy").is_file():
                raise InputError(f"The data set {folder} has vanished; put it back and go on with --resume.")


def _draw(subject: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:{subject}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _read_records(path: Path, number: int) -> list[SliceRecord]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {system_reason(error)}.") from error
    try:
        return [_record(row, number) for row in rows]
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path} lacks a readable index, pixel_spacing_mm, has_body, body_row or body_column: {error}."
        ) from error


def _record(row: dict[str, str], number: int) -> SliceRecord:
    body = None
    if int(float(row["has_body"])):
        body = (float(row["body_row"]), float(row["body_column"]))
    # A simulated slice is a subject of its own, known by the generator's seed and its index.
    subject = row.get("subject") or f"{row.get('seed', f'folder {number}')}/{row['index']}"
    pixel_mm = float(row["pixel_spacing_mm"])
    if not 0.05 <= pixel_mm <= 5.0:
        raise ValueError(f"a pixel of {pixel_mm} mm")
    return SliceRecord(pixel_mm, body, subject, row)
