"""What the network of a classifier is given: in use, and in training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from tiny_classifier import write_tiny_classifier

from OsteoScreenLib.classification import Classifier, MaskedSlice
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.results import Calibration
from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.manifest import Subject
from OsteoScreenTrainingLib.datasets.masked_slices import MaskedSlices
from OsteoScreenTrainingLib.training.config import ClassificationConfig
from OsteoScreenTrainingLib.training.masked_augmentation import masked_inputs, upright_poses

WINDOW_HU = (-160.0, 240.0)
Crop = tuple[float, int] | None


def built_slices(data: DataSet, subject: Subject, levels: tuple[str, ...]) -> dict[str, MaskedSlice]:
    """Return a subject's slices as the data set has them."""
    slices = {}
    for level in levels:
        index = data.slice_index(subject.subject, level)
        hu, coverage = (array[0].astype(np.float32) for array in data.slices.read([index]))
        pixel = data.slices.records[index].pixel_mm
        slices[level] = MaskedSlice(hu, coverage / 255, (pixel, pixel))
    return slices


def seen_in_use(
    slices: Mapping[str, MaskedSlice], line: Calibration | None, crop: Crop, hu: str, folder: Path
) -> torch.Tensor:
    """Return what screening gives the network: (levels, side, side)."""
    preprocessing = {"window_hu": list(WINDOW_HU), "levels": list(slices), "hu": hu}
    preprocessing |= {"crop": {"spacing_mm": crop[0], "size": crop[1]}} if crop else {}
    bundle = write_tiny_classifier(folder / "bundle", tuple(slices), preprocessing=preprocessing)
    classifier = Classifier(load_bundle(bundle), "cpu")
    inputs: list[torch.Tensor] = []
    classifier.network.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    classifier.classify(slices, line)
    return inputs[0][0]


def seen_in_training(data: DataSet, subject: Subject, levels: tuple[str, ...], crop: Crop, hu: str) -> torch.Tensor:
    """Return what training gives the network of an upright sample: (levels, side, side)."""
    slices = MaskedSlices(data, [subject], levels, None, crop[0] * crop[1] if crop else 0.0)
    batch = slices.read([0])
    size = crop[1] if crop else data.slices.rows
    options = ClassificationConfig(hu="standardised" if hu == "standardised" else "measured")
    return masked_inputs(batch, upright_poses(batch, crop), size, options, WINDOW_HU, torch.device("cpu"), 0.0)[:, 0]
