"""What misleads whoever counts: variants of the column, and what disease and surgeons do to it.

Naming, here and in the truth: vertebrae are counted from C1 downwards, seven of them cervical. The next twelve are T1
to T12 whether or not the last of them bears ribs; one more with ribs as long as a twelfth's is T13; whatever follows to
the sacrum is L1, L2 and so on, a lumbar rib on L1 notwithstanding. What is counted otherwise by someone who sees less
than the whole spine (ribs from below, lumbar bodies from the sacrum) is kept in ``alternatives``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .levels import CERVICAL, LUMBAR, THORACIC
from .naming import ambiguities

#: How often each is drawn. Reports for comparison: lumbosacral transition 16 %, hypoplastic 12th rib 13 %, lumbar
#: counts other than five just under 10 % (Docs/sources.md). Rare variants are drawn more often than they are met, so
#: that a network learns them (judged).
SHARES = {
    "eleven pairs": 0.05, "thirteen pairs": 0.05, "hypoplastic": 0.12, "lumbar ribs": 0.04, "cervical ribs": 0.02,
    "four lumbar": 0.03, "six lumbar": 0.05, "sacralised": 0.06, "lumbarised": 0.06,
    "fractures": 0.16, "dish": 0.07, "block": 0.04, "cement": 0.4, "screws": 0.035, "rib missing": 0.01,
}  # fmt: skip


@dataclass(frozen=True)
class Fracture:
    """Loss of height as shares, at the front, in the middle and at the back of a body."""

    kind: str
    front: float
    middle: float
    back: float


@dataclass(frozen=True)
class Anomalies:
    """How a column differs from the usual.

    names : of the vertebrae from C1 down to S1
    ribs : name -> side -> length factor against the usual rib of that place; absent where it bears none
    alternatives : name -> other names that a careful reader may give it
    notes : the ambiguities, in words
    sacralised, lumbarised : 0, or how far the last lumbar body is part of the sacrum, or S1 free of it (to 1)
    fractures : name -> its loss of height
    cement : names of the vertebrae that hold it
    fused : pairs (upper, lower) whose disc is bone
    dish : names whose fronts are bridged to the next one below
    screws : names of the vertebrae that hold pedicle screws
    """

    names: tuple[str, ...]
    ribs: dict[str, dict[str, float]]
    alternatives: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    sacralised: float = 0.0
    lumbarised: float = 0.0
    fractures: dict[str, Fracture] = field(default_factory=dict)
    cement: tuple[str, ...] = ()
    fused: tuple[tuple[str, str], ...] = ()
    dish: tuple[str, ...] = ()
    screws: tuple[str, ...] = ()

    @classmethod
    def random(cls, rng: np.random.Generator, age: float) -> Anomalies:
        """Draw the column of a person of ``age`` years."""
        pairs, lumbar = _counts(rng)
        names = (*CERVICAL, *THORACIC[: max(pairs, 12)], *LUMBAR[:lumbar], "S1")
        ribs = _ribs(rng, pairs)
        sacral = "sacralised" if rng.random() < SHARES["sacralised"] else ""
        sacral = sacral or ("lumbarised" if rng.random() < SHARES["lumbarised"] else "")
        grade = float(rng.uniform(0.35, 1.0))
        alternatives, notes = ambiguities(names, ribs, sacral == "sacralised", sacral == "lumbarised")
        fractures = _fractures(rng, names, age)
        mobile = names[2:-1]
        return cls(
            names=names,
            ribs=ribs,
            alternatives=alternatives,
            notes=notes,
            sacralised=grade if sacral == "sacralised" else 0.0,
            lumbarised=grade if sacral == "lumbarised" else 0.0,
            fractures=fractures,
            cement=tuple(name for name in fractures if rng.random() < SHARES["cement"] * 0.6),
            fused=_fused(rng, mobile),
            dish=_dish(rng, names, age),
            screws=_screws(rng, names),
        )

    @classmethod
    def usual(cls) -> Anomalies:
        """Return the column of most people: twelve pairs of ribs, five lumbar bodies, nothing else."""
        ribs = {name: {"left": 1.0, "right": 1.0} for name in THORACIC[:12]}
        return cls((*CERVICAL, *THORACIC[:12], *LUMBAR[:5], "S1"), ribs, {}, ())


def _counts(rng: np.random.Generator) -> tuple[int, int]:
    """Return how many pairs of ribs and how many lumbar bodies there are."""
    pairs = int(rng.choice([11, 12, 13], p=_shares("eleven pairs", "thirteen pairs")))
    lumbar = int(rng.choice([4, 5, 6], p=_shares("four lumbar", "six lumbar")))
    # A thirteenth thoracic vertebra is usually one lumbar body less.
    if pairs == 13 and rng.random() < 0.6:
        lumbar = 4
    return pairs, lumbar


def _shares(less: str, more: str) -> list[float]:
    return [SHARES[less], 1 - SHARES[less] - SHARES[more], SHARES[more]]


def _ribs(rng: np.random.Generator, pairs: int) -> dict[str, dict[str, float]]:
    """Return every rib's length against the usual, by vertebra and side."""
    ribs = {name: {"left": 1.0, "right": 1.0} for name in THORACIC[:pairs]}
    last = THORACIC[pairs - 1]
    for side in ("left", "right"):
        ribs[last][side] = float(rng.uniform(0.55, 1.35) if pairs == 12 else rng.uniform(0.3, 1.0))
    if pairs == 12 and rng.random() < SHARES["hypoplastic"]:
        sides = [("left",), ("right",), ("left", "right")][rng.integers(3)]
        for side in sides:
            ribs[last][side] = float(rng.uniform(0.12, 0.38))
        if len(sides) == 1 and rng.random() < 0.2:
            del ribs[last][sides[0]]
    if pairs == 12 and rng.random() < SHARES["lumbar ribs"]:
        ribs["L1"] = {side: float(rng.uniform(0.12, 0.4)) for side in ("left", "right") if rng.random() < 0.75}
    if rng.random() < SHARES["cervical ribs"]:
        ribs["C7"] = {side: float(rng.uniform(0.1, 0.4)) for side in ("left", "right") if rng.random() < 0.7}
    if rng.random() < SHARES["rib missing"]:
        del ribs[str(rng.choice(THORACIC[3:9]))][str(rng.choice(["left", "right"]))]
    return {name: sides for name, sides in ribs.items() if sides}


