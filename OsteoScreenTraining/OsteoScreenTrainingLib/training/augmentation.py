"""Intensity augmentation on the device: what scanners, kernels and patients do to HU, and a good deal more.

Every sample's parameters and noise come from its own seed (see ``patches``). Amplitudes are in
``config.IntensityConfig``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from OsteoScreenLib.sampling import normalise

from .config import IntensityConfig

#: Half-width in pixels of the blur kernel: three times the widest standard deviation that a default run draws.
_BLUR_RADIUS = 5


def augment(hu: Tensor, seeds: np.ndarray, window_hu: tuple[float, float], config: IntensityConfig) -> Tensor:
    """Return network input 0..1 from patches ``hu`` (N, 1, rows, columns), randomised by ``seeds`` (N,)."""
    if config.strength == 0:
        return normalise(hu, window_hu)
    rngs = [np.random.default_rng(int(seed)) for seed in seeds]
    noise = _Noise(hu, seeds)
    hu = _resolution(hu, rngs, config)
    hu = _blur_or_sharpen(hu, rngs, config)
    hu = hu + _bias(hu, rngs, noise, config) + _noise(hu, rngs, noise, config) + _streaks(hu, rngs, config)
    hu = _erase(hu, rngs, config)
    hu = _scale_and_offset(hu, rngs, config)
    return _window(hu, rngs, window_hu, config)


class _Noise:
    """White noise of each sample, from the sample's own generator."""

    def __init__(self, like: Tensor, seeds: np.ndarray):
        self._generators = []
        for seed in seeds:
            generator = torch.Generator(device=like.device)
            generator.manual_seed(int(seed))
            self._generators.append(generator)
        self._device = like.device

    def __call__(self, rows: int, columns: int) -> Tensor:
        """Return (N, 1, rows, columns) of unit variance."""
        fields = [torch.randn((1, rows, columns), generator=g, device=self._device) for g in self._generators]
        return torch.stack(fields)


def _column(values: list[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1, 1)


def _sometimes(rng: np.random.Generator, probability: float, value: float) -> float:
    return value if rng.random() < probability else 0.0


def _resolution(hu: Tensor, rngs: list[np.random.Generator], config: IntensityConfig) -> Tensor:
    """Sample some patches down and up again, as a coarse matrix or a thick slice would."""
    hu = hu.clone()
    size = hu.shape[-2:]
    for row, rng in enumerate(rngs):
        factor = 1 + rng.random() * (config.low_resolution - 1) * config.strength
        if _sometimes(rng, config.low_resolution_probability, 1.0):
            small = [max(8, round(side / factor)) for side in size]
            down = functional.interpolate(hu[row : row + 1], small, mode="area")
            hu[row : row + 1] = functional.interpolate(down, size, mode="bilinear", align_corners=False)
    return hu


def _blur_or_sharpen(hu: Tensor, rngs: list[np.random.Generator], config: IntensityConfig) -> Tensor:
    sigmas, amounts = [], []
    for rng in rngs:
        sigma = 0.3 + rng.random() * config.blur_pixels * config.strength
        amount = rng.random() * config.sharpen * config.strength
        kind = rng.random()
        if kind < config.blur_probability:
            amount = -1.0
        elif kind > 1 - config.sharpen_probability:
            sigma = 0.5 + 0.5 * sigma
        else:
            amount = 0.0
        sigmas.append(sigma)
        amounts.append(amount)
    chosen = [row for row, amount in enumerate(amounts) if amount]
    if not chosen:
        return hu
    hu = hu.clone()
    part = hu[chosen]
    smooth = _gaussian(part, [sigmas[row] for row in chosen])
    # An amount of -1 gives the blurred patch itself; above 0 it adds what the blur took away.
    hu[chosen] = part + _column([amounts[row] for row in chosen], hu) * (part - smooth)
    return hu


def _gaussian(images: Tensor, sigmas: list[float]) -> Tensor:
    offsets = torch.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1, dtype=images.dtype, device=images.device)
    width = torch.tensor(sigmas, dtype=images.dtype, device=images.device).view(-1, 1)
    kernels = torch.exp(-0.5 * (offsets / width) ** 2)
    kernels = kernels / kernels.sum(1, keepdim=True)
    count = len(images)
    stacked = functional.pad(images.transpose(0, 1), [_BLUR_RADIUS] * 4, mode="replicate")
    stacked = functional.conv2d(stacked, kernels.view(count, 1, 1, -1), groups=count)
    return functional.conv2d(stacked, kernels.view(count, 1, -1, 1), groups=count).transpose(0, 1)


