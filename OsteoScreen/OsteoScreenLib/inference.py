"""What the segmenter and the classifier share: a bundle's network, ready to run, and what a slice must be."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .device import choose_device
from .errors import InputError
from .models import Bundle
from .networks.fusion import fuse_batch_norm

Hu = NDArray[np.float32]


class BundleRunner:
    """A bundle's network on a device: batch normalisation folded in, channels last, half precision on CUDA.

    Raises:
        BundleError: the bundle's weights do not load.
        UsageError: the device is unknown or missing.
    """

    def __init__(self, bundle: Bundle, device: str = "auto"):
        self.bundle = bundle
        self.device = choose_device(device)
        self.dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        self.memory_format = torch.channels_last
        network = fuse_batch_norm(bundle.network(self.device))
        self.network = network.to(dtype=self.dtype).to(memory_format=self.memory_format)  # type: ignore[call-overload]
        low, high = bundle.preprocessing["window_hu"]
        self.window_hu = (float(low), float(high))

    def _forward(self, inputs: Tensor) -> Tensor:
        """Return what the network makes of ``inputs`` (N, C, rows, columns), as float32."""
        with torch.inference_mode():
            values: Tensor = self.network(inputs.to(dtype=self.dtype, memory_format=self.memory_format))
            return values.float()


def check_slice(hu: Hu, pixel_spacing_mm: tuple[float, float]) -> None:
    """Raise InputError where a slice is not a finite 2D array, or its spacing (row, column) is not one of a CT."""
    if hu.ndim != 2 or min(hu.shape) < 16:
        raise InputError(f"A slice must be a 2D array of at least 16 x 16 pixels, not {hu.shape}.")
    if not np.isfinite(hu).all():
        raise InputError("The slice holds values that are not finite numbers; export the CT again.")
    if not all(math.isfinite(step) and 0.05 < step < 10 for step in pixel_spacing_mm):
        raise InputError(f"The pixel spacing {pixel_spacing_mm} mm is not one of a CT; check the image's geometry.")
