"""What the trainer asks of a task: segmentation, bone-status classification or localisation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

#: Opens the mixed-precision context of the run.
Autocast = Callable[[], AbstractContextManager]


class Task(Protocol):
    """One kind of network to train: its data, its loss and its score."""

    #: Samples to train on; an epoch is that many.
    size: int

    def make_network(self) -> nn.Module:
        """Return the untrained network."""

    def load(self, step: int, part: slice) -> Any:
        """Read and plan ``part`` of the global batch of ``step`` on the host; runs on the prefetching thread."""

    def prepare(self, host_batch: Any, device: torch.device) -> tuple[Tensor, Any]:
        """Move a batch to the device and augment it there; return (network input, target)."""

    def loss(self, outputs: Tensor, target: Any) -> Tensor:
        """Return the mean loss over the samples of the batch."""

    def validate(self, network: nn.Module, device: torch.device, autocast: Autocast) -> dict[str, float]:
        """Return the metrics on the held-out samples; "score" is the one that grows when the network gets better."""

    def check(self) -> None:
        """Raise an error with a clear sentence if the data are no longer there."""

    def bundle_description(self, network: nn.Module) -> dict[str, Any]:
        """Return role, architecture, preprocessing, classes and the training data of the bundle to export, which is to
        hold ``network``."""

    def bundle_metrics(self, metrics: dict[str, float]) -> list[dict[str, Any]]:
        """Return the metrics of :meth:`validate` as the list that a bundle's card holds."""
