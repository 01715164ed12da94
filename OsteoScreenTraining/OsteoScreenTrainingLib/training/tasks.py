"""The tasks that can be trained, by the name that the command line and the configuration give them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from OsteoScreenLib.errors import UsageError

if TYPE_CHECKING:
    from .config import TrainingConfig
    from .task import Task

#: Names that a configuration's ``task`` may have.
TASKS = ("segmentation", "classification", "localisation")


def open_task(config: TrainingConfig, folders: Sequence[Path]) -> Task:
    """Return the task of ``config`` on the data sets in ``folders``.

    Raises:
        UsageError: the task is unknown.
        InputError: a data set cannot be read.
    """
    if config.task == "segmentation":
        return _segmentation(config, folders)
    if config.task == "classification":
        return _classification(config, folders)
    if config.task == "localisation":
        return _localisation(config, folders)
    raise UsageError(f"Unknown task {config.task!r} in the configuration; known are {', '.join(TASKS)}.")


def _segmentation(config: TrainingConfig, folders: Sequence[Path]) -> Task:
    from ..datasets.folder import MANIFEST, SLICES, DataSet
    from ..datasets.slices import SliceDataset
    from ..datasets.splits import load_split
    from .segmentation_task import SegmentationTask

    slices = SliceDataset([folder / SLICES if (folder / MANIFEST).is_file() else folder for folder in folders])
    if not config.validation.split:
        return SegmentationTask(config, slices, slices.split(config.validation.fraction, config.validation.split_seed))
    if len(folders) != 1:
        raise UsageError("validation.split is that of one data set; name one with --data.")
    parts = load_split(DataSet(folders[0]), config.validation.split).part_of()
    return SegmentationTask(config, slices, (slices.of(parts, "training"), slices.of(parts, "validation")))


def _classification(config: TrainingConfig, folders: Sequence[Path]) -> Task:
    from OsteoScreenLib.chosen_bundles import segmentation_bundle

    from ..datasets.folder import DataSet
    from ..datasets.predictions import predict_masks
    from .classification_task import ClassificationTask

    if len(folders) != 1:
        raise UsageError("A classification is trained on one data set of subjects; name one with --data.")
    data, options = DataSet(folders[0]), config.classification
    masks: list[Path | None] = []
    if options.masks in ("predicted", "both"):
        bundle = segmentation_bundle(options.segmentation_model or None)
        masks.append(predict_masks(data, bundle, device=config.device))
    if options.masks in ("drawn", "both"):
        masks.append(None)
    return ClassificationTask(config, data, masks)


def _localisation(config: TrainingConfig, folders: Sequence[Path]) -> Task:
    from .localisation_task import LocalisationTask

    if len(folders) != 1:
        raise UsageError("A localisation keeps the trunks it simulates in one folder; name one with --data.")
    return LocalisationTask(config, folders[0])
