"""Whether the slices lie where a scan's should: the checks *tilt* and *gaps*, the same of files and of arrays.

The DICOM reader judges the places that the headers give, which an array of the same scan no longer has (Slicer's is
straightened), and hands its judgement on with the array; of all else the geometry is judged.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .verdicts import Verdict, passed, refused, warned

#: Less than the first is rounding of the direction cosines, not a tilted gantry. Endplates themselves lean by up to
#: about 20 degrees against an untilted slice; slices that lean by more show no body axially.
_NO_TILT_DEG, _MOST_TILT_DEG = 0.5, 20.0

#: Positions may stray this far from an even spacing before each slice keeps its own; headers round to 0.01-0.1 mm.
EVEN_TOLERANCE_MM = 0.1

#: Steps may differ from the usual one by this part of it, however wide it is.
_EVEN_PART = 0.05

#: A step of more than this times the usual one is a gap.
_GAP_STEPS = 1.5

#: A gap that could hide the better part of a vertebral body: the level of what lies beyond it is then unsure. Lumbar
#: bodies are 24 mm high (Panjabi 1992).
_HIDING_GAP_MM = 12.0


def tilt(degrees: float) -> Verdict:
    """A tilted gantry cuts the body obliquely. ``degrees`` lie between the slices' normal and their stack."""
    value = round(degrees, 2)
    if degrees <= _NO_TILT_DEG:
        return passed("The gantry is not tilted.", value)
    message = f"The gantry is tilted by {degrees:.1f} degrees"
    if degrees <= _MOST_TILT_DEG:
        return warned(f"{message}: slices cut the vertebra obliquely, and positions allow for it.", value)
    return refused(f"{message}, so the slices do not show the bodies axially; give an untilted series.", value)


def gaps(steps_mm: npt.NDArray[np.float64]) -> Verdict:
    """Missing slices may hide the middle of a body. ``steps_mm`` (slices - 1,) lie between neighbours, in order."""
    if not len(steps_mm):
        return warned("There is a single slice, so the distance of slices is not known.")
    usual = float(np.median(steps_mm))
    wide = steps_mm[steps_mm > _GAP_STEPS * usual]
    if len(wide):
        missing = int(np.round(wide / usual - 1).sum())
        widest = float(wide.max())
        message = (
            f"About {missing} slices are missing at {len(wide)} places (the widest gap is {widest:.1f} mm); "
            "fetch the complete series."
        )
        return refused(message, widest) if widest > _HIDING_GAP_MM else warned(message, widest)
    if float(np.abs(steps_mm - usual).max()) > max(EVEN_TOLERANCE_MM, _EVEN_PART * usual):
        return warned(
            f"The slices are unevenly spaced, {steps_mm.min():.2f} to {steps_mm.max():.2f} mm; each keeps its own "
            "position.",
            float(np.ptp(steps_mm)),
        )
    return passed(f"The slices lie {usual:.2f} mm apart, without gaps.", usual)
