"""What disease and surgeons add to a spine: bridges of bone, cement, screws and rods."""

from __future__ import annotations

import numpy as np

from .anomalies import Anomalies
from .canvas import Canvas
from .shapes import capsule, ellipsoid
from .spine import Spine
from .tissues import Tissues
from .tubes import paint_tube

#: What a scanner's 12 bits hold at most, HU.
METAL_HU = 3071.0


def paint_bridges(
    canvas: Canvas, spine: Spine, anomalies: Anomalies, tissues: Tissues, rng: np.random.Generator
) -> None:
    """Paint the flowing bone of DISH along the right front of the bodies, over the discs."""
    for name in anomalies.dish:
        index = anomalies.names.index(name)
        upper, lower = spine.vertebrae[index], spine.vertebrae[index + 1]
        angle = np.radians(rng.uniform(195, 265))
        thick = float(rng.uniform(2.5, 6.0))
        across, front = 1.02 * np.cos(angle), 1.02 * np.sin(angle)
        heights = ((upper, 0.0), (upper, -upper.half_height), (lower, lower.half_height), (lower, 0.0))
        line = [v.point(v.half_width * across, v.half_depth * front, w) for v, w in heights]
        out = np.array([np.cos(angle), np.sin(angle), 0]) * thick * 0.7
        line[1], line[2] = line[1] + out, line[2] + out
        paint_tube(canvas, np.array(line), np.array([0.6, 1.0, 1.0, 0.6]) * thick, 0.55 * tissues.cortex, step=8.0)


def paint_cement(canvas: Canvas, spine: Spine, anomalies: Anomalies, rng: np.random.Generator) -> None:
    """Paint one to three clouds of cement into every augmented body."""
    for name in anomalies.cement:
        v = spine[name]
        for _ in range(int(rng.integers(1, 4))):
            spot = v.middle + v.frame @ (rng.uniform(-0.5, 0.5, 3) * [v.half_width, v.half_depth, 0.5 * v.half_height])
            hu = float(rng.uniform(900, 2800))
            radii = rng.uniform(0.25, 0.6, 3) * [v.half_width, v.half_depth, v.half_height]
            window = canvas.around(spot, float(radii.max()) + 2)
            if window is not None:
                cloud = ellipsoid(canvas.axes(window), spot, radii, v.frame)
                canvas.solid(window, cloud, hu)


def paint_screws(canvas: Canvas, spine: Spine, anomalies: Anomalies, rng: np.random.Generator) -> None:
    """Paint pedicle screws and the rods behind them, and darken what lies beside them."""
    radius = float(rng.uniform(2.2, 3.4))
    for side in (-1, 1):
        heads = []
        for name in anomalies.screws:
            v = spine[name]
            wide = {"T": 0.55, "L": 0.5, "S": 0.6}.get(v.kind, 0.5) * v.half_width
            tip = v.point(side * wide * 0.45, -0.4 * v.half_depth, 0.2 * v.half_height)
            head = v.point(side * (wide + 7), v.half_depth + v.canal_depth + 12, 0.35 * v.half_height)
            heads.append(head)
            window = canvas.around(np.stack([tip, head]), 22)
            if window is None:
                continue
            axes = canvas.axes(window)
            screw = capsule(axes, tip, head, radius)
            canvas.hu[window] -= np.float32(260) * np.exp(-np.clip(-screw, 0, 60) / 5.0)
            canvas.solid(window, screw, METAL_HU)
            canvas.solid(window, capsule(axes, head, head + v.frame[:, 1] * 6, 6.0), METAL_HU)
        if len(heads) > 1:
            paint_tube(canvas, np.array(heads) + [0, 4, 0], 3.0, METAL_HU, step=15.0)
