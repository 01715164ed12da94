"""Optimisers, the learning-rate schedule and the averaging of weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from .config import OptimiserConfig


def make_optimiser(network: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum or AdamW; weight decay spares biases and normalisation (vectors)."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "sgd":
        return torch.optim.SGD(
            groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.momentum > 0, foreach=True
        )
    return torch.optim.AdamW(groups, lr=config.learning_rate, foreach=True)


def learning_rate(config: OptimiserConfig, step: int, progress: float) -> float:
    """Return the rate of ``step`` (from 0) when ``progress`` 0..1 of the budget is spent: warm-up, then a cosine."""
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress))))
    return config.learning_rate * warmup * (config.final_rate + (1 - config.final_rate) * cosine)


class WeightAverage:
    """Exponential moving average of a network's weights and of its batch normalisation's running statistics.

    The decay grows from 0.1 with the number of updates, (1 + n) / (10 + n), so that the first steps are forgotten.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = self.network.state_dict(), network.state_dict()
        floats: list[str] = [name for name, value in mine.items() if value.is_floating_point()]
        averaged: list[Tensor] = [mine[name] for name in floats]
        torch._foreach_lerp_(averaged, [theirs[name] for name in floats], 1 - decay)
        for name, value in mine.items():
            if not value.is_floating_point():
                value.copy_(theirs[name])
