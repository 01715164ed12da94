"""VerSe (2019 and 2020): spine CT with vertebra masks and centroids.

Layout, by the collection's own README (anjany/verse, README.md) and the OSF pages (osf.io/4skx2 and osf.io/b2wxj):

* *subject based structure*: ``<part>/rawdata/sub-verse000/sub-verse000_dir-ax_ct.nii.gz`` and
  ``<part>/derivatives/sub-verse000/sub-verse000_dir-ax_seg-vert_msk.nii.gz`` with ``…_seg-subreg_ctd.json``; the part
  is a folder such as ``01_training`` or ``dataset-verse20validation``, ``dir-…`` may be missing, and a patient's
  several series are told apart by ``_split-<value>``;
* *MICCAI challenge structure*: flat, ``verse000.nii.gz`` with ``verse000_seg.nii.gz`` (2019), or
  ``verse000_CT-ax.nii.gz`` with ``verse000_CT-ax_seg.nii.gz`` (2020). Its centroids are on a grid of their own and are
  not used.

Labels: 20 L1, 21 L2, 25 L6, 28 T13. Partly visible vertebrae are not labelled. The 2019 paper (Löffler 2020) says that
its metadata hold fracture grades and foreign material per level and an opportunistic lumbar BMD per patient; which
columns its tables have is not described where we could read it, so that a table is given by hand (``--metadata``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cases import Collection, FoundCases, PublicCase, files_below, nearest, stem
from ..tables import manifest_cells, read_table
from .registry import importer

if TYPE_CHECKING:
    from ...splits import Part

COLLECTION = Collection(
    name="VerSe",
    licence="CC BY-SA 4.0",
    licence_url="https://creativecommons.org/licenses/by-sa/4.0/",
    home="https://github.com/anjany/verse",
    citations=(
        "Sekuboyina A et al., VerSe: A Vertebrae Labelling and Segmentation Benchmark for Multi-detector CT Images, "
        "Medical Image Analysis 2021, doi:10.1016/j.media.2021.102166",
        "Löffler M et al., A Vertebral Segmentation Dataset with Fracture Grading, Radiology: Artificial Intelligence "
        "2020, doi:10.1148/ryai.2020190138",
        "Liebl H et al., A Computed Tomography Vertebral Segmentation Dataset with Anatomical Variations and "
        "Multi-Vendor Scanner Data, Scientific Data 2021, doi:10.1038/s41597-021-01060-0",
    ),
)
BMD_METHOD = "as VerSe's metadata have it (opportunistic, lumbar; Löffler 2020)"

_MASK = "_seg-vert_msk"
_CENTROIDS = "_seg-subreg_ctd.json"
_CHALLENGE = re.compile(r"(verse\d{2,4})(_CT-[a-z]+)?(_seg)?", re.IGNORECASE)
_PARTS: tuple[tuple[str, Part], ...] = (("train", "training"), ("val", "validation"), ("test", "test"))


@importer(
    "verse",
    "centre slices and outlines from VerSe's CT and masks",
    metadata={
        "type": Path,
        "metavar": "FILE",
        "help": "a CSV or TSV table of the subjects (default: participants.tsv in FOLDER, where it is)",
    },
)
def find_verse(folder: Path, metadata: Path | None = None) -> FoundCases:
    """Find the scans below a folder, whatever releases and parts of VerSe it holds.

    ``metadata`` is a table (CSV, TSV) of the subjects; without one a ``participants.tsv`` in the folder is read.

    Raises:
        UsageError: there is no such folder or table.
        InputError: the table cannot be read.
    """
    from ..labels import VERSE, NumberedFile

    files = list(files_below(folder))
    table = read_table(metadata) if metadata else _participants(folder)
    by_name: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        by_name[file.name].append(file)
    cases, problems = [], {}
    seen: set[str] = set()
    for mask in files:
        scan, ct_name = _scan(mask)
        if scan is None or scan in seen:
            continue
        seen.add(scan)
        found = by_name.get(f"{ct_name}.nii.gz", []) + by_name.get(f"{ct_name}.nii", [])
        if not found:
            problems[scan] = f"{mask.name} has no CT {ct_name}.nii.gz; unpack rawdata too."
            continue
        centroids = mask.with_name(stem(mask.name).replace(_MASK, "") + _CENTROIDS)
        subject = _subject(scan)
        cells = _cells(table, scan, subject)
        cases.append(
            PublicCase(
                name=scan,
                subject=subject,
                ct=nearest(mask, found),
                labels=NumberedFile(mask, VERSE),
                cells=cells,
                part=_part(mask, folder),
                centroids=centroids if centroids.is_file() else None,
            )
        )
    for file in files:
        scan = _unlabelled(file)
        if scan and scan not in seen:
            problems[scan] = f"{file.name} has no vertebra mask beside it; unpack derivatives too."
    return FoundCases(COLLECTION, tuple(cases), problems)


def _scan(file: Path) -> tuple[str | None, str]:
    """Return the scan that a mask is of, by name, and the name of its CT; (None, "") for other files."""
    name = stem(file.name)
    if name == file.name:
        return None, ""
    if name.endswith(_MASK):
        scan = name[: -len(_MASK)]
        return _plain(scan), f"{scan}_ct"
    match = _CHALLENGE.fullmatch(name)
    if match and match[3]:
        return _plain(name[: -len(match[3])]), name[: -len(match[3])]
    return None, ""


def _unlabelled(file: Path) -> str | None:
    name = stem(file.name)
    if name == file.name:
        return None
    if name.startswith("sub-verse") and name.endswith("_ct"):
        return _plain(name[: -len("_ct")])
    match = _CHALLENGE.fullmatch(name)
    return _plain(name) if match and not match[3] else None


def _plain(scan: str) -> str:
    """A scan's name in the data set: "verse414_split-verse261", without orientation and BIDS's "sub-"."""
    return re.sub(r"_dir-[a-zA-Z]+|_CT-[a-zA-Z]+", "", scan.removeprefix("sub-"))


def _subject(scan: str) -> str:
    return scan.split("_")[0]


def _part(mask: Path, folder: Path) -> Part | None:
    """The part whose name is in a folder's above the file: 01_training, dataset-verse19validation, 03_test."""
    for name in reversed([*folder.parts[-1:], *mask.relative_to(folder).parts[:-1]]):
        for word, part in _PARTS:
            if word in name.lower():
                return part
    return None


def _participants(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / "participants.tsv"
    return read_table(path) if path.is_file() else {}


def _cells(table: Mapping[str, dict[str, str]], scan: str, subject: str) -> dict[str, Any]:
    names = (scan, f"sub-{scan}", subject, f"sub-{subject}", subject.removeprefix("verse"))
    name = next((name for name in names if name in table), None)
    if name is None:
        return {}
    cells = manifest_cells(table[name], f"VerSe's metadata, {name}")
    return {**cells, "method": BMD_METHOD} if any(key.startswith("bmd") for key in cells) else cells
