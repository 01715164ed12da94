"""The network that finds the spine in a whole trunk: a small residual U-Net in three dimensions.

It sees voxels of a few millimetres and answers on a grid half as fine in the plane and as fine along the body: what
matters is where along the spine each body lies, and its outline is not asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .registry import architecture


def _conv_bn_relu(inputs: int, outputs: int, kernel: int = 3, stride: int | tuple[int, int, int] = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
    )


class ResidualUnit3d(nn.Module):
    """Two 3x3x3 convolutions around an identity shortcut; width and size are kept."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = _conv_bn_relu(channels, channels)
        self.second = nn.Sequential(nn.Conv3d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm3d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


@architecture("spine_localiser", "localisation")
class SpineLocaliser(nn.Module):
    """Input (N, 1, slices, rows, columns), output (N, ``out_channels``, slices, rows / 2, columns / 2), raw values.

    ``widths`` are the channels from fine to coarse; each level after the first halves all three sides. Sides of any
    size are padded, the edge repeated, and the result is cropped back (rounding up).
    """

    def __init__(self, out_channels: int, widths: Sequence[int] = (16, 32, 64, 128)):
        super().__init__()
        if len(widths) < 2:
            raise ValueError("a localiser needs at least two widths")
        self.stem = _conv_bn_relu(1, widths[0], 5, stride=(1, 2, 2))
        self.encoder = nn.ModuleList([ResidualUnit3d(widths[0])])
        for finer, coarser in itertools.pairwise(widths):
            self.encoder.append(nn.Sequential(_conv_bn_relu(finer, coarser, 3, stride=2), ResidualUnit3d(coarser)))
        # From coarse to fine: what comes up is narrowed before it grows, which costs an eighth.
        pairs = list(itertools.pairwise(widths))[::-1]
        self.narrow = nn.ModuleList(_conv_bn_relu(coarser, finer, 1) for finer, coarser in pairs)
        self.decoder = nn.ModuleList(ResidualUnit3d(finer) for finer, _ in pairs)
        self.output = nn.Sequential(
            _conv_bn_relu(widths[0], 2 * widths[0], 1), nn.Conv3d(2 * widths[0], out_channels, 1)
        )
        self.multiples = (2 ** (len(widths) - 1), 2 ** len(widths), 2 ** len(widths))

    def forward(self, x: Tensor) -> Tensor:
        slices, rows, columns = x.shape[-3:]
        pads = [-size % multiple for size, multiple in zip(x.shape[-3:], self.multiples, strict=True)]
        if any(pads):
            x = functional.pad(x, (0, pads[2], 0, pads[1], 0, pads[0]), mode="replicate")
        return self._forward(x)[..., :slices, : -(-rows // 2), : -(-columns // 2)]

    def _forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        skips = []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
        for narrow, decode, skip in zip(self.narrow, self.decoder, skips[-2::-1], strict=True):
            x = functional.interpolate(narrow(x), skip.shape[-3:], mode="nearest")
            x = decode(x + skip)
        result: Tensor = self.output(x)
        return result
