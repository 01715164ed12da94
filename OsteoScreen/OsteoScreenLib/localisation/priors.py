"""What is known of spines before one is looked at: which vertebra follows which, and how far apart they lie."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from .channels import NAMES

#: Share of spines whose next vertebra is not the usual one: a thirteenth with ribs after T12; four or six lumbar
#: bodies, which together are just under 10 % (Docs/sources.md; the split is judged).
T13_SHARE, FOUR_LUMBAR_SHARE, SIX_LUMBAR_SHARE = 0.03, 0.03, 0.05

#: Distance in mm of the centres of a vertebra and the next one below, for an adult of average size. From Panjabi's body
#: heights and disc heights (1991, 1992), half of both bodies and the disc between, times 1.09: what fits the real CT at
#: hand (L1 to L4 measure 33 to 39 mm in shared/data), as the simulation has it.
STEP_MM = {
    "C1": 17.0, "C2": 21.5, "C3": 18.0, "C4": 18.0, "C5": 18.0, "C6": 19.0, "C7": 20.5, "T1": 21.0, "T2": 21.5,
    "T3": 21.5, "T4": 21.8, "T5": 22.5, "T6": 24.0, "T7": 25.0, "T8": 26.0, "T9": 27.3, "T10": 28.9, "T11": 30.8,
    "T12": 33.0, "T13": 33.8, "L1": 35.0, "L2": 36.0, "L3": 37.0, "L4": 37.3, "L5": 37.5, "L6": 37.0,
}  # fmt: skip
#: A person's size moves all distances together: SD of its logarithm. Adults' heights alone vary by 5 %, and the two
#: scales above by as much again.
SIZE_SD = 0.10
SIZES = np.exp(np.linspace(-0.30, 0.30, 13))
#: SD of the logarithm of one distance about what the size says; the larger one is of fractured and misread bodies,
#: which this share is.
STEP_SD, STRAY_SD, STRAY_SHARE = 0.085, 0.35, 0.06
#: The same share where a vertebra was passed over: a gap that is not there is no sign of one, whatever the names say.
STRAY_SHARE_PASSED = 0.002


def transitions() -> npt.NDArray[np.float64]:
    """Return P(next name | name), (names, names), from head to foot; rows of the last one sum to 0."""
    table = np.zeros((len(NAMES), len(NAMES)))

    def follow(name: str, *nexts: tuple[str, float]) -> None:
        for other, share in nexts:
            table[NAMES.index(name), NAMES.index(other)] = share

    for name, other in itertools.pairwise(NAMES):
        follow(name, (other, 1.0))
    follow("T12", ("T13", T13_SHARE), ("L1", 1 - T13_SHARE))
    follow("L4", ("L5", 1 - FOUR_LUMBAR_SHARE), ("S1", FOUR_LUMBAR_SHARE))
    follow("L5", ("S1", 1 - SIX_LUMBAR_SHARE), ("L6", SIX_LUMBAR_SHARE))
    return table


def log_step(
    distance_mm: float, expected_mm: npt.NDArray[np.float64], stray_share: npt.NDArray[np.float64] | float = STRAY_SHARE
) -> npt.NDArray[np.float64]:
    """Return the log-density of a distance's logarithm, where those expected are ``expected_mm``."""
    off = np.log(max(distance_mm, 1e-3) / expected_mm)

    def normal(sd: float) -> npt.NDArray[np.float64]:
        density: npt.NDArray[np.float64] = np.exp(-0.5 * (off / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
        return density

    mixed: npt.NDArray[np.float64] = np.log((1 - stray_share) * normal(STEP_SD) + stray_share * normal(STRAY_SD) + 1e-9)
    return mixed
