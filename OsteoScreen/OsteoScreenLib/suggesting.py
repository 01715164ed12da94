"""From an opened CT to suggested levels: the localiser run on the whole scan, and what it found for the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import loaded
from .cores import on_one_core
from .levels.suggestion import Suggestion, suggest_levels
from .localisation.resample import read_trunk
from .progress import Progress, silent
from .results import Check, NumberedLevel, NumberedVertebra, Numbering

if TYPE_CHECKING:
    from .ct import CT
    from .inference import BundleRunner
    from .localisation import LocalisedSpine
    from .localisation.resample import TrunkGrid
    from .models import Bundle

#: A body whose axis leans more than this from the slices' normal is cut askew: over a body 34 mm deep (Panjabi 1992)
#: its front and back then lie 10 mm apart along its axis, more than a third of its height.
ASKEW_DEG = 17.0


@dataclass(frozen=True, eq=False)
class Suggested:
    """Suggested levels, what they rest on, the network that saw it, and the coarse scan that it saw, for drawing."""

    suggestion: Suggestion
    spine: LocalisedSpine
    numbering: Numbering
    network: BundleRunner
    trunk: TrunkGrid

    @property
    def checks(self) -> list[Check]:
        """What a reader has to know of each level that was asked for."""
        refused = [Check("level_suggestion", "warn", why, name) for name, why in self.suggestion.refused.items()]
        return refused + askew_checks(self.numbering)


def askew_checks(numbering: Numbering) -> list[Check]:
    """Return a warning for each suggested level whose slice cuts its body askew."""
    return [
        Check(
            "level_suggestion",
            "warn",
            f"{name} leans by {level.tilt_deg:.0f} degrees from the slices' normal, so that its slice cuts it "
            "askew, through more than the middle of the body.",
            round(level.tilt_deg, 1),
        )
        for name, level in numbering.levels.items()
        if level.tilt_deg > ASKEW_DEG
    ]


def suggest(
    ct: CT, bundle: Bundle, names: Sequence[str], device: str = "auto", progress: Progress = silent
) -> Suggested:
    """Return the levels called ``names`` that a localisation bundle finds in a CT, which is read as a whole.

    Raises InputError where the scan cannot be decoded, BundleError where the bundle does not load.
    """
    localiser = loaded.LOCALISERS.get(bundle, device)
    trunk = read_trunk(ct, localiser.network.grid_mm, progress)
    spine = on_one_core(lambda: localiser.localise_in(trunk, progress))
    suggestion = suggest_levels(ct, spine, names)
    return Suggested(suggestion, spine, numbering_of(spine, suggestion), localiser.network, trunk)


def numbering_of(spine: LocalisedSpine, suggestion: Suggestion) -> Numbering:
    """Return what of a localised spine belongs in the result; no name where the localiser abstains."""
    named = spine.vertebrae if spine.abstains is None else ()
    return Numbering(
        vertebrae=[NumberedVertebra(v.name, _share(v.probability), v.centre, v.whole) for v in named],
        shifted={str(naming.shift): _share(naming.probability) for naming in spine.namings[1:]} if named else {},
        reasons=list(spine.reasons) if named else [],
        abstains=spine.abstains,
        levels={
            name: NumberedLevel(_share(level.probability), level.tilt_deg, level.snapped)
            for name, level in suggestion.levels.items()
        },
    )


def _share(probability: float) -> float:
    """Return a probability without what rounding adds beyond 0 and 1."""
    return min(max(float(probability), 0.0), 1.0)
