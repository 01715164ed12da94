"""Cutting patches out of slices: what is drawn on the host, and the one resampling on the device.

What a sample looks like depends only on (seed, step, place in the global batch), never on a generator's history. So a
resumed run, a run with a slow reader and a run on four machines all see the same samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from OsteoScreenLib.sampling import affine_grid, sample, shrink, shrink_factor

from ..datasets.slices import SliceRecord
from .config import PatchConfig


@dataclass(frozen=True)
class PatchPlan:
    """Where the patches of a batch lie; every array has one entry per patch.

    ``pixel_mm``: the slice's pixel side; ``spacing_mm``: the patch's, (N, 2) rows and columns; ``centre``: (N, 2) row
    and column in slice pixels, pixel centres at half-integers; ``angle``: radians; ``flip``: 1 or -1; ``locate``:
    whether it is a coarse patch; ``seeds``: what the intensity augmentation of the patch is drawn from.
    """

    pixel_mm: np.ndarray
    spacing_mm: np.ndarray
    centre: np.ndarray
    angle: np.ndarray
    flip: np.ndarray
    locate: np.ndarray
    seeds: np.ndarray

    def part(self, which: slice) -> PatchPlan:
        """Return the plan of some of the patches."""
        return PatchPlan(**{name: value[which] for name, value in vars(self).items()})


def draw_plan(
    records: Sequence[SliceRecord], seeds: Sequence[Sequence[int]], shape: tuple[int, int], config: PatchConfig
) -> PatchPlan:
    """Return randomised patches, one per record; ``seeds`` has one sequence of integers for each."""
    rows = [
        _draw_one(record, np.random.default_rng(seed), shape, config)
        for record, seed in zip(records, seeds, strict=True)
    ]
    return _stack(rows)


def fixed_plan(records: Sequence[SliceRecord], locate: bool, shape: tuple[int, int], config: PatchConfig) -> PatchPlan:
    """Return unrandomised patches at the spacings of inference: of the slice's middle, or around its body."""
    rows = []
    for record in records:
        middle = np.array([shape[0] / 2, shape[1] / 2])
        centre = middle if locate or record.body is None else np.array(record.body) + 0.5
        spacing = config.locate_mm if locate else config.outline_mm
        rows.append((record.pixel_mm, (spacing, spacing), centre, 0.0, 1.0, locate, 0))
    return _stack(rows)


def _stack(rows: Sequence[tuple]) -> PatchPlan:
    pixel, spacing, centre, angle, flip, locate, seeds = zip(*rows, strict=True)
    return PatchPlan(
        pixel_mm=np.asarray(pixel, np.float32),
        spacing_mm=np.asarray(spacing, np.float32),
        centre=np.asarray(centre, np.float32),
        angle=np.asarray(angle, np.float32),
        flip=np.asarray(flip, np.float32),
        locate=np.asarray(locate, bool),
        seeds=np.asarray(seeds, np.int64),
    )


def _draw_one(record: SliceRecord, rng: np.random.Generator, shape: tuple[int, int], config: PatchConfig) -> tuple:
    # Whoever chose the level says that a body is there. A locate pass that also learns slices without one gates on
    # what simulation draws worst, and misses real bodies; whether there is a body is for the outline pass to say.
    locate = bool(rng.random() < config.locate_fraction) and record.body is not None
    low, high = config.locate_spacing_mm if locate else config.outline_spacing_mm
    spacing = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    # A stretch of one axis against the other: bodies, gantries and simulated anatomy are not all alike.
    stretch = float(np.exp(rng.uniform(-config.stretch, config.stretch) / 2))
    unit = rng.uniform(-1.0, 1.0, 2)
    if locate:
        centre = np.array(shape) / 2 + unit * config.locate_shift_mm / record.pixel_mm
    elif record.body is not None:
        centre = np.array(record.body) + 0.5 + unit * config.outline_shift_mm / record.pixel_mm
    else:
        centre = np.array(shape) * (0.5 + 0.3 * unit)
    angle = np.deg2rad(rng.uniform(-config.rotation_deg, config.rotation_deg))
    flip = -1.0 if rng.random() < config.flip_probability else 1.0
    seed = int(rng.integers(2**62))
    return record.pixel_mm, (spacing * stretch, spacing / stretch), centre, angle, flip, locate, seed


def cut_patches(images: Tensor, masks: Tensor, plan: PatchPlan, size: int) -> tuple[Tensor, Tensor]:
    """Return patches (N, 1, size, size) of images, in HU, and of masks, as coverage 0..1.

    Slices that are sampled more coarsely than twice their pixel are averaged first, as inference does; patches with
    the same averaging share one ``grid_sample``.

    Args:
        images: (N, rows, columns) int16 HU on the device.
        masks: (N, rows, columns) uint8 coverage on the device.
    """
    device = images.device
    hu = torch.empty((len(images), 1, size, size), device=device)
    coverage = torch.empty_like(hu)
    factors = np.array(
        [shrink_factor(float(p), float(s.min())) for p, s in zip(plan.pixel_mm, plan.spacing_mm, strict=True)]
    )
    for factor in np.unique(factors):
        rows = np.flatnonzero(factors == factor)
        index = torch.as_tensor(rows, device=device)
        pair = torch.stack([images[index].float(), masks[index].float() / 255.0], dim=1)
        in_pixels = plan.spacing_mm[rows] / (plan.pixel_mm[rows, None] * factor)
        centres, steps, angles, flips = (
            torch.as_tensor(values.astype(np.float32), device=device)
            for values in (plan.centre[rows] / factor, in_pixels, plan.angle[rows], plan.flip[rows])
        )
        positions = affine_grid(centres, steps, angles, flips, size)
        cut = sample(shrink(pair, int(factor)), positions)
        hu[index], coverage[index] = cut[:, :1], cut[:, 1:]
    return hu, coverage
