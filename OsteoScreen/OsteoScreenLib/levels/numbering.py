"""Which number means which vertebra, where a label map does not say so itself.

Public label maps number the vertebrae in at least five ways, and one file's T5 is another's L2. So a numbering is
believed only where the file's own geometry bears it out: the order from head to foot, and the distances of neighbours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .names import HEAD_TO_FOOT

_SPINE = [f"L{n}" for n in range(5, 0, -1)] + [f"T{n}" for n in range(12, 0, -1)] + [f"C{n}" for n in range(7, 0, -1)]


@dataclass(frozen=True, eq=False)
class Numbering:
    """A public scheme of vertebra labels: ``vertebrae`` is label -> name; ``file_hints`` are parts of file names."""

    name: str
    vertebrae: Mapping[int, str]
    file_hints: tuple[str, ...] = ()


def _from_below(first: int) -> dict[int, str]:
    return {first + n: vertebra for n, vertebra in enumerate(_SPINE)}


#: Sources: TotalSegmentator totalsegmentator/map_to_binary.py (class_map "total", "total_v1", "vertebrae_mr"), CADS
#: cads/dataset_utils/bodyparts_labelmaps.py, TPTBox TPTBox/core/vert_constants.py (also VerSe's and CTSpine1K's), and
#: the data card of VertebralBodiesCT-Labels.
NUMBERINGS = (
    Numbering("TotalSegmentator 2", {26: "S1", **_from_below(27)}),
    Numbering("TotalSegmentator 1 or CADS", _from_below(18)),
    Numbering("CADS part 552", _from_below(1), ("part_552", "_552.", "-552.")),
    Numbering("TotalSegmentator vertebrae_mr", _from_below(2), ("vertebrae_mr",)),
    Numbering(
        "VerSe or TPTBox",
        {
            **{n: f"C{n}" for n in range(1, 8)},
            **{7 + n: f"T{n}" for n in range(1, 13)},
            **{19 + n: f"L{n}" for n in range(1, 7)},
            26: "S1",
            28: "T13",
        },
        ("seg-vert_msk", "verse"),
    ),
    Numbering(
        "VertebralBodiesCT",
        {**{n: f"T{n}" for n in range(1, 13)}, **{12 + n: f"L{n}" for n in range(1, 7)}, 21: "T13"},
    ),
)

#: Distance, in mm, of the centres of a vertebra and the next one below, in an adult. Source: body heights of Panjabi
#: 1991 and 1992 with disc heights of 4 mm (upper thoracic) to 11 mm (L4-L5); measured here 33-39 mm for L1 to L4.
_STEP_MM = {
    **{f"C{n}": 17.0 for n in range(1, 7)},
    "C7": 18.0, "T1": 19.0, "T2": 20.0, "T3": 20.5, "T4": 21.5, "T5": 22.0, "T6": 22.5, "T7": 23.0, "T8": 23.5,
    "T9": 25.0, "T10": 27.0, "T11": 29.0, "T12": 32.0, "T13": 32.0, "L1": 34.0, "L2": 36.0, "L3": 36.5, "L4": 36.0,
    "L5": 34.0, "L6": 34.0,
}  # fmt: skip

#: A person's size moves all distances together by a fifth; one pair alone may be further off (fracture, scoliosis).
_BODY_SIZE = (0.75, 1.30)
_ONE_STEP = (0.55, 1.60)
#: Neighbours may lie beside each other by this share of their distance; more is no spine (organs, wrong labels).
_SIDEWAYS = 0.75
#: Another numbering is out of the question where its sizes fit this much worse (natural logarithm of the ratio).
_CLEARLY_WORSE = 0.12
#: The sacrum is several times as large as L5; a first label this much larger than the second is the sacrum.
_SACRUM_VOLUME = 1.8


@dataclass(frozen=True)
class LabelPlace:
    """Where a label lies: its centre (RAS mm), its volume (mm3), and whether the edge of the volume cuts it."""

    centre: npt.NDArray[np.float64]
    volume_mm3: float
    cut: bool


def choose_numbering(places: Mapping[int, LabelPlace], wanted: Collection[str], file_name: str) -> Numbering:
    """The one public numbering that fits where the labels lie and holds the ``wanted`` vertebrae.

    Raises `InputError` where none fits, or where more than one does and nothing decides between them.
    """
    fits = {numbering: _misfit(numbering, places, wanted) for numbering in NUMBERINGS}
    plausible = {numbering: misfit for numbering, misfit in fits.items() if misfit is not None}
    hinted = [n for n in plausible if any(hint in file_name.lower() for hint in n.file_hints)]
    if len(hinted) == 1:
        return hinted[0]
    ranked = sorted(plausible, key=lambda numbering: plausible[numbering])
    ranked = _settle_sacrum([n for n in ranked if plausible[n] <= plausible[ranked[0]] + _CLEARLY_WORSE], places)
    if len(ranked) == 1:
        return ranked[0]
    if not ranked:
        raise InputError(
            f"The segmentation's labels ({_shown(places)}) do not stand for {' and '.join(wanted)} in any known "
            "numbering, by the order and the distances of what they mark; use a file that names its labels (a Slicer "
            ".seg.nrrd with segments named L1 and L2, or one file per vertebra such as vertebrae_L1.nii.gz)."
        )
    raise InputError(
        f"The segmentation's labels can be read as {' or as '.join(n.name for n in ranked)}, which gives different "
        "vertebrae; use a file that names its labels, or give the centre slices with --l1 and --l2."
    )


def _misfit(numbering: Numbering, places: Mapping[int, LabelPlace], wanted: Collection[str]) -> float | None:
    """How far the distances are from an adult's, as |log ratio|; None where the numbering cannot be right."""
    found = {name: places[label] for label, name in numbering.vertebrae.items() if label in places}
    if not set(wanted) <= set(found):
        return None
    column = [name for name in HEAD_TO_FOOT if name in found]
    ratios = []
    for upper, lower in pairwise(column):
        step = found[upper].centre - found[lower].centre
        length = float(np.linalg.norm(step))
        # The sacrum's centre lies far behind L5's, so it only has to be below.
        if step[2] <= 0 or (lower != "S1" and np.hypot(step[0], step[1]) > _SIDEWAYS * length):
            return None
        if lower == "S1" or found[upper].cut or found[lower].cut or not _neighbours(upper, lower, found):
            continue
        ratios.append(length / _STEP_MM[upper])
    if not ratios:
        return 0.0
    size = float(np.median(ratios))
    if not _BODY_SIZE[0] <= size <= _BODY_SIZE[1] or min(ratios) < _ONE_STEP[0] or max(ratios) > _ONE_STEP[1]:
        return None
    return abs(float(np.log(size)))


def _neighbours(upper: str, lower: str, found: Collection[str]) -> bool:
    between = HEAD_TO_FOOT[HEAD_TO_FOOT.index(upper) + 1 : HEAD_TO_FOOT.index(lower)]
    return all(name in ("T13", "L6") and name not in found for name in between)


def _settle_sacrum(candidates: list[Numbering], places: Mapping[int, LabelPlace]) -> list[Numbering]:
    """Between numberings one apart (the first label is L5, or the sacrum), decide by the first label's size."""
    names = {numbering.name: numbering for numbering in candidates}
    pair = ("CADS part 552", "TotalSegmentator vertebrae_mr")
    if set(names) != set(pair) or not {1, 2} <= set(places) or places[1].cut or places[2].cut:
        return candidates
    is_sacrum = places[1].volume_mm3 > _SACRUM_VOLUME * places[2].volume_mm3
    return [names[pair[1] if is_sacrum else pair[0]]]


def _shown(places: Mapping[int, LabelPlace]) -> str:
    labels = sorted(places)
    return ", ".join(map(str, labels[:12])) + (", ..." if len(labels) > 12 else "")
