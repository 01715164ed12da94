"""In which numbers a network is trained on a device, and how they lie in memory."""

from __future__ import annotations

import torch
from torch import nn

from OsteoScreenLib.errors import UsageError

from .config import TrainingConfig


def chosen_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type that a configuration's ``precision`` names on a device; "auto" is the fastest there.

    Raises:
        UsageError: the device does not train in it.
    """
    if name != "auto":
        precision: torch.dtype = getattr(torch, name)
        if precision == torch.float16 and device.type != "cuda":
            raise UsageError("precision float16 needs CUDA; use auto, bfloat16 or float32.")
        return precision
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    # Measured on an EPYC with AVX512-BF16: twice the speed of float32; without the instructions it is slower.
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if device.type == "cpu" and has_bf16() else torch.float32


def chosen_memory_format(
    config: TrainingConfig, network: nn.Module, device: torch.device, precision: torch.dtype
) -> torch.memory_format:
    """Return the order of a batch's axes in memory by a configuration's ``channels_last``; "auto" is the fastest."""
    # Measured on the CPU: channels last gains 30 % in float32 and loses 15 % in bfloat16. With fewer than 8 channels,
    # torch 2.13 corrupts memory in training (seen with 2, 4 and 6 in the classifier, not with 8 and 12).
    narrowest = min((m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)), default=0)
    auto = device.type == "cuda" or (device.type == "cpu" and precision == torch.float32 and narrowest >= 8)
    on = config.channels_last == "on" or (config.channels_last == "auto" and auto)
    return torch.channels_last if on else torch.contiguous_format
