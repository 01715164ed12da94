"""What lies along the centre line: the profile of the evidence, and in it the bodies' centres with their endplates."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .evidence import Evidence

#: SD of the weight of voxels across the line, mm: well inside a body.
ACROSS_MM = 9.0
#: The profile is read this finely along the line, mm, and smoothed by this SD.
STEP_MM, SMOOTH_MM = 1.0, 2.0
#: A body's centre is a maximum of the phase's cosine at least this high, that stands out by this much.
LEAST_HEIGHT, LEAST_PROMINENCE = 0.15, 0.35
#: Centres are no nearer than this, mm: the lowest bodies, C3 to C7 in small women, lie 14 mm apart (Panjabi 1991).
LEAST_DISTANCE_MM = 10.0
#: The phase is fitted this far on either side of a maximum, mm.
FIT_MM = 5.0
#: Share of the distance of two centres that is the half height of a body, where no disc is seen between them (Panjabi
#: 1991 and 1992: bodies 24 mm, discs 8 mm in the lumbar spine).
HALF_BODY = 0.39
#: Half heights outside this share of the distance are a misread disc.
HALF_RANGE = (0.28, 0.48)


@dataclass(frozen=True, eq=False)
class Profile:
    """The evidence along the centre line, read every :data:`STEP_MM` from head to foot.

    t : (n,) mm from the line's beginning; ras : (n, 3)
    body, disc, sacrum : (n,) shares; ribbed : (n, 2) probabilities, left and right
    phase : (n,) complex; names : (n, names) mean log-probabilities
    """

    t: npt.NDArray[np.float64]
    ras: npt.NDArray[np.float64]
    body: npt.NDArray[np.float64]
    disc: npt.NDArray[np.float64]
    sacrum: npt.NDArray[np.float64]
    ribbed: npt.NDArray[np.float64]
    phase: npt.NDArray[np.complex128]
    names: npt.NDArray[np.float64]

    def place(self, t: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return RAS mm (..., 3) at t mm along the line; beyond its ends it goes on straight."""
        t = np.asarray(t, float)
        inside = np.stack([np.interp(t, self.t, self.ras[:, axis]) for axis in range(3)], axis=-1)
        reach = min(10, len(self.t) - 1)
        first = (self.ras[reach] - self.ras[0]) / max(self.t[reach] - self.t[0], 1e-6)
        last = (self.ras[-1] - self.ras[-1 - reach]) / max(self.t[-1] - self.t[-1 - reach], 1e-6)
        before, after = np.minimum(t - self.t[0], 0), np.maximum(t - self.t[-1], 0)
        return inside + before[..., None] * first + after[..., None] * last


@dataclass(frozen=True)
class Candidate:
    """What looks like a body's centre, ``t`` mm along the line, with its endplates ``upper`` and ``lower``.

    strength : height of the phase's cosine, 1 where the network is sure
    names : log-probability of every name, by what is seen here alone
    ribbed : probabilities of bearing a rib on the left and on the right
    sacrum : how much of what is here is sacrum, 0 to 1
    """

    t: float
    upper: float
    lower: float
    strength: float
    names: npt.NDArray[np.float64]
    ribbed: tuple[float, float]
    sacrum: float


def profile_along(evidence: Evidence, line: npt.NDArray[np.float64]) -> Profile:
    """Return the evidence along the line (n, 3), slice, row and column of the evidence, from head to foot."""
    _, rows, columns = evidence.body.shape
    _, dy, dx = evidence.voxel_mm
    v, u = np.mgrid[:rows, :columns]
    read: dict[str, list[npt.NDArray]] = {name: [] for name in ("body", "disc", "sacrum", "ribbed", "phase", "names")}
    for k, j, i in line:
        near = np.exp(-0.5 * (((v - j) * dy) ** 2 + ((u - i) * dx) ** 2) / ACROSS_MM**2)
        here = near > 0.05
        weight, z = near[here], round(float(k))
        weight = weight / weight.sum()
        inside = weight * (evidence.body[z][here] + evidence.disc[z][here] + 1e-3)
        inside = inside / inside.sum()
        for name in ("body", "disc", "sacrum"):
            read[name].append(getattr(evidence, name)[z][here] @ weight)
        read["phase"].append(evidence.phase[z][here] @ inside)
        read["ribbed"].append(evidence.ribbed[:, z][:, here] @ inside)
        read["names"].append(evidence.names[:, z][:, here] @ inside)
    ras = evidence.ras(line)
    place = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(ras, axis=0), axis=1))])
    t = np.arange(0.0, place[-1] + 1e-6, STEP_MM)
    values = {name: _interpolated(t, place, np.array(rows)) for name, rows in read.items()}
    return Profile(t=t, ras=_interpolated(t, place, ras), **values)  # type: ignore[arg-type]


