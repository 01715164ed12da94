"""The tables of an imported data set: manifest, report, licence and splits."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from OsteoScreenLib.results_io import write_text_atomically

from ..folder import LEVELS
from ..inclusion import KVP, LEAST_AGE_YEARS
from ..manifest import MANIFEST, Subject, write_manifest
from ..masks import MASKS
from ..splits import FOLDER as SPLITS
from ..splits import PARTS, SCHEMA
from .cases import FoundCases
from .results import GENERATOR, CaseResult, ImportOptions

REPORT, SOURCES = "import.csv", "sources.json"
_REPORT_COLUMNS = (
    "scan", "subject", "level", "outcome", "reason", "z_mm", "area_mm2", "mean_hu", "outline_mean_hu", "inset_mm",
    "walled", "height_mm", "aorta", "part", "notes",
)  # fmt: skip


@dataclass(frozen=True)
class ImportReport:
    """What an import made.

    Attributes:
        subjects: rows of the manifest; ``complete`` of them have both levels.
        rejected: how many levels were rejected, by reason without its numbers.
        problems: scans that could not be used at all, by name.
        splits: the split files.
    """

    subjects: int
    complete: int
    rejected: Mapping[str, int]
    problems: Mapping[str, str]
    splits: tuple[Path, ...] = field(default=())


def one_per_subject(results: Sequence[CaseResult]) -> list[CaseResult]:
    """Return each subject's scan with the most outlined levels, the first of equals: a manifest has one of each."""
    best: dict[str, CaseResult] = {}
    for result in results:
        if result.subject not in best or result.accepted > best[result.subject].accepted:
            best[result.subject] = result
    return list(best.values())


def write_data_set(
    found: FoundCases,
    results: Sequence[CaseResult],
    chosen: Sequence[CaseResult],
    dataset: Path,
    options: ImportOptions,
) -> ImportReport:
    """Write the tables of a data set whose outlines are written; ``chosen`` of the ``results`` make its manifest.

    Raises:
        OSError, OsteoScreenError: it cannot be written to.
    """
    kept = {result.name for result in chosen}
    for result in results:
        if result.name not in kept:
            _drop(result, dataset)
    rows = [row if r.name in kept else _superseded(row) for r in results for row in r.levels]
    _write_report(rows, found.problems, dataset / REPORT)
    splits = _write_splits(chosen, dataset) if options.keep_split else ()
    _write_sources(found, options, len(results), dataset / SOURCES)
    write_manifest([Subject(**result.cells) for result in chosen], dataset / MANIFEST)
    rejected = Counter(_without_numbers(row) for row in rows if row["outcome"] == "rejected")
    complete = sum(result.accepted == len(LEVELS) for result in chosen)
    return ImportReport(len(chosen), complete, dict(rejected.most_common()), dict(found.problems), splits)


def _drop(result: CaseResult, dataset: Path) -> None:
    """Remove what was written of a scan that is not used."""
    (dataset / MASKS / f"{result.name}.seg.nrrd").unlink(missing_ok=True)


def _superseded(row: dict[str, Any]) -> dict[str, Any]:
    if row["outcome"] == "rejected":
        return row
    return {**row, "outcome": "rejected", "reason": "Another series of the same subject is used."}


def _without_numbers(row: Mapping[str, Any]) -> str:
    """A reason as it is counted: the level and numbers left out, so that alike ones add up."""
    words = str(row["reason"]).replace(str(row["scan"]), "SCAN").replace(str(row["level"]), "the level").split(";")[0]
    return re.sub(r"\d+", "#", words)


def _write_report(rows: Sequence[Mapping[str, Any]], problems: Mapping[str, str], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, _REPORT_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    writer.writerows({"scan": name, "outcome": "rejected", "reason": reason} for name, reason in problems.items())
    write_text_atomically(text.getvalue(), path)


def _write_splits(chosen: Sequence[CaseResult], dataset: Path) -> tuple[Path, ...]:
    """Write the collection's split of those with both levels, and of those of them that a classifier can learn from."""
    complete = [result for result in chosen if result.accepted == len(LEVELS) and result.part]
    with_bmd = [result for result in complete if _classifiable(Subject(**result.cells))]
    paths = []
    for name, results in (("public", complete), ("public-bmd", with_bmd)):
        if not results:
            continue
        parts = {part: [result.subject for result in results if result.part == part] for part in PARTS}
        document = {"schema": SCHEMA, "method": "public", "seed": 0, "parts": parts}
        paths.append(write_text_atomically(json.dumps(document, indent=1) + "\n", dataset / SPLITS / f"{name}.json"))
    return tuple(paths)


def _classifiable(subject: Subject) -> bool:
    adult = subject.age_years is not None and subject.age_years >= LEAST_AGE_YEARS
    return adult and subject.kvp == KVP and subject.bmd is not None and not subject.findings


def _write_sources(found: FoundCases, options: ImportOptions, scans: int, path: Path) -> None:
    document = {
        "collection": asdict(found.collection),
        "generator": GENERATOR,
        "scans": scans,
        "options": {"keep_split": options.keep_split, "kvp": options.kvp, "bmd_from_hu": options.bmd_from_hu},
        "masks": (
            "Made from the collection's vertebra labels and the HU of its CT, and so under its licence: the trabecular "
            "compartment (inner edge of the cortex, pedicle bases closed) on the centre slices of L1 and L2."
        ),
        "ct": "Named by their paths, and left as they are; under their licence.",
    }
    write_text_atomically(json.dumps(document, indent=2, ensure_ascii=False) + "\n", path)
