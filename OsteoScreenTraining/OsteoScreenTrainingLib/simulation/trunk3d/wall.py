"""The wall of the trunk: the cavity's inner surface, muscle and ribs outside it, fat, and the skin.

At each height the cavity is a squared ellipse about a centre in front of the spine. Places in the wall are told by the
angle from the back (0) over the left side to the front (pi), and by the distance outside the inner surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .person import Person
from .shapes import TINY, Volume, gauge
from .spine import Spine

#: At the height of each vertebra: half width of the cavity; from the body's centre to its front and to its back; depth
#: of muscle and rib outside it; the same behind the spine, where the processes and the erector muscles are; share of
#: the fat. For a man of 175 cm; read off the two real CT beside the project, the rest judged.
PROFILE = {
    "C1": (26, 24, 14, 36, 38, 0.5), "C4": (26, 26, 14, 34, 38, 0.4), "C7": (30, 34, 16, 40, 42, 0.5),
    "T1": (42, 40, 22, 34, 34, 0.6), "T2": (62, 46, 32, 34, 32, 0.6), "T3": (82, 56, 40, 32, 32, 0.6),
    "T4": (96, 66, 46, 29, 30, 0.6), "T6": (112, 88, 53, 23, 27, 0.6), "T8": (123, 108, 55, 16, 24, 0.65),
    "T10": (125, 120, 51, 14, 26, 0.75), "T12": (122, 122, 44, 13, 32, 0.9), "L2": (118, 112, 33, 13, 40, 1.0),
    "L4": (114, 92, 28, 14, 44, 1.15), "S1": (108, 92, 22, 26, 40, 1.3),
}  # fmt: skip
#: The same below S1, by the distance below its centre as a share of the spine's scale, mm: from the true pelvis out.
PELVIS_PROFILE = {
    60.0: (72, 112, 18, 62, 44, 1.3), 100.0: (60, 105, 34, 85, 50, 1.2), 160.0: (48, 100, 40, 100, 60, 1.2),
}  # fmt: skip


@dataclass(frozen=True)
class Wall:
    """The trunk's wall; arrays are by height ``z`` (rising, mm).

    ``fat`` is how thick the subcutaneous fat is (mm), ``fat_waves`` how it differs around the body.
    """

    z: NDArray[np.float64]
    centre_x: NDArray[np.float64]
    centre_y: NDArray[np.float64]
    half_width: NDArray[np.float64]
    half_depth: NDArray[np.float64]
    muscle: NDArray[np.float64]
    back: NDArray[np.float64]
    fat: NDArray[np.float64]
    fat_waves: tuple[float, float]
    squareness: float
    skin_mm: float

    @classmethod
    def random(cls, rng: np.random.Generator, person: Person, spine: Spine) -> Wall:
        """Draw the wall of a person about a spine."""
        rows, z, x, y = [], [], [], []
        for name, row in PROFILE.items():
            centre = spine[name].centre
            rows.append(row)
            z.append(centre[2])
            x.append(centre[0])
            y.append(centre[1])
        for below, row in PELVIS_PROFILE.items():
            rows.append(row)
            z.append(z[len(PROFILE) - 1] - below * person.scale)
            x.append(x[len(PROFILE) - 1])
            y.append(y[len(PROFILE) - 1] + 6.0)
        order = np.argsort(z)
        knots = np.array(z)[order]
        heights = np.arange(knots[0] - 200, knots[-1] + 250, 2.0)
        table = np.array(rows, float)[order]
        table = _factors(rng, person, table, knots, spine)

        def profile(values: NDArray[np.float64]) -> NDArray[np.float64]:
            # Running means take the corners out of the lines between the vertebrae: muscles bridge them.
            line = np.interp(heights, knots, values)
            return np.convolve(np.pad(line, 12, mode="edge"), np.ones(25) / 25, mode="valid")

        front, behind = profile(table[:, 1]), profile(table[:, 2])
        sx, sy = profile(np.array(x)[order]), profile(np.array(y)[order])
        return cls(
            z=heights,
            centre_x=0.7 * sx,
            centre_y=sy + (behind - front) / 2,
            half_width=profile(table[:, 0]),
            half_depth=(front + behind) / 2,
            muscle=profile(table[:, 3]),
            back=profile(table[:, 4]),
            fat=profile(table[:, 5]),
            fat_waves=(float(rng.uniform(-0.3, 0.45)), float(rng.uniform(-0.25, 0.3))),
            squareness=float(rng.uniform(0.2, 0.6)),
            skin_mm=float(rng.uniform(1.2, 2.5)),
        )

    def row(self, values: NDArray[np.float64], z: Volume | float) -> Volume:
        """Return one of the wall's profiles at heights ``z``, float32."""
        return np.asarray(np.interp(z, self.z, values), np.float32)

    def point(self, z: NDArray[np.floating], angle: NDArray[np.floating], outside: float) -> NDArray[np.float64]:
        """Return places (N, 3) at heights and angles (positive to the left), ``outside`` mm beyond the cavity."""
        z = np.asarray(z, float)
        u, v = np.sin(angle), np.cos(angle)
        a, b = self.row(self.half_width, z), self.row(self.half_depth, z)
        radius = 1 / gauge(u / a, v / b, self.squareness) + outside
        x = self.row(self.centre_x, z) + u * radius
        y = self.row(self.centre_y, z) + v * radius
        return np.stack(np.broadcast_arrays(x, y, z), axis=-1).astype(float)

    def cavity(self, x: Volume, y: Volume, z: Volume) -> tuple[Volume, Volume]:
        """Return the radial distance (mm, positive inside the cavity) and the cosine of the angle from the back.

        ``z`` may be an array that broadcasts, (slices, 1, 1), where the planes are level.
        """
        u, v = x - self.row(self.centre_x, z), y - self.row(self.centre_y, z)
        rho = gauge(u / self.row(self.half_width, z), v / self.row(self.half_depth, z), self.squareness) + TINY
        radius = np.sqrt(u * u + v * v) + TINY
        return radius * (1 / rho - 1), v / radius

    def layers(self, cavity: Volume, towards_back: Volume, z: Volume) -> tuple[Volume, Volume]:
        """Return the distances of the muscle's and of the skin's outer surface, from what :meth:`cavity` returned."""
        behind = np.clip(towards_back, 0, 1) ** 3
        thick = self.row(self.muscle, z)
        muscle = cavity + thick + behind * (self.row(self.back, z) - thick)
        first, second = self.fat_waves
        share = 1 + np.float32(first) * towards_back + np.float32(second) * (2 * towards_back * towards_back - 1)
        return muscle, muscle + self.row(self.fat, z) * share


