"""Suggested levels: from the spine that the localiser found to L1 and L2, for a reader to confirm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import UnusableLevels
from ..localisation.spine import LocalisedSpine, LocalisedVertebra
from ..results import Level
from .chosen import level_at
from .snapping import snap_with_axis

if TYPE_CHECKING:
    from ..ct import CT

#: A name less probable than this is not suggested: a wrong level is worse than none. Chosen on simulated trunks that
#: the localiser was not trained on; see its bundle's card.
CONFIDENT = 0.95
#: Snapping that moves a level further than this, mm, has found another body's endplates or a fracture's, and the
#: localiser's place is kept. On 200 simulated trunks 95 % of the localiser's own centres were within 1.2 mm along the
#: spine; allowed to move 10 mm, snapping put 10 of 252 levels more than 4 mm off, allowed this, one.
MOST_SNAPPED_MM = 4.0
#: Weight of the axis between a body's own endplates against that through its neighbours' centres. On 170 bodies T12 to
#: L3 of 64 simulated trunks (set 51, 3 mm slices) the tilt so told is off with an SD of 1.9 degrees, by 4.4 at most in
#: 95 %; by the neighbours alone 2.1 and 4.3, by the endplates alone 4.1 and 9.8, by the direction of the centre line at
#: the body 3.0 and 6.4. The endplates take part because real discs are wedged: in acrin-nsclc-fdg-pet-042 (shared data)
#: L1 and L2 lean by about 15 and 9 degrees as read from their endplates; 18 and 16 are told, by the neighbours alone 21
#: and 20, by the centre line 30 and 6.
ENDPLATES_WEIGHT = 0.5


@dataclass(frozen=True)
class SuggestedLevel:
    """A level found by itself.

    level : on its slice; ``set_by`` "suggested", not confirmed
    probability : that the vertebra has this name
    tilt_deg : angle between the body's axis and the slices' normal, known to about 4 degrees; the slice cuts the body
        so much askew
    snapped : whether the slice is half-way between endplates that were seen on the scan itself, or where the localiser
        estimates the body's centre
    """

    level: Level
    probability: float
    tilt_deg: float
    snapped: bool


@dataclass(frozen=True)
class Suggestion:
    """The levels that are suggested, by name, why others are not, and what the names rest on."""

    levels: dict[str, SuggestedLevel]
    refused: dict[str, str]
    reasons: tuple[str, ...]


def suggest_levels(
    ct: CT, spine: LocalisedSpine, names: Sequence[str] = ("L1", "L2"), *, confident: float = CONFIDENT
) -> Suggestion:
    """Return the levels called ``names`` that the spine shows, each on the slice half-way between its endplates.

    A level is refused, with the reason, where the localiser abstains, the vertebra is not seen or is cut by the scan's
    end, or its name is less probable than ``confident``.
    """
    levels: dict[str, SuggestedLevel] = {}
    refused: dict[str, str] = {}
    for name in names:
        why = _refusal(spine, name, confident)
        vertebra = spine.vertebra(name)
        if why is not None or vertebra is None:
            refused[name] = why or f"{name} is not seen."
        else:
            levels[name] = level_of(ct, vertebra)
    return Suggestion(levels, refused, spine.reasons)


def _refusal(spine: LocalisedSpine, name: str, confident: float) -> str | None:
    """Return why a level is not suggested, a sentence, or None where it is."""
    if spine.abstains is not None:
        return spine.abstains
    vertebra = spine.vertebra(name)
    if vertebra is None:
        seen = f"{spine.vertebrae[0].name} to {spine.vertebrae[-1].name}" if spine.vertebrae else "no vertebra"
        return f"{name} is not in the field of view, which shows {seen}."
    if not vertebra.whole:
        return f"{name} is cut by the end of the scan."
    if vertebra.probability < confident:
        others = [f"{other} has {100 * share:.0f} %" for other, share in filter(None, (vertebra.up, vertebra.down))]
        return (
            f"It is not certain enough which vertebra is {name}: the one at S = {vertebra.centre[2]:.0f} mm is so with "
            f"{100 * vertebra.probability:.0f} % ({', '.join(others)})."
        )
    return None


def level_of(ct: CT, vertebra: LocalisedVertebra) -> SuggestedLevel:
    """Return the slice half-way between a vertebra's endplates as the level of the vertebra's name.

    Where no endplates are clear, or those found are another body's, it is the slice of the vertebra's centre.
    """
    slices = ct.geometry.shape[0]
    centre = np.array(vertebra.centre)
    k = int(np.clip(round(float(ct.geometry.ijk(centre)[2])), 0, slices - 1))
    found = level_at(ct, k, vertebra.name, "suggested", confirmed=False)
    axis = _unit(np.subtract(vertebra.upper, vertebra.lower))
    snapped = False
    try:
        moved = snap_with_axis(ct, found, (vertebra.centre[0], vertebra.centre[1]))
    except UnusableLevels:
        pass
    else:
        snapped = abs(moved.level.z_mm - vertebra.centre[2]) <= MOST_SNAPPED_MM
        if snapped:
            found = replace(moved.level, set_by="suggested")
            axis = _unit(axis + ENDPLATES_WEIGHT * moved.axis)
    tilt = float(np.degrees(np.arccos(np.clip(abs(axis @ ct.geometry.normal), 0.0, 1.0))))
    return SuggestedLevel(found, vertebra.probability, tilt, snapped)


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return vector / max(float(np.linalg.norm(vector)), 1e-6)