def _fractures(rng: np.random.Generator, names: tuple[str, ...], age: float) -> dict[str, Fracture]:
    """Return fractures of one to four bodies, most of them about T12 and T8, more often in the old."""
    if rng.random() > SHARES["fractures"] * (0.5 + age / 100):
        return {}
    places = [name for name in names if name[0] in "TL" and name not in ("T1", "T2", "T3")]
    order = np.arange(len(places))
    weights = np.exp(-(((order - places.index("T12")) / 3.0) ** 2)) + 0.5 * np.exp(-(((order - 4) / 2.5) ** 2)) + 0.08
    count = int(rng.choice([1, 2, 3, 4], p=[0.6, 0.22, 0.12, 0.06]))
    chosen = rng.choice(places, count, replace=False, p=weights / weights.sum())
    found = {}
    for name in chosen:
        kind = str(rng.choice(["wedge", "biconcave", "crush"], p=[0.55, 0.3, 0.15]))
        loss = float(rng.uniform(0.18, 0.6))
        shares = {"wedge": (1.0, 0.75, 0.15), "biconcave": (0.25, 1.0, 0.15), "crush": (1.0, 1.1, 0.85)}[kind]
        found[str(name)] = Fracture(kind, *(loss * share for share in shares))
    return found


def _fused(rng: np.random.Generator, mobile: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    if rng.random() > SHARES["block"]:
        return ()
    first = int(rng.integers(0, len(mobile) - 1))
    count = int(rng.choice([1, 1, 2, 6]))
    return tuple(zip(mobile[first : first + count], mobile[first + 1 : first + 1 + count], strict=False))


def _dish(rng: np.random.Generator, names: tuple[str, ...], age: float) -> tuple[str, ...]:
    """Return at least four neighbours, in the thorax, in whoever is over fifty or so."""
    if rng.random() > SHARES["dish"] * float(np.clip((age - 40) / 20, 0, 1.5)):
        return ()
    first = names.index("T4") + int(rng.integers(0, 5))
    return names[first : min(first + int(rng.integers(4, 10)), len(names) - 2)]


def _screws(rng: np.random.Generator, names: tuple[str, ...]) -> tuple[str, ...]:
    if rng.random() > SHARES["screws"]:
        return ()
    first = int(rng.integers(names.index("T5"), len(names) - 2))
    return names[first : first + int(rng.integers(2, 6))]
