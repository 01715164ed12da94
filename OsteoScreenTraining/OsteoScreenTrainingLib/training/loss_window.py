"""What a row of a run's log says of the steps since the last one: loss and throughput."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from .processes import Processes


class LossWindow:
    """Loss and throughput since the last row of the log."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._waited = 0.0
        self._start = time.perf_counter()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Stop the clock: validation and checkpoints do not count as training."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - began

    def add(self, loss: Tensor) -> None:
        """Take in the loss of a step; a device need not have reached it yet."""
        self._losses.append(loss)

    def look(self, step: int) -> None:
        """Raise FloatingPointError when a loss since the last look is not finite."""
        if self._losses and not bool(torch.isfinite(torch.stack(self._losses)).all()):
            raise FloatingPointError(f"The loss became NaN or infinite by step {step}")

    def close(self, batch: int, waited_s: float, processes: Processes) -> dict[str, float]:
        """Return the mean loss, images per second and share of time waited for data, and start afresh."""
        loss = float(processes.mean(torch.stack(self._losses).mean()))
        elapsed = max(1e-9, time.perf_counter() - self._start)
        values = {
            "loss": loss,
            "images_per_s": len(self._losses) * batch / elapsed,
            "waiting": min(1.0, (waited_s - self._waited) / elapsed),
        }
        self._losses, self._waited, self._start = [], waited_s, time.perf_counter()
        return values
