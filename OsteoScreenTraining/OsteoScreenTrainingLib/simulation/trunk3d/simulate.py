"""A simulated trunk in three dimensions, from one seed: HU, labels and truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .abdomen import Abdomen, AbdomenPainter
from .acquisition import OUTSIDE_HU, Acquisition, outside_circle
from .additions import paint_bridges, paint_cement, paint_screws
from .anomalies import Anomalies
from .canvas import Canvas, Grid
from .chest import Chest, ChestPainter
from .fields import SmoothField
from .findings import Findings
from .pelvis import Pelvis
from .person import Person
from .ribs import RibCage
from .shoulders import Girdle, Head
from .spine import Spine
from .streams import Stream, stream
from .table import Table
from .tissues import Tissues
from .torso import Muscles, Torso
from .truth import Surveyor, TrunkTruth, survey
from .tubes import paint_tube
from .vertebra_painting import VertebraPainter, Wear, arch_of, canal_points, trabecular_hu
from .view import REGIONS, View, random_pose
from .wall import Wall

#: Raise it whenever the same seed gives another trunk.
GENERATOR = "osteoscreen-trunks 2"
#: How far the organs of chest and belly lie higher or lower along the spine than usual, SD, mm: about a vertebra either
#: way, as anatomy books let the aortic arch, the renal arteries and the diaphragm vary. Tied to the vertebrae, they
#: would tell a network the names, as they do not in patients.
ORGANS_SD_MM = (16.0, 20.0)
#: A slab has at most this many voxels, which bounds the memory of a fine grid.
SLAB_VOXELS = 6_000_000


@dataclass(frozen=True)
class SimulatedTrunk:
    """A simulated scan.

    Attributes:
        hu: (slices, rows, columns) int16 HU.
        labels: the same shape, uint8; :func:`.levels.label_names` says what the values are.
        ijk_to_ras: (4, 4), from (column, row, slice) to RAS mm.
        truth: names and places.
    """

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    ijk_to_ras: NDArray[np.float64]
    truth: TrunkTruth


class TrunkModel:
    """The anatomy, the examination and the view of trunk ``index`` of the set ``seed``, before anything is painted.

    The same at any spacing: only noise and grain depend on the grid.
    """

    def __init__(self, seed: int, index: int = 0, *, region: str | None = None, usual: bool = False) -> None:
        def rng(part: Stream) -> np.random.Generator:
            return stream(seed, index, part)

        self.seed, self.index = seed, index
        self.person = Person.random(rng(Stream.PERSON))
        self.anomalies = Anomalies.random(rng(Stream.ANOMALIES), self.person.age)
        if usual:
            self.anomalies = Anomalies.usual()
        self.spine = Spine.random(rng(Stream.SPINE), self.person, self.anomalies)
        self.wall = Wall.random(rng(Stream.WALL), self.person, self.spine)
        self.ribs = RibCage.random(rng(Stream.RIBS), self.person, self.spine, self.wall, self.anomalies)
        self.girdle = Girdle.random(rng(Stream.SHOULDERS), self.person, self.spine, self.wall)
        self.pelvis = Pelvis.random(
            rng(Stream.PELVIS), self.person, self.spine, self.anomalies.sacralised, self.anomalies.lumbarised
        )
        size = (self.person.height_cm / 172) ** 0.7
        self.muscles = Muscles.random(rng(Stream.MUSCLES), self.person)
        slides = rng(Stream.ORGANS).normal(0, ORGANS_SD_MM)
        self.organs = self.spine.slid(float(slides[0]), float(slides[1]))
        self.chest = Chest.random(rng(Stream.CHEST), self.person.age, self.organs, self.wall, size)
        self.abdomen = Abdomen.random(rng(Stream.ABDOMEN), size)
        self.tissues = Tissues.random(rng(Stream.TISSUES), self.person)
        self.findings = Findings.random(rng(Stream.FINDINGS), self.spine, self.person.age)
        self.view = View.random(rng(Stream.VIEW), self.spine, self.wall, region)
        self.pose = random_pose(rng(Stream.WARP), self.spine)
        self.acquisition = Acquisition.random(rng(Stream.SCANNER))
        self.table = Table.random(stream(seed, index, Stream.VIEW, 1), self.wall, self.spine)

    def paint(self, grid: Grid) -> Canvas:
        """Paint the ideal trunk on a grid and return the canvas: HU and labels, slices from foot to head."""
        canvas = Canvas(grid, self.pose)
        seed, index, t = self.seed, self.index, self.tissues
        muscle_texture, sheets, structure = self._textures(grid)
        self.table.paint(canvas)
        self.girdle.paint_soft(canvas, t)
        Head(self.spine, self.person).paint(canvas, t)
        torso = Torso(canvas, self.wall, self.muscles, self.spine, t)
        torso.paint(muscle_texture, sheets)
        AbdomenPainter(canvas, self.abdomen, torso, self.organs, self.chest.diaphragm, structure).paint(
            stream(seed, index, Stream.ABDOMEN, 1)
        )
        chest = ChestPainter(canvas, self.chest, torso, self.organs, t)
        chest.lungs(structure)
        self.findings.paint_chest(canvas, self.spine, self.wall, t)
        chest.heart()
        torso.paint_spine_muscles(muscle_texture)
        chest.vessels(stream(seed, index, Stream.CHEST, 1))
        chest.airways(stream(seed, index, Stream.CHEST, 2))
        self._paint_bones(canvas, structure)
        self.findings.paint_devices(canvas, self.spine, self.wall)
        return canvas

    def _textures(self, grid: Grid) -> tuple[NDArray[np.float32], ...]:
        """Return muscle's streaks (HU), the field between bundles (SD 1), and the grain of lung and bone (SD 1)."""
        rng = stream(self.seed, self.index, Stream.TEXTURE)
        low, high = self.pose.warp[0].box
        x, y, z = (grid.axis(n) for n in range(3))
        muscle = SmoothField(rng, low, high, float(rng.uniform(7, 16)), self.tissues.marbling_sd).on(z, y, x)
        lung = SmoothField(rng, low, high, float(rng.uniform(5, 9)), 0.8).on(z, y, x)
        lung += SmoothField(rng, low, high, 45.0, 0.5).on(z, y, x)
        sheets = SmoothField(rng, low, high, float(rng.uniform(20, 36)), 1.0).on(z, y, x)
        return muscle, sheets, lung

    def _paint_bones(self, canvas: Canvas, structure: NDArray[np.float32]) -> None:
        t, spine, anomalies = self.tissues, self.spine, self.anomalies
        rng = stream(self.seed, self.index, Stream.IMPLANTS)
        wear = {v.name: Wear.random(rng, self.person.age) for v in spine.vertebrae}
        discs = {v.name: t.disc * float(rng.normal(1, 0.08)) for v in spine.vertebrae}
        for upper, _ in anomalies.fused:
            discs[upper] = t.trabecular + 120
        tips = stream(self.seed, self.index, Stream.IMPLANTS, 1)
        canal = canal_points((*spine.vertebrae, *spine.sacrum[:2]))
        paint_tube(canvas, canal, 8.6, t.canal, step=14.0)
        paint_tube(canvas, canal[:40], 4.6, t.cord, step=14.0)
        self.girdle.paint_bones(canvas, t)
        self.pelvis.paint_sacrum(canvas, spine, t)
        self.pelvis.paint_hips(canvas, t)
        self.ribs.paint(canvas, t)
        names = anomalies.names
        painters = []
        for v in spine.vertebrae:
            own = replace(t, trabecular=trabecular_hu(v, names, t.trabecular))
            painters.append(VertebraPainter(canvas, v, arch_of(v, names), wear[v.name], own, structure))
        for painter, below in zip(painters, [*spine.vertebrae[1:], None], strict=True):
            if painter.vertebra.name != "C1":
                painter.disc(below, discs[painter.vertebra.name], 0.6)
        painters[0].atlas()
        for painter in painters[1:]:
            painter.arch_bones(float(tips.normal(0, 1.2)))
        for painter in painters[1:]:
            painter.body()
        self.pelvis.paint_s1_disc(canvas, spine, t)
        self.findings.paint_bones(canvas, spine)
        paint_bridges(canvas, spine, anomalies, t, rng)
        paint_cement(canvas, spine, anomalies, rng)
        paint_screws(canvas, spine, anomalies, rng)

    def conditions(self) -> dict[str, Any]:
        """Return what was drawn, for reports by group."""
        p, a, s = self.person, self.anomalies, self.acquisition
        return {
            "age": round(p.age, 1), "sex": p.sex, "height_cm": round(p.height_cm, 1), "bmi": round(p.bmi, 1),
            "region": self.view.region, "kvp": self.tissues.kvp, "phase": self.tissues.phase,
            "oral_contrast": self.tissues.oral, "arms_up": self.girdle.arms_up,
            "thickness_mm": s.thickness_mm, "noise_sd": round(s.scanner.noise_sd, 1),
            "names": list(a.names), "sacralised": round(a.sacralised, 2), "lumbarised": round(a.lumbarised, 2),
            "dish": list(a.dish), "fused": [list(pair) for pair in a.fused], "trabecular_hu": round(p.trabecular_hu, 1),
        }  # fmt: skip


