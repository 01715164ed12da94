"""Intensity augmentation of volumes: what scanners, kernels and patients do to HU, and a good deal more.

The same randomisation as the slices' (see :mod:`.augmentation`), in three dimensions and on coarse voxels. Amplitudes
are in ``config.IntensityConfig``; every sample's are drawn from its own seed.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from OsteoScreenLib.sampling import normalise

from .config import IntensityConfig


def augment_volumes(hu: Tensor, seeds: np.ndarray, window_hu: tuple[float, float], config: IntensityConfig) -> Tensor:
    """Return network input 0..1 from ``hu`` (N, 1, slices, rows, columns), randomised by ``seeds`` (N,)."""
    if config.strength == 0:
        return normalise(hu, window_hu)
    done = [_augment(volume[None], int(seed), window_hu, config) for volume, seed in zip(hu, seeds, strict=True)]
    return torch.cat(done)


def _augment(hu: Tensor, seed: int, window_hu: tuple[float, float], config: IntensityConfig) -> Tensor:
    rng = np.random.default_rng(seed)
    generator = torch.Generator(device=hu.device)
    generator.manual_seed(seed)
    hu = _resolution(hu, rng, config)
    hu = _blur_or_sharpen(hu, rng, config)
    hu = hu + _bias(hu, rng, generator, config) + _noise(hu, rng, generator, config)
    hu = _erase(hu, rng, config)
    hu = hu * (1 + rng.uniform(-1, 1) * config.scale * config.strength)
    hu = hu + rng.uniform(-1, 1) * config.offset_hu * config.strength
    return _window(hu, rng, window_hu, config)


def _resolution(hu: Tensor, rng: np.random.Generator, config: IntensityConfig) -> Tensor:
    """Sample down and up again: thick slices, or coarse pixels."""
    factor = 1 + rng.random() * (config.low_resolution - 1) * config.strength
    across, plane = rng.random() < 0.7, rng.random() < 0.4
    if rng.random() >= config.low_resolution_probability:
        return hu
    slices, rows, columns = hu.shape[-3:]
    small = [max(8, round(slices / factor)) if across else slices]
    small += [max(8, round(side / factor)) if plane else side for side in (rows, columns)]
    down = functional.interpolate(hu, small, mode="area")
    return functional.interpolate(down, (slices, rows, columns), mode="trilinear", align_corners=False)


def _blur_or_sharpen(hu: Tensor, rng: np.random.Generator, config: IntensityConfig) -> Tensor:
    kind, amount = rng.random(), rng.random()
    blurs, sharpens = kind < config.blur_probability, kind > 1 - config.sharpen_probability
    if not (blurs or sharpens):
        return hu
    smooth = functional.avg_pool3d(functional.pad(hu, (1,) * 6, mode="replicate"), 3, stride=1)
    share = -min(1.0, amount * config.strength) if blurs else amount * config.sharpen * config.strength
    return hu + share * (hu - smooth)


def _bias(hu: Tensor, rng: np.random.Generator, generator: torch.Generator, config: IntensityConfig) -> Tensor:
    """Return a smooth field: beam hardening, scatter, shading along the body."""
    amount = rng.random() * config.bias_hu * config.strength * (rng.random() < config.bias_probability)
    coarse = torch.randn((1, 1, 4, 4, 4), generator=generator, device=hu.device)
    return amount * functional.interpolate(coarse, hu.shape[-3:], mode="trilinear", align_corners=False)


def _noise(hu: Tensor, rng: np.random.Generator, generator: torch.Generator, config: IntensityConfig) -> Tensor:
    """Return noise of a random colour: white, and of half the resolution."""
    share, size = rng.random(), rng.random() ** 2 * config.noise_hu * config.strength
    if rng.random() >= config.noise_probability:
        return torch.zeros_like(hu)
    shape = hu.shape[-3:]
    white = torch.randn((1, 1, *shape), generator=generator, device=hu.device)
    half = torch.randn((1, 1, *(math.ceil(side / 2) for side in shape)), generator=generator, device=hu.device)
    smooth = functional.interpolate(half, shape, mode="trilinear", align_corners=False)
    return size * (math.sqrt(share) * white + math.sqrt(1 - share) * smooth)


def _erase(hu: Tensor, rng: np.random.Generator, config: IntensityConfig) -> Tensor:
    """Fill a block with one value: what is behind metal, or beyond the field of view."""
    sides = np.array(hu.shape[-3:])
    size = (rng.uniform(0.05, 1.0, 3) * config.erase_fraction * config.strength * sides).astype(int)
    first = [int(rng.integers(0, side - n + 1)) for side, n in zip(sides, size, strict=True)]
    value = float(rng.uniform(-400, 800))
    if rng.random() >= config.erase_probability:
        return hu
    hu = hu.clone()
    k, j, i = (slice(start, start + n) for start, n in zip(first, size, strict=True))
    hu[..., k, j, i] = value
    return hu


def _window(hu: Tensor, rng: np.random.Generator, window_hu: tuple[float, float], config: IntensityConfig) -> Tensor:
    """Clip to a jittered window, map to 0..1, and bend some samples' scale."""
    low, high = window_hu
    width = (high - low) * config.window_shift * config.strength * (rng.random() < config.window_probability)
    clipped = hu.clamp(low + rng.random() * width, high - 2 * rng.random() * width)
    power = float(np.exp(rng.uniform(-1, 1) * config.gamma * config.strength))
    if rng.random() >= config.gamma_probability:
        power = 1.0
    return normalise(clipped, window_hu).clamp_min(1e-6) ** power
