"""Where the outlines that a segmentation bundle drew lie in a data set; see :mod:`.predictions`."""

from __future__ import annotations

FOLDER, MASKS, DONE = "predictions", "masks.npy", "predictions.json"
