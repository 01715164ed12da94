"""The TotalSegmentator CT data set: one file per class, or one label map.

Layout (Zenodo 10.5281/zenodo.6802613): ``s0000/ct.nii.gz``, ``s0000/segmentations/vertebrae_L1.nii.gz`` and so on, and
``meta.csv``, separated by semicolons, with image_id, age, gender, institute, study_type, split and, from version 2 on,
manufacturer, scanner_model, kvp, pathology and pathology_location. A scan folder may hold a label map in the place of
``segmentations``, as ``TotalSegmentator --ml`` writes it, in the numbering of version 1 or 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from OsteoScreenLib.errors import InputError, UsageError

from ..cases import SUFFIXES, Collection, FoundCases, PublicCase, files_below, stem
from ..tables import manifest_cells, read_table
from .registry import importer

if TYPE_CHECKING:
    from ...splits import Part
    from ..labels import LabelSource

COLLECTION = Collection(
    name="TotalSegmentator CT",
    licence="CC BY 4.0",
    licence_url="https://creativecommons.org/licenses/by/4.0/",
    home="https://doi.org/10.5281/zenodo.6802613",
    citations=(
        "Wasserthal J et al., TotalSegmentator: Robust Segmentation of 104 Anatomic Structures in CT Images, "
        "Radiology: Artificial Intelligence 2023, doi:10.1148/ryai.230024",
    ),
    notes="Resampled to 1.5 mm by its makers; no reference BMD; many scans with contrast medium.",
)
_CLASS = re.compile(r"vertebrae_([CTL]\d{1,2})", re.IGNORECASE)
#: What a label map of all vertebrae is called, in the order of preference.
_LABEL_MAPS = (
    "vertebrae", "vertebrae_label", "segmentations", "segmentation", "total", "labels", "label", "seg",
    "combined_labels",
)  # fmt: skip
_PARTS: dict[str, Part] = {"train": "training", "val": "validation", "test": "test"}

NumberingChoice = Literal["auto", "v1", "v2"]


@importer(
    "totalsegmentator",
    "centre slices and outlines from the TotalSegmentator data set, or from its results",
    metadata={"type": Path, "metavar": "FILE", "help": "a table in the place of FOLDER/meta.csv"},
    labels={"metavar": "NAME", "help": "the label map's name in each scan's folder"},
    numbering={
        "choices": get_args(NumberingChoice),
        "default": "auto",
        "help": "of the label map; auto is by its own table or by where the labels lie (default: %(default)s)",
    },
)
def find_totalsegmentator(
    folder: Path, *, labels: str | None = None, numbering: NumberingChoice = "auto", metadata: Path | None = None
) -> FoundCases:
    """Find the scans below a folder: every folder with a ``ct.nii.gz``, or the folder itself.

    ``labels`` is the name of the label map in each scan's folder, where there is one in the place of
    ``segmentations``; ``numbering`` that of its labels ("auto": by its label table, or by where the labels lie).

    Raises:
        UsageError: there is no such folder or table.
        InputError: ``meta.csv`` cannot be read.
    """
    table = read_table(metadata) if metadata else _meta(folder)
    cases, problems = [], {}
    for ct in [file for file in files_below(folder) if file.name in ("ct.nii.gz", "ct.nii")]:
        name = ct.parent.name if ct.parent != folder else folder.resolve().name
        try:
            source = _labels(ct.parent, labels, numbering)
        except (InputError, UsageError) as problem:
            problems[name] = str(problem)
            continue
        row = table.get(name, {})
        cases.append(
            PublicCase(
                name=name,
                subject=name,
                ct=ct,
                labels=source,
                cells=_cells(row, name),
                part=_PARTS.get(row.get("split", "")),
                notes=_notes(row),
            )
        )
    return FoundCases(COLLECTION, tuple(cases), problems)


def _meta(folder: Path) -> dict[str, dict[str, str]]:
    path = next((place / "meta.csv" for place in (folder, folder.parent) if (place / "meta.csv").is_file()), None)
    return read_table(path) if path else {}


def _labels(folder: Path, name: str | None, numbering: NumberingChoice) -> LabelSource:
    if name is not None:
        path = folder / name
        if not path.is_file():
            raise UsageError(f"{folder.name} has no {name}.")
        return _label_map(path, numbering)
    files = [file for place in (folder / "segmentations", folder) for file in _volumes(place)]
    classes = {match[1].upper(): file for file in files if (match := _CLASS.fullmatch(stem(file.name)))}
    if classes:
        from ..labels import FilePerVertebra

        return FilePerVertebra(classes)
    maps = {stem(file.name): file for file in reversed(files) if stem(file.name) != "ct"}
    known = next((maps[stem_] for stem_ in _LABEL_MAPS if stem_ in maps), None)
    if known is None and len(maps) == 1:
        known = next(iter(maps.values()))
    if known is None:
        raise InputError(
            f"{folder.name} has neither segmentations/vertebrae_L1.nii.gz nor one label map beside ct.nii.gz; unpack "
            "it again, or name the label map with --labels."
        )
    return _label_map(known, numbering)


def _label_map(path: Path, numbering: NumberingChoice) -> LabelSource:
    from ..labels import TOTALSEGMENTATOR, GuessedFile, NumberedFile

    return GuessedFile(path) if numbering == "auto" else NumberedFile(path, TOTALSEGMENTATOR[numbering])


def _volumes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [f for f in sorted(folder.iterdir()) if f.name.lower().endswith(SUFFIXES) and not f.name.startswith(".")]


def _cells(row: dict[str, str], name: str) -> Mapping[str, Any]:
    return manifest_cells(row, f"meta.csv, {name}") if row else {}


def _notes(row: Mapping[str, str]) -> tuple[str, ...]:
    said = {"study_type": "The study is", "pathology": "Its meta.csv names the pathology"}
    return tuple(
        f"{words}: {row[column]}."
        for column, words in said.items()
        if row.get(column) and not row[column].lower().startswith("no")
    )
