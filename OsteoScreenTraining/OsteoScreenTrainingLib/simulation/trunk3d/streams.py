"""Independent random streams of one trunk, so that more draws in one part of it leave every other part as it was."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What is drawn from one stream. Numbers are never given twice: they are part of what a seed means."""

    PERSON = 1
    ANOMALIES = 2
    SPINE = 3
    WALL = 4
    RIBS = 5
    SHOULDERS = 6
    PELVIS = 7
    CHEST = 8
    ABDOMEN = 9
    TISSUES = 10
    VIEW = 11
    WARP = 12
    TEXTURE = 13
    SCANNER = 14
    NOISE = 15
    IMPLANTS = 16
    MUSCLES = 17
    FINDINGS = 18
    ORGANS = 19


#: Sets these streams apart from those of the other simulations, which seed with two or three numbers.
FAMILY = 41


def stream(seed: int, index: int, part: Stream, number: int = 0) -> np.random.Generator:
    """Return the generator of one part of trunk ``index`` of the set ``seed``."""
    return np.random.default_rng([FAMILY, seed, index, int(part), number])
