"""The study's classifier as its text describes it: residual stages of 3, 4, 6 and 3 units (paper Fig. 3)."""

from __future__ import annotations

from torch import nn

from .blocks import conv_bn_relu
from .registry import architecture
from .staged_classifier import Head, ResidualSum, StagedClassifier, residual_shortcut


class Block(ResidualSum):
    """The paper's residual unit: 3x3, 3x3, 1x1 convolutions, a shortcut, ReLU.

    ``DBlock`` in the paper is the same unit with ``stride`` 2 and a 1x1 stride-2 convolution as its shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        body = nn.Sequential(
            conv_bn_relu(inputs, outputs, 3, stride=stride, padding=1),
            conv_bn_relu(outputs, outputs, 3, padding=1),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        super().__init__(body, residual_shortcut(inputs, outputs, stride))


@architecture("study_classifier", "classification")
class StudyClassifier(StagedClassifier):
    """Two channels (L1, L2) make the paper's Model 1, one channel (L1) its Model 2.

    ``base_width`` is the first stage's 64 in the paper, ``head`` its "softmax".
    """

    def __init__(self, in_channels: int = 2, classes: int = 3, base_width: int = 64, head: Head = "softmax"):
        super().__init__(in_channels, classes, base_width, (3, 4, 6, 3), Block, head=head)
