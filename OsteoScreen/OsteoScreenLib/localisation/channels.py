"""What the localiser's output channels mean, and the grid on which it works: shared by training and inference.

The network sees the trunk in voxels of :data:`GRID_MM` and answers on a grid half as fine in the plane. ``body``,
``disc``, ``sacrum`` and ``rib`` are logits of how much of a voxel is that; ``ribbed left`` and ``ribbed right``, told
inside the column of bodies and discs, are logits of the vertebra's bearing a rib on that side. ``cos`` and ``sin`` are
of the phase along the column: 0 in a body's centre, half a turn in the middle of a disc, growing towards the feet. The
others are logits of the vertebra's name, in the column.
"""

from __future__ import annotations

from ..levels.names import HEAD_TO_FOOT

#: Voxels that the network sees: between slices, rows and columns, mm. A cervical body and its disc are 16 mm high, an
#: upper thoracic disc 4 mm (Panjabi 1991): finer along the body than across it.
GRID_MM = (3.0, 4.0, 4.0)
#: The network's rows and columns are this many of the grid's.
REDUCTION = 2

NAMES = HEAD_TO_FOOT
BODY, DISC, SACRUM, RIB, RIBBED_LEFT, RIBBED_RIGHT, COS, SIN = range(8)
FIRST_NAME = 8
CHANNELS = (
    "body", "disc", "sacrum", "rib", "ribbed left", "ribbed right", "cos", "sin", *(f"name {name}" for name in NAMES),
)  # fmt: skip
