"""The outlines of one study's levels: the network's, or the user's where there are any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from . import loaded
from .cores import side_by_side
from .errors import SegmentationFailed, UsageError
from .outlines import LevelOutline, Outlines
from .preparing import find_levels, open_requested
from .progress import Progress, silent
from .request import ScreeningRequest
from .results import BundleUse, Level

if TYPE_CHECKING:
    from .ct import Geometry
    from .levels import VertebraMask
    from .models import Bundle
    from .segmentation import Segmenter


@dataclass(frozen=True, eq=False)
class Outlined:
    """An outline as it is measured: with each pixel's coverage (rows, columns), 0..1, whose edge is 0.5."""

    outline: LevelOutline
    coverage: npt.NDArray[np.float32]
    source: Literal["model", "user"]


class Outliner:
    """Outlines the levels of one study. Making it judges the segmentation bundle by its name, before a scan is read.

    Attributes:
        bundle: the segmentation bundle, None until `prepare` found that a level needs it.
        segmenter: its network, None likewise.

    Raises BundleError where a bundle is needed and there is none.
    """

    def __init__(self, request: ScreeningRequest) -> None:
        from .chosen_bundles import segmentation_bundle

        self.bundle: Bundle | None = None
        self.segmenter: Segmenter | None = None
        self._request = request
        self._named = segmentation_bundle(request.segmentation_model) if request.needs_network else None
        self._vertebrae: dict[str, VertebraMask] = {}
        self._drawn: dict[str, npt.NDArray[np.float32]] = {}

    def read_masks(self, levels: Iterable[str], geometry: Geometry) -> None:
        """Read what the user drew of ``levels``.

        Raises UsageError where a mask has another shape than the slices, or is no mask; InputError where the file
        cannot be read.
        """
        from .levels import read_vertebrae

        if self._request.mask_file is not None:
            self._vertebrae = read_vertebrae(self._request.mask_file, list(levels))
        drawn = self._request.drawn_masks
        self._drawn = {name: _coverage(name, drawn[name], geometry) for name in levels if name in drawn}

    def load(self, levels: Iterable[str]) -> None:
        """Load the network where any of ``levels`` needs it.  Raises BundleError, or UsageError for the device."""
        if self._named is not None and not set(levels) <= set(self._drawn):
            self.segmenter = loaded.SEGMENTERS.get(self._named, self._request.device)
            self.bundle = self._named

    def outline(self, level: Level, hu: npt.NDArray[np.float32], geometry: Geometry) -> Outlined:
        """Return the outline of one level on its slice ``hu`` (rows, columns); levels may go side by side.

        Raises SegmentationFailed where there is none.
        """
        k = level.slice_index
        coverage = self._drawn_coverage(level, geometry)
        if coverage is not None:
            return Outlined(LevelOutline(k, coverage > 0.5, None, 1.0), coverage, "user")
        assert self.segmenter is not None, "load() comes before outline()"
        found = self.segmenter.segment(hu, geometry.pixel_spacing_mm)
        return Outlined(LevelOutline(k, found.mask, found.probability, found.confidence), found.probability, "model")

    def _drawn_coverage(self, level: Level, geometry: Geometry) -> npt.NDArray[np.float32] | None:
        """The user's outline of a level, None where the network has to outline it."""
        if self._request.mask_file is not None:
            vertebra = self._vertebrae.get(level.name)
            if vertebra is None:
                raise SegmentationFailed(f"The outlines hold no {level.name}; draw it, or leave --masks out.")
            return vertebra.coverage_on(geometry, level.slice_index)
        coverage = self._drawn.get(level.name)
        if coverage is not None and not coverage.any():
            raise SegmentationFailed(f"The outline of {level.name} is empty; draw it, or leave it to the network.")
        return coverage


def outline(request: ScreeningRequest, progress: Progress = silent) -> Outlines:
    """Outline the levels of a study, without judging, measuring or classifying it.

    Raises SegmentationFailed, naming the level, where one has no outline; UsageError, InputError or BundleError as
    screening does.
    """
    request.check()
    outliner = Outliner(request)
    ct = open_requested(request, progress)
    levels = find_levels(request, ct, progress).levels
    outliner.read_masks(levels, ct.geometry)
    outliner.load(levels)
    slices = {name: ct.slice(level.slice_index) for name, level in levels.items()}
    progress("Outlining", 0, len(levels))
    futures = side_by_side(levels, lambda level: outliner.outline(level, slices[level.name], ct.geometry))
    found = {}
    for name, future in futures.items():
        try:
            found[name] = future.result().outline
        except SegmentationFailed as error:
            raise SegmentationFailed(f"{name}: {error}") from error
    progress("Outlining", len(levels), len(levels))
    used = None if outliner.bundle is None else bundle_use(outliner.bundle)
    return Outlines(found, used, "cpu" if outliner.segmenter is None else str(outliner.segmenter.device))


def bundle_use(bundle: Bundle) -> BundleUse:
    """Return the bundle as the result names it."""
    return BundleUse(bundle.role, bundle.name, bundle.version, bundle.sha256)


def _coverage(name: str, mask: npt.ArrayLike, geometry: Geometry) -> npt.NDArray[np.float32]:
    array = np.asarray(mask)
    if array.shape != geometry.shape[1:]:
        raise UsageError(
            f"The mask of {name} measures {array.shape} and its slice {geometry.shape[1:]}; give it on the slice's own "
            "pixels."
        )
    if array.dtype.kind not in "biu":
        raise UsageError(f"The mask of {name} holds {array.dtype}, not true and false; give the outline itself.")
    return (array != 0).astype(np.float32)
