"""Where L1 and L2 are: given by the user, taken from a segmentation, moved to the middle of the body."""

from __future__ import annotations

from .chosen import level_at, parse_level
from .from_segmentation import levels_from_segmentation, levels_from_vertebrae
from .names import SCT_CODES, vertebra_named
from .snapping import snap_to_centre
from .vertebra_masks import VertebraMask, read_vertebrae

__all__ = [
    "SCT_CODES",
    "VertebraMask",
    "level_at",
    "levels_from_segmentation",
    "levels_from_vertebrae",
    "parse_level",
    "read_vertebrae",
    "snap_to_centre",
    "vertebra_named",
]