def _interpolated(t: npt.NDArray, place: npt.NDArray, values: npt.NDArray) -> npt.NDArray:
    flat = values.reshape(len(values), -1)
    read = np.stack([np.interp(t, place, flat[:, n]) for n in range(flat.shape[1])], axis=1)
    return read.reshape(len(t), *values.shape[1:])


def find_candidates(profile: Profile) -> list[Candidate]:
    """Return what looks like the centre of a body, from head to foot."""
    from scipy import signal  # here, for it is slow to load, and few screenings need it

    phase = ndimage.gaussian_filter1d(profile.phase, SMOOTH_MM / STEP_MM, mode="nearest")
    cosine = phase.real
    # A low wall at both ends lets a maximum stand there too: a body that the scan's end cuts.
    walled = np.concatenate([[-1.0], cosine, [-1.0]])
    peaks, _ = signal.find_peaks(
        walled, height=LEAST_HEIGHT, prominence=LEAST_PROMINENCE, distance=LEAST_DISTANCE_MM / STEP_MM
    )
    peaks = peaks - 1
    centres = [_refined(profile.t, phase, int(peak)) for peak in peaks]
    order = np.argsort(centres)
    centres, peaks = [centres[n] for n in order], peaks[order]
    upper, lower = _endplates(profile, cosine, centres)
    return [
        _candidate(profile, float(cosine[peak]), centre, up, down)
        for peak, centre, up, down in zip(peaks, centres, upper, lower, strict=True)
    ]


def _refined(t: npt.NDArray[np.float64], phase: npt.NDArray[np.complex128], peak: int) -> float:
    """Return where the phase's angle passes 0 near a maximum of its cosine."""
    reach = round(FIT_MM / STEP_MM)
    part = slice(max(0, peak - reach), peak + reach + 1)
    weight = np.maximum(phase[part].real, 0.0)
    if np.count_nonzero(weight) < 4:
        return float(t[peak])
    angle = np.angle(phase[part])
    slope, offset = np.polyfit(t[part] - t[peak], angle, 1, w=np.sqrt(weight))
    if slope <= 0.02:
        return float(t[peak])
    return float(t[peak] + np.clip(-offset / slope, -FIT_MM, FIT_MM))


def _endplates(
    profile: Profile, cosine: npt.NDArray[np.float64], centres: list[float]
) -> tuple[list[float], list[float]]:
    """Return where the endplates over and under each centre lie, by the discs between, mm along the line."""
    if not centres:
        return [], []
    usual = float(np.median(np.diff(centres))) if len(centres) > 1 else 25.0
    uppers, lowers = [centres[0] - HALF_BODY * usual], []
    disc = ndimage.gaussian_filter1d(profile.disc - profile.body, 1.0)
    for above, below in itertools.pairwise(centres):
        distance = below - above
        part = np.flatnonzero((profile.t > above + 0.25 * distance) & (profile.t < below - 0.25 * distance))
        down, up = HALF_BODY * distance, HALF_BODY * distance
        between = part[disc[part] > 0] if len(part) else part
        if len(between):
            down = float(np.clip(profile.t[between[0]] - above, HALF_RANGE[0] * distance, HALF_RANGE[1] * distance))
            up = float(np.clip(below - profile.t[between[-1]], HALF_RANGE[0] * distance, HALF_RANGE[1] * distance))
        lowers.append(above + down)
        uppers.append(below - up)
    lowers.append(centres[-1] + HALF_BODY * (usual if len(centres) < 2 else centres[-1] - centres[-2]))
    if len(centres) > 1:
        uppers[0] = centres[0] - HALF_BODY * (centres[1] - centres[0])
    return uppers, lowers


def _candidate(profile: Profile, strength: float, centre: float, upper: float, lower: float) -> Candidate:
    inside = (profile.t >= upper) & (profile.t <= lower)
    if not inside.any():
        inside = np.abs(profile.t - centre) <= np.abs(profile.t - centre).min() + 1e-6
    weight = profile.body[inside] + 1e-3
    weight = weight / weight.sum()
    names = weight @ profile.names[inside]
    left, right = (float(value) for value in weight @ profile.ribbed[inside])
    return Candidate(
        t=centre,
        upper=upper,
        lower=lower,
        strength=strength,
        names=names - np.logaddexp.reduce(names),
        ribbed=(left, right),
        sacrum=float(weight @ profile.sacrum[inside]),
    )
