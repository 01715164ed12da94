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
TASKS = ("segmentation",)


def open_task(config: TrainingConfig, folders: Sequence[Path]) -> Task:
    """Return the task of ``config`` on the data sets in ``folders``.

    Raises:
        UsageError: the task is unknown.
        InputError: a data set cannot be read.
    """
    if config.task == "segmentation":
        from ..datasets.slices import SliceDataset
        from .segmentation_task import SegmentationTask

        return SegmentationTask(config, SliceDataset(folders))
    raise UsageError(f"Unknown task {config.task!r} in the configuration; known are {', '.join(TASKS)}.")
