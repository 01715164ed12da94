"""The table under the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import Canvas
from .spine import Spine
from .wall import Wall


@dataclass(frozen=True)
class Table:
    """A curved shell with foam in it, ``y`` mm behind the middle of L1; None of it where ``y`` is None."""

    y: float | None
    curve: float
    thick: float
    half_width: float
    hu: float
    deck_hu: float

    @classmethod
    def random(cls, rng: np.random.Generator, wall: Wall, spine: Spine) -> Table:
        """Draw a table close under the back."""
        rows = (wall.z > spine["L3"].centre[2]) & (wall.z < spine["T3"].centre[2])
        back = float((wall.centre_y + wall.half_depth + wall.back + wall.fat)[rows].max())
        y = back + float(rng.uniform(0, 22)) if rng.random() < 0.8 else None
        return cls(
            y, float(rng.uniform(0, 0.0016)), float(rng.uniform(15, 45)), float(rng.uniform(190, 240)),
            float(rng.uniform(-250, 120)), float(rng.uniform(-990, -850)),
        )  # fmt: skip

    def paint(self, canvas: Canvas) -> None:
        """Paint it, before the patient."""
        if self.y is None:
            return
        x, y = canvas.grid.axis(0), canvas.grid.axis(1)
        depth = y[:, None] - self.y + self.curve * x[None, :] ** 2
        inside = np.minimum(depth, self.thick - depth)
        inside = np.minimum(inside, self.half_width - np.abs(x)[None, :]).astype(np.float32)
        canvas.blend(canvas.whole, canvas.coverage(inside)[None], self.hu)
        canvas.blend(canvas.whole, canvas.coverage(inside - np.float32(2.5))[None], self.deck_hu)
