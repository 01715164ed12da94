"""Randomising the masked slices of a classifier: pose as a scanner and a reader vary it, and a scanner's noise.

Nothing here shifts or scales HU, because HU are what the class depends on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from OsteoScreenLib.sampling import mask_and_window

from ..datasets.masked_slices import MaskedBatch
from .config import ClassificationConfig
from .patches import PatchPlan, cut_patches


def draw_poses(
    batch: MaskedBatch, seeds: Sequence[Sequence[int]], levels: int, field: tuple[float, int] | None,
    config: ClassificationConfig,
) -> PatchPlan:  # fmt: skip
    """Return one randomised patch per slice; a subject's levels are turned and mirrored alike, and shifted each.

    Args:
        seeds: a sequence of integers for each subject.
        field: spacing in mm and side in pixels; the slice's own pixels when None.
    """
    rows = []
    for number, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        angle = np.deg2rad(rng.uniform(-config.rotation_deg, config.rotation_deg))
        flip = -1.0 if rng.random() < config.flip_probability else 1.0
        zoom = float(np.exp(rng.uniform(-config.zoom, config.zoom)))
        for place in range(number * levels, (number + 1) * levels):
            shift = rng.uniform(-1, 1, 2) * config.shift_mm / batch.pixel_mm[place]
            rows.append((angle, flip, zoom, batch.centre[place] + shift, int(rng.integers(2**62))))
    return _plan(batch, rows, field)


def upright_poses(batch: MaskedBatch, field: tuple[float, int] | None) -> PatchPlan:
    """Return the patches that inference cuts."""
    return _plan(batch, [(0.0, 1.0, 1.0, centre, 0) for centre in batch.centre], field)


def _plan(batch: MaskedBatch, rows: Sequence[tuple], field: tuple[float, int] | None) -> PatchPlan:
    angle, flip, zoom, centre, seeds = zip(*rows, strict=True)
    pixel = batch.pixel_mm.astype(np.float32)
    spacing = pixel if field is None else np.full(len(pixel), field[0], np.float32)
    spacing = spacing * np.array(zoom, np.float32)
    return PatchPlan(
        pixel_mm=pixel,
        spacing_mm=np.stack([spacing, spacing], axis=1),
        centre=np.array(centre, np.float32),
        angle=np.array(angle, np.float32),
        flip=np.array(flip, np.float32),
        locate=np.zeros(len(pixel), bool),
        seeds=np.array(seeds, np.int64),
    )


def masked_inputs(
    batch: MaskedBatch, plan: PatchPlan, size: int, config: ClassificationConfig, window_hu: tuple[float, float],
    device: torch.device, noise_hu: float,
) -> Tensor:  # fmt: skip
    """Return the network's input (N, 1, size, size): cut, standardised, with noise of up to ``noise_hu``, masked."""
    images, masks = (torch.from_numpy(array).to(device) for array in (batch.hu, batch.coverage))
    hu, coverage = cut_patches(images, masks, plan, size)
    if config.hu == "standardised":
        line = torch.from_numpy(batch.line).to(device)
        hu = hu * line[:, :1, None, None] + line[:, 1:, None, None]
    if noise_hu > 0:
        hu = hu + _noise(plan.seeds, size, noise_hu, device)
    return mask_and_window(hu, coverage, window_hu)


def _noise(seeds: np.ndarray, size: int, most_hu: float, device: torch.device) -> Tensor:
    fields = []
    for seed in seeds:
        generator = torch.Generator(device=device).manual_seed(int(seed))
        amount = float(np.random.default_rng(int(seed)).uniform(0, most_hu))
        fields.append(amount * torch.randn((1, size, size), generator=generator, device=device))
    return torch.stack(fields)
