"""Losses of the segmentation: soft Dice per sample and cross-entropy, against soft targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .config import LossConfig


def soft_dice(probability: Tensor, target: Tensor, smooth: float) -> Tensor:
    """Return the Dice coefficient of each sample, shape (N,).

    ``smooth`` pixels are added above and below, so that an empty patch scores 1 when nothing is found on it. The
    denominator is of squares, so that a soft target matched exactly scores 1.
    """
    axes = (1, 2, 3)
    overlap = (probability * target).sum(axes)
    total = (probability * probability + target * target).sum(axes)
    return (2 * overlap + smooth) / (total + smooth)


def boundary_band(target: Tensor, pixels: int) -> Tensor:
    """Return 1 within ``pixels`` of the outline of ``target`` (N, 1, rows, columns), else 0."""
    side = 2 * pixels + 1
    dilated = functional.max_pool2d(target, side, stride=1, padding=pixels)
    eroded = -functional.max_pool2d(-target, side, stride=1, padding=pixels)
    return ((dilated - eroded) > 0.5).to(target.dtype)


def segmentation_loss(logits: Tensor, target: Tensor, config: LossConfig) -> Tensor:
    """Return the mean loss of a batch: logits and coverage (N, 1, rows, columns) in, a scalar out.

    It is a mean of per-sample values, so that the gradients of equal shards of a batch average to the batch's.
    """
    logits = logits.float()
    pixels = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if config.boundary > 0:
        weights = 1 + config.boundary * boundary_band(target, config.boundary_pixels)
        entropy = (pixels * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))
    else:
        entropy = pixels.mean((1, 2, 3))
    dice = 1 - soft_dice(torch.sigmoid(logits), target, config.smooth)
    return (config.bce * entropy + config.dice * dice).mean()
