"""Choosing where the networks run."""

from __future__ import annotations

import torch

from .errors import UsageError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device ``name``; "auto" takes CUDA, then Apple's MPS, then the CPU, whichever works.

    Raises:
        UsageError: the name is unknown, or the device is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if name not in available:
        raise UsageError(f"Unknown device {name!r}; choose auto, cpu, cuda or mps.")
    if not available[name]:
        raise UsageError(f"This computer has no {name} device that PyTorch can use; choose --device auto or cpu.")
    return torch.device(name)
