"""The study's segmentation network: a seven-level encoder-decoder with channel attention (paper Fig. 2).

Widths are not printed in the paper; they double from ``base_width`` up to ``16 * base_width`` and stay there.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from .blocks import ResidualUnit, conv_bn_relu, run_padded
from .registry import architecture

#: Which of its two inputs the channel attention weighs. The text's "lower-level" feature map is read as the skip
#: connection's ("skip", as in Yu et al. 2018, Discriminative Feature Networks); "upsampled" is the other reading.
Attention = Literal["skip", "upsampled"]


class ChannelAttention(nn.Module):
    """Fuse the skip of level 6 with the upsampled level 7: one is weighted per channel, the other added."""

    def __init__(self, channels: int, weighs: Attention):
        super().__init__()
        self.weighs = weighs
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(2 * channels, channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, skip: Tensor, upsampled: Tensor) -> Tensor:
        weights = self.weights(torch.cat([skip, upsampled], dim=1))
        if self.weighs == "skip":
            return weights * skip + upsampled
        return weights * upsampled + skip


@architecture("study_segmentation", "segmentation")
class StudySegmentationNetwork(nn.Module):
    """Vertebral body segmentation as in the paper's Fig. 2.

    Input (N, ``in_channels``, rows, columns), output logits (N, ``out_channels``, rows, columns); sizes that are not
    multiples of 64 are padded and cropped back.

    Raises:
        ValueError: ``attention`` is neither "skip" nor "upsampled".
    """

    levels = 7
    size_multiple = 64

    def __init__(
        self, in_channels: int = 1, out_channels: int = 1, base_width: int = 16, attention: Attention = "skip"
    ):
        super().__init__()
        if attention not in ("skip", "upsampled"):
            raise ValueError(f'attention must be "skip" or "upsampled", not {attention!r}')
        self.widths = [base_width * min(2**level, 16) for level in range(self.levels)]
        w = self.widths

        self.encoder = nn.ModuleList()
        for level in range(5):
            inputs = in_channels if level == 0 else w[level - 1]
            self.encoder.append(nn.Sequential(conv_bn_relu(inputs, w[level], 1), ResidualUnit(w[level])))
        self.encoder.append(nn.Sequential(conv_bn_relu(w[4], w[5], 2, stride=2), ResidualUnit(w[5])))
        self.bottom = conv_bn_relu(w[5], w[6], 2, stride=2)
        self.pool = nn.MaxPool2d(2)

        self.up_to_6 = nn.ConvTranspose2d(w[6], w[5], 2, stride=2)
        self.attention = ChannelAttention(w[5], attention)
        self.up = nn.ModuleList(nn.ConvTranspose2d(w[level + 1], w[level], 2, stride=2) for level in range(5))
        self.fuse = nn.ModuleList(conv_bn_relu(2 * w[level], w[level], 3, padding=1) for level in range(5))
        self.output = nn.Conv2d(w[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return run_padded(self._forward, x, self.size_multiple)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps of levels 1 to 7; ``x`` has sides that are multiples of 64."""
        features = [self.encoder[0](x)]
        for level in range(1, 5):
            features.append(self.encoder[level](self.pool(features[-1])))
        features.append(self.encoder[5](features[-1]))
        features.append(self.bottom(features[-1]))
        return features

    def _forward(self, x: Tensor) -> Tensor:
        *skips, bottom = self.encode(x)
        y = self.attention(skips[5], self.up_to_6(bottom))
        for level in (4, 3, 2, 1, 0):
            y = self.fuse[level](torch.cat([skips[level], self.up[level](y)], dim=1))
        return self.output(y)
