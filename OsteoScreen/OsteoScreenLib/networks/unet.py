"""The classical U-Net (Ronneberger et al. 2015), the comparator of the paper's Fig. 6.

Same-size convolutions and batch normalisation, as it is built today; five levels, widths doubling.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import conv_bn_relu, run_padded
from .registry import architecture


def _double_conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(inputs, outputs, 3, padding=1), conv_bn_relu(outputs, outputs, 3, padding=1))


@architecture("unet", "segmentation")
class UNet(nn.Module):
    """Input (N, ``in_channels``, rows, columns), output logits (N, ``out_channels``, rows, columns).

    Sizes that are not multiples of 16 are padded and cropped back.
    """

    levels = 5
    size_multiple = 16

    def __init__(self, in_channels: int = 1, out_channels: int = 1, base_width: int = 16):
        super().__init__()
        self.widths = [base_width * 2**level for level in range(self.levels)]
        w = self.widths
        self.encoder = nn.ModuleList(
            _double_conv(inputs, outputs) for inputs, outputs in zip([in_channels, *w[:-1]], w, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(nn.ConvTranspose2d(w[level + 1], w[level], 2, stride=2) for level in range(4))
        self.decoder = nn.ModuleList(_double_conv(2 * w[level], w[level]) for level in range(4))
        self.output = nn.Conv2d(w[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return run_padded(self._forward, x, self.size_multiple)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps of levels 1 to 5; ``x`` has sides that are multiples of 16."""
        features = [self.encoder[0](x)]
        for stage in self.encoder[1:]:
            features.append(stage(self.pool(features[-1])))
        return features

    def _forward(self, x: Tensor) -> Tensor:
        *skips, y = self.encode(x)
        for level in (3, 2, 1, 0):
            y = self.decoder[level](torch.cat([skips[level], self.up[level](y)], dim=1))
        return self.output(y)
