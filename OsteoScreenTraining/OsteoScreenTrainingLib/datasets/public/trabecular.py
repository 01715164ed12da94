"""The trabecular compartment of a vertebral body on its centre slice, from a label of the whole vertebra and the HU.

Three steps, all in the plane of the slice, positions in millimetres (x along the columns, y along the rows, from the
centre of pixel (0, 0)):

1. *Body.* The label's outline is looked at from the middle of its thickest part. Where a ray leaves the body into a
   pedicle, a process or a large osteophyte, it reaches farther than the label opened with a disc does; there the
   outline is closed by the chord between its good neighbours.
2. *Inner edge.* Along the inward normals the HU fall from the cortex to the trabecular bone. The closed line that
   follows the steepest fall, and bends little, is sought between :data:`NEAREST_MM` and :data:`DEEPEST_MM` inside.
   On the chords there is no cortex: they stay straight from end to end.
3. *Coverage.* The share of each pixel inside that line.

The convention is that of the project's hand-drawn outlines: the inner edge of the cortex (steepest rise from trabecular
to cortical), pedicle bases closed by the chord from where the lateral wall flares to where the posterior wall bends
back, a vein opening closed straight, osteophytes outside (shared/data/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from OsteoScreenLib.densitometry.outline import Outline, PixelGrid, shares

Array = npt.NDArray[np.float64]

#: The opening disc's radius as a share of the label's greatest depth. A pedicle's base is at most 14 mm wide (Panjabi
#: 1992), a body 34 mm deep: half of its half depth fits into no pedicle, and rounds the body's corners least.
OPENING_SHARE = 0.55
#: A ray that reaches this much farther than the opened label has left the body (mm).
FLARE_MM = 1.6
#: And so have its neighbours within this angle: the flare begins before it is that large.
FLARE_MARGIN_DEG = 4.0
RAYS = 360
#: A larger hole of a label is the spinal canal: 23.7 x 19.0 mm at L1 is 350 mm2 (Panjabi 1992), half of it in a child.
LARGEST_HOLE_MM2 = 120.0
#: The inner edge lies this deep inside the label's outline (mm): labels end at the outer edge of the cortex, which
#: with its blur takes 1-3 mm at L1 and L2.
NEAREST_MM, DEEPEST_MM = 0.6, 3.4
#: Where no fall stands out on most of the outline, as in dense noisy bone, the inset is this everywhere (mm): on the
#: hand-drawn outlines an inset of 2 mm from the outer edge of the cortex agreed best (shared/data/acrin-nsclc-…).
USUAL_MM, LEAST_WALLED = 2.0, 0.4
#: And what a depth costs by its distance from the usual one, HU per mm and mm: it decides only where hardly anything
#: falls.
PRIOR_COST = 6.0
#: The fall's width that is looked for (mm, SD): the in-plane PSF's FWHM is 1.0-1.3 mm (Docs/sources.md).
EDGE_SD_MM = 0.7
#: Blur moves the steepest fall inwards, off the bright cortex. By how much was measured on the nine hand-drawn outlines
#: (shared/data/acrin-nsclc-fdg-pet-042) in pixels of 1 to 3 mm: half of what the pixel exceeds 0.6 mm, at most 1 mm.
BLUR_SHARE, BLUR_FROM_MM, MOST_BLUR_MM = 0.5, 0.6, 1.0
#: Along the outline HU are averaged over this length (mm, SD) against noise.
ALONG_SD_MM = 2.0
STEP_MM, DEPTH_STEP_MM = 1.0, 0.1
#: What a change of depth costs, HU per mm of fall and step: a line that jumps follows noise.
BEND_COST = 120.0
#: A fall below this, in HU per mm, is no cortex (noise of 15-48 HU averaged as above leaves less).
LEAST_FALL_HU_MM = 15.0


@dataclass(frozen=True, eq=False)
class Compartment:
    """What was found on a slice.

    Attributes:
        coverage: (rows, columns) float32, the pixels' shares in the trabecular compartment.
        outline: its closed line.
        body: the closed line of the whole body, cortex included.
        inset_mm: the median depth of the one inside the other.
        walled: the share 0..1 of the outline, chords left out, at which a fall of HU stands out.
        chords: the share of the outline that is chord.
    """

    coverage: npt.NDArray[np.float32]
    outline: Outline
    body: Outline
    inset_mm: float
    walled: float
    chords: float


def trabecular_compartment(
    hu: npt.NDArray[np.float32], label: npt.NDArray[np.float32], grid: PixelGrid
) -> Compartment | None:
    """Return the trabecular compartment on a slice; None where the label holds no body.

    Args:
        hu: (rows, columns) HU.
        label: (rows, columns), coverage 0..1 of the whole vertebra, or of its body alone.
        grid: the pixels of both.
    """
    body = body_outline(label, grid)
    if body is None:
        return None
    points, is_chord = body
    inner, depth, falls = _inner_edge(hu, points, is_chord, grid)
    outline = Outline(inner)
    part = shares(outline, grid)
    coverage = np.zeros(grid.shape, np.float32)
    coverage[part.rows, part.columns] = part.weights
    wall = ~is_chord
    return Compartment(
        coverage=coverage,
        outline=outline,
        body=Outline(points),
        inset_mm=float(np.median(depth)),
        walled=float((falls[wall] > LEAST_FALL_HU_MM).mean()) if wall.any() else 0.0,
        chords=float(is_chord.mean()),
    )


# -- the body


def body_outline(label: npt.NDArray[np.float32], grid: PixelGrid) -> tuple[Array, npt.NDArray[np.bool_]] | None:
    """Return the body's closed outline (n, 2) in mm at even steps, and which of its points lie on a chord.

    ``label`` is (rows, columns), 0..1; None where nothing of it is above 0.5.
    """
    filled = without_small_holes(label > 0.5, grid)
    spacing = (grid.row_mm, grid.column_mm)
    depth = ndimage.distance_transform_edt(np.pad(filled, 1), sampling=spacing)[1:-1, 1:-1]
    if depth.max() <= 0:
        return None
    radius = OPENING_SHARE * float(depth.max())
    core = _piece_of(depth >= radius, depth)
    opened = filled & (ndimage.distance_transform_edt(~core, sampling=spacing) < radius)
    row, column = ndimage.center_of_mass(opened)
    middle = np.array([column * grid.column_mm, row * grid.row_mm])
    whole = _reach(np.maximum(label, filled), middle, grid)
    body = _reach(opened.astype(np.float32), middle, grid)
    good = _grown((whole - body) > FLARE_MM, FLARE_MARGIN_DEG) == 0
    if good.sum() < RAYS // 3:
        return None
    return _resampled(middle, whole, good)


def without_small_holes(label: npt.NDArray[np.bool_], grid: PixelGrid) -> npt.NDArray[np.bool_]:
    """The label with the holes filled that are smaller than a spinal canal: veins, cysts, gaps of the labelling."""
    holes, count = ndimage.label(~label)
    if count < 2:
        return label
    areas = np.bincount(holes.ravel()) * grid.pixel_area_mm2
    small = areas < LARGEST_HOLE_MM2
    small[0] = False
    return np.asarray(label | small[holes])


def _piece_of(core: npt.NDArray[np.bool_], depth: Array) -> npt.NDArray[np.bool_]:
    """The connected piece that holds the deepest point."""
    pieces, _ = ndimage.label(core)
    deepest = np.unravel_index(int(depth.argmax()), depth.shape)
    return pieces == pieces[deepest]


def _reach(label: npt.NDArray, middle: Array, grid: PixelGrid) -> Array:
    """How far (mm) each ray from the middle runs inside the label: to where it first falls below 0.5."""
    steps = np.arange(0.0, 60.0, 0.25)
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    x = middle[0] + steps * np.cos(angles)[:, None]
    y = middle[1] + steps * np.sin(angles)[:, None]
    values = ndimage.map_coordinates(
        np.asarray(label, np.float32), [y / grid.row_mm, x / grid.column_mm], order=1, mode="constant"
    )
    out = values < 0.5
    first = np.where(out.any(axis=1), out.argmax(axis=1), len(steps) - 1)
    lines = np.arange(RAYS)
    before, after = values[lines, np.maximum(first - 1, 0)], values[lines, first]
    share = np.where(before > after, (before - 0.5) / np.maximum(before - after, 1e-6), 0.0)
    return np.asarray((first - 1 + np.clip(share, 0, 1)) * 0.25, float)


def _grown(flags: npt.NDArray[np.bool_], degrees: float) -> npt.NDArray[np.bool_]:
    width = 2 * round(degrees * RAYS / 360) + 1
    return np.asarray(ndimage.maximum_filter1d(flags, width, mode="wrap"))


def _resampled(middle: Array, reach: Array, good: npt.NDArray[np.bool_]) -> tuple[Array, npt.NDArray[np.bool_]]:
    """The outline through the good rays' ends, at even steps, and which points lie between distant ones."""
    smooth = reach.copy()
    smooth[~good] = np.interp(np.flatnonzero(~good), np.flatnonzero(good), reach[good], period=RAYS)
    smooth = ndimage.gaussian_filter1d(smooth, 1.5, mode="wrap")
    angles = np.flatnonzero(good) * 2 * np.pi / RAYS
    corners = middle + smooth[good][:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
    gap = np.diff(np.flatnonzero(good), append=np.flatnonzero(good)[0] + RAYS) > 1
    ends = np.roll(corners, -1, axis=0)
    lengths = np.linalg.norm(ends - corners, axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    count = max(24, int(round(along[-1] / STEP_MM)))
    at = np.arange(count) * along[-1] / count
    piece = np.clip(np.searchsorted(along, at, side="right") - 1, 0, len(corners) - 1)
    share = (at - along[piece]) / np.maximum(lengths[piece], 1e-9)
    points = corners[piece] + share[:, None] * (ends[piece] - corners[piece])
    return points, gap[piece]


# -- the inner edge of the cortex


def _inner_edge(
    hu: npt.NDArray[np.float32], points: Array, is_chord: npt.NDArray[np.bool_], grid: PixelGrid
) -> tuple[Array, Array, Array]:
    """The line of the steepest fall, (n, 2) mm, its depths inside ``points`` (mm), and the fall there (HU per mm)."""
    inward = _inward(points)
    depths = np.arange(-1.5, DEEPEST_MM + 2.0, DEPTH_STEP_MM)
    places = points[:, None] + depths[:, None] * inward[:, None]
    values = ndimage.map_coordinates(
        np.asarray(hu, np.float32), [places[..., 1] / grid.row_mm, places[..., 0] / grid.column_mm], order=1,
        mode="nearest",
    )  # fmt: skip
    values = np.clip(values, -100.0, 700.0)
    step = float(np.linalg.norm(points[1] - points[0]))
    values = ndimage.gaussian_filter1d(values, ALONG_SD_MM / step, axis=0, mode="wrap")
    fall = -ndimage.gaussian_filter1d(values, EDGE_SD_MM / DEPTH_STEP_MM, axis=1, order=1) / DEPTH_STEP_MM
    within = (depths >= NEAREST_MM - 1e-6) & (depths <= DEEPEST_MM + 1e-6)
    fall, depths = fall[:, within], depths[within]
    fall[is_chord] = 0.0
    chosen = _closed_path(fall, depths)
    here = fall[np.arange(len(points)), chosen]
    depth = _depth(depths[chosen], here, is_chord, (grid.row_mm + grid.column_mm) / 2)
    inner = _chords_straight(points + depth[:, None] * inward, is_chord)
    return inner, depth, here


def _inward(points: Array) -> Array:
    """Unit normals that point into the closed line."""
    tangent = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    tangent = ndimage.gaussian_filter1d(tangent, 3.0, axis=0, mode="wrap")
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    x, y = points.T
    turning = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
    return np.asarray(normal if turning > 0 else -normal)


def _closed_path(fall: Array, depths: Array) -> npt.NDArray[np.intp]:
    """The depth index at each point of the closed line that gathers the most fall and bends little."""
    gain = np.clip(fall, 0.0, 400.0) - PRIOR_COST * np.abs(depths - USUAL_MM)
    jump = np.abs(depths[:, None] - depths[None, :])
    cost = BEND_COST * jump
    cost[jump > 0.6] = np.inf
    # Three times around, of which the middle one is kept: it knows neither where the line began nor where it ends.
    turns = np.concatenate([gain, gain, gain])
    score = turns[0].copy()
    back = np.zeros((len(turns), len(depths)), np.intp)
    for n in range(1, len(turns)):
        options = score[:, None] - cost
        back[n] = options.argmax(axis=0)
        score = options[back[n], np.arange(len(depths))] + turns[n]
    path = np.empty(len(turns), np.intp)
    path[-1] = int(score.argmax())
    for n in range(len(turns) - 1, 0, -1):
        path[n - 1] = back[n, path[n]]
    return path[len(gain) : 2 * len(gain)]


def _depth(chosen: Array, fall: Array, is_chord: npt.NDArray[np.bool_], pixel_mm: float) -> Array:
    """The depth of the inner edge at each point, mm: as found where a wall is seen, its neighbours' elsewhere."""
    seen = (fall > LEAST_FALL_HU_MM) & ~is_chord
    if seen.sum() < LEAST_WALLED * max(int((~is_chord).sum()), 1):
        return np.full_like(chosen, USUAL_MM)
    index = np.arange(len(chosen))
    filled = np.interp(index, index[seen], chosen[seen], period=len(chosen))
    smooth = ndimage.gaussian_filter1d(filled, 1.5, mode="wrap")
    blur = np.clip(BLUR_SHARE * (pixel_mm - BLUR_FROM_MM), 0.0, MOST_BLUR_MM)
    return np.asarray(np.maximum(smooth - blur, NEAREST_MM))


def _chords_straight(inner: Array, is_chord: npt.NDArray[np.bool_]) -> Array:
    if not is_chord.any() or is_chord.all():
        return inner
    index = np.arange(len(inner))
    good = ~is_chord
    return np.column_stack([np.interp(index, index[good], inner[good, axis], period=len(inner)) for axis in (0, 1)])
