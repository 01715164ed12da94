"""One training from its configuration to its bundle: what the command line and the study have in common."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.results_io import write_text_atomically

from .checkpoints import find_checkpoint, load_weights
from .config import TrainingConfig, save_config
from .errors import TrainingError, told
from .export import averaged_weights, export_bundle
from .processes import Processes, join_processes
from .stopping import StopRequests
from .task import Task
from .tasks import open_task
from .trainer import Trainer

#: The configuration in a run's folder.
CONFIG = "config.json"
BUNDLE = "bundle"
#: Where the data sets of a run lie.
DATA = "data.json"


class TrainingStopped(TrainingError):
    """A signal or a request stopped the training before it was done; the same command goes on with it."""

    exit_code = 0


@dataclass(frozen=True)
class Ending:
    """Why a training ended, in words, and whether a signal or a request stopped it before it was done."""

    reason: str
    interrupted: bool


def train(
    config: TrainingConfig, task: Task, run: Path, *, initial: dict[str, Tensor] | None = None, resume: bool = False
) -> Ending | None:
    """Train in a run's folder; return how it ended, or None in a process of ``torchrun`` that is not the first.

    Raises the errors of :meth:`.trainer.Trainer.run`.
    """
    processes = join_processes(config.device)
    try:
        # In a function of its own, so that the trainer and its networks are gone when the processes part.
        ending = _train(config, task, run, processes, initial, resume)
    finally:
        processes.close()
    return ending if processes.first else None


def _train(
    config: TrainingConfig, task: Task, run: Path, processes: Processes, initial: dict[str, Tensor] | None, resume: bool
) -> Ending:
    with told(run):
        if processes.first:
            run.mkdir(parents=True, exist_ok=True)
            save_config(config, run / CONFIG)
        trainer = Trainer(config, task, run, processes, initial)
    reason = trainer.run(resume)
    return Ending(reason, trainer.interrupted)


def save_data(folders: Sequence[Path], run: Path) -> None:
    """Note in a run's folder which data sets it is trained on."""
    text = json.dumps({"data": [str(folder.absolute()) for folder in folders]}, indent=1)
    write_text_atomically(text + "\n", run / DATA)


def saved_data(run: Path) -> list[Path]:
    """Return the data sets that a run is trained on.

    Raises:
        UsageError: the run does not say.
    """
    try:
        return [Path(name) for name in json.loads((run / DATA).read_text(encoding="utf-8"))["data"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError("Say what to train on with --data DATASET.") from error


def export(config: TrainingConfig, task: Task, run: Path) -> Path:
    """Write the bundle of a run's averaged weights; return its folder."""
    network = task.make_network()
    load_weights(network, averaged_weights(run, config.export_from))
    network.eval()
    metrics = task.bundle_metrics(task.validate(network, torch.device("cpu"), contextlib.nullcontext))
    return export_bundle(run / BUNDLE, task.bundle_description(network), network, metrics)


def trained_bundle(config: TrainingConfig, folders: Sequence[Path], run: Path) -> Path:
    """Return the bundle of a run, training it first, or going on with it, where it is not finished.

    Raises:
        TrainingStopped: a signal or a request stopped the training; the same call goes on with it.
    """
    bundle = run / BUNDLE
    if not bundle.is_dir():
        StopRequests(run).forget()
        task = open_task(config, folders)
        ending = train(config, task, run, resume=find_checkpoint(run) is not None)
        if ending is not None and ending.interrupted:
            raise TrainingStopped(f"The training in {run} was stopped; the same command goes on with it.")
        export(config, task, run)
    return bundle
