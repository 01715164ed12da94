"""A segmentation bundle whose network is set by hand: it outlines what is as bright as the phantom's spongy bone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from OsteoScreenLib.models import save_bundle
from OsteoScreenLib.networks import UNet

WINDOW_HU = (-275.0, 850.0)
#: Between the phantom's muscle (50 HU) and its cortex (400 HU).
INSIDE_HU = (80.0, 220.0)
STEEPNESS = 400.0


def description(**changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "version": "0.0.1",
        "role": "segmentation",
        "architecture": {"name": "unet", "parameters": {"base_width": 2}},
        "preprocessing": {
            "window_hu": list(WINDOW_HU),
            "locate": {"spacing_mm": 3.0, "size": 64},
            "outline": {"spacing_mm": 1.0, "size": 96},
        },
        "classes": ["trabecular compartment"],
        "training": {"data": "none: set by hand for tests", "kind": "none"},
        "metrics": [],
        "licence": "Apache-2.0",
        **changes,
    }


def hand_made_network() -> UNet:
    """Mean of 3 x 3 pixels, bright enough, not too bright; everything below the first level is silent."""
    low, high = ((hu - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0]) for hu in INSIDE_HU)
    network = UNet(base_width=2).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.fill_(1.0)
                module.eps = 0.0
        (mean, norm, _), (passed, *_), (joined, *_), (kept, *_) = (
            network.encoder[0][0],
            network.encoder[0][1],
            network.decoder[0][0],
            network.decoder[0][1],
        )
        mean.weight.fill_(1 / 9)
        norm.bias.copy_(torch.tensor([-low, -high]))
        for convolution in (passed, joined, kept):
            for channel in (0, 1):
                convolution.weight[channel, channel, 1, 1] = 1.0
        network.output.weight[0, :, 0, 0] = torch.tensor([STEEPNESS, -4 * STEEPNESS])
        network.output.bias.fill_(-1.0)
    return network


def silent_network() -> UNet:
    """A network that finds nothing anywhere."""
    network = hand_made_network()
    with torch.no_grad():
        network.output.weight.zero_()
    return network


def write_tiny_bundle(folder: Path, network: UNet | None = None, **changes: Any) -> Path:
    save_bundle(folder, description(**changes), network or hand_made_network(), half=False)
    return folder
