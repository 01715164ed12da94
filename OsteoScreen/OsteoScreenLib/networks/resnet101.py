"""The standard ResNet-101 (He et al. 2016), which the paper names, with one or two input channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import conv_bn_relu

#: A bottleneck's output is four times as wide as its 3x3 convolution (He et al. 2016, table 1).
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3, 1x1 expand, and the shortcut; the stride sits in the 3x3 convolution."""

    def __init__(self, inputs: int, width: int, stride: int = 1):
        super().__init__()
        outputs = EXPANSION * width
        self.body = nn.Sequential(
            conv_bn_relu(inputs, width, 1),
            conv_bn_relu(width, width, 3, stride=stride, padding=1),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class ResNet101(nn.Module):
    """Masked slices (N, ``in_channels``, rows, columns) in, class logits (N, ``classes``) out."""

    blocks = (3, 4, 23, 3)

    def __init__(self, in_channels: int = 2, classes: int = 3, base_width: int = 64):
        super().__init__()
        self.widths = [base_width * 2**stage for stage in range(4)]
        self.stem = nn.Sequential(
            conv_bn_relu(in_channels, base_width, 7, stride=2, padding=3), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.stages = nn.ModuleList()
        inputs = base_width
        for stage, (width, count) in enumerate(zip(self.widths, self.blocks, strict=True)):
            first = Bottleneck(inputs, width, stride=1 if stage == 0 else 2)
            inputs = EXPANSION * width
            self.stages.append(nn.Sequential(first, *(Bottleneck(inputs, width) for _ in range(count - 1))))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        for stage in self.stages:
            y = stage(y)
        return self.output(self.pool(y).flatten(1))
