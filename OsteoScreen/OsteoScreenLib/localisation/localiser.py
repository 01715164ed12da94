"""A whole CT in, the spine with named vertebrae out: the one place where the steps of the localisation meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..ct import CT
from ..models import Bundle
from ..progress import Progress, silent
from .candidates import Candidate, Profile, find_candidates, profile_along
from .centre_line import centre_line
from .chain import ChainPosterior, decode
from .channels import NAMES
from .evidence import Evidence, EvidenceNetwork, too_small
from .landmarks import landmark_terms, sacral_candidate, sacrum_begins
from .reasons import reasons
from .resample import TrunkGrid, read_trunk
from .spine import LocalisedSpine, LocalisedVertebra, Naming, Point, nothing_found

#: Vertebrae that have to be seen before any is named.
FEWEST = 3
#: An endplate this near to the end of the scan, mm, is cut: the estimate is no better.
CUT_MM = 1.5
#: The network's log-probabilities of names are divided by this where the bundle does not say: neighbours err together.
TEMPERATURE = 4.0
#: A vertebra that rather bears ribs than none: half.
EVEN = 0.5
UPRIGHT = np.array([0.0, 0.0, 1.0])
#: A whole naming shifted by one is told where everything could be so named.
_SHIFTS = (-1, 1)


class Localiser:
    """Finds and names the vertebrae of CTs with a localisation bundle; made once, used for many.

    Raises:
        BundleError: the bundle's weights do not load, or it was made for other channels.
        UsageError: the device is unknown or missing.
    """

    def __init__(self, bundle: Bundle, device: str = "auto"):
        self.network = EvidenceNetwork(bundle, device)
        self.temperature = float(bundle.description.get("postprocessing", {}).get("temperature", TEMPERATURE))

    def localise(self, ct: CT, progress: Progress = silent) -> LocalisedSpine:
        """Return the spine of a CT, which is read as a whole.

        Raises InputError where its pixels cannot be decoded.
        """
        return self.localise_in(read_trunk(ct, self.network.grid_mm, progress), progress)

    def localise_in(self, trunk: TrunkGrid, progress: Progress = silent) -> LocalisedSpine:
        """Return the spine of a CT that was read on the network's grid; of one that is too small, none."""
        why = too_small(trunk)
        if why is not None:
            return nothing_found(why)
        progress("Looking for the spine", 0, 1)
        spine = name_spine(see_spine(self.network.look(trunk)), self.temperature)
        progress("Looking for the spine", 1, 1)
        return spine


@dataclass(frozen=True, eq=False)
class Sighting:
    """What is seen of a spine before it is named.

    profile : along its centre line; candidates : bodies on it, from head to foot
    ends : where the scan begins and ends, mm along the line
    """

    profile: Profile
    candidates: tuple[Candidate, ...]
    ends: tuple[float, float]

    def decode(self, temperature: float) -> ChainPosterior:
        """Return the names' posterior, the network's evidence divided by ``temperature``.

        Raises ValueError where there is no candidate.
        """
        names = np.array([candidate.names for candidate in self.candidates]).reshape(-1, len(NAMES))
        evidence = names / temperature + landmark_terms(self.candidates)
        return decode(evidence, np.diff([candidate.t for candidate in self.candidates]).tolist())


def see_spine(evidence: Evidence) -> Sighting | None:
    """Return what is seen of the spine, or None where there is none."""
    line = centre_line(evidence)
    if line is None:
        return None
    profile = profile_along(evidence, line)
    candidates = find_candidates(profile)
    sacral = sacral_candidate(profile, candidates)
    found = (*candidates, sacral) if sacral is not None else tuple(candidates)
    return Sighting(profile, found, scan_ends(evidence, profile))


def name_spine(sighting: Sighting | None, temperature: float = TEMPERATURE) -> LocalisedSpine:
    """Return the spine with its vertebrae named."""
    if sighting is None:
        return nothing_found("No spine is seen in the scan.")
    if not sighting.candidates:
        return nothing_found("No vertebral body is seen in the scan.")
    posterior = sighting.decode(temperature)
    kept = [n for n, name in enumerate(posterior.names) if name is not None]
    axes = _axes([sighting.profile.place(sighting.candidates[n].t) for n in kept])
    vertebrae = tuple(_vertebra(sighting, posterior, n, axis) for n, axis in zip(kept, axes, strict=True))
    namings = _namings(posterior, kept)
    begins = sacrum_begins(sighting.profile)
    sacrum = float(sighting.profile.place(begins)[2]) if begins is not None else None
    return LocalisedSpine(
        centre_line=sighting.profile.ras[::3],
        vertebrae=vertebrae,
        namings=namings,
        reasons=reasons(vertebrae, namings, sacrum),
        abstains=_abstains(vertebrae, sacrum),
    )


