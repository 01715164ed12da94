"""Checks of the outlines on their slices: do they look like the inside of a vertebral body?"""

from __future__ import annotations

from collections.abc import Iterator

from .evidence import Evidence
from .measures import SliceMeasures
from .registry import Finding, check

#: Much as the screening's checks of an outline have it: 1190-1400 mm2 drawn by hand in a man, a third of that in the
#: smallest women.
USUAL_MM2, POSSIBLE_MM2 = (340.0, 2200.0), (250.0, 3200.0)
#: The 90th percentile within 4 mm of the edge was 102 HU and more on 2696 simulated slices of all densities, below the
#: second on two of them, and 77 HU (95th percentile) where the outline had been moved off the bone.
BONE_EDGE_HU, FAINT_EDGE_HU = 95.0, 120.0
#: Soft tissue lies just outside of outlines that hold the cortex too: on simulated slices its median was lower than the
#: core's by 115 HU then, and by less than 3 HU in 99 of 100 outlines drawn along the inner edge.
BEYOND_CORTEX_HU = -80.0
#: As screening's: marrow fat takes the median down to about -100, and no trabecular bone is above the second.
POSSIBLE_HU = (-120.0, 700.0)
HOLE_MM2 = 10.0
#: L2 is larger than L1 by a few per cent (Panjabi 1992).
AREA_RATIO = (0.6, 1.6)
#: Centroids of L1 and L2 in the plane, mm; a scoliosis is less.
MOST_SIDEWAYS_MM = 60.0


@check("outline")
def outline(evidence: Evidence) -> Iterator[Finding]:
    """An outline lies on bone, along the inner edge of its cortex, and is one piece of a body's size."""
    for seen in evidence.measures.values():
        yield from _position(seen)
        yield from _shape(seen)


def _position(seen: SliceMeasures) -> Iterator[Finding]:
    level, low, high = seen.level, *POSSIBLE_HU
    if seen.edge_hu < BONE_EDGE_HU or not low <= seen.median_hu <= high:
        message = (
            f"The outline of {level} does not lie on bone: its inside reads {seen.median_hu:.0f} HU, and its edge at "
            f"most {seen.edge_hu:.0f} HU."
        )
        advice = "Look whether the outline belongs to this CT and this level; draw it again."
        yield Finding("error", message, advice, seen.subject, "masks")
    elif seen.edge_hu < FAINT_EDGE_HU:
        message = (
            f"The outline of {level} has hardly any cortex around it: its edge reads at most {seen.edge_hu:.0f} HU."
        )
        yield Finding("warning", message, "Look whether it lies on the vertebral body.", seen.subject, "masks")
    elif seen.beyond_hu < BEYOND_CORTEX_HU:
        message = f"Soft tissue lies just outside the outline of {level}, so that it seems to hold the cortex too."
        advice = "Draw along the inner edge of the cortex, as the study did; a mask of the whole body has to be eroded."
        yield Finding("warning", message, advice, seen.subject, "masks")
    if seen.at_border:
        message = f"The outline of {level} touches the border of the slice."
        yield Finding("warning", message, "Look whether the field of view cuts the body.", seen.subject, "masks")


def _shape(seen: SliceMeasures) -> Iterator[Finding]:
    level, area = seen.level, seen.area_mm2
    if not POSSIBLE_MM2[0] <= area <= POSSIBLE_MM2[1]:
        message = f"The outline of {level} measures {area:.0f} mm2, unlike any vertebral body."
        yield Finding("error", message, "Draw it again, or correct the pixel size.", seen.subject, "masks")
    elif not USUAL_MM2[0] <= area <= USUAL_MM2[1]:
        message = f"The outline of {level} measures {area:.0f} mm2; usual are {USUAL_MM2[0]:.0f} to {USUAL_MM2[1]:.0f}."
        yield Finding("warning", message, "Look at it.", seen.subject, "masks")
    if seen.parts > 1:
        message = f"The outline of {level} is in {seen.parts} pieces."
        yield Finding("warning", message, "Keep the vertebral body alone.", seen.subject, "masks")
    if seen.holes_mm2 > HOLE_MM2:
        message = f"The outline of {level} has holes of {seen.holes_mm2:.0f} mm2."
        yield Finding("warning", message, "Fill them, unless they are meant.", seen.subject, "masks")


@check("outline_pair")
def outline_pair(evidence: Evidence) -> Iterator[Finding]:
    """The outlines of L1 and L2 are those of neighbours of one person."""
    for subject in evidence.subjects:
        upper, lower = (evidence.measures.get((subject.subject, level)) for level in ("L1", "L2"))
        if upper is None or lower is None:
            continue
        ratio = lower.area_mm2 / max(upper.area_mm2, 1e-6)
        if upper.outline == lower.outline:
            message = "The outlines of L1 and L2 are the same, pixel for pixel."
            yield Finding("warning", message, "Draw each on its own slice.", subject.subject, "masks")
        elif not AREA_RATIO[0] <= ratio <= AREA_RATIO[1]:
            message = f"The outline of L2 is {ratio:.2f} times as large as that of L1."
            yield Finding("warning", message, "Look at both.", subject.subject, "masks")
        apart = max(abs(a - b) for a, b in zip(upper.centre_mm, lower.centre_mm, strict=True))
        if apart > MOST_SIDEWAYS_MM:
            message = f"The outlines of L1 and L2 lie {apart:.0f} mm apart in the plane of the slices."
            yield Finding("warning", message, "Look whether both are of the spine.", subject.subject, "masks")
