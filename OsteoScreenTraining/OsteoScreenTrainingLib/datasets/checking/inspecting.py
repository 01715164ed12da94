"""A subject's CT and outlines as a build would take them, with all that stands against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from OsteoScreenLib.ct import CT, open_ct
from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.levels import VertebraMask, parse_level

from ..building import cut_level
from ..folder import LEVELS
from ..manifest import Subject
from ..masks import mask_paths, read_masks
from ..sources import what_it_says
from ..squaring import squared_pixel_mm
from .measures import Picture, SliceMeasures, measure, picture
from .registry import Finding, Severity

#: Corners of an outline's grid further off the CT's than this, in mm, lost their placement (as screening has it).
_MISPLACED_MM = 5.0


@dataclass
class Inspection:
    """What a subject's files say: findings, the levels' measures and pictures, and what the CT says of itself."""

    subject: Subject
    findings: list[Finding] = field(default_factory=list)
    measures: dict[str, SliceMeasures] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)
    says: dict[str, Any] | None = None

    def add(self, message: str, advice: str, column: str, severity: Severity = "error") -> None:
        """Add a finding."""
        self.findings.append(Finding(severity, message, advice, self.subject.subject, column))


def inspect(folder: Path, subject: Subject) -> Inspection:
    """Open a subject's CT by its headers, read its outlines, and decode its two slices."""
    seen = Inspection(subject)
    ct = _ct(folder, subject, seen)
    outlines = _outlines(folder, subject, seen)
    if ct is None:
        return seen
    seen.says = what_it_says(ct)
    for finding in ct.findings:
        if finding.outcome != "pass":
            severity: Severity = "error" if finding.outcome == "refuse" else "warning"
            seen.add(f"The CT: {finding.message}", "Take another series where that matters.", "ct", severity)
    places = _places(ct, subject, seen)
    for level in outlines:
        if level in places:
            _level(ct, outlines[level], places[level], seen)
    return seen


def _ct(folder: Path, subject: Subject, seen: Inspection) -> CT | None:
    path = folder / (subject.ct or "")
    if not path.exists():
        seen.add(f"There is no CT at {subject.ct}.", "Put it there, or correct the path.", "ct")
        return None
    try:
        return open_ct(path, series=subject.series_uid)
    except OsteoScreenError as error:
        seen.add(f"The CT cannot be used: {error}", "Copy or export it again, or correct the path.", "ct")
        return None


def _outlines(folder: Path, subject: Subject, seen: Inspection) -> dict[str, VertebraMask]:
    if not subject.masks:
        seen.add("There are no outlines.", "Draw L1 and L2, and name the file in the column masks.", "masks", "warning")
        return {}
    paths = mask_paths(folder, subject.masks)
    missing = [path for path in paths if not path.exists()]
    if missing:
        seen.add(f"There are no outlines at {subject.masks}.", "Put them there, or correct the path.", "masks")
        return {}
    try:
        outlines = read_masks(paths, LEVELS)
    except OsteoScreenError as error:
        seen.add(f"The outlines cannot be used: {error}", "Export them again, or correct the path.", "masks")
        return {}
    for level in LEVELS:
        if level not in outlines:
            seen.add(f"The outlines hold no {level}.", "Draw it, or name its segment after it.", "masks")
    return outlines


def _places(ct: CT, subject: Subject, seen: Inspection) -> dict[str, int]:
    """Return the slices of the levels that lie in the scan."""
    places = {}
    for level, column, z_mm in (("L1", "l1_z_mm", subject.l1_z_mm), ("L2", "l2_z_mm", subject.l2_z_mm)):
        if z_mm is None:
            continue
        try:
            places[level] = parse_level(str(z_mm), ct, level).slice_index
        except OsteoScreenError as error:
            seen.add(f"{level} lies outside the scan: {error}", "Write the centre slice as RAS S in mm.", column)
    return places


def _level(ct: CT, outline: VertebraMask, k: int, seen: Inspection) -> None:
    name = outline.name
    if _lost_placement(ct, outline):
        seen.add(
            f"The outline of {name} has the CT's size, and lies elsewhere: its placement was lost.",
            "Export it again from a tool that keeps position and orientation.",
            "masks",
        )
        return
    try:
        hu, coverage = cut_level(ct, outline, k)
    except OsteoScreenError as error:
        seen.add(f"{error} {_where(ct, outline, k)}", "Correct the centre slice, or draw on it.", "masks")
        return
    pixel_mm = squared_pixel_mm(ct.geometry)
    measures = measure(seen.subject.subject, name, hu, coverage, pixel_mm)
    if measures is not None:
        seen.measures[name] = measures
        seen.pictures[name] = picture(hu, coverage, pixel_mm)


def _lost_placement(ct: CT, outline: VertebraMask) -> bool:
    mine, its = outline.geometry, ct.geometry
    if mine.shape != its.shape:
        return False
    slices, rows, columns = its.shape
    corners = np.array([[0, 0, 0], [columns - 1, rows - 1, 0], [columns - 1, 0, slices - 1], [0, rows - 1, slices - 1]])
    return bool(np.linalg.norm(mine.ras(*corners.T) - its.ras(*corners.T), axis=1).max() > _MISPLACED_MM)


def _where(ct: CT, outline: VertebraMask, k: int) -> str:
    """Say where an outline lies that does not lie on slice ``k``."""
    at = np.argwhere(outline.mask)
    if len(at) == 0:
        return "It is empty."
    ras = outline.geometry.ras(*at[:, ::-1].T)
    low, high, here = ras[:, 2].min(), ras[:, 2].max(), ct.geometry.slice_z(k)
    if low - 0.5 <= here <= high + 0.5:
        return "It lies beside the CT, in the plane."
    return f"It lies at S {low:.1f} to {high:.1f} mm, and the centre slice at S {here:.1f} mm."
