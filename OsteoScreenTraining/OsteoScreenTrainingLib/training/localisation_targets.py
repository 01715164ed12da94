"""What the localiser has to answer on a simulated trunk, from the simulation's labels and truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from OsteoScreenLib.ct.geometry import canonical
from OsteoScreenLib.localisation.channels import NAMES, REDUCTION

from ..simulation.trunk3d import BODY_LABELS, DISC_LABEL, RIB_LABELS, SACRUM_LABEL, SimulatedTrunk, TrunkTruth

#: Planes of the targets: coverages 0 to 255; the name's place in ``NAMES`` (NO_NAME outside the column); cos and sin of
#: the phase as 128 + 127 times the value; bits of the sides on which the vertebra bears a rib; 255 where there is scan.
BODY, DISC, SACRUM, RIB, NAME, COS, SIN, RIBBED, VALID = range(9)
PLANES = 9
NO_NAME = 255
LEFT_BIT, RIGHT_BIT = 1, 2
#: Column voxels of less coverage than this have neither a name nor a phase.
LEAST_COVERAGE = 0.2
#: How far the column goes on over its first and under its last endplate in view, mm: half a disc.
_END_MM = 3.0
_LINE_STEP_MM = 0.5
_RIB_RANGE = (min(RIB_LABELS.values()) + 1, max(RIB_LABELS.values()) + 14)


def upright(trunk: SimulatedTrunk) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.float64]]:
    """Return HU, labels and (column, row, slice) -> RAS, all from foot to head, with even rows and columns."""
    shape = (trunk.hu.shape[0], trunk.hu.shape[1], trunk.hu.shape[2])
    geometry, axes = canonical(shape, trunk.ijk_to_ras)
    hu, labels, matrix = axes.volume(trunk.hu), axes.volume(trunk.labels), np.array(geometry.ijk_to_ras)
    if matrix[2, 2] < 0:
        matrix[:3, 3] += matrix[:3, 2] * (len(hu) - 1)
        matrix[:3, 2] *= -1
        hu, labels = hu[::-1], labels[::-1]
    rows, columns = (size - size % REDUCTION for size in hu.shape[1:])
    return np.ascontiguousarray(hu[:, :rows, :columns]), np.ascontiguousarray(labels[:, :rows, :columns]), matrix


def make_targets(labels: NDArray[np.uint8], ijk_to_ras: NDArray[np.float64], truth: TrunkTruth) -> NDArray[np.uint8]:
    """Return the targets (PLANES, slices, rows / 2, columns / 2), uint8, of labels (slices, rows, columns)."""
    bodies = np.isin(labels, list(BODY_LABELS.values()))
    masks = {
        BODY: bodies,
        DISC: labels == DISC_LABEL,
        SACRUM: (labels == SACRUM_LABEL) | (labels == BODY_LABELS["S1"]),
        RIB: (labels >= _RIB_RANGE[0]) & (labels <= _RIB_RANGE[1]),
    }
    slices, rows, columns = labels.shape
    targets = np.zeros((PLANES, slices, rows // REDUCTION, columns // REDUCTION), np.uint8)
    for plane, mask in masks.items():
        targets[plane] = np.round(255 * _reduced(mask)).astype(np.uint8)
    targets[VALID] = 255
    targets[NAME] = NO_NAME
    targets[COS] = targets[SIN] = 128
    column = (targets[BODY].astype(int) + targets[DISC]) >= 255 * LEAST_COVERAGE
    if column.any() and truth.vertebrae:
        _mark_column(targets, column, ijk_to_ras, truth)
    return targets


def _reduced(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    slices, rows, columns = mask.shape
    blocks = mask.reshape(slices, rows // REDUCTION, REDUCTION, columns // REDUCTION, REDUCTION)
    reduced: NDArray[np.float64] = blocks.mean(axis=(2, 4))
    return reduced


def _mark_column(
    targets: NDArray[np.uint8], column: NDArray[np.bool_], ijk_to_ras: NDArray[np.float64], truth: TrunkTruth
) -> None:
    """Write name, phase and ribs of the nearest place on the line through bodies and discs."""
    line, turns = _phased_line(truth)
    k, j, i = np.nonzero(column)
    middle = (REDUCTION - 1) / 2
    ijk = np.stack([i * REDUCTION + middle, j * REDUCTION + middle, k, np.ones(len(k))])
    _, nearest = cKDTree(line).query((ijk_to_ras @ ijk)[:3].T)
    turn = turns[nearest]
    number = np.clip(np.round(turn), 0, len(truth.vertebrae) - 1).astype(int)
    names = np.array([NAMES.index(v.name) for v in truth.vertebrae])
    bits = np.array([LEFT_BIT * ("left" in v.ribs) + RIGHT_BIT * ("right" in v.ribs) for v in truth.vertebrae])
    phase = 2 * np.pi * turn
    targets[NAME][column] = names[number]
    targets[RIBBED][column] = bits[number]
    targets[COS][column] = np.round(128 + 127 * np.cos(phase))
    targets[SIN][column] = np.round(128 + 127 * np.sin(phase))


def _phased_line(truth: TrunkTruth) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points (N, 3) along the column from above, and at each how many turns it is from the first centre."""
    bodies = truth.vertebrae
    knots: list[NDArray[np.float64]] = []
    turns: list[float] = []
    for n, v in enumerate(bodies):
        centre, upper, lower = (np.array(p) for p in (v.centre, v.upper, v.lower))
        if n == 0:
            up = (upper - lower) / max(float(np.linalg.norm(upper - lower)), 1e-6)
            knots.append(upper + _END_MM * up)
            turns.append(-0.5)
        knots.append(centre)
        turns.append(float(n))
        if n + 1 < len(bodies):
            knots.append((lower + np.array(bodies[n + 1].upper)) / 2)
        else:
            down = (lower - upper) / max(float(np.linalg.norm(upper - lower)), 1e-6)
            knots.append(lower + _END_MM * down)
        turns.append(n + 0.5)
    points = np.array(knots)
    place = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    fine = np.arange(0.0, place[-1], _LINE_STEP_MM)
    line = np.stack([np.interp(fine, place, points[:, axis]) for axis in range(3)], axis=1)
    return line, np.interp(fine, place, turns)
