"""Where L1 and L2 are: given by the user, taken from a segmentation, moved to the middle of the body."""

from __future__ import annotations

from .chosen import parse_level
from .from_segmentation import levels_from_segmentation
from .snapping import snap_to_centre
from .vertebra_masks import VertebraMask, read_vertebrae

__all__ = ["VertebraMask", "levels_from_segmentation", "parse_level", "read_vertebrae", "snap_to_centre"]
