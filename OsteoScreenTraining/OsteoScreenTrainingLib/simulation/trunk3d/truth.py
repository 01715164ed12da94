"""What is known of a simulated trunk: names and places, RAS mm, as the finished volume has them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .anomalies import Anomalies
from .canvas import Grid, Pose
from .ribs import Rib, RibCage
from .spine import Spine, Vertebra

#: Points of a body that decide how much of it is in view: this many along each axis.
PROBES = 6
#: A body of which more than this is in view counts as whole: the last voxel's edge is not sharper.
WHOLE = 0.985
AXIS_STEP_MM = 5.0


@dataclass(frozen=True)
class VertebraTruth:
    """One vertebra at least a part of whose body is in view.

    name : counted from C1 (see :mod:`.anomalies`); number : 1 for C1
    alternatives : names that a careful reader may give it instead
    centre : of the body, half-way between the endplates' centres; for C1 the middle of the dens in its ring, for C2
        the body without its dens
    upper, lower : centres of the endplates
    axes : unit vectors to the patient's left, to posterior and up, in that order
    half_extents : half width, half depth and half height of the body, mm
    visible : share of the body in view; whole : all of it is
    fracture : None, or wedge, biconcave or crush; loss : share of the height lost in the middle
    cement, screws : whether it holds any
    ribs : the sides on which it bears a rib
    """

    name: str
    number: int
    alternatives: tuple[str, ...]
    centre: tuple[float, float, float]
    upper: tuple[float, float, float]
    lower: tuple[float, float, float]
    axes: tuple[tuple[float, float, float], ...]
    half_extents: tuple[float, float, float]
    visible: float
    whole: bool
    fracture: str | None
    loss: float
    cement: bool
    screws: bool
    ribs: tuple[str, ...]


@dataclass(frozen=True)
class RibTruth:
    """One rib at least a part of which is in view: its vertebra, side, number (14 lumbar, 0 cervical).

    head : the joint with the spine; line : (N, 3) along the bone from there; visible : the share of it in view
    """

    vertebra: str
    side: str
    number: int
    head: tuple[float, float, float]
    head_visible: bool
    line: tuple[tuple[float, float, float], ...]
    length_mm: float
    visible: float


@dataclass(frozen=True)
class TrunkTruth:
    """Everything known of a trunk; places are RAS mm.

    spine : the bodies' axis from C1 down to the end of the sacrum, in view or not, (N, 3)
    notes : what is ambiguous about the names, in words
    conditions : how it was scanned and what was drawn, for reports by group
    """

    seed: int
    index: int
    vertebrae: tuple[VertebraTruth, ...]
    ribs: tuple[RibTruth, ...]
    spine: tuple[tuple[float, float, float], ...]
    notes: tuple[str, ...]
    conditions: dict[str, Any]

    def vertebra(self, name: str) -> VertebraTruth | None:
        """Return the vertebra called ``name``, or None where it is not in view."""
        return next((v for v in self.vertebrae if v.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


class Surveyor:
    """Turns body places into RAS and tells what is in view."""

    def __init__(self, grid: Grid, pose: Pose, circle: bool) -> None:
        self.grid, self.pose, self.circle = grid, pose, circle

    def ras(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return body places (N, 3) in RAS mm."""
        return self.pose.to_scanner(points) * [-1, -1, 1]

    def seen(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell which body places (N, 3) are in view."""
        places = self.pose.to_scanner(points)
        inside = self.grid.contains(places)
        if self.circle:
            x, y = self.grid.axis(0), self.grid.axis(1)
            u, v = places[:, 0] - (x[0] + x[-1]) / 2, places[:, 1] - (y[0] + y[-1]) / 2
            radius = max(x[-1] - x[0], y[-1] - y[0]) / 2 + self.grid.spacing[2] / 2
            inside &= u * u + v * v <= radius**2
        return inside

    def vertebra(self, v: Vertebra, number: int, anomalies: Anomalies, sides: tuple[str, ...]) -> VertebraTruth | None:
        """Return what is known of a vertebra, or None where nothing of its body is in view."""
        upper, lower = v.endplates()
        visible = float(self.seen(_probes(v)).mean())
        if visible == 0:
            return None
        reach = np.array([v.half_width, v.half_depth, v.half_height]) * v.frame
        places = self.ras(np.stack([v.middle, upper, lower, *(v.middle + reach.T), *(v.middle - reach.T)]))
        axes = _orthonormal(places[3:6] - places[6:])
        return VertebraTruth(
            name=v.name,
            number=number,
            alternatives=anomalies.alternatives.get(v.name, ()),
            centre=_triple(places[0]),
            upper=_triple(places[1]),
            lower=_triple(places[2]),
            axes=tuple(_triple(axis, 5) for axis in axes),
            half_extents=_triple(np.array([v.half_width, v.half_depth, float(np.linalg.norm(upper - lower)) / 2])),
            visible=round(visible, 3),
            whole=visible >= WHOLE,
            fracture=v.fracture.kind if v.fracture else None,
            loss=round(float(v.loss(0.0)), 3),
            cement=v.name in anomalies.cement,
            screws=v.name in anomalies.screws,
            ribs=sides,
        )

    def rib(self, rib: Rib) -> RibTruth | None:
        """Return what is known of a rib, or None where none of it is in view."""
        seen = self.seen(rib.line)
        if not seen.any():
            return None
        line = self.ras(rib.line)
        return RibTruth(
            vertebra=rib.vertebra,
            side=rib.side,
            number=rib.number,
            head=_triple(line[0]),
            head_visible=bool(seen[0]),
            line=tuple(_triple(p, 1) for p in line),
            length_mm=round(rib.length, 1),
            visible=round(float(seen.mean()), 3),
        )


def survey(
    surveyor: Surveyor,
    spine: Spine,
    ribs: RibCage,
    anomalies: Anomalies,
    *,
    seed: int,
    index: int,
    conditions: dict[str, Any],
) -> TrunkTruth:
    """Return the truth of a trunk in a view."""
    vertebrae = []
    for number, v in enumerate(spine.vertebrae, 1):
        sides = tuple(rib.side for rib in ribs.ribs if rib.vertebra == v.name)
        found = surveyor.vertebra(v, number, anomalies, sides)
        if found is not None:
            vertebrae.append(found)
    seen = tuple(known for rib in ribs.ribs if (known := surveyor.rib(rib)) is not None)
    axis = spine.axis
    place = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(axis, axis=0), axis=1))])
    fine = np.arange(0, place[-1], AXIS_STEP_MM)
    dense = np.stack([np.interp(fine, place, axis[:, n]) for n in range(3)], axis=1)
    return TrunkTruth(
        seed=seed,
        index=index,
        vertebrae=tuple(vertebrae),
        ribs=seen,
        spine=tuple(_triple(p, 1) for p in surveyor.ras(dense)),
        notes=anomalies.notes,
        conditions=conditions,
    )


def _probes(v: Vertebra) -> NDArray[np.float64]:
    """Return places all over a body, (N, 3)."""
    steps = np.linspace(-0.97, 0.97, PROBES)
    u, d, w = (a.ravel() for a in np.meshgrid(steps, steps, steps, indexing="ij"))
    keep = u * u + d * d <= 1.0
    u, d, w = u[keep], d[keep], w[keep]
    upper, lower = v.endplates()
    half = float(np.linalg.norm(upper - lower)) / 2
    offsets = np.stack([u * v.half_width, d * v.half_depth, w * half], axis=1)
    return v.middle + offsets @ v.frame.T


def _orthonormal(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the orthonormal axes (rows) nearest to ``axes``: the warp shears a body a little."""
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    left, _, right = np.linalg.svd(axes)
    return np.asarray(left @ right)


def _triple(values: NDArray[np.floating], digits: int = 3) -> tuple[float, float, float]:
    a, b, c = (round(float(value), digits) for value in values)
    return a, b, c
