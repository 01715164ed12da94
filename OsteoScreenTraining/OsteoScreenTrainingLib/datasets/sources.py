"""What the slices of a data set were cut from, kept beside them, so that later changes are noticed.

``slices/sources.json`` (schema ``osteoscreen-slice-sources/1``) holds for each subject the cells of the manifest that
say where to cut, a fingerprint of the CT's and of the outlines' files, and what the CT says of itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from OsteoScreenLib.ct import CT
from OsteoScreenLib.errors import InputError, system_reason
from OsteoScreenLib.results_io import write_text_atomically

from .manifest import Subject
from .masks import mask_paths

SCHEMA, FILE = "osteoscreen-slice-sources/1", "sources.json"
#: Cells that decide what is cut.
CELLS = ("ct", "masks", "l1_z_mm", "l2_z_mm")
#: Files up to this size are read whole; of larger ones, the size and both ends.
_WHOLE_BYTES, _END_BYTES = 32 << 20, 1 << 20


@dataclass(frozen=True)
class SliceSource:
    """Where a subject's slices come from.

    Attributes:
        cells: the manifest's :data:`CELLS`.
        ct, masks: fingerprints of the files.
        says: what the CT says of itself: age_years, sex, kvp, study_date, series_uid; None where it does not.
    """

    cells: dict[str, Any]
    ct: str
    masks: str
    says: dict[str, Any]


def source_of(folder: Path, subject: Subject, ct: CT) -> SliceSource:
    """Return where a subject's slices come from.

    Raises:
        InputError: a file can no longer be read.
    """
    cells = {name: getattr(subject, name) for name in CELLS}
    masks = fingerprint(mask_paths(folder, subject.masks or ""))
    return SliceSource(cells, fingerprint([folder / (subject.ct or "")]), masks, what_it_says(ct))


def what_it_says(ct: CT) -> dict[str, Any]:
    """Return what a CT says of the patient and the scan, by the manifest's columns."""
    said = ct.acquisition
    return {
        "age_years": said.age_years,
        "sex": said.sex,
        "kvp": said.kvp,
        "study_date": None if said.study_date is None else said.study_date.isoformat(),
        "series_uid": ct.series_instance_uid,
    }


def fingerprint(paths: Sequence[Path]) -> str:
    """Return a hash of files: of their content, or of the names and sizes in a folder, and of a large file's ends.

    Raises:
        InputError: one cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(_folder(path) if path.is_dir() else _file(path))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {system_reason(error)}.") from error
    return digest.hexdigest()


def _folder(path: Path) -> bytes:
    files = sorted((file.relative_to(path).as_posix(), file.stat().st_size) for file in path.rglob("*"))
    return hashlib.sha256(json.dumps(files).encode()).digest()


def _file(path: Path) -> bytes:
    size = path.stat().st_size
    with open(path, "rb") as file:
        if size <= _WHOLE_BYTES:
            return hashlib.sha256(file.read()).digest()
        digest = hashlib.sha256(str(size).encode() + file.read(_END_BYTES))
        file.seek(-_END_BYTES, 2)
        digest.update(file.read())
    return digest.digest()


def sources_text(sources: Mapping[str, SliceSource]) -> str:
    """Return what ``sources.json`` holds."""
    document = {"schema": SCHEMA, "subjects": {name: asdict(source) for name, source in sources.items()}}
    return json.dumps(document, indent=1) + "\n"


def write_sources(folder: Path, text: str) -> None:
    """Write ``sources.json`` into the folder of the slices, whole or not at all."""
    write_text_atomically(text, folder / FILE)


def read_sources(folder: Path) -> dict[str, SliceSource] | None:
    """Read the sources of the slices in ``folder``; ``None`` where nothing was kept (a simulation, an older build).

    Raises:
        InputError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"the schema {document['schema']!r}")
        return {name: SliceSource(**source) for name, source in document["subjects"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}); remove the folder {folder.name} and build again.") from error
