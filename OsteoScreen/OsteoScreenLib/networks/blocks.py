"""The small parts that the networks share, and padding to sizes that they can halve."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv_bn_relu(inputs: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0) -> nn.Sequential:
    """Return convolution, batch normalisation and ReLU; batch normalisation brings the bias."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions around an identity shortcut; width and size are kept."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = conv_bn_relu(channels, channels, 3, padding=1)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


def run_padded(function: Callable[[Tensor], Tensor], x: Tensor, multiple: int) -> Tensor:
    """Apply ``function`` to ``x`` (N, C, rows, columns) padded to a ``multiple``, and crop its result back.

    The edge is repeated, so that padding adds no contrast of its own.
    """
    rows, columns = x.shape[-2:]
    pad_rows, pad_columns = -rows % multiple, -columns % multiple
    if pad_rows or pad_columns:
        x = functional.pad(x, (0, pad_columns, 0, pad_rows), mode="replicate")
    return function(x)[..., :rows, :columns]
