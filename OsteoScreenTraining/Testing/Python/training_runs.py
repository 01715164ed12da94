"""What the tests of trainings ask of a configuration, a data set and a run."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.splits import load_split
from OsteoScreenTrainingLib.training.classification_task import ClassificationTask
from OsteoScreenTrainingLib.training.config import from_dict
from OsteoScreenTrainingLib.training.tasks import open_task


def task_of(values: Mapping[str, Any], folder: Path) -> ClassificationTask:
    """Return the task of a configuration on a data set of subjects."""
    task = open_task(from_dict(values), [folder])
    assert isinstance(task, ClassificationTask)
    return task


def of_part(folder: Path, part: str, split: str = "random") -> Sequence[str]:
    """Return the subjects of one part of a data set's split."""
    return load_split(DataSet(folder), split).parts[part]


def log_of(run: Path) -> list[dict[str, str]]:
    """Return the rows of a run's log."""
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))