def scan_ends(evidence: Evidence, profile: Profile) -> tuple[float, float]:
    """Return where along the line, in mm, the scan begins and ends; the line may end before it does."""
    slices = len(evidence.body)
    ends = evidence.ras(np.array([[slices - 0.5, 0, 0], [-0.5, 0, 0]]))
    normal = evidence.trunk.geometry.normal
    normal = normal if normal[2] >= 0 else -normal
    heights = profile.ras @ normal
    top, bottom = (float(end @ normal) for end in ends)
    reach = min(10, len(heights) - 1)
    first = max((heights[0] - heights[reach]) / max(profile.t[reach] - profile.t[0], 1e-6), 0.3)
    last = max((heights[-1 - reach] - heights[-1]) / max(profile.t[-1] - profile.t[-1 - reach], 1e-6), 0.3)
    return (
        float(profile.t[0] - (top - heights[0]) / first),
        float(profile.t[-1] + (heights[-1] - bottom) / last),
    )


def _axes(centres: Sequence[npt.NDArray[np.float64]]) -> list[npt.NDArray[np.float64]]:
    """Return the unit vector up along each body, RAS: from the centre below it to that above.

    The centre line's own direction at a body is unsteady; levels/suggestion.py says how much. A body alone is taken as
    upright.
    """
    last = len(centres) - 1
    spans = [centres[max(n - 1, 0)] - centres[min(n + 1, last)] for n in range(len(centres))] if last else [UPRIGHT]
    return [span / max(float(np.linalg.norm(span)), 1e-6) for span in spans]


def _vertebra(
    sighting: Sighting, posterior: ChainPosterior, n: int, axis: npt.NDArray[np.float64]
) -> LocalisedVertebra:
    profile, candidate, ends = sighting.profile, sighting.candidates[n], sighting.ends
    name = posterior.names[n]
    assert name is not None
    order = _order(posterior)
    place = order.index(name)
    up = order[place - 1] if place else None
    down = order[place + 1] if place + 1 < len(order) else None
    centre = profile.place(candidate.t)
    return LocalisedVertebra(
        name=name,
        probability=posterior.probability(n, name),
        up=(up, posterior.probability(n, up)) if up else None,
        down=(down, posterior.probability(n, down)) if down else None,
        centre=_point(centre),
        upper=_point(centre + (candidate.t - candidate.upper) * axis),
        lower=_point(centre + (candidate.t - candidate.lower) * axis),
        whole=candidate.upper >= ends[0] + CUT_MM and candidate.lower <= ends[1] - CUT_MM,
        ribs=candidate.ribbed,
    )


def _namings(posterior: ChainPosterior, kept: Sequence[int]) -> tuple[Naming, ...]:
    """Return the best naming and those shifted by one, each with the probability at the vertebra nearest to L1."""
    names = [posterior.names[n] for n in kept]
    if not names:
        return ()
    order = _order(posterior)
    places = [order.index(str(name)) for name in names]
    anchor = int(np.argmin([abs(NAMES.index(str(name)) - NAMES.index("L1")) for name in names]))
    found = [Naming(0, tuple(map(str, names)), posterior.probability(kept[anchor], str(names[anchor])))]
    for shift in _SHIFTS:
        moved = [place + shift for place in places]
        if min(moved) >= 0 and max(moved) < len(order):
            shifted = tuple(order[place] for place in moved)
            found.append(Naming(shift, shifted, posterior.probability(kept[anchor], shifted[anchor])))
    return tuple(found)


def _order(posterior: ChainPosterior) -> list[str]:
    """Return the names from head to foot, T13 and L6 only where they are seen: both are rare."""
    return [name for name in NAMES if name not in ("T13", "L6") or name in posterior.names]


def _abstains(vertebrae: Sequence[LocalisedVertebra], sacrum: float | None) -> str | None:
    """Return why no vertebra can be named whatever the network thinks, or None."""
    if len(vertebrae) < FEWEST:
        count = len(vertebrae)
        return f"Only {count} vertebra{'' if count == 1 else 'e'} can be told apart, which is too few to name any."
    ribs = [max(vertebra.ribs) >= EVEN for vertebra in vertebrae]
    # Where ribs begin or end along the spine, the count has something to hold on to.
    fixed = sacrum is not None or any(above != below for above, below in pairwise(ribs))
    if not fixed:
        return "Neither the first rib, nor the last one, nor the sacrum is seen, so that nothing fixes the count."
    return None


def _point(place: npt.NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in place)
    return x, y, z
