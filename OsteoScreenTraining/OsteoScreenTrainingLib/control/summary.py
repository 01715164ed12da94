"""What a data set holds, finished or not, as a panel shows it."""

from __future__ import annotations

import csv
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from OsteoScreenLib.densitometry.bmd import qct_category
from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.results import BONE_STATUSES

from ..datasets.folder import HEADER, SLICES, read_header
from ..datasets.inclusion import REASONS, exclusion
from ..datasets.manifest import Subject
from ..datasets.manifest_text import ManifestText
from ..datasets.masks import mask_paths
from ..datasets.slices import HEADER as SLICES_HEADER
from ..datasets.splits import FOLDER as SPLITS
from ..datasets.splits import Part, load_split, sizes

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class SubjectSummary:
    """One subject.

    Attributes:
        subject: the name.
        ct: where the manifest says it is, None where it says nothing; ``has_ct``: whether something is there.
        masks: likewise, the files of its outlines; ``has_masks``: whether there are some and all are there.
        l1_z_mm, l2_z_mm: centre slices, RAS S in mm, or None.
        bmd: the individual's reference BMD, mg/cm3, or None; ``status`` is its class, "normal", ….
        exclusion: why the subject does not take part, in words, or None.
    """

    subject: str
    ct: Path | None
    has_ct: bool
    masks: tuple[Path, ...]
    has_masks: bool
    l1_z_mm: float | None
    l2_z_mm: float | None
    bmd: float | None
    status: str | None
    exclusion: str | None


@dataclass(frozen=True)
class SplitSummary:
    """A split that is saved with the data set: subjects of each class in each part, or why it cannot be used."""

    name: str
    method: str
    counts: Mapping[Part, Mapping[str, int]]
    problem: str = ""


@dataclass(frozen=True)
class DataSetSummary:
    """What a data set holds.

    Attributes:
        folder: where it is.
        kind: "simulated" or "real"; "" before its slices are built.
        subjects: in the order of the manifest.
        included: how many take part; ``excluded`` counts the others by reason.
        columns, rows: a table like the paper's Table 1, cells of text: all included and each class.
        bmd: reference BMD of the included, mg/cm3, by class.
        splits: those saved with it, by name.
        built: whether the slices are built; ``slices`` is their number.
    """

    folder: Path
    kind: str
    subjects: tuple[SubjectSummary, ...]
    included: int
    excluded: Mapping[str, int]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bmd: Mapping[str, tuple[float, ...]]
    splits: tuple[SplitSummary, ...]
    built: bool
    slices: int


def summarise(folder: PathLike) -> DataSetSummary:
    """Return what the data set in ``folder`` holds; subjects.csv is all that has to be there.

    Before the slices are built, a subject with a CT, masks and both levels counts as one that has them.

    Raises:
        InputError: subjects.csv cannot be read, or a number in it is none; the sentence says where.
    """
    found = _Found(Path(folder))
    excluded = {subject.subject: exclusion(subject, found) for subject in found.subjects}
    included = [subject for subject in found.subjects if excluded[subject.subject] is None]
    reasons = list(excluded.values())
    columns, rows = _table(included)
    return DataSetSummary(
        folder=found.folder,
        kind=found.kind,
        subjects=tuple(_subject(found, subject, excluded[subject.subject]) for subject in found.subjects),
        included=len(included),
        excluded={reason: reasons.count(reason) for reason in REASONS if reason in reasons},
        columns=columns,
        rows=rows,
        bmd={status: tuple(_bmd(_of(included, status))) for status in BONE_STATUSES},
        splits=tuple(_splits(found)),
        built=found.built,
        slices=sum(map(len, found.cut.values())),
    )


