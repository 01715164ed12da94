"""Vertebra labels as the public collections keep them: one file for all vertebrae, or one for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from OsteoScreenLib.ct import Geometry, open_ct
from OsteoScreenLib.errors import InputError
from OsteoScreenLib.levels import VertebraMask, read_vertebrae
from OsteoScreenLib.levels.numbering import NUMBERINGS, LabelPlace, choose_numbering

#: VerSe's numbering, which CTSpine1K shares: 1-7 C1-C7, 8-19 T1-T12, 20-25 L1-L6, 28 T13 (anjany/verse, README.md;
#: MIRACLE-Center/CTSpine1K, examples/colab/verse_casewise/verse_pipeline.py).
VERSE = next(numbering.vertebrae for numbering in NUMBERINGS if numbering.name == "VerSe or TPTBox")
#: TotalSegmentator's (wasserth/TotalSegmentator, totalsegmentator/map_to_binary.py: class_map "total" and "total_v1").
TOTALSEGMENTATOR = {
    "v2": next(numbering.vertebrae for numbering in NUMBERINGS if numbering.name == "TotalSegmentator 2"),
    "v1": next(numbering.vertebrae for numbering in NUMBERINGS if numbering.name == "TotalSegmentator 1 or CADS"),
}
#: A label map has tens of labels; what goes beyond this is an image.
_LARGEST_LABEL = 1023
_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Vertebrae:
    """The vertebrae that were asked for and are there, by name, and the names of all that are labelled (empty where
    the files were not asked)."""

    masks: Mapping[str, VertebraMask]
    labelled: frozenset[str] = frozenset()


class LabelSource(Protocol):
    """Where a scan's vertebra labels come from."""

    def read(self, names: Sequence[str]) -> Vertebrae:
        """Return the vertebrae ``names`` that are labelled.

        Raises:
            InputError: the files cannot be read, or are no labels.
        """


@dataclass(frozen=True)
class NumberedFile:
    """One label map in a known numbering, label -> name of the vertebra."""

    path: Path
    numbering: Mapping[int, str] = field(repr=False)

    def read(self, names: Sequence[str]) -> Vertebrae:
        """Return the vertebrae ``names`` that are labelled; see :class:`LabelSource`."""
        labels, geometry = read_labels(self.path)
        present = np.unique(labels)
        found = {self.numbering[value]: value for value in present.tolist() if value in self.numbering}
        if not present.any():
            raise InputError(f"{self.path.name} is empty; copy it again.")
        if not found:
            shown = ", ".join(str(value) for value in present[present > 0][:8])
            raise InputError(f"{self.path.name} holds the labels {shown}, none of which is a vertebra's.")
        masks = {name: VertebraMask(name, labels == found[name], geometry) for name in names if name in found}
        return Vertebrae(masks, frozenset(found))


@dataclass(frozen=True)
class GuessedFile:
    """One label map whose numbering is told by its label table, or by where its labels lie (`read_vertebrae`)."""

    path: Path

    def read(self, names: Sequence[str]) -> Vertebrae:
        """Return the vertebrae ``names`` that are labelled; see :class:`LabelSource`."""
        # Opened as a CT first: that notices a packed file which is cut short.
        labels, geometry = read_labels(self.path)
        try:
            return Vertebrae(read_vertebrae(self.path, names))
        except InputError:
            # Of a vertebra at the scan's end a spinous process may be all there is, far off the column of the others.
            places = _whole_labels(labels, geometry)
            if not places:
                raise
            numbering = choose_numbering(places, names, self.path.name)
        return NumberedFile(self.path, numbering.vertebrae).read(names)


def _whole_labels(labels: npt.NDArray[np.int16], geometry: Geometry) -> dict[int, LabelPlace]:
    """Where the labels lie that neither the first nor the last slice cuts."""
    voxel = abs(float(np.linalg.det(geometry.ijk_to_ras[:3, :3])))
    places = {}
    for value, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None or box[0].start == 0 or box[0].stop == len(labels):
            continue
        part = labels[box] == value
        k, j, i = (float(at + extent.start) for at, extent in zip(ndimage.center_of_mass(part), box, strict=True))
        places[value] = LabelPlace(geometry.ras(i, j, k), float(part.sum()) * voxel, False)
    return places


@dataclass(frozen=True)
class FilePerVertebra:
    """One file for each vertebra, by its name."""

    files: Mapping[str, Path]

    def read(self, names: Sequence[str]) -> Vertebrae:
        """Return the vertebrae ``names`` that have a file with something in it; see :class:`LabelSource`."""
        masks = {}
        for name in (name for name in names if name in self.files):
            labels, geometry = read_labels(self.files[name])
            if labels.any():
                masks[name] = VertebraMask(name, labels > 0, geometry)
        return Vertebrae(masks)


def read_labels(path: Path) -> tuple[npt.NDArray[np.int16], Geometry]:
    """Return a label map in canonical orientation, (slices, rows, columns), and where it lies.

    Raises:
        InputError: it cannot be read, has more than three axes, or holds other values than labels.
    """
    image = open_ct(path)
    labels = np.empty(image.geometry.shape, np.int16)
    for first in range(0, len(labels), _BLOCK):
        last = min(first + _BLOCK, len(labels))
        values = image.slab(first, last)
        if values.min() < 0 or values.max() > _LARGEST_LABEL or (values != np.rint(values)).any():
            raise InputError(
                f"{path.name} holds values from {values.min():g} to {values.max():g} and looks like an image, not like "
                "labels; give the label map."
            )
        labels[first:last] = values
    return labels, image.geometry
