"""The study's classifier as its text describes it: residual stages of 3, 4, 6 and 3 units (paper Fig. 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import conv_bn_relu


class Block(nn.Module):
    """The paper's residual unit: 3x3, 3x3, 1x1 convolutions, a shortcut, ReLU.

    ``DBlock`` in the paper is the same unit with ``stride`` 2 and a 1x1 stride-2 convolution as its shortcut; a
    shortcut that neither halves nor widens is the identity.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.body = nn.Sequential(
            conv_bn_relu(inputs, outputs, 3, stride=stride, padding=1),
            conv_bn_relu(outputs, outputs, 3, padding=1),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class StudyClassifier(nn.Module):
    """Masked slices (N, ``in_channels``, rows, columns) in, class logits (N, ``classes``) out.

    Two channels (L1, L2) make the paper's Model 1, one channel (L1) its Model 2. ``base_width`` is the first stage's
    64 in the paper.
    """

    blocks = (3, 4, 6, 3)

    def __init__(self, in_channels: int = 2, classes: int = 3, base_width: int = 64):
        super().__init__()
        self.widths = [base_width * 2**stage for stage in range(4)]
        self.stem = nn.Sequential(
            conv_bn_relu(in_channels, base_width, 7, stride=2, padding=3), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.stages = nn.ModuleList()
        inputs = base_width
        for stage, (width, count) in enumerate(zip(self.widths, self.blocks, strict=True)):
            first = Block(inputs, width, stride=1 if stage == 0 else 2)
            self.stages.append(nn.Sequential(first, *(Block(width, width) for _ in range(count - 1))))
            inputs = width
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        for stage in self.stages:
            y = stage(y)
        return self.output(self.pool(y).flatten(1))
