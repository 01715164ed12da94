"""Masked slices in, an opinion on bone status out: the probabilities of normal, osteopenia and osteoporosis.

The study's Model 1 sees L1 and L2, a channel each, and its Model 2 L1 alone (Pan et al. 2024). Training makes its
inputs by the same functions of :mod:`.sampling`, in the same order: cut HU and coverage, standardise, mask, window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .densitometry import standardised_hu
from .errors import BundleError, SegmentationFailed, UsageError
from .inference import BundleRunner, Hu, check_slice
from .models import Bundle
from .networks.registry import ROLES
from .results import BONE_STATUSES, Calibration, Classification
from .sampling import EDGE, cut, mask_and_window
from .tensors import tensor_from_array

#: Side of the slices in the study (Pan et al. 2024: 512 x 512), which a bundle without a crop sees whole.
STUDY_SIDE = 512

_MODELS: dict[tuple[str, ...], Literal["model1", "model2"]] = {("L1", "L2"): "model1", ("L1",): "model2"}


@dataclass(frozen=True, eq=False)
class MaskedSlice:
    """The slice of one level, with its outline.

    Attributes:
        hu: (rows, columns) HU as measured, anterior up, the patient's left on the right.
        coverage: (rows, columns) 0..1, how much of a pixel lies inside the outline, which runs at 0.5.
        pixel_spacing_mm: distance between rows, and between columns, in mm.
    """

    hu: Hu
    coverage: NDArray[np.float32]
    pixel_spacing_mm: tuple[float, float]


class Classifier(BundleRunner):
    """Classifies bone status with a classification bundle; made once, used for many studies.

    Attributes:
        levels: the levels that it sees, ("L1", "L2") or ("L1",).
        model: "model1" or "model2", after the study's models.
        standardised: whether it sees the HU of the nominal scanner, so that it needs the study's line to BMD.

    Raises:
        BundleError: the bundle's weights do not load, or are not a classifier's.
        UsageError: the device is unknown or missing.
    """

    gathers = True

    def __init__(self, bundle: Bundle, device: str = "auto"):
        super().__init__(bundle, device)
        if ROLES[bundle.architecture["name"]] != "classification":
            raise BundleError(
                f"The architecture {bundle.architecture['name']} of the bundle {bundle.name} is not a classifier's; "
                "name another bundle with --classification-model."
            )
        preprocessing = bundle.preprocessing
        self.levels: tuple[str, ...] = tuple(preprocessing["levels"])
        self.model = _MODELS[self.levels]
        self.standardised = preprocessing["hu"] == "standardised"
        self.crop: dict[str, float] | None = preprocessing.get("crop")
        # A bundle that states no temperature was not calibrated, and its values stand as they are.
        postprocessing = bundle.description.get("postprocessing", {})
        self.temperature = float(postprocessing.get("temperature", 1.0))
        weights = postprocessing.get("class_weights", [1.0] * len(BONE_STATUSES))
        self.class_weights = torch.tensor(weights, dtype=torch.double)

    def classify(
        self, slices: Mapping[str, MaskedSlice], line: Calibration | None = None, kvp_factor: float = 1.0
    ) -> Classification:
        """Return the class probabilities of one study, and the most probable class.

        Args:
            slices: by level; levels that the bundle does not see are left aside.
            line: the study's line from HU to BMD; a bundle that sees the HU as measured leaves it aside.
            kvp_factor: what the HU are multiplied by before the line, to be those at 120 kVp.

        Raises:
            InputError: a slice is not a finite 2D array, or its spacing is not one of a CT.
            SegmentationFailed: an outline is empty.
            UsageError: a level or the line is missing, or an outline has another shape than its slice.
        """
        missing = [level for level in self.levels if level not in slices]
        if missing:
            raise UsageError(f"The bundle {self.bundle.name} sees {' and '.join(self.levels)}; give {missing[0]} too.")
        if self.standardised and line is None:
            raise UsageError(f"The bundle {self.bundle.name} sees standardised HU; give the scan's line to BMD.")
        for level in self.levels:
            _check_slice(level, slices[level])
        values = self._with_memory(lambda: self._values(slices, line, kvp_factor)) - torch.log(self.class_weights)
        shares = torch.softmax(values / self.temperature, dim=0).tolist()
        if not all(map(math.isfinite, shares)):
            raise BundleError(f"The network of the bundle {self.bundle.name} gave no number; try --device cpu.")
        category = BONE_STATUSES[shares.index(max(shares))]
        return Classification(self.model, dict(zip(BONE_STATUSES, shares, strict=True)), category)

    def warm_up(self) -> None:
        """Run the network once on nothing, so that the first study does not pay for it."""
        side = STUDY_SIDE if self.crop is None else int(self.crop["size"])
        self._with_memory(lambda: self._forward(torch.zeros(1, len(self.levels), side, side, device=self.device)))

    def _values(self, slices: Mapping[str, MaskedSlice], line: Calibration | None, kvp_factor: float) -> Tensor:
        """Return the network's values of the classes, as float64 on the CPU (Apple's MPS has no float64)."""
        channels = [self._channel(slices[level], line, kvp_factor) for level in self.levels]
        return self._forward(torch.cat(channels, dim=1))[0].cpu().double()

    def _channel(self, masked: MaskedSlice, line: Calibration | None, kvp_factor: float) -> Tensor:
        """Return one level's input (1, 1, side, side)."""
        pair = tensor_from_array(np.stack([masked.hu, masked.coverage]).astype(np.float32))[None].to(self.device)
        hu, coverage = self._cut(pair, masked).split(1, dim=1)
        if self.standardised and line is not None:
            hu = standardised_hu(hu, line, kvp_factor)
        return mask_and_window(hu, coverage, self.window_hu)

    def _cut(self, pair: Tensor, masked: MaskedSlice) -> Tensor:
        """Return the field that the network sees of HU and coverage (1, 2, rows, columns)."""
        spacing = masked.pixel_spacing_mm
        if self.crop is not None:
            return cut(pair, spacing, crop_centre(masked.coverage), self.crop["spacing_mm"], int(self.crop["size"]))
        rows, columns = masked.hu.shape
        extent = max(rows * spacing[0], columns * spacing[1])
        return cut(pair, spacing, (rows / 2, columns / 2), extent / STUDY_SIDE, STUDY_SIDE)


def _check_slice(level: str, masked: MaskedSlice) -> None:
    """Raise where one level's slice cannot be classified; see `Classifier.classify`."""
    check_slice(masked.hu, masked.pixel_spacing_mm)
    if masked.coverage.shape != masked.hu.shape:
        raise UsageError(
            f"The outline of {level} is {masked.coverage.shape} and its slice {masked.hu.shape}; give the outline "
            "on the slice's own pixels."
        )
    if not (masked.coverage >= EDGE).any():
        raise SegmentationFailed(f"The outline of {level} is empty, so there is nothing to classify; draw it.")


def crop_centre(coverage: NDArray[np.float32]) -> tuple[float, float]:
    """Return the centroid (row, column) of what ``coverage`` (rows, columns) holds inside, in :mod:`.sampling`'s count.

    Pixel centres lie at half-integers there, so that the centroid of pixel (3, 5) alone is (3.5, 5.5).
    """
    row, column = ndimage.center_of_mass(coverage >= EDGE)
    return float(row) + 0.5, float(column) + 0.5
