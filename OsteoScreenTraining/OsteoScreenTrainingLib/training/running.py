"""One training from its configuration to its bundle: what the command line and the study have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .checkpoints import find_checkpoint
from .config import TrainingConfig, save_config
from .errors import TrainingError
from .export import averaged_weights, export_bundle
from .processes import join_processes
from .task import Task
from .tasks import open_task
from .trainer import Trainer, load_weights

#: The configuration in a run's folder.
CONFIG = "config.json"
BUNDLE = "bundle"


@dataclass(frozen=True)
class Ending:
    """Why a training ended, in words, and whether a signal stopped it before it was done."""

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
        if processes.first:
            run.mkdir(parents=True, exist_ok=True)
            save_config(config, run / CONFIG)
        trainer = Trainer(config, task, run, processes, initial)
        reason = trainer.run(resume)
    finally:
        processes.close()
    if not processes.first:
        return None
    return Ending(reason, trainer.interrupted)


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
        TrainingError: a signal stopped the training; the same call goes on with it.
    """
    bundle = run / BUNDLE
    if not bundle.is_dir():
        task = open_task(config, folders)
        ending = train(config, task, run, resume=find_checkpoint(run) is not None)
        if ending is not None and ending.interrupted:
            raise TrainingError(f"The training in {run} was stopped; the same command goes on with it.")
        export(config, task, run)
    return bundle
