"""Make a data set from the scans of a public collection: centre slices, outlines, and what the collection says.

    subjects.csv       the manifest, written last: a folder without it is unfinished; it names the CT by their paths
    masks/NAME.seg.nrrd  the trabecular compartments of L1 and L2
    import.csv         every level of every scan: accepted or rejected, why, and its measures
    sources.json       the collection, its licence, and how the data set was made
    splits/public.json the collection's own split, where it is kept; splits/public-bmd.json of those with a reference

An import that was stopped goes on where it was: what is done lies in ``.import`` until the end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from OsteoScreenLib.ct import CT, open_ct
from OsteoScreenLib.densitometry.calibration import NOMINAL_INTERCEPT, NOMINAL_SLOPE
from OsteoScreenLib.errors import InputError, OsteoScreenError, UsageError, system_reason
from OsteoScreenLib.progress import Progress, silent
from OsteoScreenLib.results_io import write_text_atomically

from ...parallel import in_order
from ..folder import HEADER, LEVELS, SLICES
from ..manifest import MANIFEST
from ..masks import write_masks
from ..slice_images import relative_path
from .cases import FoundCases, PublicCase
from .centroids import misplaced
from .labels import Vertebrae
from .outlining import OutlinedLevel, outline_levels
from .results import GENERATOR, CaseResult, ImportOptions
from .writing import ImportReport, one_per_subject, write_data_set

STAGING = ".import"
BMD_FROM_HU = "this scan's own HU by the nominal line; no reference measurement"


def import_cases(found: FoundCases, dataset: Path, options: ImportOptions, progress: Progress = silent) -> ImportReport:
    """Make a data set of a collection's scans.

    Raises:
        UsageError: there is a data set already, or the options make no sense.
        InputError: there is no scan, none gives an outline, or the folder cannot be written to.
    """
    _check(found, dataset, options)
    cases = found.cases[: options.most] if options.most else found.cases
    try:
        (dataset / STAGING).mkdir(parents=True, exist_ok=True)
        results = list(_results(cases, dataset, options, progress))
        chosen = one_per_subject(results)
        if not any(result.accepted for result in chosen):
            raise InputError(f"No level of {len(cases)} scans could be outlined; the first reason: {_first(results)}")
        report = write_data_set(found, results, chosen, dataset, options)
        shutil.rmtree(dataset / STAGING, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{dataset} cannot be written to: {system_reason(error)}.") from error
    return report


def _check(found: FoundCases, dataset: Path, options: ImportOptions) -> None:
    if any((dataset / name).exists() for name in (MANIFEST, HEADER, SLICES)):
        raise UsageError(f"{dataset} holds a data set already; name a new folder with -o.")
    if options.kvp is not None and not 40 <= options.kvp <= 200:
        raise UsageError("--kvp takes a tube voltage from 40 to 200 kV.")
    if options.workers < 1 or options.most < 0:
        raise UsageError("--workers takes 1 or more, and --most 0 or more.")
    if not found.cases:
        why = next(iter(found.problems.values()), None)
        raise InputError(
            f"No scan of {found.collection.name} was found there" + (f"; the first reason: {why}" if why else ".")
        )


def _first(results: Sequence[CaseResult]) -> str:
    return next(row["reason"] for result in results for row in result.levels if row["reason"])


# -- the scans


def _results(
    cases: Sequence[PublicCase], dataset: Path, options: ImportOptions, progress: Progress
) -> Iterator[CaseResult]:
    """Yield what became of every scan, in order; those that an earlier call finished are read back."""
    done = {case.name: result for case in cases if (result := _read_back(case, dataset, options)) is not None}
    waiting = [case for case in cases if case.name not in done]
    jobs = [(case, dataset, options) for case in waiting]
    made = in_order(_import_job, jobs, min(options.workers, len(jobs)))
    for number, case in enumerate(cases, 1):
        yield done[case.name] if case.name in done else next(made)
        progress("Outlining the scans", number, len(cases))


def _import_job(job: tuple[PublicCase, Path, ImportOptions]) -> CaseResult:
    case, dataset, options = job
    result = import_case(case, dataset, options)
    document = {"options": _options_that_matter(options), **asdict(result)}
    write_text_atomically(json.dumps(document) + "\n", dataset / STAGING / f"{case.name}.json")
    return result


def _options_that_matter(options: ImportOptions) -> dict[str, Any]:
    return {"generator": GENERATOR, "kvp": options.kvp, "bmd_from_hu": options.bmd_from_hu}


def _read_back(case: PublicCase, dataset: Path, options: ImportOptions) -> CaseResult | None:
    path = dataset / STAGING / f"{case.name}.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("options") != _options_that_matter(options):
            return None
        return CaseResult(**document)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def import_case(case: PublicCase, dataset: Path, options: ImportOptions) -> CaseResult:
    """Outline one scan and write its outlines; whatever is wrong with it is a reason in the result.

    Raises:
        OSError, OsteoScreenError: the data set cannot be written to.
    """
    try:
        ct = open_ct(case.ct)
        vertebrae = case.labels.read(LEVELS)
        # A CT that is damaged shows itself here, and not as a reason of a level.
        ct.slice(0)
        astray = misplaced(case.centroids, vertebrae.masks) if case.centroids else {}
    except OsteoScreenError as problem:
        return _unusable(case, str(problem))
    masks = {name: mask for name, mask in vertebrae.masks.items() if name not in astray}
    levels = outline_levels(ct, masks, LEVELS)
    levels |= {name: OutlinedLevel(name, reason) for name, reason in astray.items()}
    cells = _cells(case, ct, levels, dataset, options)
    notes = [*case.notes, *_anatomy(vertebrae)]
    return CaseResult(case.name, case.subject, case.part, cells, [_row(case, levels[n], notes) for n in LEVELS])


def _unusable(case: PublicCase, reason: str) -> CaseResult:
    levels = {name: OutlinedLevel(name, reason) for name in LEVELS}
    return CaseResult(
        case.name, case.subject, case.part, {"subject": case.subject, **case.cells},
        [_row(case, levels[name], case.notes) for name in LEVELS],
    )  # fmt: skip


def _anatomy(vertebrae: Vertebrae) -> list[str]:
    """Transitional vertebrae make L1 and L2 uncertain, or at least worth a look."""
    notes = []
    if "T13" in vertebrae.labelled:
        notes.append("A 13th thoracic vertebra is labelled above L1.")
    if "L6" in vertebrae.labelled:
        notes.append("A 6th lumbar vertebra is labelled.")
    if {"T11", "L1"} <= vertebrae.labelled and "T12" not in vertebrae.labelled:
        notes.append("There is no T12 between T11 and L1: eleven thoracic vertebrae, or a vertebra without a label.")
    return notes


def _cells(
    case: PublicCase, ct: CT, levels: Mapping[str, OutlinedLevel], dataset: Path, options: ImportOptions
) -> dict[str, Any]:
    cells: dict[str, Any] = {"subject": case.subject, **case.cells}
    if options.kvp is not None:
        cells.setdefault("kvp", options.kvp)
    for name, column in (("L1", "l1_z_mm"), ("L2", "l2_z_mm")):
        level = levels[name].level
        if level is not None:
            cells[column] = round(level.z_mm, 3)
    accepted = {name: found for name, found in levels.items() if found.mask is not None}
    if not accepted:
        return cells
    masks = {
        name: (found.level.slice_index, found.mask)
        for name, found in accepted.items()
        if found.level is not None and found.mask is not None
    }
    cells["masks"] = write_masks(dataset, case.name, masks, ct.geometry).relative_to(dataset).as_posix()
    cells["ct"] = relative_path(case.ct, dataset)
    if options.bmd_from_hu:
        cells |= _bmd_from_hu(cells, accepted)
    return cells


def _bmd_from_hu(cells: Mapping[str, Any], accepted: Mapping[str, OutlinedLevel]) -> dict[str, Any]:
    if any(column.startswith("bmd") for column in cells) or len(accepted) < len(LEVELS):
        return {}
    if any(found.aorta == "refuse" for found in accepted.values()):
        return {}
    bmd = {
        f"bmd_{name.lower()}": round(NOMINAL_SLOPE * found.roi.mean_hu + NOMINAL_INTERCEPT, 2)
        for name, found in accepted.items()
        if found.roi is not None
    }
    return {**bmd, "mineral": "CaHA", "method": BMD_FROM_HU}


def _row(case: PublicCase, found: OutlinedLevel, notes: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "scan": case.name, "subject": case.subject, "level": found.name,
        "outcome": "rejected" if found.reason else "accepted", "reason": found.reason,
        "aorta": found.aorta, "part": case.part or "", "notes": " ".join([*notes, *found.notes]),
    }  # fmt: skip
    if found.level is not None:
        row["z_mm"] = round(found.level.z_mm, 3)
    if found.roi is not None and found.compartment is not None:
        row |= {
            "area_mm2": round(found.roi.outline_area_mm2, 1), "mean_hu": round(found.roi.mean_hu, 1),
            "outline_mean_hu": round(found.roi.outline_mean_hu, 1), "inset_mm": round(found.compartment.inset_mm, 2),
            "walled": round(found.compartment.walled, 2), "height_mm": round(found.height_mm or 0.0, 1),
        }  # fmt: skip
    return row
