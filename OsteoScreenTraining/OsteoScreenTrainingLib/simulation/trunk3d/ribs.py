"""The ribs: from the joint with the spine, over the transverse process, round the wall and down, to the cartilage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .anomalies import Anomalies
from .canvas import Canvas
from .levels import LUMBAR_RIB, RIB_LABELS
from .person import Person
from .spine import Spine, Vertebra
from .tissues import Tissues
from .tubes import flat_tube, paint_tube, resample
from .wall import Wall


@dataclass(frozen=True)
class Course:
    """A rib's course: the angle (degrees from the back) at which its bone ends, and how far it has fallen there (mm).

    ``cartilage`` is the rise from there to the sternum, None where the rib floats.
    """

    end: float
    drop: float
    cartilage: float | None


#: The usual ribs of a man of 175 cm in quiet breathing, read off the coronal and sagittal views of the real CT beside
#: the project and off anatomy's rule that a rib's front end lies about two (upper) to four (lower) vertebrae lower.
COURSES = (
    Course(138, 28, 0.0), Course(146, 52, 2.0), Course(147, 74, 4.0), Course(147, 94, 7.0), Course(145, 110, 14.0),
    Course(141, 124, 28.0), Course(136, 136, 48.0), Course(128, 142, 46.0), Course(118, 142, 44.0),
    Course(104, 134, 38.0), Course(80, 112, None), Course(54, 78, None), Course(50, 72, None),
)  # fmt: skip
LUMBAR_COURSE, CERVICAL_COURSE = Course(40, 24, None), Course(60, 10, None)
#: How far outside the cavity's surface a rib's axis runs, mm; half axes of its section (thick, tall), mm.
OUTSIDE_MM = 5.0
SECTION = (3.1, 5.6)
STEP_MM = 7.0


@dataclass(frozen=True)
class Rib:
    """One rib: its vertebra, its side, its number (14 for a lumbar one, 0 for a cervical one), and its lines, mm.

    ``line`` (N, 3) runs from the head to the end of the bone, ``across`` (N, 3) points out of the body there;
    ``cartilage`` (M, 3) goes on from it, or is empty.
    """

    vertebra: str
    side: str
    number: int
    line: NDArray[np.float64]
    across: NDArray[np.float64]
    cartilage: NDArray[np.float64]
    section: tuple[float, float]

    @property
    def length(self) -> float:
        """The length of the bone along its course, mm."""
        return float(np.linalg.norm(np.diff(self.line, axis=0), axis=1).sum())


class RibCage:
    """All ribs of a person."""

    def __init__(self, ribs: tuple[Rib, ...]) -> None:
        self.ribs = ribs

    @classmethod
    def random(
        cls, rng: np.random.Generator, person: Person, spine: Spine, wall: Wall, anomalies: Anomalies
    ) -> RibCage:
        """Draw the ribs that ``anomalies`` lets a person have."""
        habits = _Habits(rng, person)
        ribs = []
        for name, sides in anomalies.ribs.items():
            for side, factor in sides.items():
                ribs.append(_rib(rng, habits, spine[name], side, factor, wall))
        return cls(tuple(ribs))

    def of(self, vertebra: str, side: str) -> Rib | None:
        """Return one rib, or None where there is none."""
        return next((rib for rib in self.ribs if (rib.vertebra, rib.side) == (vertebra, side)), None)

    def paint(self, canvas: Canvas, tissues: Tissues) -> None:
        """Paint cartilage and bone."""
        for rib in self.ribs:
            if len(rib.cartilage):
                paint_tube(canvas, rib.cartilage, 0.8 * rib.section[1], tissues.cartilage, step=15.0)
        for rib in self.ribs:
            _paint(canvas, rib, tissues)


class _Habits:
    """What one person's ribs have in common."""

    def __init__(self, rng: np.random.Generator, person: Person) -> None:
        # Raised arms and a held breath lift the ribs, age and a barrel chest make them lie flatter (judged).
        self.slope = float(np.clip(rng.normal(0.95, 0.2), 0.4, 1.5)) * person.scale**0.5
        self.size = float(rng.normal(1.0, 0.1)) * (1.0 if person.sex == "M" else 0.88) * person.scale**0.5
        self.flat = float(rng.uniform(0.85, 1.2))
        # Ribs fall most between their angle and the side: seen from behind they are steep, from the front less so.
        self.bow = float(np.clip(rng.normal(0.8, 0.1), 0.55, 1.1))
        self.end = float(rng.normal(0, 4))


