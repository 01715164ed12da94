"""The spine's shape: where every body is, how it is turned, how large it is.

Body coordinates: x towards the patient's left, y towards posterior, z up, millimetres; the origin is the centre of L1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .anomalies import Anomalies, Fracture
from .levels import SIZES
from .person import Person

#: Where the spine's axis points as it climbs, degrees towards posterior: thoracic kyphosis of 38 between T1 and T12,
#: lordosis of 50 between L1 and S1, the neck's nearly 20 (usual means of standing adults; who lies is flatter, which
#: the factors below allow for).
CURVE = {"C1": 0.0, "C4": -11.0, "C7": -22.0, "T1": -24.0, "T7": 0.0, "T12": 14.0, "L1": 14.0, "L3": 2.0, "L5": -16.0,
         "S1": -36.0}  # fmt: skip
#: Degrees and heights (against S1's) of the sacral segments below S1, each against the vertical.
SACRAL_TURN, SACRAL_STEP = (-50.0, -48.0, -20.0, 20.0), (0.85, 0.72, 0.6, 0.5)
#: Height over depth of a body.
WEDGE_ASPECT = 0.7
#: Depth of the canal, mm: L1's is 19 at the endplates (Panjabi 1992, Docs/sources.md) and less between them; the rest
#: judged.
CANAL_DEPTH = {"C": 15.0, "T": 15.5, "L": 17.5, "S": 14.0}


@dataclass(frozen=True)
class Vertebra:
    """One vertebra: half extents (mm) of its body, its centre, its frame (columns: left, posterior, up).

    ``tilt`` is the height that the front lost against the back, mm; ``disc`` the height of the disc under it.
    """

    name: str
    half_width: float
    half_depth: float
    half_height: float
    disc: float
    centre: NDArray[np.float64]
    frame: NDArray[np.float64]
    waist: float
    dip: float
    wedge: float
    squareness: float
    canal_depth: float
    fracture: Fracture | None = None

    @property
    def kind(self) -> str:
        """The region: C, T, L or S."""
        return self.name[0]

    def loss(self, v: NDArray[np.floating] | float) -> NDArray[np.floating] | float:
        """Return the share of height lost at depth ``v`` (mm, posterior)."""
        f = self.fracture
        t = v / self.half_depth
        if f is None:
            return 0.0 * t
        return f.middle + 0.5 * (f.back - f.front) * t + (0.5 * (f.front + f.back) - f.middle) * t * t

    def point(self, u: float, v: float, w: float) -> NDArray[np.float64]:
        """Return the place of local coordinates in the body's."""
        return self.centre + self.frame @ np.array([u, v, w])

    def endplates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the centres of the upper and of the lower endplate."""
        lost = float(self.loss(0.0))
        upper = self.half_height * (1 - 1.5 * lost) - self.dip
        lower = -self.half_height * (1 - 0.5 * lost) + self.dip
        return self.point(0, 0, upper), self.point(0, 0, lower)

    @property
    def middle(self) -> NDArray[np.float64]:
        """The centre of what is left of the body: half-way between its endplates."""
        upper, lower = self.endplates()
        return (upper + lower) / 2


@dataclass(frozen=True)
class Spine:
    """The vertebrae from C1 down to S1, and the sacral segments below."""

    vertebrae: tuple[Vertebra, ...]
    sacrum: tuple[Vertebra, ...]

    @classmethod
    def random(cls, rng: np.random.Generator, person: Person, anomalies: Anomalies) -> Spine:
        """Draw the spine of a person with the given variants."""
        sizes = _Sizes(rng, person)
        bodies = [sizes.vertebra(name, anomalies) for name in anomalies.names]
        turns = _turns(rng, anomalies, person)
        placed = _stack([replace(body, frame=_frame(*turn)) for body, turn in zip(bodies, turns, strict=True)])
        first = placed[anomalies.names.index("L1")].centre
        placed = [replace(body, centre=body.centre - first) for body in placed]
        return cls(tuple(placed), _sacrum(placed[-1], turns[-1][0]))

    def __getitem__(self, name: str) -> Vertebra:
        """Return a vertebra by its name; the last lumbar one stands for those that this column lacks."""
        return next((v for v in self.vertebrae if v.name == name), self.vertebrae[-2])

    @property
    def axis(self) -> NDArray[np.float64]:
        """The centres of bodies and sacral segments, (N, 3), from above down."""
        return np.array([v.centre for v in (*self.vertebrae, *self.sacrum)])

    def at(self, z: NDArray[np.floating] | float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y of the bodies' axis at heights ``z``; below the sacrum and above C1 it is held."""
        axis = self.axis[::-1]
        x, y = (np.asarray(np.interp(z, axis[:, 2], axis[:, n])) for n in (0, 1))
        return x, y

    def slid(self, chest_mm: float, belly_mm: float) -> Spine:
        """Return what the organs hang on: the vertebrae moved along the axis, those of the chest and of the belly by so
        much, towards the neck and the sacrum by less and less."""
        knots = [self[name].centre[2] for name in ("S1", "L2", "T5", "C4")]
        moved = []
        for v in self.vertebrae:
            z = v.centre[2] + float(np.interp(v.centre[2], knots, (0.0, belly_mm, chest_mm, 0.0)))
            x, y = self.at(z)
            moved.append(replace(v, centre=np.array([float(x), float(y), z])))
        return replace(self, vertebrae=tuple(moved))


