"""What fixes the count where it is seen: where ribs begin and end, and where the sacrum begins.

The network's names say so too, but its errors there are those of a whole chain; these terms are bounded, so that only
the vertebrae at a landmark decide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .candidates import STEP_MM, Candidate, Profile
from .channels import NAMES

#: Share of vertebrae of each name that bear a rib on a side. A 12th rib is absent or overlooked in one of ten
#: (hypoplastic in 13 %, Docs/sources.md), lumbar and cervical ribs are rarer (judged); other thoracic vertebrae bear
#: theirs.
_THORACIC, _LAST, _FIRST_LUMBAR, _LAST_CERVICAL, _OTHER = 0.98, 0.90, 0.04, 0.03, 0.01
RIB_SHARE = {
    **dict.fromkeys(NAMES, _OTHER),
    **{name: _THORACIC for name in NAMES if name[0] == "T"},
    "T12": _LAST,
    "L1": _FIRST_LUMBAR,
    "C7": _LAST_CERVICAL,
}
#: Share of S1 bodies that look like sacrum, and of others that do (L5 or S1 are transitional in 16 %,
#: Docs/sources.md).
SACRUM_SHARE = {**dict.fromkeys(NAMES, 0.01), "L5": 0.08, "L6": 0.08, "S1": 0.92}
#: How much of a landmark's evidence counts: the names hold most of it already. On 30 simulated trunks the names'
#: log-loss was 0.39 without it, 0.40 with this, 0.42 with 1; kept for what the simulation has not shown the network.
WEIGHT = 0.5
#: Evidence for the sacrum along the line that counts as seeing it, over this length, mm: less is a stray voxel.
SACRUM_SEEN, SACRUM_MM = 0.5, 5.0
#: Half the height of S1's body, mm (Panjabi 1992 has 28 mm for its height).
S1_HALF_MM = 14.0
#: How much more probable S1 is than any other name where nothing but the sacrum's beginning is seen, logarithm.
S1_EVIDENCE = 4.0


def landmark_terms(candidates: Sequence[Candidate]) -> npt.NDArray[np.float64]:
    """Return the log-evidence of ribs and sacrum for every name at every candidate, (candidates, names)."""
    ribs = np.array([RIB_SHARE[name] for name in NAMES])
    sacrum = np.array([SACRUM_SHARE[name] for name in NAMES])
    rows = []
    for candidate in candidates:
        sides = [_soft(seen, ribs) for seen in candidate.ribbed]
        rows.append(np.mean(sides, axis=0) + _soft(candidate.sacrum, sacrum))
    return WEIGHT * np.array(rows).reshape(-1, len(NAMES))


def _soft(seen: float, share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the logarithm of how probable evidence ``seen`` (0 to 1) is where it is true in a ``share``."""
    logs: npt.NDArray[np.float64] = np.log(seen * share + (1 - seen) * (1 - share))
    return logs


def sacrum_begins(profile: Profile) -> float | None:
    """Return where along the line the sacrum begins, mm, or None where none is seen."""
    seen = np.flatnonzero(profile.sacrum >= SACRUM_SEEN)
    return float(profile.t[seen[0]]) if len(seen) >= SACRUM_MM / STEP_MM else None


def sacral_candidate(profile: Profile, candidates: Sequence[Candidate]) -> Candidate | None:
    """Return S1 as a candidate where the sacrum is seen below all candidates, none of which is it; else None."""
    begins = sacrum_begins(profile)
    if begins is None or not candidates:
        return None
    last = candidates[-1]
    if last.sacrum >= SACRUM_SEEN or begins <= last.t:
        return None
    names = np.zeros(len(NAMES))
    names[NAMES.index("S1")] = S1_EVIDENCE
    return Candidate(
        t=begins + S1_HALF_MM,
        upper=begins,
        lower=begins + 2 * S1_HALF_MM,
        strength=0.0,
        names=names - np.logaddexp.reduce(names),
        ribbed=(0.0, 0.0),
        sacrum=1.0,
    )
