"""Who trains, who validates, who tests: by subject only, saved with the data set, and checked for leakage.

The study splits images at random; two slices of one subject may then lie on both sides. Nothing here does that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from OsteoScreenLib.errors import InputError, UsageError
from OsteoScreenLib.results import BONE_STATUSES
from OsteoScreenLib.results_io import write_text_atomically

from .folder import LEVELS, DataSet, Subjects, bone_status, bone_statuses
from .manifest import Subject

Part = Literal["training", "validation", "test"]
PARTS: tuple[Part, ...] = ("training", "validation", "test")
SCHEMA, FOLDER = "osteoscreen-split/1", "splits"
#: The study's subjects: 530 / 100 / 418 (paper, Table 2); its random split is 5:1:4.
STUDY_SIZES = (530, 100, 418)
RANDOM_SHARES = (5, 1, 4)
#: Subjects of a class from which on a random split has one of them in every part.
RANDOM_LEAST = 5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Split:
    """Names of subjects by part; ``method`` says how they were parted."""

    method: Literal["temporal", "random"]
    seed: int
    parts: dict[Part, list[str]] = field(repr=False)

    def part_of(self) -> dict[str, Part]:
        """Return the part of every subject."""
        return {name: part for part, names in self.parts.items() for name in names}


def temporal_split(subjects: Sequence[Subject], seed: int) -> Split:
    """Return the study's split: the last 418 of 1048 subjects test, the earlier ones are parted 530:100 by class.

    Raises:
        InputError: a subject has no study date.
        UsageError: there are too few subjects.
    """
    undated = [subject.subject for subject in subjects if subject.study_date is None]
    if undated:
        raise InputError(
            f"{len(undated)} subjects have no study_date (the first is {undated[0]}); use the random split."
        )
    ordered = sorted(subjects, key=lambda subject: (str(subject.study_date), subject.subject))
    train, validate, test = STUDY_SIZES
    development = round(len(ordered) * (train + validate) / (train + validate + test))
    early, late = ordered[:development], ordered[development:]
    training, validation = _stratified(early, (train, validate), seed)
    return _checked(Split("temporal", seed, _parts(training, validation, late)), subjects)


def random_split(subjects: Sequence[Subject], seed: int) -> Split:
    """Return a split at random, 5:1:4 within every class.

    Raises:
        UsageError: there are too few subjects.
    """
    training, validation, test = _stratified(subjects, RANDOM_SHARES, seed)
    return _checked(Split("random", seed, _parts(training, validation, test)), subjects)


def make_split(method: str, subjects: Sequence[Subject], seed: int) -> Split:
    """Return the split that ``method``, "temporal" or "random", makes."""
    makers = {"temporal": temporal_split, "random": random_split}
    if method not in makers:
        raise UsageError(f"Unknown split {method!r}; there are temporal and random.")
    return makers[method](subjects, seed)


def _parts(*groups: Sequence[Subject]) -> dict[Part, list[str]]:
    return {part: [subject.subject for subject in group] for part, group in zip(PARTS, groups, strict=True)}


def _stratified(subjects: Sequence[Subject], shares: Sequence[int], seed: int) -> list[list[Subject]]:
    """Part subjects in proportion to ``shares`` within each class; each part keeps the order of ``subjects``."""
    rng = np.random.default_rng([seed, 31])
    statuses = bone_statuses(list(subjects))
    part = np.zeros(len(subjects), int)
    for status in range(len(BONE_STATUSES)):
        places = rng.permutation(np.flatnonzero(statuses == status))
        stops = _stops(len(places), shares)
        for number, (start, stop) in enumerate(zip([0, *stops[:-1]], stops, strict=True)):
            part[places[start:stop]] = number
    return [[subjects[int(place)] for place in np.flatnonzero(part == number)] for number in range(len(shares))]


def _stops(count: int, shares: Sequence[int]) -> list[int]:
    """Return where each part of ``count`` subjects ends; none is empty from :data:`RANDOM_LEAST` on."""
    stops = [round(count * bound) for bound in np.cumsum(shares) / sum(shares)]
    if count >= RANDOM_LEAST:
        # Of seven, 5:1:4 would round to 4:0:3.
        for number in range(1, len(stops)):
            stops[number] = max(stops[number], stops[number - 1] + 1)
    return stops


def _checked(split: Split, subjects: Sequence[Subject]) -> Split:
    status = {subject.subject: bone_status(subject) for subject in subjects}
    for part, names in split.parts.items():
        missing = [BONE_STATUSES[k] for k in range(len(BONE_STATUSES)) if k not in {status[name] for name in names}]
        if missing:
            counts = Counter(status.values())
            have = ", ".join(f"{counts[k]} with {name}" for k, name in enumerate(BONE_STATUSES))
            other = "" if split.method == "random" else ", or take the random split"
            raise UsageError(
                f"The {part} part would have no subject with {' or '.join(missing)}; add subjects{other} (there are "
                f"{have}, and a random split takes {RANDOM_LEAST} of each)."
            )
    return split


def save_split(data: Subjects, name: str, split: Split) -> Path:
    """Save a split with its data set, under a name that is not taken by another split.

    Raises:
        UsageError: the name is taken, or is none.
    """
    path = _path(data, name)
    if path.exists():
        if load_split(data, name).parts == split.parts:
            return path
        raise UsageError(f"{path} holds another split; choose another name, or remove it.")
    document = {"schema": SCHEMA, "method": split.method, "seed": split.seed, "parts": split.parts}
    return write_text_atomically(json.dumps(document, indent=1) + "\n", path)


def load_split(data: Subjects, name: str) -> Split:
    """Load a split that was saved with a data set.

    Raises:
        InputError: there is none of that name, or it does not fit the data set.
        UsageError: the name is none.
    """
    path = _path(data, name)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        parts = {part: list(document["parts"][part]) for part in PARTS}
        split = Split(document["method"], int(document["seed"]), parts)
    except OSError as error:
        raise InputError(
            f"There is no split {name!r} in {data.folder}; make it with 'osteoscreen dataset split'."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no split: {error}.") from error
    known = {subject.subject for subject in data.subjects}
    unknown = [item for names in split.parts.values() for item in names if item not in known]
    if unknown:
        raise InputError(f"{path} names {unknown[0]}, who is not in the data set; make the split again.")
    twice = _named_twice(split)
    if twice:
        raise InputError(f"{path} names {twice[0]} more than once; make the split again.")
    return split


def _named_twice(split: Split) -> list[str]:
    counts = Counter(name for names in split.parts.values() for name in names)
    return sorted(name for name, count in counts.items() if count > 1)


def _path(data: Subjects, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(f"A split cannot be called {name!r}; use letters, digits, dots, dashes and underscores.")
    return data.folder / FOLDER / f"{name}.json"


def leaks(data: DataSet, split: Split, hashes: Mapping[str, str | None] | None = None) -> list[str]:
    """Return in words what ties subjects of different parts together; nothing where the split is clean.

    Looked for: a subject in two parts, one series under two names, and slices with the same pixels. ``hashes`` of the
    pixels by "subject level" are found here where they are not given.
    """
    found = [f"{name} is in more than one part" for name in _named_twice(split)]
    part_of = split.part_of()
    series = {name: data.subject(name).series_uid for name in part_of}
    found += _shared(series, part_of, "the same series")
    if hashes is None:
        hashes = _pixel_hashes(data, list(part_of))
    of_parts = {mark: value for mark, value in hashes.items() if mark.split(" ")[0] in part_of}
    found += _shared(of_parts, part_of, "a slice with the same pixels")
    return found


def _pixel_hashes(data: DataSet, names: Sequence[str]) -> dict[str, str | None]:
    """Return a hash of the pixels of every (subject, level), by "subject level"."""
    hashes: dict[str, str | None] = {}
    for name in names:
        for level in LEVELS:
            if data.has_slice(name, level):
                image = data.slices.read([data.slice_index(name, level)])[0][0]
                hashes[f"{name} {level}"] = hashlib.sha256(image.tobytes()).hexdigest()
    return hashes


def _shared(marks: Mapping[str, str | None], part_of: Mapping[str, Part], what: str) -> list[str]:
    first: dict[str, str] = {}
    found = []
    for name, mark in marks.items():
        if mark is None:
            continue
        other = first.setdefault(mark, name)
        one, two = (part_of[text.split(" ")[0]] for text in (other, name))
        if one != two:
            found.append(f"{other} ({one}) and {name} ({two}) have {what}")
    return found


def sizes(split: Split, data: Subjects) -> dict[Part, dict[str, int]]:
    """Return the number of subjects of each class in each part."""
    table: dict[Part, dict[str, int]] = {}
    for part in PARTS:
        statuses = [bone_status(data.subject(name)) for name in split.parts[part]]
        table[part] = {status: statuses.count(k) for k, status in enumerate(BONE_STATUSES)}
    return table