def _rib(rng: np.random.Generator, habits: _Habits, vertebra: Vertebra, side: str, factor: float, wall: Wall) -> Rib:
    sign = 1 if side == "left" else -1
    number = int(vertebra.name[1:]) if vertebra.kind == "T" else LUMBAR_RIB if vertebra.kind == "L" else 0
    course = {0: CERVICAL_COURSE, LUMBAR_RIB: LUMBAR_COURSE}.get(number) or COURSES[number - 1]
    root = _root(vertebra, sign, number)
    end = course.end + habits.end + float(rng.normal(0, 2))
    start_angle = _angle(wall, root[-1], sign)
    whole = np.radians(end) - start_angle
    reach = start_angle + max(whole, 0.25) * min(factor, 1.25)
    if number >= 11 or number == 0:
        # A floating rib's length differs most; its root stays as it is.
        reach = start_angle + max(whole * factor, 0.06)
    angles = np.linspace(start_angle, reach, max(int(abs(reach - start_angle) / 0.09), 3))[1:]
    share = (angles - start_angle) / max(whole, 0.25)
    drop = course.drop * habits.slope * float(rng.normal(1, 0.05)) + (root[-1][2] - root[0][2])
    # The bend at the rib's angle is soft: no fall at the tubercle itself.
    soft = share * share / (np.abs(share) + 0.1) * 1.1
    heights = root[-1][2] - drop * np.clip(soft, 0, None) ** habits.bow
    round_ = wall.point(heights, sign * angles, OUTSIDE_MM)
    # The first points ease from the tubercle into the wall.
    ease = np.clip(np.arange(1, len(round_) + 1) / 4, 0, 1)[:, None]
    chord = root[-1] + (round_ - root[-1])
    round_ = ease * round_ + (1 - ease) * (0.5 * chord + 0.5 * root[-1])
    line = resample(np.concatenate([root, round_]), STEP_MM)
    across = _outward(line, wall)
    cartilage = _cartilage(course, line, sign, wall, number)
    thin = 0.75 if number in (0, LUMBAR_RIB) else 1.0 - 0.12 * (number >= 11)
    section = (SECTION[0] * habits.size / habits.flat, SECTION[1] * habits.size * habits.flat * thin)
    if number == 1:
        section = (3.2 * habits.size, 7.5 * habits.size)
    return Rib(vertebra.name, side, number, line, across, cartilage, section)


def _root(vertebra: Vertebra, sign: int, number: int) -> list[NDArray[np.float64]]:
    """Return head, neck and tubercle of a rib: beside the body's back, out and back to the transverse process."""
    hw, hd, hh = vertebra.half_width, vertebra.half_depth, vertebra.half_height
    # Heads two to nine sit on the disc above their vertebra, the others on the body itself.
    up = 0.95 if 2 <= number <= 9 else 0.5 if number < 11 else 0.25
    head = vertebra.point(sign * (hw + 1.5), 0.62 * hd, up * hh)
    if number == LUMBAR_RIB:
        return [vertebra.point(sign * (hw + out), deep * hd, 0.3 * hh) for out, deep in ((10, 1.1), (17, 1.25))]
    if number == 0:
        return [head, vertebra.point(sign * (hw + 14), hd + 6, 0.3 * hh)]
    k = (hh / 9.0) ** 0.5
    back = {1: 13.0, 2: 18.0}.get(number, 21.0 if number < 11 else 15.0)
    neck = vertebra.point(sign * (hw + 9 * k), hd + 0.35 * back * k, up * hh * 0.9)
    tubercle = vertebra.point(sign * (hw + 20 * k), hd + back * k, max(up - 0.2, 0.1) * hh)
    return [head, neck, tubercle]


def _angle(wall: Wall, point: NDArray[np.float64], sign: int) -> float:
    """Return the angle from the back of a place near the wall."""
    u = sign * (point[0] - float(wall.row(wall.centre_x, point[2])))
    v = point[1] - float(wall.row(wall.centre_y, point[2]))
    return float(np.arctan2(u, v))


def _outward(line: NDArray[np.float64], wall: Wall) -> NDArray[np.float64]:
    """Return unit vectors (N, 3) across a line and out of the body."""
    out = line.copy()
    out[:, 0] -= wall.row(wall.centre_x, line[:, 2])
    out[:, 1] -= wall.row(wall.centre_y, line[:, 2])
    out[:, 2] = 0
    return out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-6)


def _cartilage(course: Course, line: NDArray[np.float64], sign: int, wall: Wall, number: int) -> NDArray[np.float64]:
    """Return the cartilage from the end of a rib to the sternum, or to the rib above: rising, in the wall."""
    if course.cartilage is None:
        return np.empty((0, 3))
    start = _angle(wall, line[-1], sign)
    # True ribs reach the sternum's edge; the next three end at the cartilage above theirs.
    stop = np.radians(172.0 if number <= 7 else 168.0 - 9.0 * (number - 7))
    if stop <= start + 0.05:
        return np.empty((0, 3))
    share = np.linspace(0, 1, 6)
    heights = line[-1][2] + course.cartilage * share**1.3 * (1.0 if number <= 7 else 0.8)
    return np.concatenate([line[-1:], wall.point(heights, sign * (start + (stop - start) * share), OUTSIDE_MM)[1:]])


def _paint(canvas: Canvas, rib: Rib, tissues: Tissues) -> None:
    count = len(rib.line)
    place = np.linspace(0, 1, count)
    # Head and neck are rounder than the shaft.
    thick = np.full(count, rib.section[0])
    wide = rib.section[1] * np.clip(0.72 + 3.0 * place, 0, 1)
    thick *= np.clip(1.25 - 1.5 * place, 1, None)
    if rib.number in (11, 12, 13, LUMBAR_RIB, 0):
        wide = wide * np.clip((1 - place) * 4 + 0.55, 0, 1)
    found = flat_tube(canvas, rib.line, rib.across, thick, wide)
    if found is None:
        return
    window, distance = found
    label = RIB_LABELS[rib.side] + rib.number if rib.number else None
    marrow = tissues.rib_marrow
    # The shaft's cortex thins towards the front.
    front, depth = np.float32(rib.line[:, 1].min()), np.float32(np.ptp(rib.line[:, 1]) + 1)
    frontal = np.clip((canvas.y[window] - front) / depth, 0, 1)
    cortex = np.float32(tissues.rib_cortex_mm) * (0.55 + 0.75 * frontal)
    canvas.solid(window, distance, 0.9 * tissues.cortex, label)
    canvas.blend(window, canvas.coverage(distance - cortex), marrow * (0.5 + 0.5 * frontal))
