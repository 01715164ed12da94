"""One training from its configuration to its bundle: what the command line and the study have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .checkpoints import find_checkpoint
from .config import TrainingConfig, save_config
from .export import averaged_weights, export_bundle
from .processes import join_processes
from .task import Task
from .tasks import open_task
from .trainer import Trainer, load_weights

#: The configuration in a run's folder.
CONFIG = "config.json"
BUNDLE = "bundle"


def train(
    config: TrainingConfig, task: Task, run: Path, *, initial: dict[str, Tensor] | None = None, resume: bool = False
) -> str | None:
    """Train in a run's folder; return why it ended, or None in a process of ``torchrun`` that is not the first.

    Raises the errors of :meth:`.trainer.Trainer.run`.
    """
    processes = join_processes(config.device)
    try:
        if processes.first:
            run.mkdir(parents=True, exist_ok=True)
            save_config(config, run / CONFIG)
        reason = Trainer(config, task, run, processes, initial).run(resume)
    finally:
        processes.close()
    return reason if processes.first else None


def export(config: TrainingConfig, task: Task, run: Path) -> Path:
    """Write the bundle of a run's averaged weights; return its folder."""
    network = task.make_network()
    load_weights(network, averaged_weights(run, config.export_from))
    network.eval()
    metrics = task.bundle_metrics(task.validate(network, torch.device("cpu"), contextlib.nullcontext))
    return export_bundle(run / BUNDLE, task.bundle_description(network), network, metrics)


def trained_bundle(config: TrainingConfig, folders: Sequence[Path], run: Path) -> Path:
    """Return the bundle of a run, training it first, or going on with it, where it is not finished."""
    bundle = run / BUNDLE
    if not bundle.is_dir():
        task = open_task(config, folders)
        train(config, task, run, resume=find_checkpoint(run) is not None)
        export(config, task, run)
    return bundle