def simulate_trunk(
    seed: int,
    index: int = 0,
    *,
    spacing_mm: float | tuple[float, float, float] = 3.0,
    region: str | None = None,
    usual: bool = False,
) -> SimulatedTrunk:
    """Simulate trunk ``index`` of the set ``seed``: the same numbers give the same trunk.

    Args:
        spacing_mm: of the voxels, or (slices, rows, columns).
        region: one of :data:`.view.REGIONS`; drawn when None.
        usual: without any anomaly, fracture or implant.

    Raises:
        ValueError: the spacing is not above 0, or there is no such region.
    """
    spacing = (spacing_mm,) * 3 if isinstance(spacing_mm, (int, float)) else tuple(spacing_mm)
    if min(spacing) <= 0:
        raise ValueError("spacing_mm has to be above 0")
    if region is not None and region not in REGIONS:
        raise ValueError(f"region is one of {', '.join(REGIONS)}, not {region}")
    model = TrunkModel(seed, index, region=region, usual=usual)
    grid = model.view.grid((float(spacing[0]), float(spacing[1]), float(spacing[2])), trimmed=not model.view.circle)
    hu = np.empty(grid.shape, np.float32)
    labels = np.empty(grid.shape, np.uint8)
    depth = max(SLAB_VOXELS // (grid.shape[1] * grid.shape[2]), 1)
    for first in range(0, grid.shape[0], depth):
        part = model.paint(grid.slab(first, min(depth, grid.shape[0] - first)))
        hu[first : first + depth], labels[first : first + depth] = part.hu, part.labels
    hu = model.acquisition.acquire(hu, grid, stream(seed, index, Stream.NOISE))
    if model.view.circle:
        outside = outside_circle(grid)
        hu[:, outside], labels[:, outside] = OUTSIDE_HU, 0
    whole = np.round(hu).astype(np.int16)
    if grid.order < 0:
        whole, labels = whole[::-1], labels[::-1]
    truth = survey(
        Surveyor(grid, model.pose, model.view.circle), model.spine, model.ribs, model.anomalies,
        seed=seed, index=index, conditions=model.conditions() | {"spacing_mm": list(spacing)},
    )  # fmt: skip
    return SimulatedTrunk(np.ascontiguousarray(whole), np.ascontiguousarray(labels), grid.ijk_to_ras, truth)
