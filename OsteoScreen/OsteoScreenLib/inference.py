"""What the segmenter and the classifier share: a bundle's network, ready to run, and what a slice must be."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .device import choose_device
from .errors import InputError
from .memory_limits import is_out_of_memory
from .models import Bundle
from .networks.fusion import fuse_batch_norm
from .turns import current

Hu = NDArray[np.float32]
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class _Placed:
    """A network where it runs; never changed, so that a pass that began on it can end on it."""

    network: torch.nn.Module
    device: torch.device
    dtype: torch.dtype


class BundleRunner:
    """A bundle's network on a device: batch normalisation folded in, channels last, half precision on CUDA.

    Where the memory of a GPU does not suffice, the network goes on on the CPU, and stays there.

    Attributes:
        fell_back: whether it runs on the CPU because the GPU's memory did not suffice.
        gathers: whether a batch may run its passes together with those of other studies (:mod:`.gathering`).

    Raises:
        BundleError: the bundle's weights do not load.
        UsageError: the device is unknown or missing.
    """

    memory_format = torch.channels_last
    gathers = False

    def __init__(self, bundle: Bundle, device: str = "auto"):
        self.bundle = bundle
        self.fell_back = False
        self._chosen = choose_device(device)
        self._falling_back = threading.Lock()
        low, high = bundle.preprocessing["window_hu"]
        self.window_hu = (float(low), float(high))
        self._placed: _Placed | None = None
        self._with_memory(self._load)

    @property
    def network(self) -> torch.nn.Module:
        """The network."""
        return self._where().network

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._where().device

    @property
    def dtype(self) -> torch.dtype:
        """The type of its numbers."""
        return self._where().dtype

    def _forward(self, inputs: Tensor) -> Tensor:
        """Return what the network makes of ``inputs`` (N, C, rows, columns), as float32 on the inputs' device."""
        placed, turn = self._where(), current()
        gatherer = turn.gatherer if turn is not None and self.gathers else None
        if turn is None or gatherer is None or gatherer.most_on(placed.device) == 1:
            return self._pass(placed, inputs)
        return gatherer.run(turn, placed, placed.device, inputs, lambda batch: self._pass(placed, batch))

    def _pass(self, placed: _Placed, inputs: Tensor) -> Tensor:
        with torch.inference_mode():
            values: Tensor = placed.network(inputs.to(placed.device, placed.dtype, memory_format=self.memory_format))
            return values.float().to(inputs.device)

    def _with_memory(self, work: Callable[[], Result]) -> Result:
        """Return what ``work`` returns; where the GPU's memory ends, it is done again from its start, on the CPU."""
        on_gpu = self._is_on_gpu()
        try:
            return work()
        except RuntimeError as error:
            if not (on_gpu and is_out_of_memory(error)):
                raise
        # Not in the except clause, where the error's traceback still holds what lies on the GPU.
        self._fall_back()
        return work()

    def _is_on_gpu(self) -> bool:
        return self._chosen.type in ("cuda", "mps") and not self.fell_back

    def _fall_back(self) -> None:
        with self._falling_back:  # levels go side by side, and may run out of memory together
            if self.fell_back:
                return
            self._placed = self._place(torch.device("cpu"))
            self.fell_back = True
            if self._chosen.type == "cuda":
                torch.cuda.empty_cache()
            elif self._chosen.type == "mps":
                torch.mps.empty_cache()

    def _load(self) -> None:
        if self._placed is None:
            self._placed = self._place(self._chosen)

    def _place(self, device: torch.device) -> _Placed:
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        network = fuse_batch_norm(self.bundle.network(device))
        network = network.to(dtype=dtype).to(memory_format=self.memory_format)  # type: ignore[call-overload]
        return _Placed(network, device, dtype)

    def _where(self) -> _Placed:
        assert self._placed is not None, "the network is placed when the runner is made"
        return self._placed


def check_slice(hu: Hu, pixel_spacing_mm: tuple[float, float]) -> None:
    """Raise InputError where a slice is not a finite 2D array, or its spacing (row, column) is not one of a CT."""
    if hu.ndim != 2 or min(hu.shape) < 16:
        raise InputError(f"A slice must be a 2D array of at least 16 x 16 pixels, not {hu.shape}.")
    if not np.isfinite(hu).all():
        raise InputError("The slice holds values that are not finite numbers; export the CT again.")
    if not all(math.isfinite(step) and 0.05 < step < 10 for step in pixel_spacing_mm):
        raise InputError(f"The pixel spacing {pixel_spacing_mm} mm is not one of a CT; check the image's geometry.")
