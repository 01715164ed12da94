"""A data set of subjects as a folder: simulated, or made from real CT, in one layout.

dataset.json      what it is (schema ``osteoscreen-dataset/1``)
subjects.csv      the manifest, see :mod:`.manifest`
slices/           the L1 and L2 centre slices and their outlines, see :mod:`.slices`; what they were cut from, see
                  :mod:`.sources`
splits/NAME.json  who trains, validates and tests, see :mod:`.splits`
predictions/      outlines that a segmentation bundle drew, see :mod:`.predictions`
truth.csv         of a simulation only: the exact BMD behind the reference
ct/               the CT, where the manifest says so
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from OsteoScreenLib.densitometry.bmd import qct_category
from OsteoScreenLib.errors import InputError
from OsteoScreenLib.results import BONE_STATUSES
from OsteoScreenLib.results_io import write_text_atomically

from .manifest import MANIFEST, Subject, read_manifest
from .slices import SliceDataset

SCHEMA = "osteoscreen-dataset/1"
HEADER, SLICES, TRUTH = "dataset.json", "slices", "truth.csv"
LEVELS = ("L1", "L2")


@dataclass(frozen=True)
class DataSetHeader:
    """What ``dataset.json`` says; ``reference_sd_mg_cm3`` is the SD of the reference's error, where it is known."""

    kind: Literal["simulated", "real"]
    generator: str = ""
    seed: int | None = None
    reference_sd_mg_cm3: float | None = None
    notes: str = ""


def write_header(folder: Path, header: DataSetHeader) -> None:
    """Write ``dataset.json``, whole or not at all."""
    write_text_atomically(json.dumps({"schema": SCHEMA, **asdict(header)}, indent=2) + "\n", folder / HEADER)


def read_header(folder: Path) -> DataSetHeader:
    """Read ``dataset.json``.

    Raises:
        InputError: there is none, or it is of another schema.
    """
    try:
        values = json.loads((folder / HEADER).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{folder} is not a finished data set (no readable {HEADER}); make one with 'osteoscreen dataset build' or "
            "'osteoscreen simulate cohort'."
        ) from error
    except ValueError as error:
        raise InputError(f"{folder / HEADER} is not valid JSON.") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise InputError(
            f"{folder / HEADER} is not of the schema {SCHEMA!r}, which this version reads; make a data set of subjects "
            "with 'osteoscreen dataset build' or 'osteoscreen simulate cohort'."
        )
    if values.get("kind") not in ("simulated", "real"):
        raise InputError(f"{folder / HEADER}: kind must be 'simulated' or 'real'.")
    known = {name: values[name] for name in DataSetHeader.__dataclass_fields__ if name in values}
    return DataSetHeader(**known)


class Subjects(Protocol):
    """What the criteria and the splits look at of a data set, whether or not it is finished."""

    folder: Path
    subjects: list[Subject]

    def subject(self, name: str) -> Subject:
        """Return the subject of that name."""

    def has_slice(self, name: str, level: str) -> bool:
        """Return whether a subject's level has a slice."""


class DataSet:
    """An opened data set.

    Args:
        subjects: the rows of the manifest, where they have been read already.

    Attributes:
        folder, header, subjects: where and what it is, and every row of the manifest.
        slices: the slices of the subjects who have them.

    Raises:
        InputError: a part is missing or damaged; the sentence says which.
    """

    def __init__(self, folder: Path, subjects: list[Subject] | None = None):
        self.folder = folder
        self.header = read_header(folder)
        self.subjects = read_manifest(folder / MANIFEST) if subjects is None else subjects
        self.slices = SliceDataset([folder / SLICES])
        self._by_name = {subject.subject: subject for subject in self.subjects}
        self._index: dict[tuple[str, str], int] = {}
        for index, record in enumerate(self.slices.records):
            place = (record.subject, record.values.get("level", ""))
            if record.subject not in self._by_name:
                raise InputError(f"{folder / SLICES} has slices of {record.subject}, who is not in {MANIFEST}.")
            if place in self._index:
                raise InputError(f"{folder / SLICES} has two slices of {place[1]} of {place[0]}; keep one.")
            self._index[place] = index

    def subject(self, name: str) -> Subject:
        """Return the subject of that name."""
        return self._by_name[name]

    def has_slice(self, name: str, level: str) -> bool:
        """Return whether a subject's level has a slice."""
        return (name, level) in self._index

    def slice_index(self, name: str, level: str) -> int:
        """Return where a subject's level lies in :attr:`slices`.

        Raises:
            InputError: it has no slice.
        """
        try:
            return self._index[name, level]
        except KeyError as error:
            raise InputError(f"{self.folder} has no slice of {level} of {name}; build its slices again.") from error

    def truth(self) -> dict[str, dict[str, float]] | None:
        """Return the exact BMD (keys bmd_l1, bmd_l2, bmd_individual; mg/cm3) by subject; ``None`` for real data.

        Raises:
            InputError: the file is damaged.
        """
        path = self.folder / TRUTH
        if self.header.kind != "simulated" or not path.is_file():
            return None
        names = ("bmd_l1", "bmd_l2", "bmd_individual")
        try:
            with open(path, newline="", encoding="utf-8") as file:
                return {row["subject"]: {name: float(row[name]) for name in names} for row in csv.DictReader(file)}
        except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise InputError(f"{path} is damaged ({error}); simulate the cohort again, or remove the file.") from error


def bone_status(subject: Subject) -> int:
    """Return the class of a subject's reference BMD, as its place in ``BONE_STATUSES``.

    Raises:
        InputError: the subject has no reference BMD.
    """
    if subject.bmd is None:
        raise InputError(f"{subject.subject} has no reference BMD, so that there is no class to learn or to test.")
    return BONE_STATUSES.index(qct_category(subject.bmd))


def bone_statuses(subjects: list[Subject]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the classes of several subjects, (n,) int64."""
    return np.array([bone_status(subject) for subject in subjects], np.int64)
