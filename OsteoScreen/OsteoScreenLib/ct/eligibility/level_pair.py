"""Checks of L1 against L2."""

from __future__ import annotations

import numpy as np

from .registry import LevelPair, Verdict, pair_check, passed, refused, warned

#: Centres of neighbouring lumbar bodies are about 34 mm apart (measured on the shared CT: 33 to 39 mm); a compressed
#: or a tall spine stays within 20 to 50 mm, and one body further or nearer would be 0 or 68 mm.
_USUAL_MM, _POSSIBLE_MM = (20.0, 50.0), (14.0, 58.0)
#: Two readings of one patient differ by up to 27.5 HU (repeatability, shared reference notes on the field); neighbours
#: that differ by more than 40 point to a fracture, sclerosis or a wrong level, and by more than 100 to a wrong outline.
_DOUBTFUL_HU, _IMPOSSIBLE_HU = 40.0, 100.0


@pair_check("level_order")
def level_order(pair: LevelPair) -> Verdict:
    """L1 lies above L2."""
    difference = pair.upper.centroid_ras_mm[2] - pair.lower.centroid_ras_mm[2]
    value = round(difference, 2)
    if difference > 0:
        return passed("L1 lies above L2.", value)
    return refused("L1 does not lie above L2; the levels are swapped or the same, so give them again.", value)


@pair_check("level_distance")
def level_distance(pair: LevelPair) -> Verdict:
    """Neighbouring bodies are a vertebra and a disc apart."""
    apart = float(np.linalg.norm(np.subtract(pair.upper.centroid_ras_mm, pair.lower.centroid_ras_mm)))
    value = round(apart, 2)
    if _USUAL_MM[0] <= apart <= _USUAL_MM[1]:
        return passed(f"L1 and L2 are {apart:.1f} mm apart.", value)
    message = f"L1 and L2 are {apart:.1f} mm apart, and neighbours are 20 to 50 mm apart"
    if _POSSIBLE_MM[0] <= apart <= _POSSIBLE_MM[1]:
        return warned(f"{message}; make sure that they are neighbours.", value)
    return refused(f"{message}, so they are not two neighbouring vertebrae; set the levels again.", value)


@pair_check("level_agreement")
def level_agreement(pair: LevelPair) -> Verdict:
    """Neighbouring bodies of one patient are alike."""
    apart = abs(pair.upper.mean_hu - pair.lower.mean_hu)
    value = round(apart, 1)
    if not np.isfinite(apart):
        return refused("L1 or L2 has no mean HU, so they cannot be compared; look at the outlines.")
    if apart <= _DOUBTFUL_HU:
        return passed(f"L1 and L2 differ by {apart:.0f} HU.", value)
    message = f"L1 and L2 differ by {apart:.0f} HU, more than neighbours do"
    if apart <= _IMPOSSIBLE_HU:
        return warned(f"{message}: look for a fracture, sclerosis or a wrong level.", value)
    return refused(f"{message}: one of them is fractured, diseased, treated or wrongly outlined; look at both.", value)
