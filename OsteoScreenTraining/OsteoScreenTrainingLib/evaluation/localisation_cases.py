"""Scans whose vertebrae are known: simulated trunks of a kind that no training has seen, and public CT."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from OsteoScreenLib.ct import CT, ct_from_array, open_ct
from OsteoScreenLib.errors import InputError

from ..simulation.trunk3d import TrunkTruth, simulate_trunk
from .cases import ct_beside_outlines, masked_bodies

#: Stream of the trunks that are evaluated: far from those of training.
SEED = 90_210
#: Slices and pixels that trunks are painted with, mm. Training paints on the localiser's own grid; here a scan is
#: resampled as a patient's is.
SLICES_MM = (1.5, 2.0, 2.5, 3.3, 5.0)
PIXELS_MM = 2.0
#: Vertebrae that are looked for where body masks are.
_MASKED = ("S1", "L5", "L4", "L3", "L2", "L1", "T12", "T11")
#: A body of which fewer voxels are in the file is cut off: its centre is not known.
_LEAST_BODY_MM3 = 12_000.0


@dataclass(frozen=True)
class KnownVertebra:
    """A vertebra's name, others that a careful reader may give it, its centre (RAS mm), and whether it is whole."""

    name: str
    alternatives: tuple[str, ...]
    centre: tuple[float, float, float]
    whole: bool


@dataclass(frozen=True, eq=False)
class LocalisationCase:
    """A scan and what is known of it.

    groups : what its anatomy is like, see :func:`groups_of`
    complete : whether every vertebra in view is known; otherwise only distances and names of those that are count
    no_lumbar : whether nothing lumbar is in view, so that no lumbar level may be claimed
    """

    name: str
    kind: str
    ct: CT
    vertebrae: tuple[KnownVertebra, ...]
    groups: tuple[str, ...]
    complete: bool
    no_lumbar: bool = False


def simulated_case(index: int, seed: int = SEED) -> LocalisationCase:
    """Return simulated trunk ``index`` as a scan."""
    slice_mm = float(np.random.default_rng((seed, index)).choice(SLICES_MM))
    trunk = simulate_trunk(seed, index, spacing_mm=(slice_mm, PIXELS_MM, PIXELS_MM))
    known = tuple(KnownVertebra(v.name, v.alternatives, v.centre, v.whole) for v in trunk.truth.vertebrae)
    ct = ct_from_array(trunk.hu, trunk.ijk_to_ras)
    return LocalisationCase(f"trunk {index}", "simulated", ct, known, groups_of(trunk.truth), True)


def groups_of(truth: TrunkTruth) -> tuple[str, ...]:
    """Return what a trunk's anatomy is like: "usual", or any of the others.

    "transitional": its names are ambiguous (ribs or lumbar bodies of another number, hypoplastic ribs, a transitional
    L5 or S1); "cut off": neither T1 with its rib nor the sacrum is in view; "fractured": a body in view is; "fused":
    by disease or from birth.
    """
    names = {v.name for v in truth.vertebrae}
    groups = []
    if truth.notes:
        groups.append("transitional")
    if not {"C7", "T1"} <= names and "S1" not in names:
        groups.append("cut off")
    if any(v.fracture for v in truth.vertebrae):
        groups.append("fractured")
    fused = {name for pair in truth.conditions.get("fused", ()) for name in pair} | set(truth.conditions["dish"])
    if fused & names:
        groups.append("fused")
    return tuple(groups) or ("usual",)


def real_cases(folder: Path) -> Iterator[LocalisationCase]:
    """Yield the CT of a folder: with ``outlines.json`` (centre slices of some levels), with TotalSegmentator's labels
    (``vertebrae.nii.gz`` and ``vertebral_bodies.nii.gz``), or with neither, where no lumbar level may be claimed.

    Raises:
        InputError: there is no CT, or its annotation cannot be read.
    """
    folder = Path(folder)
    if (folder / "outlines.json").is_file():
        yield _outlined(folder)
    elif (folder / "vertebral_bodies.nii.gz").is_file():
        yield _labelled(folder)
    else:
        yield LocalisationCase(folder.resolve().name, "real", open_ct(folder), (), (), False, no_lumbar=True)


def _outlined(folder: Path) -> LocalisationCase:
    try:
        outlines = json.loads((folder / "outlines.json").read_text(encoding="utf-8"))
        known = []
        for outline in outlines:
            if not outline.get("is_level_centre_slice"):
                continue
            x, y = np.array(outline["polygon_ras_mm"], float)[:, :2].mean(axis=0)
            known.append(KnownVertebra(outline["level"], (), (float(x), float(y), float(outline["z_ras_mm"])), True))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'outlines.json'} is not a list of outlines: {error}.") from error
    ct = open_ct(ct_beside_outlines(folder))
    return LocalisationCase(folder.resolve().name, "real", ct, tuple(known), (), False)


def _labelled(folder: Path) -> LocalisationCase:
    ct = open_ct(folder / "ct.nii.gz")
    voxel_mm3 = float(np.prod(ct.geometry.spacing_mm))
    known = []
    for name, body in masked_bodies(folder, ct.geometry, _MASKED):
        k, j, i = np.nonzero(body)
        touches = k.min() == 0 or k.max() == len(body) - 1
        if len(k) * voxel_mm3 < _LEAST_BODY_MM3 or touches:
            continue
        # Half-way between its ends, not the mean: processes are left over in some.
        centre = ct.geometry.ras(i.mean(), j.mean(), (k.min() + k.max()) / 2)
        known.append(KnownVertebra(name, (), (float(centre[0]), float(centre[1]), float(centre[2])), True))
    return LocalisationCase(folder.resolve().name, "real", ct, tuple(known), (), False)
