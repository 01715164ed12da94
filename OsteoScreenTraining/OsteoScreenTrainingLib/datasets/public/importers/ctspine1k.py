"""CTSpine1K: vertebra labels on 1005 CT of four other collections.

Layout, by MIRACLE-Center/CTSpine1K (README.md, data_split.txt) and its copy on Hugging Face (alexanderdann/CTSpine1K):
labels ``…/labels/<source>/<name>_seg.nii.gz`` and CT ``…/volumes/<source>/<name>.nii.gz``, the source being COLONOG,
HNSCC-3DCT-RT, MSD-T10 or COVID-19; any other folders do, as long as the names agree. Numbering as VerSe's, up to 25
(L6). ``data_split.txt`` lists trainset, test_public and test_private by the names of the CT; the Hugging Face copy
calls the second validation and the third test. Nothing is said of age, sex, scanner or tube voltage.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from OsteoScreenLib.errors import InputError

from ..cases import Collection, FoundCases, PublicCase, files_below, nearest, stem
from ..tables import manifest_cells, read_table
from .registry import importer

if TYPE_CHECKING:
    from ...splits import Part

COLLECTION = Collection(
    name="CTSpine1K",
    licence="CC BY-NC-SA",
    licence_url="https://creativecommons.org/licenses/by-nc-sa/4.0/",
    home="https://github.com/MIRACLE-Center/CTSpine1K",
    citations=(
        "Deng Y et al., CTSpine1K: A Large-Scale Dataset for Spinal Vertebrae Segmentation in Computed Tomography, "
        "2021, arXiv:2105.14711",
    ),
    notes=(
        "Its README says CC BY-NC-SA, without a version, for labels and CT; the collections that the CT come from "
        "(TCIA CT COLONOGRAPHY, HNSCC-3DCT-RT and CT Images in COVID-19, Medical Segmentation Decathlon) state their "
        "own."
    ),
)
_SPLIT_FILE = "data_split.txt"
_PARTS: dict[str, Part] = {"trainset": "training", "test_public": "validation", "test_private": "test"}
_SOURCES = ("COLONOG", "HNSCC-3DCT-RT", "MSD-T10", "COVID-19")


@importer(
    "ctspine1k",
    "centre slices and outlines from CTSpine1K's CT and labels",
    metadata={"type": Path, "metavar": "FILE", "help": "a CSV or TSV table of the scans; the collection has none"},
    split_file={"type": Path, "metavar": "FILE", "help": "data_split.txt, where it is not in FOLDER"},
)
def find_ctspine1k(folder: Path, *, split_file: Path | None = None, metadata: Path | None = None) -> FoundCases:
    """Find the scans below a folder; ``split_file`` is ``data_split.txt`` where it lies elsewhere.

    Raises:
        UsageError: there is no such folder or table.
        InputError: ``data_split.txt`` or the table cannot be read.
    """
    from ..labels import VERSE, NumberedFile

    files = list(files_below(folder))
    listed = split_file or next((file for file in files if file.name == _SPLIT_FILE), None)
    parts = read_split(listed) if listed else {}
    table = read_table(metadata) if metadata else {}
    volumes: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        name = stem(file.name)
        if name != file.name and not name.endswith("_seg"):
            volumes[name].append(file)
    cases, problems = [], {}
    labelled: set[str] = set()
    for mask in files:
        name = stem(mask.name)
        if name == mask.name or not name.endswith("_seg") or name[:-4] in labelled:
            continue
        name = name[:-4]
        labelled.add(name)
        if name not in volumes:
            problems[_plain(name)] = f"{mask.name} has no CT {name}.nii.gz; download the volumes too."
            continue
        source = next((part for part in mask.parts if part in _SOURCES), "")
        row = table.get(name, {})
        cases.append(
            PublicCase(
                name=_plain(name),
                subject=_plain(name),
                ct=nearest(mask, volumes[name]),
                labels=NumberedFile(mask, VERSE),
                cells=manifest_cells(row, f"the table, {name}") if row else {},
                part=parts.get(name),
                notes=(f"The CT is from {source}.",) if source else (),
            )
        )
    for name in sorted(set(volumes) - labelled):
        problems[_plain(name)] = f"{volumes[name][0].name} has no labels {name}_seg.nii.gz."
    return FoundCases(COLLECTION, tuple(cases), problems)


def read_split(path: Path) -> dict[str, Part]:
    """Return the part of each scan by name, from ``data_split.txt``.

    Raises:
        InputError: it cannot be read, or is no such list.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read; download it again.") from error
    part: Part | None = None
    parts: dict[str, Part] = {}
    # The last line of the published file holds its name twice, without a break between.
    for line in text.replace(".nii.gz", ".nii.gz\n").splitlines():
        word = line.strip()
        if word.rstrip(":") in _PARTS:
            part = _PARTS[word.rstrip(":")]
        elif word and part is None:
            raise InputError(f"{path} is no {_SPLIT_FILE} of CTSpine1K: it begins with {word[:40]!r}.")
        elif word and part is not None:
            parts[stem(word)] = part
    return parts


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip("._-")[:64] or "scan"
