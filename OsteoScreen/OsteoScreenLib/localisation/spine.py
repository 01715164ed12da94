"""What the localiser says of a spine: places in RAS mm, names with probabilities, and reasons in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Point = tuple[float, float, float]


@dataclass(frozen=True)
class LocalisedVertebra:
    """One vertebra whose body is seen.

    name, probability : the name, and the probability that it is right
    up, down : the neighbouring names towards the head and the feet with the probability that one of them is right
        instead; None at the end of the spine
    centre, upper, lower : RAS mm of the body's centre and of its endplates' centres; the endplates are estimated, on
        the line through the body's centre that is parallel to that through its neighbours'
    whole : whether both endplates lie inside the scan
    ribs : probability of bearing a rib on the left, and on the right
    """

    name: str
    probability: float
    up: tuple[str, float] | None
    down: tuple[str, float] | None
    centre: Point
    upper: Point
    lower: Point
    whole: bool
    ribs: tuple[float, float]


@dataclass(frozen=True)
class Naming:
    """One way to name all that is seen: ``names`` beside ``LocalisedSpine.vertebrae``, and its probability.

    shift : 0 for the most probable one, -1 for that which names everything one vertebra further up, 1 further down
    """

    shift: int
    names: tuple[str, ...]
    probability: float


@dataclass(frozen=True, eq=False)
class LocalisedSpine:
    """The spine of a scan.

    centre_line : (n, 3) RAS mm, from head to foot, about 3 mm apart
    vertebrae : from head to foot
    namings : the most probable naming, and those one up and one down, where there are such
    reasons : what the names rest on, in sentences
    abstains : why no name is given, a sentence; None where names are given
    """

    centre_line: npt.NDArray[np.float64]
    vertebrae: tuple[LocalisedVertebra, ...]
    namings: tuple[Naming, ...]
    reasons: tuple[str, ...]
    abstains: str | None

    @property
    def probability(self) -> float:
        """The probability of the most probable naming; 0 where there is none."""
        return self.namings[0].probability if self.namings else 0.0

    def vertebra(self, name: str) -> LocalisedVertebra | None:
        """Return the vertebra called ``name``, or None where it is not among those seen."""
        return next((vertebra for vertebra in self.vertebrae if vertebra.name == name), None)


def nothing_found(why: str) -> LocalisedSpine:
    """Return the answer of a scan without a spine."""
    return LocalisedSpine(np.empty((0, 3)), (), (), (), why)
