"""How well a localiser does: distances, names, abstentions, the levels it suggests, and its probabilities."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from OsteoScreenLib.levels.suggestion import CONFIDENT, suggest_levels
from OsteoScreenLib.localisation.localiser import Localiser, Sighting, name_spine, see_spine
from OsteoScreenLib.localisation.resample import read_trunk
from OsteoScreenLib.localisation.spine import LocalisedSpine

from ..datasets.folder import LEVELS
from .localisation_cases import KnownVertebra, LocalisationCase

#: A found centre belongs to a known one that is nearer than this, mm: less than half the distance of two lumbar bodies.
SAME_MM = 12.0
#: A level is right where its slice is this near to the known centre, mm.
RIGHT_MM = 4.0
#: Edges of the bins of the reliability.
BINS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)


@dataclass(frozen=True)
class FoundVertebra:
    """A known vertebra beside what was found there; distances in mm, None where nothing was.

    ambiguous_right : the name is right, or one that a careful reader may give
    """

    case: str
    groups: tuple[str, ...]
    truth: str
    whole: bool
    found: str | None
    right: bool
    ambiguous_right: bool
    probability: float
    distance_mm: float | None
    along_mm: float | None


@dataclass(frozen=True)
class LevelScore:
    """One level of one scan: was it there whole, was it suggested, and was that right.

    outcome : "right", "off" or "wrong name" of a level that was suggested, by its distance from the known centre, "not
    known" where the truth, which is incomplete, does not hold it; "missed" (there whole) or "none" of one that was not
    off_mm : from the known centre to the suggested slice, along S
    why : the reason why it was not suggested
    """

    case: str
    groups: tuple[str, ...]
    level: str
    outcome: str
    probability: float
    off_mm: float | None
    why: str


@dataclass(frozen=True)
class CaseScore:
    """One scan: its vertebrae, its levels, why it abstained, what it claims, seconds."""

    case: str
    kind: str
    groups: tuple[str, ...]
    vertebrae: tuple[FoundVertebra, ...]
    levels: tuple[LevelScore, ...]
    spurious: int
    abstains: str | None
    names: tuple[str, ...]
    reasons: tuple[str, ...]
    read_s: float
    look_s: float
    name_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def score_case(localiser: Localiser, case: LocalisationCase, confident: float = CONFIDENT) -> CaseScore:
    """Localise a scan, suggest L1 and L2, and compare with what is known."""
    start = time.perf_counter()
    trunk = read_trunk(case.ct, localiser.network.grid_mm)
    read = time.perf_counter()
    evidence = localiser.network.look(trunk)
    looked = time.perf_counter()
    spine = name_spine(see_spine(evidence), localiser.temperature)
    named = time.perf_counter()
    levels = tuple(_levels(case, spine, confident))
    found = tuple(_found(case, known, spine) for known in case.vertebrae)
    return CaseScore(
        case=case.name,
        kind=case.kind,
        groups=case.groups,
        vertebrae=found,
        levels=levels,
        spurious=_spurious(case, spine) if case.complete else 0,
        abstains=spine.abstains,
        names=tuple(v.name for v in spine.vertebrae),
        reasons=spine.reasons,
        read_s=read - start,
        look_s=looked - read,
        name_s=named - looked,
    )


def _found(case: LocalisationCase, known: KnownVertebra, spine: LocalisedSpine) -> FoundVertebra:
    nearest = min(spine.vertebrae, key=lambda v: _distance(v.centre, known.centre), default=None)
    distance = _distance(nearest.centre, known.centre) if nearest is not None else np.inf
    if nearest is None or distance > SAME_MM:
        return FoundVertebra(case.name, case.groups, known.name, known.whole, None, False, False, 0.0, None, None)
    along = float((np.array(nearest.centre) - known.centre) @ case.ct.geometry.normal)
    return FoundVertebra(
        case=case.name,
        groups=case.groups,
        truth=known.name,
        whole=known.whole,
        found=nearest.name,
        right=nearest.name == known.name,
        ambiguous_right=nearest.name in (known.name, *known.alternatives),
        probability=nearest.probability,
        distance_mm=distance,
        along_mm=abs(along),
    )


def _levels(case: LocalisationCase, spine: LocalisedSpine, confident: float) -> Iterable[LevelScore]:
    suggestion = suggest_levels(case.ct, spine, LEVELS, confident=confident)
    for name in LEVELS:
        known = next((v for v in case.vertebrae if v.name == name), None)
        vertebra = spine.vertebra(name)
        probability = vertebra.probability if vertebra is not None else 0.0
        suggested = suggestion.levels.get(name)
        if suggested is None:
            outcome = "missed" if known is not None and known.whole else "none"
            yield LevelScore(case.name, case.groups, name, outcome, probability, None, suggestion.refused.get(name, ""))
            continue
        if known is None:
            # Incomplete truth says nothing of a level that is not part of it.
            outcome = "wrong name" if case.complete or case.no_lumbar else "not known"
            yield LevelScore(case.name, case.groups, name, outcome, probability, None, "")
            continue
        off = abs(suggested.level.z_mm - known.centre[2])
        outcome = "right" if off <= RIGHT_MM else "off" if off <= SAME_MM else "wrong name"
        yield LevelScore(case.name, case.groups, name, outcome, probability, off, "")


def _spurious(case: LocalisationCase, spine: LocalisedSpine) -> int:
    return sum(all(_distance(v.centre, known.centre) > SAME_MM for known in case.vertebrae) for v in spine.vertebrae)


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    return float(np.linalg.norm(np.array(a) - np.array(b)))


# -- summaries


def summarise(scores: Sequence[CaseScore]) -> dict[str, Any]:
    """Return the summary of scans of one kind: of all, and by anatomy."""
    groups = sorted({group for score in scores for group in score.groups})
    whole = {"all": _summary(scores)}
    return whole | {group: _summary([score for score in scores if group in score.groups]) for group in groups}


def _summary(scores: Sequence[CaseScore]) -> dict[str, Any]:
    vertebrae = [v for score in scores for v in score.vertebrae if v.whole]
    found = [v for v in vertebrae if v.found is not None]
    confident = [
        v for score in scores if score.abstains is None for v in score.vertebrae
        if v.found is not None and v.probability >= CONFIDENT
    ]  # fmt: skip
    levels = [level for score in scores for level in score.levels]
    outcomes = {name: sum(level.outcome == name for level in levels) for name in sorted({v.outcome for v in levels})}
    return {
        "scans": len(scores),
        "abstained": sum(score.abstains is not None for score in scores),
        "vertebrae": len(vertebrae),
        "not_found": len(vertebrae) - len(found),
        "spurious": sum(score.spurious for score in scores),
        "distance_mm": _spread([v.distance_mm for v in found if v.distance_mm is not None]),
        "along_mm": _spread([v.along_mm for v in found if v.along_mm is not None]),
        "right": _share([v.right for v in found]),
        "right_or_ambiguous": _share([v.ambiguous_right for v in found]),
        "confident": len(confident),
        "confident_right": _share([v.right for v in confident]),
        "confident_right_or_ambiguous": _share([v.ambiguous_right for v in confident]),
        "levels": outcomes,
        "level_off_mm": _spread([level.off_mm for level in levels if level.outcome in ("right", "off") and
                                 level.off_mm is not None]),
        "reliability": _reliability(found),
        "seconds": {name: _spread([getattr(score, name) for score in scores]) for name in
                    ("read_s", "look_s", "name_s")},
    }  # fmt: skip


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not len(values):
        return None
    return {
        "median": round(float(np.median(values)), 3),
        "p95": round(float(np.percentile(values, 95)), 3),
        "max": round(float(np.max(values)), 3),
    }


def _share(values: Sequence[bool]) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None


def _reliability(found: Sequence[FoundVertebra]) -> list[dict[str, Any]]:
    """Return for bins of the probability how often the name is right."""
    rows = []
    for low, high in itertools.pairwise(BINS):
        inside = [v for v in found if low <= v.probability and (v.probability < high or high == BINS[-1])]
        if inside:
            mean = float(np.mean([v.probability for v in inside]))
            rows.append({
                "from": low, "to": high, "n": len(inside), "mean_probability": round(mean, 4),
                "right": _share([v.right for v in inside]),
                "right_or_ambiguous": _share([v.ambiguous_right for v in inside]),
            })  # fmt: skip
    return rows


# -- the temperature


def naming_losses(sightings: Sequence[tuple[Sighting | None, LocalisationCase]], temperature: float) -> list[float]:
    """Return the mean -log probability of the true names of the vertebrae found, at a temperature, of each scan that
    shows a vertebra that is known: by scans, so that a long one does not count for more."""
    losses = []
    for sighting, case in sightings:
        if sighting is None or not sighting.candidates:
            continue
        posterior = sighting.decode(temperature)
        centres = sighting.profile.place(np.array([candidate.t for candidate in sighting.candidates]))
        rows = []
        for known in case.vertebrae:
            distances = np.linalg.norm(centres - known.centre, axis=1)
            nearest = int(distances.argmin())
            if distances[nearest] <= SAME_MM:
                rows.append(-np.log(max(posterior.probability(nearest, known.name), 1e-6)))
        if rows:
            losses.append(float(np.mean(rows)))
    return losses


#: Temperatures that are tried.
TEMPERATURES = tuple(np.round(np.geomspace(0.5, 40, 24), 3).tolist())


def fit_naming_temperature(sightings: Sequence[tuple[Sighting | None, LocalisationCase]]) -> float:
    """Return the least temperature whose mean of :func:`naming_losses` is within one standard error of the smallest
    one; NaN where there is nothing to fit.

    The smallest loss itself hangs on one or two scans, and a higher temperature leaves the names to ribs and sacrum
    alone, which mislead where there are eleven or thirteen pairs of ribs.
    """
    losses = [naming_losses(sightings, temperature) for temperature in TEMPERATURES]
    if not losses[0]:
        return float("nan")
    means = np.array([np.mean(row) for row in losses])
    best = int(means.argmin())
    error = float(np.std(losses[best]) / np.sqrt(len(losses[best])))
    return TEMPERATURES[int(np.flatnonzero(means <= means[best] + error)[0])]
