"""Folding batch normalisation into the convolution before it, for inference."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fuse_batch_norm(network: nn.Module) -> nn.Module:
    """Fold every batch normalisation that follows a convolution in a ``Sequential`` into it, in place.

    The network must be in evaluation mode; its outputs stay the same up to rounding.
    """
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for place in range(len(module) - 1):
                first, second = module[place], module[place + 1]
                if isinstance(first, (nn.Conv2d, nn.Conv3d)) and isinstance(second, (nn.BatchNorm2d, nn.BatchNorm3d)):
                    module[place] = fuse_conv_bn_eval(first, second)
                    module[place + 1] = nn.Identity()
    return network
