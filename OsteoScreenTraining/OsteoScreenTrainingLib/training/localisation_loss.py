"""The localiser's loss: where bodies, discs, sacrum and ribs are; and, in the column, phase, ribs and names."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from OsteoScreenLib.localisation import channels

from . import localisation_targets as targets
from .config import LocalisationConfig

#: Bodies and discs are one voxel in fifty; what is theirs weighs this much more in the cross-entropy.
_RARE = 4.0
#: Voxels that are added to overlap and size, so that an empty channel scores 1 when nothing is found.
_SMOOTH = 50.0


def localisation_loss(outputs: Tensor, target: Tensor, config: LocalisationConfig) -> Tensor:
    """Return the loss of outputs (N, channels, slices, rows, columns) against uint8 targets (N, PLANES, ...)."""
    parts = localisation_losses(outputs, target)
    weights = {
        "evidence": config.evidence_weight, "dice": config.dice_weight, "ribs": config.ribs_weight,
        "phase": config.phase_weight, "names": config.names_weight,
    }  # fmt: skip
    return torch.stack([weights[name] * part for name, part in parts.items()]).sum()


def localisation_losses(outputs: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return the parts of the loss by name, before their weights."""
    outputs = outputs.float()
    valid = (target[:, targets.VALID] > 0).float()
    column = (target[:, targets.NAME] != targets.NO_NAME) & (valid > 0)
    logits = outputs[:, channels.BODY : channels.RIB + 1]
    coverage = target[:, targets.BODY : targets.RIB + 1].float() / 255
    weight = (1 + _RARE * coverage) * valid[:, None]
    entropy = functional.binary_cross_entropy_with_logits(logits, coverage, reduction="none")
    losses = {
        "evidence": (entropy * weight).sum() / weight.sum().clamp_min(1),
        "dice": 1 - _dice(torch.sigmoid(logits) * valid[:, None], coverage * valid[:, None]),
    }
    inside = outputs.movedim(1, -1)[column]
    truth = target.movedim(1, -1)[column]
    if len(inside) == 0:
        nothing = outputs.sum() * 0
        return losses | {"ribs": nothing, "phase": nothing, "names": nothing}
    bits = truth[:, targets.RIBBED]
    sides = torch.stack([(bits & targets.LEFT_BIT) > 0, (bits & targets.RIGHT_BIT) > 0], 1).float()
    phase = (truth[:, [targets.COS, targets.SIN]].float() - 128) / 127
    return losses | {
        "ribs": functional.binary_cross_entropy_with_logits(
            inside[:, channels.RIBBED_LEFT : channels.RIBBED_RIGHT + 1], sides
        ),
        "phase": functional.mse_loss(inside[:, channels.COS : channels.SIN + 1], phase),
        "names": functional.cross_entropy(inside[:, channels.FIRST_NAME :], truth[:, targets.NAME].long()),
    }


def _dice(probability: Tensor, coverage: Tensor) -> Tensor:
    """Return the mean soft Dice coefficient of the channels, over the whole batch."""
    axes = (0, 2, 3, 4)
    overlap = (probability * coverage).sum(axes)
    total = (probability * probability + coverage * coverage).sum(axes)
    return ((2 * overlap + _SMOOTH) / (total + _SMOOTH)).mean()
