"""From a run to a bundle, and from a bundle or run to initial weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.models import load_bundle, save_bundle

from .checkpoints import find_checkpoint, load_checkpoint


def averaged_weights(run: Path, which: str) -> dict[str, Tensor]:
    """Return the averaged weights of a run's "last" or "best" checkpoint.

    Raises:
        UsageError: the run has none.
    """
    folder = find_checkpoint(run, "best" if which == "best" else "step")
    if folder is None:
        raise UsageError(f"{run} has no {which} checkpoint yet; train it first.")
    tensors, _, _ = load_checkpoint(folder)
    return tensors["average"]


def initial_weights(source: Path) -> dict[str, Tensor]:
    """Return the weights of a run (its last average) or of a bundle, to start a training from."""
    if (source / "checkpoints").is_dir():
        return averaged_weights(source, "last")
    network: nn.Module = load_bundle(source).network(torch.device("cpu"))
    return network.state_dict()


def export_bundle(folder: Path, description: dict[str, Any], network: nn.Module, metrics: list[dict[str, Any]]) -> Path:
    """Write ``network`` as a bundle with its kernels in half precision, in the place of an older one."""
    save_bundle(folder, {**description, "metrics": metrics}, network, half=True, replace=True)
    return folder
