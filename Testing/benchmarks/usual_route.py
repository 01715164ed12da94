"""The forward passes that the usual route to a vertebra's outline needs: nnU-Net, 3D, full resolution, 1.5 mm.

What is rebuilt are the networks of TotalSegmentator's task ``total`` as its release 2.18.0 runs it, without their
weights: random ones cost the same. From its sources: five networks (``map_tasks_config.py``: 291 to 295), one fold
each, no mirroring, resampling to 1.5 mm, and tiles four fifths of a patch apart (``nnunet.py``: 0.8 for this task, 0.5
for others). From nnU-Net's planner (nnunetv2 2.8.1, ``default_experiment_planner.py``): the plain convolutional U-Net
of six stages with 32 to 320 features and two convolutions each, on patches of 128 x 128 x 128 voxels, as it plans for
isotropic voxels and 8 GB of GPU memory. The plans that come with the weights could not be had here.

It needs the package dynamic-network-architectures, of which this network uses torch alone:

    .venv/bin/pip install --no-deps dynamic-network-architectures
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

#: The networks of the task, and their outputs: the classes and the background.
NETWORKS = {"organs": 25, "vertebrae": 27, "cardiac": 19, "muscles": 24, "ribs": 27}
VOXEL_MM = 1.5
PATCH = 128
STEP = 0.8
FEATURES = (32, 64, 128, 256, 320, 320)


def tiles(shape: Sequence[int], spacing_mm: Sequence[float]) -> int:
    """Return how many patches cover a scan of ``shape`` voxels and ``spacing_mm``, in the same order of axes.

    A scan shorter than the patch is padded to it; else the patches lie at most ``STEP`` of a patch apart.
    """
    sides = [max(round(count * step / VOXEL_MM), PATCH) for count, step in zip(shape, spacing_mm, strict=True)]
    return math.prod(math.ceil((side - PATCH) / (PATCH * STEP)) + 1 for side in sides)


def network(outputs: int) -> nn.Module:
    """Return one of the networks, with random weights.  Raises ImportError where its package is missing."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    stages = len(FEATURES)
    return PlainConvUNet(
        input_channels=1,
        n_stages=stages,
        features_per_stage=list(FEATURES),
        conv_op=nn.Conv3d,
        kernel_sizes=3,
        strides=[1] + [2] * (stages - 1),
        n_conv_per_stage=2,
        num_classes=outputs,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=False,
    ).eval()


def measure(passes: int) -> dict[str, Any]:
    """Return the median seconds, the FLOPs and the parameters of one pass of each network, by its name."""
    patch = torch.randn(1, 1, PATCH, PATCH, PATCH)
    return {name: _measured(network(outputs), patch, passes) for name, outputs in NETWORKS.items()}


@torch.inference_mode()
def _measured(model: nn.Module, patch: torch.Tensor, passes: int) -> dict[str, Any]:
    with FlopCounterMode(display=False) as counter:
        model(patch)  # the first one pays for the allocation
    seconds = []
    for _ in range(passes):
        began = time.perf_counter()
        model(patch)
        seconds.append(time.perf_counter() - began)
    return {
        "seconds": statistics.median(seconds),
        "flops": counter.get_total_flops(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
