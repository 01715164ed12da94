"""A classification bundle whose network is set by hand: its class follows from the mean HU around the body's middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from OsteoScreenLib.densitometry.calibration import NOMINAL_INTERCEPT, NOMINAL_SLOPE
from OsteoScreenLib.models import save_bundle
from OsteoScreenLib.networks import StudyClassifier

WINDOW_HU = (-200.0, 400.0)
#: The HU at which the nominal line gives 80 and 120 mg/cm3.
LIMITS_HU = tuple((bmd - NOMINAL_INTERCEPT) / NOMINAL_SLOPE for bmd in (80.0, 120.0))
#: How much surer the network is with every HU.
PER_HU = 0.1
#: 16 mm around the centroid: all of it lies inside the phantom's bodies.
CROP = {"spacing_mm": 0.5, "size": 32}


def description(levels: tuple[str, ...] = ("L1", "L2"), head: str = "softmax", **changes: Any) -> dict[str, Any]:
    return {
        "name": f"tiny-model{3 - len(levels)}",
        "version": "0.0.1",
        "role": "classification",
        "architecture": {
            "name": "study_classifier",
            "parameters": {"in_channels": len(levels), "base_width": 2, "head": head},
        },
        "preprocessing": {"window_hu": list(WINDOW_HU), "levels": list(levels), "hu": "standardised", "crop": CROP},
        "classes": ["normal", "osteopenia", "osteoporosis"],
        "training": {"data": "none: set by hand for tests", "kind": "none"},
        "metrics": [],
        "licence": "Apache-2.0",
        **changes,
    }


def hand_made_classifier(
    levels: int = 2, head: str = "softmax", limits_hu: tuple[float, ...] = LIMITS_HU
) -> StudyClassifier:
    """Each channel passes through untouched to the mean; the head compares the channels' mean with the limits."""
    network = StudyClassifier(in_channels=levels, base_width=2, head=head).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.fill_(1.0)
                module.eps = 0.0
        for channel in range(levels):
            network.stem[0][0].weight[channel, channel, 3, 3] = 1.0
            for stage in list(network.stages)[1:]:
                stage[0].shortcut[0].weight[channel, channel, 0, 0] = 1.0
        set_head(network, levels, head, limits_hu)
    return network


def set_head(network: StudyClassifier, levels: int, head: str, limits_hu: tuple[float, ...]) -> None:
    low, high = WINDOW_HU
    slope = PER_HU * (high - low)
    at_80, at_120 = (slope * (hu - low) / (high - low) for hu in limits_hu)
    if head == "softmax":
        network.output.weight[0, :levels], network.output.bias[0] = slope / levels, -at_120
        network.output.weight[2, :levels], network.output.bias[2] = -slope / levels, at_80
    else:
        network.output.score.weight[0, :levels] = -slope / levels
        network.output.first.fill_(-at_120)
        network.output.increments.copy_(torch.log(torch.expm1(torch.tensor([at_120 - at_80]))))


def write_tiny_classifier(
    folder: Path,
    levels: tuple[str, ...] = ("L1", "L2"),
    head: str = "softmax",
    limits_hu: tuple[float, ...] = LIMITS_HU,
    **changes: Any,
) -> Path:
    network = hand_made_classifier(len(levels), head, limits_hu)
    save_bundle(folder, description(levels, head, **changes), network, half=False)
    return folder
