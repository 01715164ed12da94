"""What the checks look at: the manifest, the slices and their measures, the files behind them, and the splits."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from OsteoScreenLib.errors import InputError, OsteoScreenError
from OsteoScreenLib.progress import Progress

from ...parallel import in_order
from ..folder import LEVELS, SLICES, DataSet
from ..manifest import MANIFEST, ManifestRow, Subject, read_rows
from ..masks import mask_paths
from ..slices import HEADER as SLICES_HEADER
from ..sources import CELLS, SliceSource, fingerprint, read_sources
from ..splits import FOLDER as SPLITS
from ..splits import Split, load_split
from .inspecting import Inspection, inspect
from .measures import Picture, SliceMeasures, measure, picture


@dataclass(eq=False)
class Evidence:
    """All that is known of a data set.

    Attributes:
        rows: the manifest, line by line; ``subjects`` holds the first row of each name.
        data: the opened data set; None where it has not been built, or is damaged as ``damage`` says.
        measures: by (subject, level); of the slices that were built, else of those that would be.
        inspections: of subjects whose CT was opened, by name.
        changed: why the slices are no longer those of the manifest, by name; "" where the files cannot tell.
        sources: what the slices were cut from; None where that was not kept.
        splits: by name; ``broken_splits`` are the reasons why others cannot be used.
    """

    folder: Path
    today: datetime.date
    rows: list[ManifestRow]
    subjects: list[Subject]
    data: DataSet | None = None
    damage: str | None = None
    measures: dict[tuple[str, str], SliceMeasures] = field(default_factory=dict)
    inspections: dict[str, Inspection] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    sources: dict[str, SliceSource] | None = None
    splits: dict[str, Split] = field(default_factory=dict)
    broken_splits: list[str] = field(default_factory=list)

    @cached_property
    def damaged_cells(self) -> set[tuple[str, str | None]]:
        """(subject, column) of the cells that could not be understood; nothing further is said of those."""
        return {(row.subject.subject, problem.column) for row in self.rows for problem in row.problems}

    def says(self, name: str) -> dict[str, Any] | None:
        """Return what a subject's CT says of itself, by the manifest's columns, or None where it was not opened."""
        if name in self.inspections:
            return self.inspections[name].says
        return self.sources[name].says if self.sources and name in self.sources else None

    def picture(self, name: str, level: str) -> Picture:
        """Return the small picture of a level that has been measured."""
        if self.data is None or not self.data.has_slice(name, level):
            return self.inspections[name].pictures[level]
        index = self.data.slice_index(name, level)
        hu, coverage = (array[0] for array in self.data.slices.read([index]))
        return picture(hu, coverage, self.data.slices.records[index].pixel_mm)


def gather(folder: Path, today: datetime.date, workers: int, progress: Progress) -> Evidence:
    """Read a data set; raises InputError where its manifest cannot be read at all."""
    rows = read_rows(folder / MANIFEST)
    if not rows:
        raise InputError(f"The manifest {folder / MANIFEST} names no subject; write a line for each.")
    subjects = {row.subject.subject: row.subject for row in reversed(rows)}
    evidence = Evidence(folder, today, rows, [subjects[row.subject.subject] for row in _first_rows(rows)])
    _open(evidence)
    _compare_sources(evidence)
    _measure_slices(evidence, progress)
    _inspect(evidence, workers, progress)
    _read_splits(evidence)
    return evidence


def _first_rows(rows: list[ManifestRow]) -> Iterator[ManifestRow]:
    seen = set()
    for row in rows:
        if row.subject.subject not in seen:
            seen.add(row.subject.subject)
            yield row


def _open(evidence: Evidence) -> None:
    if not (evidence.folder / SLICES / SLICES_HEADER).exists():
        return
    try:
        evidence.data = DataSet(evidence.folder, evidence.subjects)
        evidence.sources = read_sources(evidence.folder / SLICES)
    except InputError as error:
        evidence.data, evidence.damage = None, str(error)


def _compare_sources(evidence: Evidence) -> None:
    for subject in evidence.subjects:
        source = (evidence.sources or {}).get(subject.subject)
        if source is not None:
            reason = _change(evidence.folder, subject, source)
            if reason is not None:
                evidence.changed[subject.subject] = reason


def _change(folder: Path, subject: Subject, source: SliceSource) -> str | None:
    """Return what differs from when the slices were cut; "" where a file is gone, None where nothing does."""
    cells = [name for name in CELLS if getattr(subject, name) != source.cells.get(name)]
    if cells:
        return f"{', '.join(cells)} in {MANIFEST}"
    try:
        if fingerprint([folder / (subject.ct or "")]) != source.ct:
            return "the CT's files"
        return "the outlines" if fingerprint(mask_paths(folder, subject.masks or "")) != source.masks else None
    except InputError:
        return ""


def _measure_slices(evidence: Evidence, progress: Progress) -> None:
    data = evidence.data
    if data is None:
        return
    for index, record in enumerate(data.slices.records):
        hu, coverage = (array[0] for array in data.slices.read([index]))
        found = measure(record.subject, record.values.get("level", ""), hu, coverage, record.pixel_mm)
        if found is not None:
            evidence.measures[found.subject, found.level] = found
        progress("Measuring the slices", index + 1, len(data.slices))


def _inspect(evidence: Evidence, workers: int, progress: Progress) -> None:
    wanted = [subject for subject in evidence.subjects if _needs_inspection(evidence, subject)]
    for done, seen in enumerate(in_order(partial(inspect, evidence.folder), wanted, min(workers, len(wanted))), 1):
        evidence.inspections[seen.subject.subject] = seen
        for level, found in seen.measures.items():
            evidence.measures.setdefault((seen.subject.subject, level), found)
        progress("Opening the CT", done, len(wanted))


def _needs_inspection(evidence: Evidence, subject: Subject) -> bool:
    """Whether a subject's files may hold what has not been seen: those of slices built from them do not."""
    if subject.ct is None:
        return False
    data = evidence.data
    built = data is not None and all(data.has_slice(subject.subject, level) for level in LEVELS)
    return not built or bool(evidence.changed.get(subject.subject))


def _read_splits(evidence: Evidence) -> None:
    if evidence.data is None:
        return
    for path in sorted((evidence.folder / SPLITS).glob("*.json")):
        try:
            evidence.splits[path.stem] = load_split(evidence.data, path.stem)
        except OsteoScreenError as error:
            evidence.broken_splits.append(str(error))