class _Sizes:
    """Draws bodies that are alike in one person."""

    def __init__(self, rng: np.random.Generator, person: Person) -> None:
        u = rng.uniform
        self.rng = rng
        self.scale = person.scale
        self.wide = float(rng.normal(1.0, 0.05)) * (1.0 if person.sex == "M" else 0.95)
        self.deep = self.wide * float(rng.normal(1.0, 0.05))
        # Discs lose height with age, some of them much (judged).
        self.disc = u(0.7, 1.1) * (1 - 0.003 * max(person.age - 30, 0))
        self.waist, self.dip, self.squareness = u(0.04, 0.16), u(0.6, 2.4), u(0.15, 0.5)
        self.worn = 0.02 + 0.10 * max(person.age - 30, 0) / 60

    def vertebra(self, name: str, anomalies: Anomalies) -> Vertebra:
        """Return a body of its own size at no place yet."""
        rng, size = self.rng, SIZES[name]
        worn = rng.uniform(0.25, 0.6) if rng.random() < self.worn else 1.0
        disc = size.disc * self.scale * self.disc * worn * float(rng.normal(1, 0.08))
        if name == anomalies.names[-2] and anomalies.sacralised:
            disc *= 1 - 0.8 * anomalies.sacralised
        if name == "S1" and anomalies.lumbarised:
            disc += 7.0 * anomalies.lumbarised
        if any(name == upper for upper, _ in anomalies.fused):
            disc *= 0.5
        wedge = {"L5": 3.0, "L6": 3.0, "S1": 5.0 * (1 - anomalies.lumbarised)}.get(name, -0.6 if name[0] == "T" else 0)
        jitter = rng.normal(1, 0.025, 3)
        return Vertebra(
            name=name,
            half_width=size.width / 2 * self.scale * self.wide * jitter[0],
            half_depth=size.depth / 2 * self.scale * self.deep * jitter[1],
            half_height=size.height / 2 * self.scale * jitter[2],
            disc=max(disc, 1.2),
            centre=np.zeros(3),
            frame=np.eye(3),
            waist=self.waist if name[0] != "C" else 0.05,
            dip=min(self.dip, 0.08 * size.height) if name not in ("C1", "C2") else 0.0,
            wedge=wedge,
            squareness=self.squareness,
            canal_depth=CANAL_DEPTH[name[0]] * self.scale**0.5 * float(rng.normal(1, 0.06)),
            fracture=anomalies.fractures.get(name),
        )


