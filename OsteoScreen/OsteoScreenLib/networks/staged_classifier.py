"""What both classifiers share: a stem, four stages of residual units, the mean over the slice, a head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from .blocks import conv_bn_relu
from .ordinal import OrdinalHead

#: What the mean over the slice is judged by: a linear layer whose classes have no order, or one score and cut points.
Head = Literal["softmax", "ordinal"]


def residual_shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return the identity where nothing changes, else a 1x1 convolution of that stride with batch normalisation."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


class ResidualSum(nn.Module):
    """``relu(body(x) + shortcut(x))``: a residual unit from its body."""

    def __init__(self, body: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class StagedClassifier(nn.Module):
    """Masked slices (N, ``in_channels``, rows, columns) in, values (N, ``classes``) out.

    The softmax of the values is the class probabilities, whichever the head. Slices may have any size from 32 x 32.

    Stage k has ``blocks[k]`` units of width ``2**k * base_width``; the first unit of every stage but the first halves.
    ``unit(inputs, width, stride)`` makes a unit whose output is ``expansion`` times as wide.

    Raises:
        ValueError: ``head`` is neither "softmax" nor "ordinal".
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        base_width: int,
        blocks: Sequence[int],
        unit: Callable[[int, int, int], nn.Module],
        expansion: int = 1,
        head: Head = "softmax",
    ):
        super().__init__()
        if head not in get_args(Head):
            raise ValueError(f'head must be "softmax" or "ordinal", not {head!r}')
        self.widths = [base_width * 2**stage for stage in range(len(blocks))]
        self.stem = nn.Sequential(
            conv_bn_relu(in_channels, base_width, 7, stride=2, padding=3), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.stages = nn.ModuleList()
        inputs = base_width
        for stage, (width, count) in enumerate(zip(self.widths, blocks, strict=True)):
            first = unit(inputs, width, 1 if stage == 0 else 2)
            inputs = expansion * width
            self.stages.append(nn.Sequential(first, *(unit(inputs, width, 1) for _ in range(count - 1))))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(inputs, classes) if head == "softmax" else OrdinalHead(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        for stage in self.stages:
            y = stage(y)
        return self.output(self.pool(y).flatten(1))