class _Found:
    """The :class:`..datasets.folder.Subjects` of a data set that need not be finished, and what else there is of it."""

    def __init__(self, folder: Path):
        self.folder = folder.absolute()
        self.subjects = ManifestText.read(self.folder).subjects()
        self._by_name = {subject.subject: subject for subject in self.subjects}
        self.built = (self.folder / SLICES / SLICES_HEADER).is_file()
        self.cut = _cut_levels(self.folder / SLICES / "slices.csv") if self.built else {}
        self.kind = ""
        if (self.folder / HEADER).is_file():
            self.kind = read_header(self.folder).kind

    def subject(self, name: str) -> Subject:
        return self._by_name[name]

    def masks(self, subject: Subject) -> tuple[Path, ...]:
        return tuple(mask_paths(self.folder, subject.masks or ""))

    def has_masks(self, subject: Subject) -> bool:
        paths = self.masks(subject)
        return bool(paths) and all(path.exists() for path in paths)

    def has_ct(self, subject: Subject) -> bool:
        return subject.ct is not None and (self.folder / subject.ct).exists()

    def has_slice(self, name: str, level: str) -> bool:
        if self.built:
            return level in self.cut.get(name, ())
        subject = self.subject(name)
        return self.has_ct(subject) and self.has_masks(subject)


def _cut_levels(path: Path) -> dict[str, set[str]]:
    """Return the levels that have a slice, by subject; nothing where the table cannot be read."""
    found: dict[str, set[str]] = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["subject"], set()).add(row["level"])
    except (OSError, KeyError, UnicodeDecodeError, csv.Error):
        return {}
    return found


def _subject(found: _Found, subject: Subject, excluded: str | None) -> SubjectSummary:
    return SubjectSummary(
        subject=subject.subject,
        ct=None if subject.ct is None else found.folder / subject.ct,
        has_ct=found.has_ct(subject),
        masks=found.masks(subject),
        has_masks=found.has_masks(subject),
        l1_z_mm=subject.l1_z_mm,
        l2_z_mm=subject.l2_z_mm,
        bmd=subject.bmd,
        status=_status(subject),
        exclusion=excluded,
    )


def _splits(found: _Found) -> list[SplitSummary]:
    summaries = []
    for path in sorted((found.folder / SPLITS).glob("*.json")):
        try:
            split = load_split(found, path.stem)
            summaries.append(SplitSummary(path.stem, split.method, sizes(split, found)))
        except OsteoScreenError as error:
            summaries.append(SplitSummary(path.stem, "", {}, str(error)))
    return summaries


# -- the table


def _table(included: Sequence[Subject]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    groups = [included, *(_of(included, status) for status in BONE_STATUSES)]
    total = len(included)

    def row(words: str, cell: Callable[[Sequence[Subject]], str]) -> tuple[str, ...]:
        return (words, *(cell(group) for group in groups))

    rows = (
        ("subjects", *(_share(len(group), total) for group in groups)),
        row("women", lambda group: _share(sum(subject.sex == "F" for subject in group), len(group))),
        row("men", lambda group: _share(sum(subject.sex == "M" for subject in group), len(group))),
        row("age, years", lambda group: _mean_sd([s.age_years for s in group])),
        row("BMD of L1, mg/cm³", lambda group: _mean_sd([s.bmd_l1 for s in group])),
        row("BMD of L2, mg/cm³", lambda group: _mean_sd([s.bmd_l2 for s in group])),
        row("BMD, mg/cm³", lambda group: _mean_sd([s.bmd for s in group])),
    )
    return ("", "all", *BONE_STATUSES), rows


def _of(subjects: Sequence[Subject], status: str) -> list[Subject]:
    return [subject for subject in subjects if _status(subject) == status]


def _status(subject: Subject) -> str | None:
    return None if subject.bmd is None else qct_category(subject.bmd)


def _bmd(subjects: Sequence[Subject]) -> list[float]:
    return [subject.bmd for subject in subjects if subject.bmd is not None]


def _share(count: int, of: int) -> str:
    return f"{count} ({100 * count / of:.1f} %)" if of else "0"


def _mean_sd(given: Sequence[float | None]) -> str:
    """Return mean ± SD (n - 1) of what is known, and of how many where that is not all."""
    values = [value for value in given if value is not None]
    if not values:
        return "–"
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    known = f" (of {len(values)})" if len(values) < len(given) else ""
    return f"{statistics.fmean(values):.1f}{spread}{known}"