def _bias(hu: Tensor, rngs: list[np.random.Generator], noise: _Noise, config: IntensityConfig) -> Tensor:
    """Return a smooth field over the patch: beam hardening, scatter, cupping."""
    amounts = [
        _sometimes(rng, config.bias_probability, rng.random() * config.bias_hu * config.strength) for rng in rngs
    ]
    field = functional.interpolate(noise(4, 4), hu.shape[-2:], mode="bicubic", align_corners=False)
    return field * _column(amounts, hu)


def _noise(hu: Tensor, rngs: list[np.random.Generator], noise: _Noise, config: IntensityConfig) -> Tensor:
    """Return noise of a random colour: a mixture of white, half and quarter resolution."""
    rows, columns = hu.shape[-2:]
    amounts, weights = [], []
    for rng in rngs:
        share = rng.dirichlet([1.0, 1.0, 0.7])
        size = rng.random() ** 2 * config.noise_hu * config.strength
        amounts.append(_sometimes(rng, config.noise_probability, float(size)))
        weights.append(np.sqrt(share))
    mixed = torch.zeros_like(hu)
    for octave in range(3):
        part = noise(math.ceil(rows / 2**octave), math.ceil(columns / 2**octave))
        if octave:
            part = functional.interpolate(part, (rows, columns), mode="bilinear", align_corners=False)
        mixed = mixed + part * _column([float(weight[octave]) for weight in weights], hu)
    return mixed * _column(amounts, hu)


def _streaks(hu: Tensor, rngs: list[np.random.Generator], config: IntensityConfig) -> Tensor:
    """Return up to three straight bars, bright or dark, across some patches."""
    field = torch.zeros_like(hu)
    rows, columns = hu.shape[-2:]
    y = torch.arange(rows, device=hu.device, dtype=hu.dtype).view(-1, 1) - rows / 2
    x = torch.arange(columns, device=hu.device, dtype=hu.dtype).view(1, -1) - columns / 2
    for row, rng in enumerate(rngs):
        if not _sometimes(rng, config.streak_probability, 1.0):
            continue
        for _ in range(int(rng.integers(1, 4))):
            angle, width = rng.uniform(0, np.pi), rng.uniform(1.0, 10.0)
            shift = rng.uniform(-0.4, 0.4) * rows
            size = rng.uniform(-1, 1) * config.streak_hu * config.strength
            distance = (x * float(np.cos(angle)) + y * float(np.sin(angle)) - float(shift)) / float(width)
            field[row, 0] += float(size) * torch.exp(-0.5 * distance**2)
    return field


def _erase(hu: Tensor, rngs: list[np.random.Generator], config: IntensityConfig) -> Tensor:
    """Fill a rectangle of some patches with one value: what is behind metal, or beyond the field of view."""
    hu = hu.clone()
    rows, columns = hu.shape[-2:]
    for row, rng in enumerate(rngs):
        if not _sometimes(rng, config.erase_probability, 1.0):
            continue
        height, width = (rng.uniform(0.05, 1.0, 2) * config.erase_fraction * config.strength * [rows, columns]).astype(
            int
        )
        top, left = int(rng.integers(0, rows - height + 1)), int(rng.integers(0, columns - width + 1))
        hu[row, 0, top : top + height, left : left + width] = float(rng.uniform(-400, 800))
    return hu


def _scale_and_offset(hu: Tensor, rngs: list[np.random.Generator], config: IntensityConfig) -> Tensor:
    scales = [1 + rng.uniform(-1, 1) * config.scale * config.strength for rng in rngs]
    offsets = [rng.uniform(-1, 1) * config.offset_hu * config.strength for rng in rngs]
    return hu * _column(scales, hu) + _column(offsets, hu)


def _window(
    hu: Tensor, rngs: list[np.random.Generator], window_hu: tuple[float, float], config: IntensityConfig
) -> Tensor:
    """Clip to a jittered window, map to 0..1, and bend some patches' scale."""
    low, high = window_hu
    width = (high - low) * config.window_shift * config.strength
    lows, highs, gammas = [], [], []
    for rng in rngs:
        # The window may only narrow by clipping; what is inside keeps its place on the network's scale.
        chosen = rng.random() < config.window_probability
        lows.append(low + rng.random() * width * chosen)
        highs.append(high - rng.random() * 2 * width * chosen)
        power = float(np.exp(rng.uniform(-1, 1) * config.gamma * config.strength))
        gammas.append(power if rng.random() < config.gamma_probability else 1.0)
    clipped = torch.minimum(torch.maximum(hu, _column(lows, hu)), _column(highs, hu))
    return normalise(clipped, window_hu).clamp_min(1e-6) ** _column(gammas, hu)
