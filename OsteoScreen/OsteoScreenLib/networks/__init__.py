"""The networks of the study, each in a file that reads like the paper's figure; others are found beside them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from torch import nn

from ..errors import BundleError
from .localiser import SpineLocaliser
from .registry import ARCHITECTURES
from .resnet101 import ResNet101
from .study_classifier import StudyClassifier
from .study_segmentation import StudySegmentationNetwork
from .unet import UNet


def find_networks() -> None:
    """Import the modules of this folder, which registers their networks."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)


find_networks()


def build_network(architecture: Mapping[str, Any]) -> nn.Module:
    """Return the untrained network that ``{"name": …, "parameters": {…}}`` describes.

    Raises:
        BundleError: the name is not in :data:`ARCHITECTURES`, or the network does not take the parameters.
    """
    name = architecture.get("name")
    if name not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise BundleError(f"Unknown network architecture {name!r}; this version knows {known}.")
    try:
        return ARCHITECTURES[name](**architecture.get("parameters", {}))
    except (TypeError, ValueError) as error:
        raise BundleError(f"The architecture {name!r} does not take these parameters: {error}.") from error


__all__ = [
    "ARCHITECTURES",
    "ResNet101",
    "SpineLocaliser",
    "StudyClassifier",
    "StudySegmentationNetwork",
    "UNet",
    "build_network",
    "find_networks",
]
