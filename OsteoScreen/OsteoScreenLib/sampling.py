"""Resampling of slices for the networks: the one function that training and inference share.

Patch coordinates and image coordinates follow torch's ``align_corners=False``: the centre of pixel (row, column) lies
at (row + 0.5, column + 0.5).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


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


def normalise(hu: Tensor, window_hu: tuple[float, float]) -> Tensor:
    """Map HU to 0..1 inside ``window_hu`` and clip outside it."""
    low, high = window_hu
    return ((hu - low) / (high - low)).clamp(0.0, 1.0)
