"""Whether a basivertebral vein opens into the back of the body, and how far forward it reaches.

The vein enters through the middle of the posterior wall and is darker than trabecular bone (blood and fat, often
between sclerotic walls). So the midline strip is compared, depth by depth, with the darker of its two flanks, all at
least `CORTEX_MM` inside the outline. The vein counts as seen when the strip, over the `ENTRY_MM` in front of the
posterior wall, is darker by `DARKER_HU` in the mean, and by `SURE` standard errors. Going forward, it ends where the
difference, smoothed over `SMOOTHED_MM`, first falls below `TIP_SHARE` of that mean.

The criterion is this project's own. It was tried on the nine drawn slices of ACRIN-NSCLC-FDG-PET-042 (noise SD about
48 HU): it sees the vein on the two slices of L2 where it is plain to the eye, and on no other. A vein that is only a
little darker than the bone passes unseen, and changes the circle's mean little.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.ndimage import map_coordinates, uniform_filter1d

from .outline import Outline, PixelGrid

STRIP_MM = 3.0
FLANK_MM = (5.0, 11.0)
CORTEX_MM = 1.0
ENTRY_MM = 5.0
DARKER_HU = 60.0
SURE = 3.0
SMOOTHED_MM = 3.0
TIP_SHARE = 0.25

_STEP_MM = 0.5

#: Noise of a soft kernel hangs together over about this distance (Docs/sources.md: in-plane FWHM 1.0-1.3 mm, so grains
#: of about twice that), which is what counts for the standard error of a mean.
_GRAIN_MM = 2.0


def vein_tip_mm(hu: np.ndarray, outline: Outline, grid: PixelGrid, anterior: np.ndarray) -> float | None:
    """Return how far behind the centroid the tip of the vein lies, in mm (negative: in front), or None without one.

    `hu` is (rows, columns); `anterior` (2,) is the unit vector in the plane that points to the patient's front.
    """
    # From behind the posterior wall to the centroid and as far beyond it as a vein may reach.
    depth = float(np.ptp(outline.points @ anterior))
    behind = np.arange(depth, -0.25 * depth, -_STEP_MM)
    lateral = np.arange(-FLANK_MM[1], FLANK_MM[1] + _STEP_MM / 2, _STEP_MM)
    values = _sampled(hu, outline, grid, anterior, behind, lateral)
    middle = np.abs(lateral) <= STRIP_MM
    left, right = (values[:, (side >= FLANK_MM[0]) & (side <= FLANK_MM[1])] for side in (lateral, -lateral))
    with warnings.catch_warnings():
        # A row without a flank has no difference, which is what NaN says.
        warnings.simplefilter("ignore", RuntimeWarning)
        darker = np.minimum(np.nanmean(left, axis=1), np.nanmean(right, axis=1)) - np.nanmean(values[:, middle], axis=1)
    compared = np.isfinite(darker)
    darker, behind = darker[compared], behind[compared]
    entry = darker[: int(ENTRY_MM / _STEP_MM)]
    if not len(entry):
        return None
    noise = float(np.nanstd(values))
    error = noise * np.sqrt(2.0 * _GRAIN_MM**2 / (2.0 * STRIP_MM * ENTRY_MM))
    if entry.mean() < max(DARKER_HU, SURE * error):
        return None
    smooth = uniform_filter1d(darker, int(SMOOTHED_MM / _STEP_MM), mode="nearest")
    faded = np.nonzero(smooth < TIP_SHARE * entry.mean())[0]
    return float(behind[faded[0]] if len(faded) else behind[-1])


def _sampled(
    hu: np.ndarray, outline: Outline, grid: PixelGrid, anterior: np.ndarray, behind: np.ndarray, lateral: np.ndarray
) -> np.ndarray:
    """Return `hu` at `behind` x `lateral` mm from the centroid, NaN where that is not well inside the outline."""
    across = np.array([-anterior[1], anterior[0]])
    positions = outline.centroid_mm - behind[:, None, None] * anterior + lateral[:, None] * across
    flat = positions.reshape(-1, 2)
    within = outline.depth_mm(flat) >= CORTEX_MM
    sampled = np.full(len(flat), np.nan)
    x, y = flat[within].T
    sampled[within] = map_coordinates(hu, [y / grid.row_mm, x / grid.column_mm], order=1, mode="nearest")
    return sampled.reshape(positions.shape[:2])
