"""The networks of the study, each in a file that reads like the paper's figure, and the table that names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ..errors import BundleError
from .localiser import SpineLocaliser
from .resnet101 import ResNet101
from .study_classifier import StudyClassifier
from .study_segmentation import StudySegmentationNetwork
from .unet import UNet

#: The architectures that a bundle may name.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "study_segmentation": StudySegmentationNetwork,
    "unet": UNet,
    "study_classifier": StudyClassifier,
    "resnet101": ResNet101,
    "spine_localiser": SpineLocaliser,
}


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
]