def _turns(rng: np.random.Generator, anomalies: Anomalies, person: Person) -> list[tuple[float, float, float]]:
    """Return each vertebra's turn towards posterior, towards the left, and about its own axis, radians."""
    names = anomalies.names
    upper = float(np.clip(rng.normal(1.1 + 0.008 * (person.age - 50), 0.38), 0.15, 2.6))
    lower = float(np.clip(rng.normal(0.9, 0.3), 0.1, 1.8))
    neck = float(rng.normal(0, 9))
    knots = {}
    for name, usual in CURVE.items():
        factor = upper if name[0] in "CT" else lower
        knots[name] = usual * factor + (neck if name[0] == "C" and name != "C7" else 0.0) + float(rng.normal(0, 1.5))
    knots["T12"] = knots["L1"] = (knots["T12"] + knots["L1"]) / 2
    places = [names.index(name) for name in knots if name in names]
    degrees = np.interp(np.arange(len(names)), places, [knots[name] for name in knots if name in names])
    degrees += rng.normal(0, 1.0, len(names))
    for name, fracture in anomalies.fractures.items():
        # The spine bends forward over a wedged body, by half of its wedge (judged): discs take up the rest.
        degrees[: names.index(name)] -= 0.5 * np.degrees(np.arctan(WEDGE_ASPECT * (fracture.front - fracture.back)))
    side = _scoliosis(rng, len(names))
    spin = -0.4 * side + rng.normal(0, 1.0, len(names))
    lean = float(rng.normal(0, 2))
    turns = np.radians(np.stack([degrees, side + lean, spin], axis=1))
    return [(float(a), float(b), float(c)) for a, b, c in turns]


def _scoliosis(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return the tilts (degrees) of a double curve; Cobb angles up to 10 in most, to 25 in some, to 50 in few."""
    cobb = float(rng.uniform(*((0, 10), (10, 25), (25, 50))[rng.choice(3, p=[0.78, 0.17, 0.05])]))
    order = np.arange(count)
    apex, width = rng.uniform(8, count - 4), rng.uniform(3.5, 6.0)
    curve = np.sin((order - apex) / width) * np.exp(-(((order - apex) / (2.2 * width)) ** 2))
    return float(rng.choice([-1, 1])) * cobb / 2 * curve / np.abs(curve).max() + rng.normal(0, 0.8, count)


def _frame(back: float, left: float, spin: float) -> NDArray[np.float64]:
    """Return the frame (columns: left, posterior, up) of a vertebra turned by three angles."""
    up = np.array([np.tan(left), np.tan(back), 1.0])
    up /= np.linalg.norm(up)
    lateral = np.array([np.cos(spin), np.sin(spin), 0.0])
    lateral -= lateral @ up * up
    lateral /= np.linalg.norm(lateral)
    return np.stack([lateral, np.cross(up, lateral), up], axis=1)


def _stack(bodies: list[Vertebra]) -> list[Vertebra]:
    """Return the bodies one under the other, their endplates a disc apart."""
    placed = [bodies[0]]
    for body in bodies[1:]:
        above = placed[-1]
        lower = above.point(0, 0, -above.half_height * (1 - 0.5 * float(above.loss(0.0))))
        half = body.half_height * (1 - 1.5 * float(body.loss(0.0)))
        between = above.frame[:, 2] + body.frame[:, 2]
        top = lower - above.disc * between / np.linalg.norm(between)
        placed.append(replace(body, centre=top - body.frame[:, 2] * half))
    return placed


def _sacrum(first: Vertebra, turn: float) -> tuple[Vertebra, ...]:
    """Return the segments S2 to S5, fused and each smaller than the last."""
    segments = [first]
    for number, (degrees, share) in enumerate(zip(SACRAL_TURN, SACRAL_STEP, strict=True), 2):
        above = segments[-1]
        frame = _frame(np.radians(degrees) + 0.5 * (turn - np.radians(-36.0)), 0.0, 0.0)
        half = first.half_height * share
        end = above.point(0, 0, -above.half_height - 0.5)
        segments.append(
            replace(
                first,
                name=f"S{number}",
                half_width=first.half_width * share,
                half_depth=first.half_depth * share * 0.8,
                half_height=half,
                disc=1.0,
                centre=end - frame[:, 2] * half,
                frame=frame,
                wedge=0.0,
                fracture=None,
            )
        )
    return tuple(segments[1:])