def _factors(
    rng: np.random.Generator, person: Person, table: NDArray[np.float64], z: NDArray[np.float64], spine: Spine
) -> NDArray[np.float64]:
    """Return the profile's table for one person: girth, a barrel chest or a flat one, the belly, the fat."""
    table = table.copy()
    size = (person.height_cm / 175) ** 0.5
    belly = np.clip(1 - (z - spine["L2"].centre[2]) / (spine["T9"].centre[2] - spine["L2"].centre[2]), 0, 1)
    below = np.clip(1 - (spine["S1"].centre[2] + 30 - z) / 60, 0, 1)
    stout = 0.017 * (person.bmi - 25)
    chest_depth = float(rng.normal(1.0, 0.1)) * (1 + 0.1 * stout)
    table[:, 0] *= person.girth * (1 + 0.25 * stout * belly * below)
    table[:, 1] *= person.girth * chest_depth * (1 + 1.3 * stout * belly * below)
    table[:, 2] *= person.girth
    table[:, 3:5] *= size * float(rng.uniform(0.75, 1.3)) * (1.08 if person.sex == "M" else 0.9)
    # Tips of spinous processes lie under the skin however thin a person is.
    table[:, 4] = np.maximum(table[:, 4], 24 * size)
    # Subcutaneous fat at the waist: about 8 mm at a BMI of 20, 25 at 30, more in women (judged).
    fat = np.clip(8 + 1.7 * (person.bmi - 20), 2.5, 60) * (1.15 if person.sex == "F" else 0.85)
    table[:, 5] *= fat * float(np.exp(rng.normal(0, 0.25)))
    return table
