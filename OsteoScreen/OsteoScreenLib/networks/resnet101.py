"""The standard ResNet-101 (He et al. 2016), which the paper names, with one or two input channels."""

from __future__ import annotations

from torch import nn

from .blocks import conv_bn_relu
from .registry import architecture
from .staged_classifier import Head, ResidualSum, StagedClassifier, residual_shortcut

#: A bottleneck's output is four times as wide as its 3x3 convolution (He et al. 2016, table 1).
EXPANSION = 4


class Bottleneck(ResidualSum):
    """1x1 reduce, 3x3, 1x1 expand, and the shortcut; the stride sits in the 3x3 convolution."""

    def __init__(self, inputs: int, width: int, stride: int = 1):
        outputs = EXPANSION * width
        body = nn.Sequential(
            conv_bn_relu(inputs, width, 1),
            conv_bn_relu(width, width, 3, stride=stride, padding=1),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        super().__init__(body, residual_shortcut(inputs, outputs, stride))


@architecture("resnet101", "classification")
class ResNet101(StagedClassifier):
    """Two channels (L1, L2) make Model 1, one channel (L1) Model 2; ``base_width`` is 64 in the standard network."""

    def __init__(self, in_channels: int = 2, classes: int = 3, base_width: int = 64, head: Head = "softmax"):
        super().__init__(in_channels, classes, base_width, (3, 4, 23, 3), Bottleneck, EXPANSION, head)
