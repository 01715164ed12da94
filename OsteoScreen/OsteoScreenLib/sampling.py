"""Resampling and masking of slices for the networks: what training and inference share.

Patch coordinates and image coordinates follow torch's ``align_corners=False``: the centre of pixel (row, column) lies
at (row + 0.5, column + 0.5).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

#: Coverage at which a pixel is inside: the networks learn coverage, so an outline runs at a half.
EDGE = 0.5


def affine_grid(centres: Tensor, steps: Tensor, angles: Tensor, flips: Tensor, size: int) -> Tensor:
    """Return where each pixel of a square patch lies in its image, in pixels.

    Args:
        centres: (N, 2) row and column of the patch's centre in the image, pixel centres at half-integers.
        steps: (N, 2) distance between neighbouring patch pixels, in image rows and columns.
        angles: (N,) rotation in radians, in the isotropic coordinates of the patch.
        flips: (N,) 1 or -1; -1 mirrors left and right.
        size: side of the patch in pixels.

    Returns:
        (N, size, size, 2) row and column positions.
    """
    offsets = torch.arange(size, device=centres.device, dtype=centres.dtype) - (size - 1) / 2
    rows, columns = torch.meshgrid(offsets, offsets, indexing="ij")
    columns = columns * flips.view(-1, 1, 1)
    cos, sin = torch.cos(angles).view(-1, 1, 1), torch.sin(angles).view(-1, 1, 1)
    turned_rows = cos * rows + sin * columns
    turned_columns = cos * columns - sin * rows
    return torch.stack(
        [
            centres[:, 0].view(-1, 1, 1) + steps[:, 0].view(-1, 1, 1) * turned_rows,
            centres[:, 1].view(-1, 1, 1) + steps[:, 1].view(-1, 1, 1) * turned_columns,
        ],
        dim=-1,
    )


def sample(images: Tensor, positions: Tensor) -> Tensor:
    """Return ``images`` (N, C, rows, columns) at ``positions`` (N, h, w, 2), bilinear, the edge repeated."""
    rows, columns = images.shape[-2:]
    scale = positions.new_tensor([2.0 / rows, 2.0 / columns])
    normalised = (positions * scale - 1.0).flip(-1)
    return functional.grid_sample(images, normalised, mode="bilinear", padding_mode="border", align_corners=False)


def shrink_factor(spacing_mm: float, target_mm: float) -> int:
    """Return by how much to average before sampling at ``target_mm``, so that noise does not alias."""
    return max(1, int(target_mm / spacing_mm + 1e-6))


def shrink(images: Tensor, factor: int) -> Tensor:
    """Average ``factor`` x ``factor`` pixels of ``images`` (N, C, rows, columns); a partial last block is dropped."""
    return images if factor == 1 else functional.avg_pool2d(images, factor)


def cut(
    images: Tensor, pixel_spacing_mm: tuple[float, float], centre: tuple[float, float], target_mm: float, size: int
) -> Tensor:
    """Return upright patches (N, C, size, size) of ``images`` (N, C, rows, columns), ``target_mm`` between pixels.

    Args:
        images: slices on their own pixels, all with the same spacing.
        pixel_spacing_mm: distance between rows, and between columns, in mm.
        centre: row and column of the patches' centre in the images, pixel centres at half-integers.
        target_mm: distance between neighbouring patch pixels, in mm.
        size: side of the patches in pixels.
    """
    factor = shrink_factor(min(pixel_spacing_mm), target_mm)
    steps = [target_mm / step / factor for step in pixel_spacing_mm]
    positions = affine_grid(
        images.new_tensor([[centre[0] / factor, centre[1] / factor]]),
        images.new_tensor([steps]),
        images.new_zeros(1),
        images.new_ones(1),
        size,
    )
    return sample(shrink(images, factor), positions.expand(len(images), -1, -1, -1))


def normalise(hu: Tensor, window_hu: tuple[float, float]) -> Tensor:
    """Map HU to 0..1 inside ``window_hu`` and clip outside it."""
    low, high = window_hu
    return ((hu - low) / (high - low)).clamp(0.0, 1.0)


def mask_and_window(hu: Tensor, coverage: Tensor, window_hu: tuple[float, float]) -> Tensor:
    """Return a classifier's input: ``hu`` mapped to 0..1 by ``window_hu`` inside the outline, and 0 outside it.

    ``hu`` and ``coverage`` (0..1, inside from :data:`EDGE`) have the same shape and are resampled already: the outline
    is cut on the network's pixels, so that no pixel mixes bone with the 0 around it.
    """
    return torch.where(coverage >= EDGE, normalise(hu, window_hu), 0.0)
